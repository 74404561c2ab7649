"""Support vector machines and kernel ridge regression.

The decision of libsvm is a sum over support vectors per pair of classes; the pairs vote. Probabilities come
from Platt's sigmoid per pair, coupled by the iteration of Wu, Lin and Weng (Probability estimates for
multi-class classification by pairwise coupling, JMLR 5, 2004, algorithm 2), as in libsvm.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import expit, product, refuse_nonfinite, squared_distances
from fairway.compilers.steps.base import Array, Model, Part, Source, reads_model
from fairway.compilers.steps.scaling import array

_LEAST = 1e-7
_MAX_ROUNDS = 100


@dataclasses.dataclass
class Kernel(Part):
    """How alike rows are to points: `linear`, `rbf`, `poly` or `sigmoid`."""

    name: str
    gamma: float
    degree: float
    constant: float

    def __call__(self, rows: Array, points: Array) -> Array:
        """Return the (rows, points) kernel values."""
        if self.name == "rbf":
            return np.exp(-self.gamma * squared_distances(rows, points))
        dots = product(rows, points)
        if self.name == "linear":
            return dots
        inner = self.gamma * dots + self.constant
        return inner**self.degree if self.name == "poly" else np.tanh(inner)


@dataclasses.dataclass
class VectorClassifier(Model):
    """A support vector classifier.

    Attributes:
        kernel: Likeness.
        points: Support vectors.
        duals: Weight of each support vector in each pair's decision, (pairs, points).
        intercept: One number per pair.
        classes: Number of classes.
        slopes: A of Platt's sigmoid per pair; None without probabilities.
        shifts: B of it.
        as_rest: Whether decision values are given per class (`ovr`) instead of per pair.
        break_ties: Whether the largest decision value decides, not the votes.
    """

    is_classifier: ClassVar[bool] = True
    kernel: Kernel
    points: Array
    duals: Array
    intercept: Array
    classes: int
    slopes: Array | None
    shifts: Array | None
    as_rest: bool
    break_ties: bool

    def __post_init__(self) -> None:
        pairs = list(itertools.combinations(range(self.classes), 2))
        self._first = np.array([i for i, _ in pairs])
        self._second = np.array([j for _, j in pairs])

    def raw(self, value: Array) -> Array:
        """Return the decision of each pair, positive for the first of it, (n, pairs)."""
        refuse_nonfinite(value)
        return product(self.kernel(value, self.points), self.duals) + self.intercept

    def answers(self, raw: Array) -> NDArray[Any]:
        if self.break_ties and self.classes > 2:
            return self.decision(raw).argmax(axis=1)
        return self._votes(raw > 0).argmax(axis=1)

    def _votes(self, first_wins: NDArray[Any]) -> Array:
        votes = np.zeros((len(first_wins), self.classes))
        for place, (i, j) in enumerate(zip(self._first, self._second, strict=True)):
            votes[:, i] += first_wins[:, place]
            votes[:, j] += ~first_wins[:, place]
        return votes

    def decision(self, raw: Array) -> Array:
        if self.classes == 2:
            return -raw[:, 0]
        return one_vs_rest_scores(raw, self.classes) if self.as_rest else raw

    def chances(self, raw: Array) -> Array:
        if self.slopes is None or self.shifts is None:
            return super().chances(raw)
        # expit(-x) is 1 / (1 + exp(A f + B)), the probability of the first of the pair.
        first = np.clip(expit(-(raw * self.slopes + self.shifts)), _LEAST, 1.0 - _LEAST)
        return np.stack([self._couple(row) for row in first])

    def _couple(self, first: Array) -> Array:
        """Return class probabilities that fit those of the pairs best; for one pair too, as libsvm does."""
        count = self.classes
        pair = np.zeros((count, count))
        pair[self._first, self._second] = first
        pair[self._second, self._first] = 1.0 - first
        matrix = -pair.T * pair
        np.fill_diagonal(matrix, (pair.T**2).sum(axis=1))
        chances = np.full(count, 1.0 / count)
        for _ in range(max(_MAX_ROUNDS, count)):
            gradient = (matrix * chances).sum(axis=1)
            total = float((chances * gradient).sum())
            if np.abs(gradient - total).max() < 0.005 / count:
                break
            for place in range(count):
                step = (total - gradient[place]) / matrix[place, place]
                chances[place] += step
                scale = 1.0 + step
                total = (total + step * (step * matrix[place, place] + 2.0 * gradient[place])) / scale / scale
                gradient = (gradient + step * matrix[place]) / scale
                chances /= scale
        return chances


def one_vs_rest_scores(decisions: Array, classes: int) -> Array:
    """Return scores per class from decisions per pair, which are positive for the first of it.

    Votes, plus confidences squeezed to less than half a vote, as in scikit-learn's `_ovr_decision_function`.
    """
    votes = np.zeros((len(decisions), classes))
    confidence = np.zeros((len(decisions), classes))
    for place, (i, j) in enumerate(itertools.combinations(range(classes), 2)):
        first = decisions[:, place]
        confidence[:, i] += first
        confidence[:, j] -= first
        votes[:, i] += first >= 0
        votes[:, j] += first < 0
    return votes + confidence / (3.0 * (np.abs(confidence) + 1.0))


@dataclasses.dataclass
class KernelRegressor(Model):
    """A weighted sum of likenesses to points, plus a number."""

    kernel: Kernel
    points: Array
    duals: Array
    intercept: Array
    single: bool

    def raw(self, value: Array) -> Array:
        refuse_nonfinite(value)
        found = product(self.kernel(value, self.points), self.duals) + self.intercept
        return found[:, 0] if self.single else found

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw


def _kernel(est: Any, gamma: float) -> Kernel:
    if est.kernel not in {"linear", "rbf", "poly", "sigmoid", "polynomial"}:
        raise NotConvertible(f"the kernel {est.kernel!r} has no compiled form")
    name = "poly" if est.kernel == "polynomial" else est.kernel
    return Kernel(name, gamma, float(est.degree), float(est.coef0))


def _points(est: Any) -> Array:
    points = est.support_vectors_
    if hasattr(points, "toarray"):
        raise NotConvertible("support vectors of sparse rows have no compiled form")
    return array(points)


def _pair_duals(est: Any) -> Array:
    """Return the weight of each support vector per pair, from libsvm's compact table.

    Column n of `dual_coef_` belongs to support vector n; a support vector of class i has in row j its weight
    against class j (or j + 1, past its own class).
    """
    table, counts = np.asarray(est._dual_coef_), np.asarray(est._n_support)
    ends = np.cumsum([0, *counts])
    rows: list[Array] = []
    for i, j in itertools.combinations(range(len(counts)), 2):
        row = np.zeros(table.shape[1])
        row[ends[i] : ends[i + 1]] = table[j - 1, ends[i] : ends[i + 1]]
        row[ends[j] : ends[j + 1]] = table[i, ends[j] : ends[j + 1]]
        rows.append(row)
    return np.array(rows)


@reads_model("SVC", "NuSVC")
def read_vector_classifier(est: Any, source: Source) -> Model:
    """Read an SVC or NuSVC."""
    slopes = array(est.probA_) if est.probability and len(est.probA_) else None
    return VectorClassifier(
        _kernel(est, float(est._gamma)),
        _points(est),
        _pair_duals(est),
        array(est._intercept_),
        len(est.classes_),
        slopes,
        array(est.probB_) if slopes is not None else None,
        est.decision_function_shape == "ovr",
        bool(est.break_ties),
    )


@reads_model("SVR", "NuSVR")
def read_vector_regressor(est: Any, source: Source) -> Model:
    """Read an SVR or NuSVR."""
    kernel = _kernel(est, float(est._gamma))
    return KernelRegressor(kernel, _points(est), array(est.dual_coef_), array(est.intercept_), single=True)


@reads_model("KernelRidge")
def read_kernel_ridge(est: Any, source: Source) -> Model:
    """Read a KernelRidge."""
    gamma = 1.0 / source.width if est.gamma is None else float(est.gamma)
    duals = array(est.dual_coef_)
    single = duals.ndim == 1
    weights = duals[None] if single else array(duals.T)
    points = array(est.X_fit_)
    return KernelRegressor(_kernel(est, gamma), points, weights, np.zeros(len(weights)), single)
