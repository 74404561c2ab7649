"""Linear models: scores are products with weights; what is made of them is a link."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import (
    dot,
    expit,
    product,
    refuse_nonfinite,
    softmax,
    sparse_product,
)
from fairway.compilers.steps.base import Array, Model, Source, reads_model
from fairway.compilers.steps.scaling import array
from fairway.compilers.steps.sparse import SparseRows


@dataclasses.dataclass
class LinearClassifier(Model):
    """The class with the largest score; with one row of weights, the second class above zero.

    Attributes:
        weights: (classes, features), or (1, features) for two classes.
        intercept: One number per row of weights.
        link: How scores become probabilities: `softmax`, `logistic` (one class against the rest),
            `modified_huber`, or `none`.
        sparse: Whether rows come sparse.
    """

    is_classifier: ClassVar[bool] = True
    weights: Array
    intercept: Array
    link: str
    sparse: bool

    def __post_init__(self) -> None:
        self._columns = np.ascontiguousarray(self.weights.T) if self.sparse else self.weights
        self._only = self.weights[0] if len(self.weights) == 1 else None
        self._shift = float(self.intercept[0])

    def raw(self, value: Any) -> Array:
        if isinstance(value, SparseRows):
            scores = sparse_product(value, self._columns) + self.intercept
            scores = scores if self._only is None else scores[:, 0]
        elif self._only is None:
            scores = product(value, self.weights) + self.intercept
        else:
            scores = dot(value, self._only) + self._shift
        if not np.vdot(scores, scores) < np.inf and not isinstance(value, SparseRows):
            refuse_nonfinite(value)
        return scores

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw > 0 if self._only is not None else raw.argmax(axis=1)

    def decision(self, raw: Array) -> Array:
        return raw

    def chances(self, raw: Array) -> Array:
        if self.link == "softmax":
            return softmax(np.stack([-raw, raw], axis=1) if raw.ndim == 1 else raw)
        if self.link == "logistic":
            return one_against_rest(expit(raw))
        if self.link == "modified_huber":
            return one_against_rest((np.clip(raw, -1.0, 1.0) + 1.0) / 2.0)
        return super().chances(raw)


def one_against_rest(chances: Array) -> Array:
    """Return probabilities that add up to one; all zero counts as all alike."""
    if chances.ndim == 1:
        return np.stack([1.0 - chances, chances], axis=1)
    total = chances.sum(axis=1, keepdims=True)
    empty = total == 0.0
    return np.where(empty, 1.0 / chances.shape[1], chances / np.where(empty, 1.0, total))


@dataclasses.dataclass
class LinearRegressor(Model):
    """A product and a sum, through the inverse of a link function.

    Attributes:
        weights: (outputs, features).
        intercept: One number per output.
        link: `identity`, `log`, or `logit`.
        single: Whether the answer is one number per row, not one per output.
        sparse: Whether rows come sparse.
    """

    weights: Array
    intercept: Array
    link: str
    single: bool
    sparse: bool

    def __post_init__(self) -> None:
        self._columns = np.ascontiguousarray(self.weights.T) if self.sparse else self.weights
        self._shift = float(self.intercept[0])

    def raw(self, value: Any) -> Array:
        if isinstance(value, SparseRows):
            scores = sparse_product(value, self._columns) + self.intercept
            scores = scores[:, 0] if self.single else scores
        elif self.single:
            scores = dot(value, self.weights[0]) + self._shift
        else:
            scores = product(value, self.weights) + self.intercept
        if not np.vdot(scores, scores) < np.inf and not isinstance(value, SparseRows):
            refuse_nonfinite(value)
        return np.exp(scores) if self.link == "log" else scores

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw


def linear_classifier(est: Any, source: Source, link: str) -> LinearClassifier:
    """Return the model for an estimator with `coef_` and `intercept_`."""
    weights = est.coef_.toarray() if hasattr(est.coef_, "toarray") else est.coef_
    weights = np.atleast_2d(array(weights))
    classes = est.classes_
    if not hasattr(classes, "shape") or len(weights) != (1 if len(classes) == 2 else len(classes)):
        raise NotConvertible(f"{type(est).__name__} for several labels at once has no compiled form")
    intercept = np.broadcast_to(array(est.intercept_).ravel(), (len(weights),))
    return LinearClassifier(weights, array(intercept), link, source.kind == "sparse")


@reads_model("LogisticRegression", "LogisticRegressionCV", takes=("dense", "sparse"))
def read_logistic(est: Any, source: Source) -> Model:
    """Read a LogisticRegression; its link for more than two classes depends on solver and release."""
    multi = getattr(est, "multi_class", "auto")
    by_rest = multi == "ovr" or est.solver == "liblinear" or len(est.classes_) == 2
    by_rest = by_rest and multi != "multinomial"
    return linear_classifier(est, source, "logistic" if by_rest else "softmax")


@reads_model(
    "LinearSVC",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "Perceptron",
    "PassiveAggressiveClassifier",
    takes=("dense", "sparse"),
)
def read_linear_classifier(est: Any, source: Source) -> Model:
    """Read a linear classifier without probabilities."""
    return linear_classifier(est, source, "none")


@reads_model("SGDClassifier", takes=("dense", "sparse"))
def read_sgd_classifier(est: Any, source: Source) -> Model:
    """Read an SGDClassifier; its loss says whether it has probabilities."""
    links = {"log_loss": "logistic", "modified_huber": "modified_huber"}
    return linear_classifier(est, source, links.get(est.loss, "none"))


@reads_model("LinearDiscriminantAnalysis")
def read_lda(est: Any, source: Source) -> Model:
    """Read a LinearDiscriminantAnalysis."""
    return linear_classifier(est, source, "logistic" if len(est.classes_) == 2 else "softmax")


@reads_model(
    "LinearRegression",
    "Ridge",
    "RidgeCV",
    "Lasso",
    "LassoCV",
    "ElasticNet",
    "ElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
    "Lars",
    "LarsCV",
    "LassoLars",
    "LassoLarsCV",
    "LassoLarsIC",
    "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV",
    "BayesianRidge",
    "ARDRegression",
    "HuberRegressor",
    "QuantileRegressor",
    "TheilSenRegressor",
    "SGDRegressor",
    "PassiveAggressiveRegressor",
    "LinearSVR",
    takes=("dense", "sparse"),
)
def read_linear_regressor(est: Any, source: Source) -> Model:
    """Read a regressor that is a product and a sum."""
    return linear_regressor(est, source, "identity")


@reads_model("PoissonRegressor", "GammaRegressor", "TweedieRegressor")
def read_generalized(est: Any, source: Source) -> Model:
    """Read a generalised linear model with its link."""
    link = getattr(est, "link", "log")
    if link == "auto":
        link = "identity" if est.power <= 0 else "log"
    return linear_regressor(est, source, link)


@reads_model("RANSACRegressor", takes=("dense", "sparse"), missing="kept")
def read_ransac(est: Any, source: Source) -> Model:
    """Read the regressor that RANSAC settled on."""
    from fairway.compilers.steps.base import read_model

    return read_model(est.estimator_, source)


@reads_model("PLSRegression", "CCA", "PLSCanonical")
def read_pls(est: Any, source: Source) -> Model:
    """Read a partial least squares regression: centred inputs times coefficients, plus the intercept."""
    from fairway.compilers.steps.base import prepared
    from fairway.compilers.steps.scaling import Scale

    mean = array(est._x_mean)
    model = LinearRegressor(
        array(est.coef_),
        array(est.intercept_),
        "identity",
        getattr(est, "_predict_1d", False),
        source.kind == "sparse",
    )
    return prepared([Scale(mean, None)], model)


def linear_regressor(est: Any, source: Source, link: str) -> LinearRegressor:
    """Return the model for an estimator with `coef_` and `intercept_`."""
    coefficients = est.coef_.toarray() if hasattr(est.coef_, "toarray") else np.asarray(est.coef_)
    intercept = np.asarray(est.intercept_, np.float64)
    single = coefficients.ndim == 1 or (intercept.ndim == 0 and len(coefficients) == 1)
    if type(est).__name__ == "LinearSVR":
        single = True
    weights = np.atleast_2d(array(coefficients))
    spread = np.broadcast_to(intercept.ravel(), (len(weights),))
    return LinearRegressor(weights, array(spread), link, single, source.kind == "sparse")
