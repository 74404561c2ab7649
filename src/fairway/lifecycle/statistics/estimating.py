"""Metrics of a model that answers with a number: from truth and answers to results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.lifecycle.statistics.means import Means, Rows
from fairway.lifecycle.statistics.results import Result, of_means, paired

Array = NDArray[Any]


def results(
    truth: Array,
    new: Array,
    old: Array | None,
    *,
    quantile: float = 0.5,
    confidence: float = 0.95,
    seed: int = 0,
    only: Callable[[str], bool] = lambda _: True,
) -> dict[str, Result]:
    """Return the results of every metric that there is.

    Args:
        truth: The true numbers.
        new: What the model answered.
        old: What another one answered to the same rows.
        quantile: The quantile that the answers estimate, for the pinball loss.
        confidence: Confidence of the intervals.
        seed: Which resamples are drawn.
        only: Tells which metrics are wanted.
    """
    if not len(truth):
        return {}
    makers: dict[str, Callable[[Array], Means]] = {
        "rmse": lambda found: Means(
            ((found - truth) ** 2)[:, None], lambda m: np.sqrt(np.maximum(m[..., 0], 0))
        ),
        "mae": lambda found: _mean_of(np.abs(found - truth)),
        "pinball": lambda found: _mean_of(_pinball(truth - found, quantile)),
    }
    if len(truth) > 1 and np.ptp(truth) > 0:
        makers["r2"] = lambda found: _r2(truth, found)
    if has_shares(truth):
        makers["mape"] = lambda found: _mean_of(np.abs((found - truth) / truth))
    answered = [new] if old is None else [new, old]
    pairs = {key: paired(make, answered) for key, make in makers.items() if only(key)}
    return of_means(pairs, Rows(len(truth), seed=seed), confidence) if pairs else {}


def has_shares(truth: Array) -> bool:
    """Tell whether an error can be given as a share of the truth: it is of one sign and never 0."""
    return bool((truth > 0).all() or (truth < 0).all())


def _mean_of(values: Array) -> Means:
    return Means(values[:, None], lambda m: m[..., 0])


def _pinball(gap: Array, quantile: float) -> Array:
    return np.maximum(quantile * gap, (quantile - 1) * gap)


def _r2(truth: Array, found: Array) -> Means:
    centred = truth - truth.mean()  # the squares of large numbers would lose their differences
    columns = np.column_stack([(found - truth) ** 2, centred, centred**2])

    def combine(m: Array) -> Array:
        spread = m[..., 2] - m[..., 1] ** 2
        return np.where(spread > 0, 1 - m[..., 0] / np.where(spread > 0, spread, 1.0), np.nan)

    return Means(columns, combine)
