"""Scores that are bent or cut by what was learnt of them: calibration, thresholds, isotonic curves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import expit
from fairway.compilers.steps.base import (
    ANY_KIND,
    Array,
    Model,
    Source,
    read_model,
    reads_model,
)
from fairway.compilers.steps.committees import MeanChances
from fairway.compilers.steps.linear import one_against_rest
from fairway.compilers.steps.scaling import array


@dataclasses.dataclass
class Calibrated(Model):
    """Probabilities of a classifier, corrected by curves learnt from held-out rows.

    Attributes:
        model: The classifier.
        method: Which of its values are corrected: `decision` or `chances`.
        form: `sigmoid` or `isotonic`.
        curves: For each class (one for two classes): slope and shift, or x and y of the isotonic curve.
        places: Class number of each curve.
        classes: Number of classes.
    """

    is_classifier: ClassVar[bool] = True
    model: Model
    method: str
    form: str
    curves: list[list[Array]]
    places: list[int]
    classes: int

    def raw(self, value: Any) -> Array:
        found = getattr(self.model, self.method)(self.model.raw(value))
        if self.classes == 2 and found.ndim == 2:
            found = found[:, 1:]
        scores = found.reshape(len(found), -1)
        chances = np.zeros((len(scores), self.classes))
        for place, curve, column in zip(self.places, self.curves, scores.T, strict=True):
            chances[:, place] = self._corrected(np.ascontiguousarray(column), *curve)
        if self.classes == 2:
            chances[:, 0] = 1.0 - chances[:, 1]
            return chances
        return one_against_rest(chances)

    def _corrected(self, scores: Array, first: Array, second: Array) -> Array:
        if self.form == "sigmoid":
            return expit(-(first[0] * scores + second[0]))
        return np.interp(np.clip(scores, first[0], first[-1]), first, second)

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw.argmax(axis=1)

    def chances(self, raw: Array) -> Array:
        return raw


@dataclasses.dataclass
class Cut(Model):
    """The second class from a threshold on, by probability or decision value."""

    is_classifier: ClassVar[bool] = True
    model: Model
    method: str
    threshold: float

    def raw(self, value: Any) -> Any:
        return self.model.raw(value)

    def answers(self, raw: Any) -> NDArray[Any]:
        scores = getattr(self.model, self.method)(raw)
        return (scores[:, 1] if scores.ndim == 2 else scores) >= self.threshold

    def chances(self, raw: Any) -> Array:
        return self.model.chances(raw)

    def decision(self, raw: Any) -> Array:
        return self.model.decision(raw)


@dataclasses.dataclass
class Curve(Model):
    """A piecewise linear curve over one feature (isotonic regression)."""

    x: Array
    y: Array
    outside: str

    def raw(self, value: Array) -> Array:
        column = np.ascontiguousarray(value[:, 0])
        ends = self.x[0], self.x[-1]
        beyond = (column < ends[0]) | (column > ends[1])
        if self.outside == "raise" and beyond.any():
            raise ValueError("a value lies outside the range of the training rows")
        found = np.interp(np.clip(column, *ends), self.x, self.y)
        return np.where(beyond, np.nan, found) if self.outside == "nan" else found

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw


def _method(est: Any, preferred: Sequence[str]) -> str:
    names = {"decision_function": "decision", "predict_proba": "chances", "predict": "answers"}
    return names[next(name for name in preferred if hasattr(est, name))]


@reads_model("CalibratedClassifierCV", takes=ANY_KIND, missing="kept")
def read_calibrated(est: Any, source: Source) -> Model:
    """Read a CalibratedClassifierCV: the mean of the classifiers that it calibrated."""
    count = len(est.classes_)
    members = [_calibrated(member, source, est.method, count) for member in est.calibrated_classifiers_]
    if len(members) == 1:
        return members[0]
    return MeanChances(members, [np.arange(count) for _ in members], None, count, voting=False)


def _calibrated(member: Any, source: Source, form: str, count: int) -> Model:
    if form not in {"sigmoid", "isotonic"}:
        raise NotConvertible(f"calibration by {form!r} has no compiled form")
    inner = member.estimator
    method = _method(inner, ("decision_function", "predict_proba"))
    curves, places = [], np.searchsorted(member.classes, inner.classes_).tolist()
    for curve in member.calibrators:
        if form == "sigmoid":
            curves.append([array([curve.a_]), array([curve.b_])])
        else:
            curves.append([array(curve.X_thresholds_), array(curve.y_thresholds_)])
    places = [1] if count == 2 else places
    return Calibrated(read_model(inner, source), method, form, curves, places, count)


@reads_model("FixedThresholdClassifier", "TunedThresholdClassifierCV", takes=ANY_KIND, missing="kept")
def read_threshold(est: Any, source: Source) -> Model:
    """Read a classifier with a threshold of its own, for the second class."""
    fixed = type(est).__name__ == "FixedThresholdClassifier"
    name = est.response_method
    preferred = ("predict_proba", "decision_function") if name == "auto" else (name,)
    method = _method(est.estimator_, preferred)
    if getattr(est, "pos_label", None) not in {None, est.classes_[1]}:
        raise NotConvertible("a threshold for the first class has no compiled form")
    threshold = est.threshold if fixed else est.best_threshold_
    if threshold == "auto":
        threshold = 0.5 if method == "chances" else 0.0
    return Cut(read_model(est.estimator_, source), method, float(threshold))


@reads_model("IsotonicRegression")
def read_isotonic(est: Any, source: Source) -> Model:
    """Read an IsotonicRegression."""
    return Curve(array(est.X_thresholds_), array(est.y_thresholds_), est.out_of_bounds)
