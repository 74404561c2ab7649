"""Metrics of a classifier: from labels, answers and probabilities to results."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.lifecycle.statistics import ranking
from fairway.lifecycle.statistics.intervals import wilson
from fairway.lifecycle.statistics.means import Means, Rows
from fairway.lifecycle.statistics.results import Pair, Result, of_areas, of_hits, of_means, paired

Array = NDArray[Any]

BINS = 10
MOST_CLASSES_SHOWN = 20
_LEAST_PROBABILITY = 1e-15
_SIMULATED = 500


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a model answered.

    Attributes:
        labels: Number of the class of each row.
        probabilities: One column per class; None where the model gives none.
    """

    labels: Array
    probabilities: Array | None = None

    def part(self, mask: Array) -> Answers:
        """Return some of the rows."""
        return Answers(self.labels[mask], None if self.probabilities is None else self.probabilities[mask])


def results(
    truth: Array,
    new: Answers,
    old: Answers | None,
    *,
    classes: list[str],
    confidence: float = 0.95,
    seed: int = 0,
    only: Callable[[str], bool] = lambda _: True,
) -> dict[str, Result]:
    """Return the results of every metric that there is.

    Args:
        truth: Number of the class of each row.
        new: What the model answered.
        old: What another one answered to the same rows.
        classes: Names of the classes.
        confidence: Confidence of the intervals.
        seed: Which resamples are drawn.
        only: Tells which metrics are wanted.
    """
    found: dict[str, Result] = {}
    if not len(truth):
        return found
    if only("accuracy"):
        hits = old.labels == truth if old else None
        found["accuracy"] = of_hits(new.labels == truth, hits, confidence)
    found |= _of_cells(truth, new, old, classes=classes, confidence=confidence, seed=seed, only=only)
    has_both = old is None or old.probabilities is not None
    if new.probabilities is not None:
        other = old if has_both else None
        found |= _of_probabilities(truth, new, other, confidence=confidence, seed=seed, only=only)
    return found


def _of_cells(
    truth: Array,
    new: Answers,
    old: Answers | None,
    *,
    classes: list[str],
    confidence: float,
    seed: int,
    only: Callable[[str], bool],
) -> dict[str, Result]:
    """Return what depends on counts alone; rows with equal truth and answers are one kind."""
    width = len(classes)
    codes = truth.astype(np.int64) * width + new.labels
    if old is not None:
        codes = codes * width + old.labels
    kinds, counts = np.unique(codes, return_counts=True)
    rows = Rows(len(kinds), counts, seed)
    if old is not None:
        kinds, second = kinds // width, kinds % width
    first, actual = kinds % width, kinds // width
    answered = [first] if old is None else [first, second]
    present = np.unique(actual)
    pairs: dict[str, Pair] = {}

    def add(key: str, make: Callable[[Array], Means]) -> None:
        if only(key):
            pairs[key] = paired(make, answered)

    add("balanced_accuracy", lambda found: _balanced(actual, found, present))
    add("f1", lambda found: _f1(actual, found, present))
    for label in present[:MOST_CLASSES_SHOWN]:
        name = classes[label]
        one = np.array([label])
        add(f"f1:{name}", functools.partial(_f1, actual, present=one))
        add(f"precision:{name}", functools.partial(_precision, actual, one=one))
        add(f"recall:{name}", functools.partial(_balanced, actual, present=one))
    return of_means(pairs, rows, confidence) if pairs else {}


def _is(labels: Array, classes: Array) -> Array:
    return (labels[:, None] == classes).astype(float)


def _hit(actual: Array, found: Array, classes: Array) -> Array:
    return _is(actual, classes) * _is(found, classes)


def _ratio(whole: Array, part: Array) -> Means:
    width = whole.shape[1]
    return Means(np.hstack([whole, part]), lambda m: _mean_ratio(m[..., width:], m[..., :width]))


def _balanced(actual: Array, found: Array, present: Array) -> Means:
    return _ratio(_is(actual, present), _hit(actual, found, present))


def _precision(actual: Array, found: Array, one: Array) -> Means:
    return _ratio(_is(found, one), _hit(actual, found, one))


def _f1(actual: Array, found: Array, present: Array) -> Means:
    return _ratio((_is(actual, present) + _is(found, present)) / 2, _hit(actual, found, present))


def _mean_ratio(part: Array, whole: Array) -> Array:
    """Return the mean over the classes; one that a resample lacks does not count there."""
    # A jackknifed mean of 0 is 0 up to its last bit.
    there = whole > 1e-12
    ratios = np.where(there, part / np.where(there, whole, 1.0), 0.0)
    number = there.sum(axis=-1)
    return np.where(number > 0, ratios.sum(axis=-1) / np.maximum(number, 1), np.nan)


def _of_probabilities(
    truth: Array,
    new: Answers,
    old: Answers | None,
    *,
    confidence: float,
    seed: int,
    only: Callable[[str], bool],
) -> dict[str, Result]:
    given = [answers.probabilities for answers in (new, old) if answers is not None]
    shares: list[Array] = [share for share in given if share is not None]
    usable = np.all([np.isfinite(share).all(axis=1) for share in shares], axis=0)
    truth, shares = truth[usable], [share[usable] for share in shares]
    if not len(truth):
        return {}
    pairs: dict[str, Pair] = {}
    if only("log_loss"):
        pairs["log_loss"] = paired(lambda share: _mean_of(_log_losses(truth, share)), shares)
    if only("brier"):
        pairs["brier"] = paired(lambda share: _mean_of(_brier_scores(truth, share)), shares)
    if only("ece"):
        pairs["ece"] = paired(
            lambda share: _calibration_means(*confidences(truth, share)), shares, has_bias=True
        )
    found = of_means(pairs, Rows(len(truth), seed=seed), confidence)
    if "ece" in found:
        found["ece"] = _not_negative(found["ece"])
    classes = np.unique(truth).tolist()
    if only("auc") and len(classes) > 1:
        areas = [ranking.mean_area(truth, share, classes) for share in shares]
        found["auc"] = of_areas(areas[0], areas[1] if len(areas) > 1 else None, confidence)
    return found


def _mean_of(values: Array) -> Means:
    return Means(values[:, None], lambda m: m[..., 0])


def _log_losses(truth: Array, shares: Array) -> Array:
    given = shares[np.arange(len(truth)), truth]
    return -np.log(np.clip(given, _LEAST_PROBABILITY, 1.0))


def _brier_scores(truth: Array, shares: Array) -> Array:
    if shares.shape[1] == 2:
        return (shares[:, 1] - (truth == 1)) ** 2
    right = np.zeros_like(shares)
    right[np.arange(len(truth)), truth] = 1.0
    return ((shares - right) ** 2).sum(axis=1)


def confidences(truth: Array, shares: Array) -> tuple[Array, Array]:
    """Return the probability to be judged in each row, and whether it came true.

    That of the second class where there are two, else that of the class with the highest.
    """
    if shares.shape[1] == 2:
        return shares[:, 1], (truth == 1).astype(float)
    top = shares.argmax(axis=1)
    return shares[np.arange(len(truth)), top], (top == truth).astype(float)


def bins_of(stated: Array) -> Array:
    """Return the bin of each probability: ten with as many rows each, as far as equal values allow."""
    edges = np.unique(np.quantile(stated, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(edges, stated, side="right")


def _calibration_means(stated: Array, happened: Array) -> Means:
    bins = bins_of(stated)
    columns = np.where(bins[:, None] == np.arange(BINS), (stated - happened)[:, None], 0.0)
    return Means(columns, lambda m: np.abs(m).sum(axis=-1))


def _not_negative(result: Result) -> Result:
    def floor(estimate: Any) -> Any:
        if estimate is None:
            return None
        low, high, method = estimate.interval
        interval = type(estimate.interval)(max(low, 0.0), max(high, 0.0), method)
        return dataclasses.replace(estimate, interval=interval)

    return dataclasses.replace(result, new=floor(result.new), old=floor(result.old))


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Whether probabilities mean what they say.

    Attributes:
        bins: For each bin the rows, the mean probability, the frequency and its interval.
        if_calibrated: The ECE that perfect probabilities would have on so many rows.
        p: How likely perfect ones would have one as large as was found.
    """

    bins: list[tuple[int, float, float, float, float]]
    if_calibrated: float
    p: float


def calibration(truth: Array, shares: Array, *, confidence: float = 0.95, seed: int = 0) -> Calibration:
    """Return the reliability table, and what chance alone would make of perfect probabilities.

    The table's ECE is never 0, so it is compared with those of truths drawn from the probabilities themselves
    (Broecker & Smith 2007).
    """
    stated, happened = confidences(truth, shares)
    bins = bins_of(stated)
    table = []
    for number in np.unique(bins):
        inside = bins == number
        rows, hits = int(inside.sum()), int(happened[inside].sum())
        low, high, _ = wilson(hits, rows, confidence)
        table.append((rows, float(stated[inside].mean()), hits / rows, low, high))
    order = np.argsort(bins, kind="stable")
    starts = np.flatnonzero(np.diff(bins[order], prepend=-1))
    sorted_stated = stated[order]

    def error(outcome: Array) -> float:
        return float(np.abs(np.add.reduceat(sorted_stated - outcome, starts)).sum() / len(stated))

    random = np.random.default_rng([seed, 3])
    drawn = [error(random.random(len(stated)) < sorted_stated) for _ in range(_SIMULATED)]
    seen = error(happened[order])
    p = (1 + sum(one >= seen - 1e-15 for one in drawn)) / (1 + _SIMULATED)
    return Calibration(table, math.fsum(drawn) / _SIMULATED, p)
