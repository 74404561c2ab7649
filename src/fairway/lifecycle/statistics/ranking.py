"""The area under the ROC curve, its variance and its paired comparison (DeLong and others 1988).

Several classes are compared each with the rest, and their areas averaged; a row then contributes to the
average what it contributes to each of them.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.lifecycle.statistics.intervals import Interval, critical

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Area:
    """An area, and what each row contributes to its deviation; the squares add up to its variance."""

    value: float
    contributions: Array
    fewest: int

    @property
    def standard_error(self) -> float:
        """The square root of DeLong's variance."""
        return math.sqrt(float((self.contributions**2).sum()))


def area(is_positive: Array, scores: Array) -> Area:
    """Return the area for one class against the rest; both kinds of row have to be there."""
    positive, negative = scores[is_positive], scores[~is_positive]
    m, n = len(positive), len(negative)
    # A row's placement is the share of the other kind that it ranks rightly against; a tie counts half.
    above = (_midranks(np.concatenate([positive, negative]))[:m] - _midranks(positive)) / n
    below = 1 - (_midranks(np.concatenate([negative, positive]))[:n] - _midranks(negative)) / m
    value = float(above.mean())
    contributions = np.empty(len(scores))
    contributions[is_positive] = (above - value) / math.sqrt(m * max(m - 1, 1))
    contributions[~is_positive] = (below - value) / math.sqrt(n * max(n - 1, 1))
    return Area(value, contributions, min(m, n))


def mean_area(truth: Array, probabilities: Array, classes: list[int]) -> Area:
    """Return the area of two classes, or the mean over more, each against the rest.

    Args:
        truth: Number of the class of each row.
        probabilities: One column per class.
        classes: The classes that are there; at least two.
    """
    if probabilities.shape[1] == 2:
        return area(truth == 1, probabilities[:, 1])
    each = [area(truth == label, probabilities[:, label]) for label in classes]
    contributions = np.mean([one.contributions for one in each], axis=0)
    value = float(np.mean([one.value for one in each]))
    return Area(value, contributions, min(one.fewest for one in each))


def area_interval(found: Area, confidence: float = 0.95) -> Interval:
    """Return the interval of an area on the logit scale, which keeps it between 0 and 1.

    A perfect ranking has no variance to go by; it gets the bound of as many independent successes as the
    rarer kind has rows.
    """
    value, error = found.value, found.standard_error
    if value >= 1.0 or value <= 0.0:
        reach = 1 - (0.5 - confidence / 2) ** (1 / found.fewest)
        return Interval(1 - reach, 1.0, "exact") if value >= 1.0 else Interval(0.0, reach, "exact")
    if error == 0.0:
        return Interval(value, value, "delong")
    middle = math.log(value / (1 - value))
    reach = critical(confidence) * error / (value * (1 - value))
    return Interval(_logistic(middle - reach), _logistic(middle + reach), "delong")


def roc_points(is_positive: Array, scores: Array, *, most: int = 200) -> list[tuple[float, float]]:
    """Return points of the ROC curve: false and true positive rate, from (0, 0) to (1, 1)."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true = np.concatenate([[0.0], np.cumsum(is_positive[order])[ends] / is_positive.sum()])
    false = np.concatenate([[0.0], np.cumsum(~is_positive[order])[ends] / (~is_positive).sum()])
    chosen = np.unique(np.linspace(0, len(true) - 1, min(most, len(true))).round().astype(int))
    return [(float(x), float(y)) for x, y in zip(false[chosen], true[chosen], strict=True)]


def _midranks(values: Array) -> Array:
    """Return the rank of each value from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
