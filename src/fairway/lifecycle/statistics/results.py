"""What is known of a metric: its value with an interval, and its difference to that of another model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fairway.lifecycle.statistics import means
from fairway.lifecycle.statistics.distributions import coin_p, normal_p
from fairway.lifecycle.statistics.intervals import (
    Interval,
    basic,
    bca,
    critical,
    newcombe_paired,
    wilson,
)
from fairway.lifecycle.statistics.means import Means, Rows
from fairway.lifecycle.statistics.ranking import Area, area_interval

Array = NDArray[Any]
Verdict = Literal["better", "not_worse", "worse", "inconclusive"]

FEWEST_ROWS = 30
"""Rows below which no estimate is taken for more than its interval tells."""

_UNKNOWN = Interval(math.nan, math.nan, "")


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A metric of one model: its value, its interval, its standard error."""

    value: float
    interval: Interval
    error: float = math.nan


@dataclasses.dataclass(frozen=True)
class Difference:
    """New minus old on the same rows, with the p-value of a paired test."""

    value: float
    interval: Interval
    error: float
    p: float
    test: str


@dataclasses.dataclass(frozen=True)
class Result:
    """A metric of one model, and of another one where there is one to compare it with."""

    new: Estimate
    old: Estimate | None = None
    difference: Difference | None = None


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same metric of the new model and, where there is one, of the old."""

    new: Means
    old: Means | None = None
    has_bias: bool = False


def paired(make: Callable[[Array], Means], answered: Sequence[Array], *, has_bias: bool = False) -> Pair:
    """Return a metric of what one model answered, or two."""
    old = make(answered[1]) if len(answered) > 1 else None
    return Pair(make(answered[0]), old, has_bias)


def judge(difference: Difference, *, higher_is_better: bool, tolerance: float, rows: int) -> Verdict:
    """Return what a difference says, as its interval has it.

    `better` and `worse` need the whole interval on one side of 0 and of the tolerance; `not_worse` needs its
    lower end within the tolerance. Everything else, and whatever so few rows say, is `inconclusive`.
    """
    low, high, _ = difference.interval
    if not higher_is_better:
        low, high = -high, -low
    if rows < FEWEST_ROWS or not (math.isfinite(low) and math.isfinite(high)):
        return "inconclusive"
    if low > 0:
        return "better"
    if low >= -tolerance:
        return "not_worse"
    return "worse" if high < -tolerance else "inconclusive"


def of_means(pairs: Mapping[str, Pair], rows: Rows, confidence: float) -> dict[str, Result]:
    """Return the results of metrics that are means of the same rows."""
    is_drawn = 1 < rows.total <= means.MOST_RESAMPLED
    news = [pair.new for pair in pairs.values()]
    olds = [pair.old for pair in pairs.values() if pair.old is not None]
    wanted = [*news, *olds]
    found = means.replicates(wanted, rows) if is_drawn else [None] * len(wanted)
    drawn: Iterator[Array | None] = iter(found)
    drawn_new = {key: next(drawn) for key in pairs}
    drawn_old = {key: next(drawn) for key, pair in pairs.items() if pair.old is not None}
    results = {}
    for key, pair in pairs.items():
        new, left = _estimate(pair.new, rows, drawn_new[key], confidence, has_bias=pair.has_bias)
        if pair.old is None:
            results[key] = Result(new)
            continue
        old, left_old = _estimate(pair.old, rows, drawn_old[key], confidence, has_bias=pair.has_bias)
        change = new.value - old.value
        mine, other = drawn_new[key], drawn_old[key]
        both = None if mine is None or other is None else mine - other
        interval, error = _interval(change, left - left_old, both, rows, confidence, has_bias=pair.has_bias)
        p, test = _paired_p(pair, rows, change, error)
        results[key] = Result(new, old, Difference(change, interval, error, p, test))
    return results


def _estimate(
    metric: Means, rows: Rows, drawn: Array | None, confidence: float, *, has_bias: bool
) -> tuple[Estimate, Array]:
    value = means.evaluate(metric, rows)
    left = means.jackknife(metric, rows)
    interval, error = _interval(value, left, drawn, rows, confidence, has_bias=has_bias)
    return Estimate(value, interval, error), left


def _interval(
    value: float, left: Array, drawn: Array | None, rows: Rows, confidence: float, *, has_bias: bool
) -> tuple[Interval, float]:
    error = means.jackknife_error(left, rows)
    if drawn is None:
        if rows.total < 2:
            return _UNKNOWN, math.nan
        reach = critical(confidence) * error
        return Interval(value - reach, value + reach, "jackknife"), error
    drawn = drawn[np.isfinite(drawn)]
    if not drawn.size or not math.isfinite(value):
        return _UNKNOWN, math.nan
    error = error if math.isfinite(error) else float(drawn.std(ddof=1))
    if has_bias:
        return basic(value, drawn, confidence), error
    return bca(value, drawn, left, confidence, rows.counts), error


def _paired_p(pair: Pair, rows: Rows, change: float, error: float) -> tuple[float, str]:
    if pair.old is None or rows.total < 2 or not math.isfinite(change):
        return 1.0, ""
    if rows.total <= means.MOST_RESAMPLED:
        return means.permutation_p(pair.new, pair.old, rows), "permutation"
    return (normal_p(change / error) if error > 0 else 1.0), "z"


def of_hits(new: Array, old: Array | None, confidence: float) -> Result:
    """Return the result of a share of rows: Wilson's interval, Newcombe's for pairs, McNemar's test."""
    trials = len(new)
    first = _share(int(new.sum()), trials, confidence)
    if old is None:
        return Result(first)
    second = _share(int(old.sum()), trials, confidence)
    if trials == 0:
        return Result(first, second)
    both, neither = int((new & old).sum()), int((~new & ~old).sum())
    only_new, only_old = int((new & ~old).sum()), int((~new & old).sum())
    interval = newcombe_paired(both, only_new, only_old, neither, confidence)
    change = (only_new - only_old) / trials
    error = math.sqrt(max(0.0, (only_new + only_old) / trials - change * change) / trials)
    p = coin_p(only_new, only_new + only_old)
    return Result(first, second, Difference(change, interval, error, p, "mcnemar_exact"))


def _share(hits: int, trials: int, confidence: float) -> Estimate:
    share = hits / trials if trials else math.nan
    error = math.sqrt(share * (1 - share) / trials) if trials else math.nan
    return Estimate(share, wilson(hits, trials, confidence), error)


def of_areas(new: Area, old: Area | None, confidence: float) -> Result:
    """Return the result of areas under the ROC curve, compared as DeLong does."""
    first = Estimate(new.value, area_interval(new, confidence), new.standard_error)
    if old is None:
        return Result(first)
    second = Estimate(old.value, area_interval(old, confidence), old.standard_error)
    change = new.value - old.value
    error = math.sqrt(float(((new.contributions - old.contributions) ** 2).sum()))
    reach = critical(confidence) * error
    p = normal_p(change / error) if error > 0 else 1.0
    interval = Interval(change - reach, change + reach, "delong")
    return Result(first, second, Difference(change, interval, error, p, "delong"))


def of_function(
    new: Callable[[Array], float],
    old: Callable[[Array], float] | None,
    *,
    rows: int,
    confidence: float,
    seed: int,
) -> Result:
    """Return the result of any function of rows, given their places; resampled, as nothing is known of it."""
    everything = np.arange(rows)
    random = np.random.default_rng([seed, 2])
    drawn_new, drawn_old = [], []
    for _ in range(_OWN_RESAMPLES if rows > 1 else 0):
        places = random.integers(0, rows, size=rows)
        drawn_new.append(new(places))
        if old is not None:
            drawn_old.append(old(places))
    first = _resampled(new(everything), np.array(drawn_new), confidence)
    if old is None:
        return Result(first)
    second = _resampled(old(everything), np.array(drawn_old), confidence)
    change = first.value - second.value
    both = _resampled(change, np.array(drawn_new) - np.array(drawn_old), confidence)
    p = normal_p(change / both.error) if both.error > 0 else 1.0
    return Result(first, second, Difference(change, both.interval, both.error, p, "bootstrap"))


_OWN_RESAMPLES = 500


def _resampled(value: float, drawn: Array, confidence: float) -> Estimate:
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size < 2 or not math.isfinite(value):
        return Estimate(value, _UNKNOWN)
    return Estimate(value, bca(value, drawn, np.zeros(1), confidence), float(drawn.std(ddof=1)))
