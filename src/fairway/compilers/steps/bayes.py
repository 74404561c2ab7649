"""Naive Bayes and quadratic discriminants: sums of log probabilities per class."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.steps.arithmetic import (
    log_sum_exp,
    product,
    refuse_nonfinite,
    sparse_product,
)
from fairway.compilers.steps.base import Array, Model, Source, prepared, reads_model
from fairway.compilers.steps.scaling import Threshold, array
from fairway.compilers.steps.sparse import SparseRows


class _LogJoint(Model):
    """A model whose raw values are the logarithms of joint probabilities, (n, classes)."""

    is_classifier: ClassVar[bool] = True

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw.argmax(axis=1)

    def chances(self, raw: Array) -> Array:
        return np.exp(raw - log_sum_exp(raw))


@dataclasses.dataclass
class Gaussian(_LogJoint):
    """Independent normal distributions: sum of -(log(2 pi var) + (x - mean)^2 / var) / 2, plus log prior."""

    means: Array
    variances: Array
    priors: Array

    def __post_init__(self) -> None:
        self._constant = -0.5 * np.log(2.0 * np.pi * self.variances).sum(axis=1)
        self._log_priors = np.log(self.priors)

    def raw(self, value: Array) -> Array:
        refuse_nonfinite(value)
        distances = (value[:, None, :] - self.means) ** 2 / self.variances
        return self._log_priors + (self._constant - 0.5 * distances.sum(axis=2))


@dataclasses.dataclass
class LogLinear(_LogJoint):
    """Counts times log probabilities, plus an offset per class."""

    weights: Array
    offset: Array
    sparse: bool

    def __post_init__(self) -> None:
        self._columns = np.ascontiguousarray(self.weights.T) if self.sparse else self.weights

    def raw(self, value: Any) -> Array:
        if isinstance(value, SparseRows):
            return sparse_product(value, self._columns) + self.offset
        refuse_nonfinite(value)
        return product(value, self.weights) + self.offset


@dataclasses.dataclass
class Categorical(_LogJoint):
    """Log probability of each feature's category, summed, plus log prior."""

    tables: list[Array]
    priors: Array

    def raw(self, value: Array) -> Array:
        refuse_nonfinite(value)
        codes = value.astype(np.intp)
        if (codes < 0).any():
            raise ValueError("categories are numbers from 0")
        found = np.zeros((len(value), len(self.priors)))
        for place, table in enumerate(self.tables):
            found += table[:, codes[:, place]].T
        return found + self.priors


@dataclasses.dataclass
class Quadratic(_LogJoint):
    """Normal distributions with covariances: squared distances along the rotated, scaled axes of a class."""

    means: Array
    axes: list[Array]
    offset: Array

    def raw(self, value: Array) -> Array:
        refuse_nonfinite(value)
        norms = []
        for mean, axes in zip(self.means, self.axes, strict=True):
            along = product(value - mean, axes)
            norms.append((along * along).sum(axis=1))
        return -0.5 * np.stack(norms, axis=1) + self.offset

    def decision(self, raw: Array) -> Array:
        return raw[:, 1] - raw[:, 0] if raw.shape[1] == 2 else raw


@reads_model("GaussianNB")
def read_gaussian(est: Any, source: Source) -> Model:
    """Read a GaussianNB."""
    return Gaussian(array(est.theta_), array(est.var_), array(est.class_prior_))


@reads_model("MultinomialNB", takes=("dense", "sparse"))
def read_multinomial(est: Any, source: Source) -> Model:
    """Read a MultinomialNB."""
    return LogLinear(array(est.feature_log_prob_), array(est.class_log_prior_), source.kind == "sparse")


@reads_model("ComplementNB", takes=("dense", "sparse"))
def read_complement(est: Any, source: Source) -> Model:
    """Read a ComplementNB; with a single class the prior counts, else it does not."""
    one = len(est.classes_) == 1
    offset = array(est.class_log_prior_) if one else np.zeros(len(est.classes_))
    return LogLinear(array(est.feature_log_prob_), offset, source.kind == "sparse")


@reads_model("BernoulliNB", takes=("dense", "sparse"))
def read_bernoulli(est: Any, source: Source) -> Model:
    """Read a BernoulliNB: absent features count, too, which is a constant and a change of weights."""
    absent = np.log(1.0 - np.exp(est.feature_log_prob_))
    weights = array(est.feature_log_prob_ - absent)
    offset = array(est.class_log_prior_ + absent.sum(axis=1))
    model = LogLinear(weights, offset, source.kind == "sparse")
    return model if est.binarize is None else prepared([Threshold(float(est.binarize))], model)


@reads_model("CategoricalNB")
def read_categorical(est: Any, source: Source) -> Model:
    """Read a CategoricalNB."""
    return Categorical([array(table) for table in est.feature_log_prob_], array(est.class_log_prior_))


@reads_model("QuadraticDiscriminantAnalysis")
def read_quadratic(est: Any, source: Source) -> Model:
    """Read a QuadraticDiscriminantAnalysis."""
    axes = [
        array((np.asarray(rotation) * np.asarray(scaling) ** -0.5).T)
        for rotation, scaling in zip(est.rotations_, est.scalings_, strict=True)
    ]
    logs = np.array([np.log(scaling).sum() for scaling in est.scalings_])
    return Quadratic(array(est.means_), axes, array(-0.5 * logs + np.log(est.priors_)))
