"""Nearest neighbours and centroids, by exact distances to every training row."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import refuse_nonfinite, softmax, squared_distances
from fairway.compilers.steps.base import Array, Indexes, Model, Source, reads_model
from fairway.compilers.steps.scaling import array

_MAX_VALUES = 20_000_000
_BLOCK = 1 << 20
REACH = 1e4
"""Farther out the squares of two distances differ by rounding alone, or not at all."""


@dataclasses.dataclass
class Neighbors(Model):
    """The classes or numbers of the nearest training rows.

    Neighbours at the same distance count in the order of the training rows.

    Attributes:
        points: Training rows.
        targets: Class number, or number, or numbers of each.
        count: How many neighbours.
        power: Exponent of the Minkowski distance; infinite for the largest difference.
        by_distance: Whether near neighbours weigh more (1 / distance).
        classes: Number of classes; 0 for a regressor.
    """

    reach: ClassVar[float] = REACH
    points: Array
    targets: NDArray[Any]
    count: int
    power: float
    by_distance: bool
    classes: int

    def __post_init__(self) -> None:
        self.is_classifier = bool(self.classes)  # type: ignore[misc]  # a fact of this instance
        self._columns = np.ascontiguousarray(self.points.T)

    def raw(self, value: Array) -> Array:
        refuse_nonfinite(value)
        distances = self._distances(value)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, : self.count]
        chosen = np.take_along_axis(distances, nearest, axis=1)
        weights = self._weights(chosen) if self.by_distance else np.ones(chosen.shape)
        targets = self.targets[nearest]
        return self._shares(targets, weights) if self.classes else self._means(targets, weights)

    def _distances(self, value: Array) -> Array:
        block = max(1, _BLOCK // len(self.points))
        found = [self._block_of(value[start : start + block]) for start in range(0, len(value), block)]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _block_of(self, value: Array) -> Array:
        """Return distances, added up feature by feature as scikit-learn's trees do: ties hang on the bits."""
        total = np.zeros((len(value), len(self.points)))
        for place, column in enumerate(self._columns):
            sizes = np.abs(value[:, place, None] - column)
            if np.isinf(self.power):
                np.maximum(total, sizes, out=total)
            elif self.power == 2:
                total += sizes * sizes
            else:
                total += sizes if self.power == 1 else sizes**self.power
        if not self.by_distance or np.isinf(self.power) or self.power == 1:
            return total
        return np.sqrt(total) if self.power == 2 else total ** (1.0 / self.power)

    def _weights(self, distances: Array) -> Array:
        with np.errstate(divide="ignore"):
            weights = 1.0 / distances
        same = np.isinf(weights)
        return np.where(same.any(axis=1, keepdims=True), same.astype(np.float64), weights)

    def _shares(self, targets: Indexes, weights: Array) -> Array:
        found = np.zeros((len(targets), self.classes))
        rows = np.arange(len(targets))
        for place in range(self.count):
            found[rows, targets[:, place]] += weights[:, place]
        return found / found.sum(axis=1, keepdims=True)

    def _means(self, targets: Array, weights: Array) -> Array:
        if targets.ndim == 3:
            weights = weights[:, :, None]
        if not self.by_distance:
            return targets.sum(axis=1) / self.count
        return (targets * weights).sum(axis=1) / weights.sum(axis=1)

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw.argmax(axis=1) if self.classes else raw

    def chances(self, raw: Array) -> Array:
        return raw if self.classes else super().chances(raw)


@dataclasses.dataclass
class Centroids(Model):
    """The class of the nearest centroid; probabilities by distances in units of the spread within classes.

    Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, eq. 18.2.

    Attributes:
        points: Centroids.
        manhattan: Whether distances are sums of differences.
        spread: Spread of each feature within classes; 1 where there is none.
        log_priors: Logarithm of each class's prior.
        by_score: Whether the score decides, not the distance alone.
    """

    reach: ClassVar[float] = REACH
    is_classifier: ClassVar[bool] = True
    points: Array
    manhattan: bool
    spread: Array
    log_priors: Array
    by_score: bool

    def raw(self, value: Array) -> Array:
        refuse_nonfinite(value)
        return value

    def answers(self, raw: Array) -> NDArray[Any]:
        if self.by_score:
            return self._scores(raw).argmax(axis=1)
        return self._distances(raw, self.points).argmin(axis=1)

    def _distances(self, rows: Array, points: Array) -> Array:
        if self.manhattan:
            return np.abs(rows[:, None, :] - points).sum(axis=2)
        return squared_distances(rows, points)

    def _scores(self, rows: Array) -> Array:
        found = self._distances(rows / self.spread, self.points / self.spread)
        return 2.0 * self.log_priors - (found * found if self.manhattan else found)

    def decision(self, raw: Array) -> Array:
        scores = self._scores(raw)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def chances(self, raw: Array) -> Array:
        return softmax(self._scores(raw))


def _power(est: Any) -> float:
    metric = est.effective_metric_
    found = {"euclidean": 2.0, "manhattan": 1.0, "cityblock": 1.0, "chebyshev": np.inf}.get(metric)
    if metric == "minkowski" and est.effective_metric_params_.get("w") is None:
        return float(est.effective_metric_params_.get("p", est.p))
    if found is None:
        raise NotConvertible(f"nearest neighbours by the metric {metric!r} have no compiled form")
    return found


def _neighbors(est: Any, targets: Any, classes: int) -> Model:
    if est.weights not in {"uniform", "distance"}:
        raise NotConvertible("nearest neighbours with weights of their own have no compiled form")
    points = est._fit_X
    if hasattr(points, "toarray"):
        raise NotConvertible("nearest neighbours among sparse rows have no compiled form")
    if points.size > _MAX_VALUES:
        raise NotConvertible(
            "the tree of scikit-learn finds neighbours faster than a comparison with every row"
        )
    by_distance = est.weights == "distance"
    return Neighbors(array(points), targets, int(est.n_neighbors), _power(est), by_distance, classes)


@reads_model("KNeighborsClassifier")
def read_neighbors_classifier(est: Any, source: Source) -> Model:
    """Read a KNeighborsClassifier."""
    if isinstance(est.classes_, list):
        raise NotConvertible("KNeighborsClassifier for several labels at once has no compiled form")
    return _neighbors(est, np.asarray(est._y, np.intp), len(est.classes_))


@reads_model("KNeighborsRegressor")
def read_neighbors_regressor(est: Any, source: Source) -> Model:
    """Read a KNeighborsRegressor."""
    return _neighbors(est, array(est._y), 0)


@reads_model("NearestCentroid")
def read_centroids(est: Any, source: Source) -> Model:
    """Read a NearestCentroid."""
    if est.metric not in {"euclidean", "manhattan"}:
        raise NotConvertible(f"NearestCentroid with the metric {est.metric!r} has no compiled form")
    points = array(est.centroids_)
    count = len(points)
    # Before scikit-learn 1.6 there were no priors and no probabilities.
    priors = np.asarray(getattr(est, "class_prior_", np.full(count, 1.0 / count)))
    spread = np.array(getattr(est, "within_class_std_dev_", np.ones(points.shape[1])), np.float64)
    spread[spread == 0.0] = 1.0
    uniform = bool(np.isclose(priors, 1.0 / count).all())
    return Centroids(points, est.metric == "manhattan", spread, array(np.log(priors)), not uniform)
