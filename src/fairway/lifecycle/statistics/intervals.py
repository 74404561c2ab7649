"""Confidence intervals of proportions and of resampled values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fairway.lifecycle.statistics.distributions import normal_quantile

Array = NDArray[Any]


class Interval(NamedTuple):
    """From where to where, and by which method."""

    low: float
    high: float
    method: str


def critical(confidence: float) -> float:
    """Return the normal quantile of a two-sided interval."""
    return normal_quantile(0.5 + confidence / 2)


def wilson(hits: int, trials: int, confidence: float = 0.95) -> Interval:
    """Return the score interval of a proportion (Wilson 1927)."""
    if trials == 0:
        return Interval(0.0, 1.0, "wilson")
    z = critical(confidence)
    share = hits / trials
    middle = share + z * z / (2 * trials)
    reach = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    # At the ends the formula is exact, but its last bit is not.
    low = 0.0 if hits == 0 else (middle - reach) / scale
    high = 1.0 if hits == trials else (middle + reach) / scale
    return Interval(low, high, "wilson")


def newcombe(hits: tuple[int, int], trials: tuple[int, int], confidence: float = 0.95) -> Interval:
    """Return the interval of the difference of two independent proportions (Newcombe 1998, method 10)."""
    first, second = hits[0] / trials[0], hits[1] / trials[1]
    low1, high1, _ = wilson(hits[0], trials[0], confidence)
    low2, high2, _ = wilson(hits[1], trials[1], confidence)
    difference = first - second
    low = difference - math.hypot(first - low1, high2 - second)
    high = difference + math.hypot(high1 - first, second - low2)
    return Interval(low, high, "newcombe")


def newcombe_paired(
    both: int, first_only: int, second_only: int, neither: int, confidence: float = 0.95
) -> Interval:
    """Return the interval of the difference of two proportions of the same rows (Newcombe 1998, method 10).

    Args:
        both: Rows that both hit.
        first_only: Rows that only the first hit.
        second_only: Rows that only the second hit.
        neither: Rows that none hit.
        confidence: Confidence of the interval.
    """
    trials = both + first_only + second_only + neither
    hits = both + first_only, both + second_only
    first, second = hits[0] / trials, hits[1] / trials
    low1, high1, _ = wilson(hits[0], trials, confidence)
    low2, high2, _ = wilson(hits[1], trials, confidence)
    phi = _correlation(both, first_only, second_only, neither)

    def reach(mine: float, other: float) -> float:
        return math.sqrt(max(0.0, mine * mine - 2 * phi * mine * other + other * other))

    difference = first - second
    low = difference - reach(first - low1, high2 - second)
    high = difference + reach(high1 - first, second - low2)
    return Interval(max(-1.0, low), min(1.0, high), "newcombe_paired")


def _correlation(both: int, first_only: int, second_only: int, neither: int) -> float:
    """Return the phi of a fourfold table, corrected for continuity where it is positive."""
    sides = (both + first_only) * (second_only + neither) * (both + second_only) * (first_only + neither)
    if sides == 0:
        return 0.0
    product: float = both * neither - first_only * second_only
    if product > 0:
        product = max(product - (both + first_only + second_only + neither) / 2, 0)
    return product / math.sqrt(sides)


def bca(
    estimate: float, replicates: Array, influence: Array, confidence: float, counts: Array | None = None
) -> Interval:
    """Return the bias-corrected and accelerated bootstrap interval (Efron 1987).

    Args:
        estimate: The value of the sample.
        replicates: The value of each resample.
        influence: The jackknife's value for each row (or kind of row) that is left out.
        confidence: Confidence of the interval.
        counts: How many rows each entry of *influence* stands for.
    """
    replicates = replicates[np.isfinite(replicates)]
    spread = float(np.ptp(replicates)) if replicates.size else 0.0
    if spread == 0.0:
        return Interval(estimate, estimate, "bca")
    below = float(np.mean(replicates < estimate) + np.mean(replicates == estimate) / 2)
    if not 0.0 < below < 1.0:
        return percentile(replicates, confidence)
    bias = normal_quantile(below)
    speed = _acceleration(influence, counts)
    shares = []
    for share in (0.5 - confidence / 2, 0.5 + confidence / 2):
        z = bias + normal_quantile(share)
        shares.append(0.5 * math.erfc(-(bias + z / max(1 - speed * z, 1e-6)) / math.sqrt(2)))
    low, high = np.quantile(replicates, shares)
    return Interval(float(low), float(high), "bca")


def _acceleration(influence: Array, counts: Array | None) -> float:
    weights = np.ones(len(influence)) if counts is None else counts
    usable = np.isfinite(influence)
    influence, weights = influence[usable], weights[usable]
    if not weights.sum():
        return 0.0
    centred = np.average(influence, weights=weights) - influence
    squares = float((weights * centred**2).sum())
    return 0.0 if squares == 0 else float((weights * centred**3).sum()) / (6 * squares**1.5)


def percentile(replicates: Array, confidence: float) -> Interval:
    """Return the percentile bootstrap interval."""
    low, high = np.quantile(replicates, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(low), float(high), "percentile")


def basic(estimate: float, replicates: Array, confidence: float) -> Interval:
    """Return the basic bootstrap interval: it takes the bias of an estimate out (Davison & Hinkley 1997)."""
    low, high, _ = percentile(replicates, confidence)
    return Interval(2 * estimate - high, 2 * estimate - low, "basic")


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number so that the rate of false discoveries is kept."""
    count = len(p_values)
    order = sorted(range(count), key=p_values.__getitem__)
    adjusted = [1.0] * count
    least = 1.0
    for rank in range(count, 0, -1):
        place = order[rank - 1]
        least = min(least, p_values[place] * count / rank)
        adjusted[place] = least
    return adjusted
