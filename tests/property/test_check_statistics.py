"""Intervals cover as often as they say, and tests reject as often: within the error of the simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fairway.lifecycle.statistics import classifying, estimating, means, ranking
from fairway.lifecycle.statistics.classifying import Answers
from fairway.lifecycle.statistics.distributions import normal_p
from fairway.lifecycle.statistics.drift import stability
from fairway.lifecycle.statistics.intervals import newcombe_paired, wilson
from fairway.lifecycle.statistics.results import of_hits

TIMES = 400
"""Simulations: the standard error of a rate of 5 % is then 1.1 %."""


def covers(rate: float, times: int = TIMES, slack: float = 0.02) -> bool:
    """Tell whether a coverage may be one of 95 %, but for three standard errors and for small samples."""
    return rate >= 0.95 - slack - 3 * (0.95 * 0.05 / times) ** 0.5


@pytest.mark.parametrize("share", [0.05, 0.5, 0.93])
@pytest.mark.parametrize("rows", [20, 200])
def test_wilson_covers(share: float, rows: int) -> None:
    hits = np.random.default_rng(1).binomial(rows, share, size=5000)
    inside = [low <= share <= high for low, high, _ in (wilson(int(h), rows) for h in hits)]
    # With 20 rows and 5 % it covers 92.5 %, which is the least that it ever does there.
    assert covers(float(np.mean(inside)), 5000, slack=0.02)


@pytest.mark.parametrize("rows", [40, 300])
def test_the_paired_difference_of_shares_covers(rows: int) -> None:
    cells = np.random.default_rng(2).multinomial(rows, [0.6, 0.15, 0.1, 0.15], size=3000)
    inside = [low <= 0.05 <= high for low, high, _ in (newcombe_paired(*map(int, c)) for c in cells)]
    assert covers(float(np.mean(inside)), 3000, slack=0.01)


def test_the_exact_test_rejects_no_more_than_it_says() -> None:
    random = np.random.default_rng(3)
    p_values = []
    for _ in range(1000):
        hits = random.random(150) < 0.8
        p_values.append(of_hits(_flipped(hits, random), _flipped(hits, random), 0.95).difference.p)  # type: ignore[union-attr]
    for alpha in (0.01, 0.05, 0.2):
        assert np.mean(np.array(p_values) <= alpha) <= alpha + 3 * (alpha * (1 - alpha) / 1000) ** 0.5


def _flipped(hits: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return hits ^ (random.random(len(hits)) < 0.1)


def test_the_permutation_test_is_uniform_without_a_difference() -> None:
    """Two answers of equal quality, correlated by the truth and by a common error."""
    random = np.random.default_rng(4)
    p_values = []
    for _ in range(TIMES):
        truth = random.normal(size=60)
        common = truth + random.standard_t(4, size=60)
        rows = means.Rows(60, seed=int(random.integers(1e9)))
        new, old = (
            means.Means(
                ((common + random.normal(size=60) - truth) ** 2)[:, None], lambda m: np.sqrt(m[..., 0])
            )
            for _ in range(2)
        )
        p_values.append(means.permutation_p(new, old, rows, resamples=400))
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


@pytest.mark.slow
def test_bootstrap_intervals_of_a_metric_and_of_a_difference_cover() -> None:
    """RMSE of normal errors is their standard deviation; that of two models differs as theirs do."""
    random = np.random.default_rng(5)
    inside = []
    for seed in range(TIMES):
        truth, common = random.normal(size=(2, 120))
        new = truth + 0.6 * common + 0.8 * random.normal(size=120)
        old = truth + 0.6 * common + 1.6 * random.normal(size=120)
        found = estimating.results(truth, new, old, seed=seed, only="rmse".__eq__)["rmse"]
        assert found.difference is not None
        gap = 1.0 - (0.36 + 2.56) ** 0.5
        low, high, _ = found.difference.interval
        inside.append((found.new.interval.low <= 1.0 <= found.new.interval.high, low <= gap <= high))
    assert all(map(covers, np.mean(inside, axis=0)))


@pytest.mark.slow
def test_the_interval_of_f1_covers() -> None:
    """F1 of a known confusion matrix."""
    random = np.random.default_rng(6)
    shares = np.array([0.5, 0.1, 0.15, 0.25])  # truth and answer: 00, 01, 10, 11
    true_f1 = 2 * 0.25 / (2 * 0.25 + 0.1 + 0.15)
    inside = []
    for seed in range(TIMES):
        cells = random.choice(4, size=150, p=shares)
        found = classifying.results(
            cells // 2, Answers(cells % 2), None, classes=["0", "1"], seed=seed, only="f1:1".__eq__
        )["f1:1"]
        inside.append(found.new.interval.low <= true_f1 <= found.new.interval.high)
    assert covers(float(np.mean(inside)))


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_the_interval_of_an_area_covers(shift: float) -> None:
    """Two normal kinds whose means differ: the area is known."""
    random = np.random.default_rng(7)
    true_area = stats.norm.cdf(shift / 2**0.5)
    is_positive = np.repeat([True, False], [40, 80])
    inside = []
    for _ in range(1000):
        found = ranking.area(is_positive, random.normal(size=120) + shift * is_positive)
        low, high, _ = ranking.area_interval(found)
        inside.append(low <= true_area <= high)
    assert covers(float(np.mean(inside)), 1000, slack=0.01)


def test_delongs_test_is_uniform_without_a_difference() -> None:
    random = np.random.default_rng(8)
    is_positive = np.repeat([True, False], [60, 90])
    p_values = []
    for _ in range(1000):
        common = is_positive + random.normal(size=150)
        one, two = (ranking.area(is_positive, common + random.normal(size=150)) for _ in range(2))
        error = float(((one.contributions - two.contributions) ** 2).sum()) ** 0.5
        p_values.append(normal_p((one.value - two.value) / error))
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


def test_the_calibration_error_covers_that_of_a_miscalibrated_model() -> None:
    """A model that says 0.15 too much has a calibration error of 0.15, which resampling overstates."""
    random = np.random.default_rng(9)
    inside = []
    for seed in range(60):
        stated = random.uniform(0.2, 0.9, size=300)
        truth = (random.random(300) < stated - 0.15).astype(int)
        answers = Answers((stated > 0.5).astype(int), np.column_stack([1 - stated, stated]))
        found = classifying.results(truth, answers, None, classes=["0", "1"], seed=seed, only="ece".__eq__)[
            "ece"
        ]
        inside.append(found.new.interval.low <= 0.15 <= found.new.interval.high)
    assert covers(float(np.mean(inside)), 60, slack=0.05)


@pytest.mark.parametrize(("rows", "reference"), [(200, 1000), (2000, 500)])
def test_the_stability_index_has_its_law(rows: int, reference: int) -> None:
    """No shift: the p-value is small as seldom as it says."""
    random = np.random.default_rng(10)
    shares = np.full(10, 0.1)
    p_values = np.array(
        [
            stability(random.multinomial(reference, shares), random.multinomial(rows, shares)).p
            for _ in range(2000)
        ]
    )
    for alpha in (0.01, 0.05, 0.5):
        rate = float((p_values < alpha).mean())
        assert rate == pytest.approx(alpha, abs=0.01 + 3 * (alpha * (1 - alpha) / 2000) ** 0.5)
