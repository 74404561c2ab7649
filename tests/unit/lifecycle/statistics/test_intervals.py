"""Intervals and tests against published examples, statsmodels and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fairway.lifecycle.statistics.distributions import chi_square_p, coin_p, normal_p, normal_quantile
from fairway.lifecycle.statistics.drift import stability
from fairway.lifecycle.statistics.intervals import (
    basic,
    bca,
    benjamini_hochberg,
    newcombe,
    newcombe_paired,
    wilson,
)
from fairway.lifecycle.statistics.power import detectable, rows_for_proportions

BENJAMINI_HOCHBERG_1995 = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344),
    *(0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0),
]


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(hits: int, trials: int, low: float, high: float) -> None:
    found = wilson(hits, trials)
    assert (low, high) == (pytest.approx(found.low, abs=5e-5), pytest.approx(found.high, abs=5e-5))


def test_wilson_agrees_with_statsmodels_at_another_confidence() -> None:
    """The figures are those of statsmodels 0.15.0, proportion_confint(7, 9, alpha=0.1, method="wilson")."""
    found = wilson(7, 9, 0.9)
    assert found.low == pytest.approx(0.5036427823767538, rel=1e-12)
    assert found.high == pytest.approx(0.9235052624456037, rel=1e-12)


def test_wilson_of_nothing_is_everything() -> None:
    assert wilson(0, 0)[:2] == (0.0, 1.0)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    # Newcombe 1998, "Interval estimation for the difference between independent proportions", table II.
    [((56, 48), (70, 80), 0.0524, 0.3339), ((9, 3), (10, 10), 0.1705, 0.8090)],
)
def test_newcombe_gives_the_published_differences(
    hits: tuple[int, int], trials: tuple[int, int], low: float, high: float
) -> None:
    found = newcombe(hits, trials)
    assert (low, high) == (pytest.approx(found.low, abs=5e-5), pytest.approx(found.high, abs=5e-5))


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    # Newcombe 1998, "Improved confidence intervals for the difference ... based on paired data", table III.
    [((36, 12, 2, 0), 0.0569, 0.3404), ((18, 12, 2, 18), 0.0562, 0.3290)],
)
def test_newcombe_gives_the_published_paired_differences(
    cells: tuple[int, int, int, int], low: float, high: float
) -> None:
    found = newcombe_paired(*cells)
    assert (low, high) == (pytest.approx(found.low, abs=5e-5), pytest.approx(found.high, abs=5e-5))


def test_a_paired_difference_is_mirrored_when_the_two_are_exchanged() -> None:
    low, high, _ = newcombe_paired(40, 12, 5, 9)
    assert newcombe_paired(40, 5, 12, 9)[:2] == (pytest.approx(-high), pytest.approx(-low))


@pytest.mark.parametrize(
    ("first_only", "second_only", "p"),
    # statsmodels 0.15.0, mcnemar(table, exact=True).
    [
        (121, 59, 4.4344492637551645e-06),
        (50, 22, 0.0012935849626762883),
        (12, 2, 0.012939453125),
        (3, 9, 0.14599609375),
        (2, 0, 0.5),
    ],
)
def test_mcnemar_agrees_with_statsmodels(first_only: int, second_only: int, p: float) -> None:
    assert coin_p(first_only, first_only + second_only) == pytest.approx(p, rel=1e-10)


@pytest.mark.parametrize("tosses", [1, 2, 7, 100, 999, 20_000, 100_000, 100_001, 3_000_000])
def test_a_fair_coin_agrees_with_scipy(tosses: int) -> None:
    for share in (0.0, 0.3, 0.48, 0.499, 0.5):
        heads = int(tosses * share)
        expected = stats.binomtest(heads, tosses).pvalue
        assert coin_p(heads, tosses) == pytest.approx(expected, rel=1e-3, abs=1e-12)


def test_distributions_agree_with_scipy() -> None:
    for z in (-3.2, 0.0, 0.4, 1.96, 8.0):
        assert normal_p(z) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12)
    for share in (1e-6, 0.025, 0.5, 0.9):
        assert normal_quantile(share) == pytest.approx(stats.norm.ppf(share), rel=1e-9, abs=1e-12)
    for freedom in (1, 2, 9, 40, 200):
        for value in (0.01, 1.0, 8.0, 40.0, 250.0):
            expected = stats.chi2.sf(value, freedom)
            assert chi_square_p(value, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_benjamini_hochberg_makes_the_published_four_discoveries() -> None:
    """The example of the paper of 1995; the adjusted values agree with scipy, in any order."""
    found = benjamini_hochberg(BENJAMINI_HOCHBERG_1995)
    assert sum(p <= 0.05 for p in found) == 4
    assert found == pytest.approx(stats.false_discovery_control(BENJAMINI_HOCHBERG_1995))
    shuffled = [BENJAMINI_HOCHBERG_1995[n] for n in (7, 3, 14, 0, 9, 1, 2, 13, 4, 6, 5, 12, 8, 10, 11)]
    assert benjamini_hochberg(shuffled) == pytest.approx(stats.false_discovery_control(shuffled))
    assert benjamini_hochberg([]) == []


def test_power_agrees_with_r() -> None:
    """power.prop.test(p1 = .5, p2 = .75, power = .9) of R says 76.7 rows in each group."""
    assert rows_for_proportions(0.5, 0.75, power=0.9) == pytest.approx(76.7, abs=0.05)


def test_the_detectable_difference_is_detected_four_times_of_five() -> None:
    """Were the true difference as large, its z-test would reject in 80 % of all samples."""
    error = 0.37
    shift = detectable(error) / error
    assert stats.norm.sf(1.959964 - shift) + stats.norm.cdf(-1.959964 - shift) == pytest.approx(0.8, abs=1e-5)


def test_bca_agrees_with_scipy_on_a_skewed_sample() -> None:
    """The same method on resamples of its own: the ends agree up to what chance makes of 10,000 resamples."""
    random = np.random.default_rng(5)
    sample = random.lognormal(size=60)
    expected = stats.bootstrap(
        (sample,), np.mean, n_resamples=10_000, method="BCa", random_state=np.random.default_rng(1)
    ).confidence_interval
    drawn = sample[random.integers(0, 60, size=(10_000, 60))].mean(axis=1)
    left_out = (sample.sum() - sample) / 59
    found = bca(float(sample.mean()), drawn, left_out, 0.95)
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.04 * width)
    assert found.high == pytest.approx(expected.high, abs=0.04 * width)


def test_resamples_without_spread_give_a_point() -> None:
    assert bca(2.0, np.full(50, 2.0), np.full(9, 2.0), 0.95)[:2] == (2.0, 2.0)


def test_the_basic_interval_takes_a_bias_out() -> None:
    """Resamples that lie one too high move the interval one down."""
    drawn = np.linspace(10.0, 12.0, 1001)
    found = basic(10.0, drawn, 0.9)
    assert (found.low, found.high) == (pytest.approx(8.1), pytest.approx(9.9))


def test_the_stability_index_is_symmetric_and_zero_for_equal_shares() -> None:
    assert stability([10, 20, 30], [100, 200, 300]).psi == pytest.approx(0.0, abs=1e-3)
    assert stability([10, 20, 30], [30, 20, 10]).psi == pytest.approx(
        stability([30, 20, 10], [10, 20, 30]).psi
    )
    assert stability([50, 0], [0, 50]).p < 1e-6
    assert stability([5], [9]) == (0.0, 1.0)
    assert math.isclose(stability([0, 0], [1, 2]).p, 1.0)
