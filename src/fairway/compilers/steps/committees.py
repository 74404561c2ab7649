"""Models that ask several others and sum up: voting, bagging, stacking."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.steps.base import (
    ANY_KIND,
    Array,
    Chain,
    Indexes,
    Kind,
    Model,
    Source,
    Step,
    prepared,
    read_model,
    reads_model,
)
from fairway.compilers.steps.columns import Join, Take
from fairway.compilers.steps.scaling import array


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


def _members(est: Any) -> list[Any]:
    return [member for member in est.estimators_ if not isinstance(member, str)]


@reads_model("VotingClassifier", takes=ANY_KIND, missing="kept")
def read_voting_classifier(est: Any, source: Source) -> Model:
    """Read a VotingClassifier."""
    members = [read_model(member, source) for member in _members(est)]
    weights, count = est._weights_not_none, len(est.classes_)
    if est.voting == "hard":
        weights = np.ones(len(members)) if weights is None else array(weights)
        return Votes(members, weights, count)
    places = [np.arange(count) for _ in members]
    return MeanChances(members, places, None if weights is None else array(weights), count, voting=False)


@reads_model("VotingRegressor", takes=ANY_KIND, missing="kept")
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


@reads_model("StackingClassifier", "StackingRegressor", takes=ANY_KIND, missing="kept")
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
