"""Models made of models: voting, stacking, bagging, calibration, one against the rest, and searches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import expit
from fairway.compilers.steps.base import (
    Array,
    Chain,
    Indexes,
    Kind,
    Model,
    Source,
    Step,
    prepared,
    read_model,
    read_transformer,
    reads_model,
    reads_transformer,
)
from fairway.compilers.steps.columns import Join, Take
from fairway.compilers.steps.kernels import one_vs_rest_scores
from fairway.compilers.steps.linear import one_against_rest
from fairway.compilers.steps.scaling import Function, Scale, Stretch, array, name_of_ufunc

_ANY: tuple[Kind, ...] = ("columns", "records", "texts", "objects", "dense", "sparse")


@dataclasses.dataclass
class Says(Step):
    """What a model says, as features for another: its `chances`, `decision` or `answers`.

    Attributes:
        model: The model.
        method: Which of them.
        labels: Numbers that stand for its classes, for `answers` of a classifier.
        skip_first: Whether to leave out the first of two probabilities, which follows from the other.
    """

    model: Model
    method: str
    labels: Array | None
    skip_first: bool

    def __call__(self, value: Any) -> Array:
        found = getattr(self.model, self.method)(self.model.raw(value))
        if self.labels is not None:
            found = self.labels[found.astype(np.intp)]
        if found.ndim == 1:
            return np.ascontiguousarray(found[:, None], np.float64)
        return np.ascontiguousarray(found[:, 1:] if self.skip_first else found)


@dataclasses.dataclass
class Votes(Model):
    """The class with the most weight of votes.

    Attributes:
        members: Models whose class numbers are this model's.
        weights: Weight of each.
        classes: Number of classes.
    """

    is_classifier: ClassVar[bool] = True
    members: list[Model]
    weights: Array
    classes: int

    def raw(self, value: Any) -> Array:
        votes, rows = None, None
        for member, weight in zip(self.members, self.weights, strict=True):
            chosen = member.answers(member.raw(value)).astype(np.intp)
            if votes is None or rows is None:
                votes, rows = np.zeros((len(chosen), self.classes)), np.arange(len(chosen))
            votes[rows, chosen] += weight
        return np.zeros((0, self.classes)) if votes is None else votes

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw.argmax(axis=1)


@dataclasses.dataclass
class MeanChances(Model):
    """The class with the largest mean probability.

    Attributes:
        members: Classifiers with probabilities.
        places: Class numbers of this model for each member's classes.
        weights: Weight of each member; None weighs all alike.
        classes: Number of classes.
        voting: Members that have no probabilities vote instead.
    """

    is_classifier: ClassVar[bool] = True
    members: list[Model]
    places: list[Indexes]
    weights: Array | None
    classes: int
    voting: bool

    def raw(self, value: Any) -> Array:
        total: Any = 0.0
        weights = np.ones(len(self.members)) if self.weights is None else self.weights
        for member, places, weight in zip(self.members, self.places, weights, strict=True):
            total = total + weight * self._of(member, places, value)
        return total / (len(self.members) if self.weights is None else self.weights.sum())

    def _of(self, member: Model, places: Indexes, value: Any) -> Array:
        raw = member.raw(value)
        if self.voting:
            return np.eye(self.classes)[places[member.answers(raw).astype(np.intp)]]
        chances = member.chances(raw)
        if len(places) == self.classes:
            return chances
        spread = np.zeros((len(chances), self.classes))
        spread[:, places] = chances
        return spread

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw.argmax(axis=1)

    def chances(self, raw: Array) -> Array:
        return raw


@dataclasses.dataclass
class MeanAnswers(Model):
    """The (weighted) mean of what regressors say."""

    members: list[Model]
    weights: Array | None

    def raw(self, value: Any) -> Array:
        found = [member.answers(member.raw(value)) for member in self.members]
        if self.weights is None:
            return sum(found[1:], found[0]) / len(found)
        terms = [answer * weight for answer, weight in zip(found, self.weights, strict=True)]
        return sum(terms[1:], terms[0]) / self.weights.sum()

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw


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
class AgainstRest(Model):
    """One classifier of two classes per class.

    Attributes:
        members: Classifiers; with two classes there is only one.
        by_decision: Whether decision values are compared, else the probabilities.
        has_chances: Whether there are probabilities.
    """

    is_classifier: ClassVar[bool] = True
    members: list[Model]
    by_decision: bool
    has_chances: bool

    def raw(self, value: Any) -> list[Any]:
        return [member.raw(value) for member in self.members]

    def decision(self, raw: list[Any]) -> Array:
        found = [
            m.decision(r) if self.by_decision else m.chances(r)[:, 1]
            for m, r in zip(self.members, raw, strict=True)
        ]
        return found[0] if len(found) == 1 else np.stack(found, axis=1)

    def answers(self, raw: list[Any]) -> NDArray[Any]:
        scores = self.decision(raw)
        if scores.ndim == 1:
            return scores > (0.0 if self.by_decision else 0.5)
        return scores.argmax(axis=1)

    def chances(self, raw: list[Any]) -> Array:
        if not self.has_chances:
            return super().chances(raw)
        upper = [m.chances(r)[:, 1] for m, r in zip(self.members, raw, strict=True)]
        if len(upper) == 1:
            return np.stack([1.0 - upper[0], upper[0]], axis=1)
        found = np.stack(upper, axis=1)
        total = found.sum(axis=1, keepdims=True)
        return np.divide(found, total, out=np.zeros_like(found), where=total != 0.0)


@dataclasses.dataclass
class AgainstEach(Model):
    """One classifier of two classes per pair of classes."""

    is_classifier: ClassVar[bool] = True
    members: list[Model]
    by_decision: list[bool]
    classes: int

    def raw(self, value: Any) -> Array:
        found = []
        for member, by_decision in zip(self.members, self.by_decision, strict=True):
            raw = member.raw(value)
            # Above zero (or one half) is the second class of the pair.
            found.append(-(member.decision(raw) if by_decision else member.chances(raw)[:, 1] - 0.5))
        return np.stack(found, axis=1)

    def decision(self, raw: Array) -> Array:
        scores = one_vs_rest_scores(raw, self.classes)
        return scores[:, 1] if self.classes == 2 else scores

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw[:, 0] < 0 if self.classes == 2 else self.decision(raw).argmax(axis=1)


@dataclasses.dataclass
class Changed(Model):
    """A regressor whose answers go through steps, such as the inverse of a transformed target."""

    model: Model
    steps: list[Step]

    def raw(self, value: Any) -> Array:
        found = self.model.answers(self.model.raw(value))
        single = found.ndim == 1
        matrix = np.ascontiguousarray(found[:, None] if single else found, np.float64)
        for step in self.steps:
            matrix = step(matrix)
        return matrix[:, 0] if single else matrix

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw


@dataclasses.dataclass
class SideBySide(Model):
    """One regressor per output."""

    members: list[Model]

    def raw(self, value: Any) -> Array:
        return np.stack([member.answers(member.raw(value)) for member in self.members], axis=1)

    def answers(self, raw: Array) -> NDArray[Any]:
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
class Constant(Model):
    """The same answer to everything (dummy models)."""

    value: Array
    shares: Array | None

    def __post_init__(self) -> None:
        self.is_classifier = self.shares is not None  # type: ignore[misc]  # a fact of this instance

    def raw(self, value: Any) -> int:
        return len(value.rows) if hasattr(value, "rows") else len(value)

    def answers(self, raw: int) -> NDArray[Any]:
        if self.shares is not None:
            return np.full(raw, int(self.value[0]))
        return (
            np.repeat(self.value[None], raw, axis=0) if len(self.value) > 1 else np.full(raw, self.value[0])
        )

    def chances(self, raw: int) -> Array:
        return super().chances(raw) if self.shares is None else np.repeat(self.shares[None], raw, axis=0)


def _members(est: Any) -> list[Any]:
    return [member for member in est.estimators_ if not isinstance(member, str)]


def _method(est: Any, preferred: Sequence[str]) -> str:
    names = {"decision_function": "decision", "predict_proba": "chances", "predict": "answers"}
    return names[next(name for name in preferred if hasattr(est, name))]


@reads_model("VotingClassifier", takes=_ANY, missing="kept")
def read_voting_classifier(est: Any, source: Source) -> Model:
    """Read a VotingClassifier."""
    members = [read_model(member, source) for member in _members(est)]
    weights, count = est._weights_not_none, len(est.classes_)
    if est.voting == "hard":
        weights = np.ones(len(members)) if weights is None else array(weights)
        return Votes(members, weights, count)
    places = [np.arange(count) for _ in members]
    return MeanChances(members, places, None if weights is None else array(weights), count, voting=False)


@reads_model("VotingRegressor", takes=_ANY, missing="kept")
def read_voting_regressor(est: Any, source: Source) -> Model:
    """Read a VotingRegressor."""
    weights = est._weights_not_none
    members = [read_model(member, source) for member in _members(est)]
    return MeanAnswers(members, None if weights is None else array(weights))


@reads_model("BaggingClassifier", takes=("dense",), missing="kept")
def read_bagging_classifier(est: Any, source: Source) -> Model:
    """Read a BaggingClassifier."""
    members = _bagged(est, source)
    voting = not hasattr(est.estimators_[0], "predict_proba")
    places = [np.asarray(member.classes_, np.intp) for member in est.estimators_]
    return MeanChances(members, places, None, int(est.n_classes_), voting)


@reads_model("BaggingRegressor", takes=("dense",), missing="kept")
def read_bagging_regressor(est: Any, source: Source) -> Model:
    """Read a BaggingRegressor."""
    return MeanAnswers(_bagged(est, source), None)


def _bagged(est: Any, source: Source) -> list[Model]:
    members = []
    for member, features in zip(est.estimators_, est.estimators_features_, strict=True):
        places = np.asarray(features, np.intp)
        if np.array_equal(places, np.arange(source.width)):
            members.append(read_model(member, source))
            continue
        model = read_model(member, source.dense(len(places)))
        members.append(prepared([Take(places, source.width)], model))
    return members


@reads_model("StackingClassifier", "StackingRegressor", takes=_ANY, missing="kept")
def read_stacking(est: Any, source: Source) -> Model:
    """Read a stack: what the first models say are the features of the last one."""
    from fairway.compilers.steps.inputs import convert

    parts: list[Step] = []
    width = 0
    binary = len(getattr(est, "classes_", ())) == 2
    methods = [method for method in est.stack_method_ if method != "drop"]
    for member, name in zip(_members(est), methods, strict=True):
        method = {"decision_function": "decision", "predict_proba": "chances", "predict": "answers"}[name]
        classes = getattr(member, "classes_", None)
        labels = array(classes) if method == "answers" and classes is not None else None
        model = read_model(member, source)
        parts.append(Says(model, method, labels, skip_first=binary and method == "chances"))
        count = 1 if classes is None else len(classes)
        width += 1 if method == "answers" or count <= 2 else count
    nullable = False
    kind: Kind = "dense"
    if est.passthrough:
        steps, given = convert(source, ("dense", "sparse"), type(est).__name__)
        parts.append(Chain(steps))
        width, nullable, kind = width + given.width, given.nullable, given.kind
    features = Source(kind, width, nullable=nullable, single=source.single)
    return prepared([Join(parts, None)], read_model(est.final_estimator_, features))


@reads_model("CalibratedClassifierCV", takes=_ANY, missing="kept")
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


@reads_model("OneVsRestClassifier", takes=_ANY, missing="kept")
def read_one_vs_rest(est: Any, source: Source) -> Model:
    """Read a OneVsRestClassifier."""
    if est.multilabel_:
        raise NotConvertible("OneVsRestClassifier for several labels at once has no compiled form")
    members = [read_model(member, source) for member in est.estimators_]
    first = est.estimators_[0]
    return AgainstRest(members, hasattr(first, "decision_function"), hasattr(first, "predict_proba"))


@reads_model("OneVsOneClassifier", takes=_ANY, missing="kept")
def read_one_vs_one(est: Any, source: Source) -> Model:
    """Read a OneVsOneClassifier."""
    if est.pairwise_indices_ is not None:
        raise NotConvertible("OneVsOneClassifier over pairwise data has no compiled form")
    members = [read_model(member, source) for member in est.estimators_]
    by_decision = [hasattr(member, "decision_function") for member in est.estimators_]
    return AgainstEach(members, by_decision, len(est.classes_))


@reads_model(
    "GridSearchCV",
    "RandomizedSearchCV",
    "HalvingGridSearchCV",
    "HalvingRandomSearchCV",
    takes=_ANY,
    missing="kept",
)
def read_search(est: Any, source: Source) -> Model:
    """Read the best estimator of a search."""
    return read_model(est.best_estimator_, source)


@reads_transformer("GridSearchCV", "RandomizedSearchCV", takes=_ANY, missing="kept")
def read_search_of_transformers(est: Any, source: Source) -> tuple[Step, Source]:
    """Read the best transformer of a search."""
    steps, result = read_transformer(est.best_estimator_, source)
    return Chain(steps), result


@reads_model("FixedThresholdClassifier", "TunedThresholdClassifierCV", takes=_ANY, missing="kept")
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


@reads_model("MultiOutputRegressor", takes=_ANY, missing="kept")
def read_multi_output(est: Any, source: Source) -> Model:
    """Read a MultiOutputRegressor."""
    return SideBySide([read_model(member, source) for member in est.estimators_])


@reads_model("TransformedTargetRegressor", takes=_ANY, missing="kept")
def read_transformed_target(est: Any, source: Source) -> Model:
    """Read a TransformedTargetRegressor whose inverse is a scaler's or a function of NumPy."""
    return Changed(read_model(est.regressor_, source), _inverse(est.transformer_))


def _inverse(transformer: Any) -> list[Step]:
    kind = type(transformer).__name__
    if kind == "FunctionTransformer":
        if transformer.inverse_func is None:
            return []
        return [Function(name_of_ufunc(transformer.inverse_func))]
    if kind == "StandardScaler":
        scale = np.ones(1) if transformer.scale_ is None else array(transformer.scale_)
        return [Stretch(scale, array(transformer.mean_) if transformer.with_mean else np.zeros(1), None)]
    if kind == "MinMaxScaler":
        return [Scale(array(transformer.min_), array(transformer.scale_))]
    raise NotConvertible(f"the inverse of a {kind} has no compiled form")


@reads_model("DummyClassifier", takes=_ANY, missing="kept")
def read_dummy_classifier(est: Any, source: Source) -> Model:
    """Read a DummyClassifier that does not draw lots."""
    if est.strategy not in {"prior", "most_frequent", "constant"}:
        raise NotConvertible(f"DummyClassifier({est.strategy!r}) answers by chance")
    shares = array(est.class_prior_)
    chosen = int(shares.argmax())
    if est.strategy == "constant":
        chosen = int(np.flatnonzero(est.classes_ == np.ravel(est.constant)[0])[0])
    if est.strategy != "prior":
        shares = np.eye(len(shares))[chosen]
    return Constant(array([chosen]), shares)


@reads_model("DummyRegressor", takes=_ANY, missing="kept")
def read_dummy_regressor(est: Any, source: Source) -> Model:
    """Read a DummyRegressor."""
    return Constant(array(np.ravel(est.constant_)), None)


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


@reads_model("IsotonicRegression")
def read_isotonic(est: Any, source: Source) -> Model:
    """Read an IsotonicRegression."""
    return Curve(array(est.X_thresholds_), array(est.y_thresholds_), est.out_of_bounds)
