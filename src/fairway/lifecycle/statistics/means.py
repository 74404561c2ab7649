"""Metrics that are functions of means over the rows: bootstrap, jackknife and permutation test.

Almost every metric is: RMSE is the root of the mean squared error, F1 a ratio of two shares, R2 of two
variances. So a resample is one vector of weights for all of them, and costs a product of matrices. Rows that
count the same (of classification: equal truth and equal answers) are kept once, with their number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Combine = Callable[[Array], Array]
"""From means (the last axis) to the metric; means of several samples at once."""

RESAMPLES = 2000
MOST_RESAMPLED = 50_000
"""Rows above which the jackknife's normal interval is taken: a mean of so many is normal to three digits."""

_BLOCK_CELLS = 4_000_000


@dataclasses.dataclass(frozen=True)
class Means:
    """One metric of one model, as means over rows.

    Attributes:
        columns: What is averaged: one row per row of the data, or per kind of row.
        combine: The metric, given the means.
    """

    columns: Array
    combine: Combine


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a table, or its kinds of row with their numbers.

    Attributes:
        counts: How many rows each kind stands for; None where each row stands for itself.
        size: How many kinds there are.
        seed: Which resamples are drawn.
    """

    size: int
    counts: Array | None = None
    seed: int = 0

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self.size if self.counts is None else int(self.counts.sum())

    def means(self, columns: Array) -> Array:
        """Return the means of columns."""
        if self.counts is None:
            return columns.mean(axis=0)
        return self.counts @ columns / self.total

    def weights(self, resamples: int = RESAMPLES) -> Iterator[Array]:
        """Yield the weights of resamples with replacement, some at a time; each adds up to 1."""
        random = np.random.default_rng(self.seed)
        for count in self._blocks(resamples):
            if self.counts is not None:
                drawn = random.multinomial(self.total, self.counts / self.total, size=count)
            else:
                places = random.integers(0, self.size, size=(count, self.size), dtype=np.int32)
                drawn = np.stack([np.bincount(row, minlength=self.size) for row in places])
            yield drawn / self.total

    def swaps(self, resamples: int = RESAMPLES) -> Iterator[Array]:
        """Yield which share of all rows has its two models exchanged, some exchanges at a time."""
        random = np.random.default_rng([self.seed, 1])
        for count in self._blocks(resamples):
            if self.counts is not None:
                drawn = random.binomial(self.counts, 0.5, size=(count, self.size))
            else:
                drawn = random.integers(0, 2, size=(count, self.size), dtype=np.int8)
            yield drawn / self.total

    def _blocks(self, resamples: int) -> Iterator[int]:
        most = max(1, _BLOCK_CELLS // max(self.size, 1))
        for start in range(0, resamples, most):
            yield min(most, resamples - start)


def evaluate(metric: Means, rows: Rows) -> float:
    """Return the metric of all rows."""
    return float(metric.combine(rows.means(metric.columns)))


def replicates(metrics: list[Means], rows: Rows, resamples: int = RESAMPLES) -> list[Array]:
    """Return each metric for each resample; all see the same resamples."""
    drawn = [
        [metric.combine(weights @ metric.columns) for metric in metrics]
        for weights in rows.weights(resamples)
    ]
    return [np.concatenate(parts) for parts in zip(*drawn, strict=True)]


def jackknife(metric: Means, rows: Rows) -> Array:
    """Return the metric without one row (of each kind)."""
    if rows.total < 2:
        return np.full(rows.size, np.nan)
    left = (rows.total * rows.means(metric.columns) - metric.columns) / (rows.total - 1)
    return metric.combine(left)


def jackknife_error(values: Array, rows: Rows) -> float:
    """Return the standard error that the jackknife's values tell."""
    usable = np.isfinite(values)
    if not usable.all() or rows.total < 2:
        return float("nan")
    weights = np.ones(rows.size) if rows.counts is None else rows.counts
    centre = np.average(values, weights=weights)
    spread = float((weights * (values - centre) ** 2).sum())
    return float(np.sqrt(spread * (rows.total - 1) / rows.total))


def permutation_p(new: Means, old: Means, rows: Rows, resamples: int = RESAMPLES) -> float:
    """Return how likely the difference is if it did not matter which model gave which answer to a row.

    Exact up to the number of exchanges; both metrics need the same `combine`.
    """
    mine, other = rows.means(new.columns), rows.means(old.columns)
    gap = old.columns - new.columns
    seen = abs(float(new.combine(mine) - old.combine(other)))
    reached = total = 0
    for swapped in rows.swaps(resamples):
        moved = swapped @ gap
        differences = np.abs(new.combine(mine + moved) - old.combine(other - moved))
        # What differs only in the last bits is no smaller.
        reached += int((differences >= seen * (1 - 1e-9) - 1e-15).sum())
        total += len(differences)
    return (1 + reached) / (1 + total)
