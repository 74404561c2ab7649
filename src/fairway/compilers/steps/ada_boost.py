"""AdaBoost: trees that vote with weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import softmax
from fairway.compilers.steps.base import (
    Array,
    Model,
    Source,
    Step,
    reads_model,
)
from fairway.compilers.steps.forests import shares_of
from fairway.compilers.steps.scaling import array
from fairway.compilers.steps.trees import (
    plant,
    sklearn_tree,
)


@dataclasses.dataclass
class WeightedMedian(Model):
    """The weighted median of the trees' answers (AdaBoost for regression)."""

    trees: Step
    weights: Array

    def raw(self, value: Any) -> Array:
        answers = self.trees(value)
        order = np.argsort(answers, axis=1)
        shares = np.add.accumulate(self.weights[order], axis=1)
        middle = (shares >= 0.5 * shares[:, -1:]).argmax(axis=1)
        rows = np.arange(len(answers))
        return answers[rows, order[rows, middle]]

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw


@dataclasses.dataclass
class WeightedVotes(Model):
    """The class with the largest weight of votes (AdaBoost for classification)."""

    is_classifier: ClassVar[bool] = True
    trees: Step
    total: float
    classes: int

    def raw(self, value: Any) -> Array:
        scores = self.trees(value) / self.total
        if self.classes > 2:
            return scores
        return scores[:, 1] - scores[:, 0]

    def answers(self, raw: Array) -> NDArray[Any]:
        return (raw > 0).astype(np.intp) if raw.ndim == 1 else raw.argmax(axis=1)

    def decision(self, raw: Array) -> Array:
        return raw

    def chances(self, raw: Array) -> Array:
        if raw.ndim == 1:
            return softmax(np.stack([-raw, raw], axis=1) / 2.0)
        return softmax(raw / (self.classes - 1))


def _tree_members(est: Any) -> Iterator[Any]:
    """Yield the trees of an AdaBoost ensemble."""
    for member in est.estimators_:
        if not type(member).__name__.endswith(("TreeClassifier", "TreeRegressor")):
            raise NotConvertible(f"AdaBoost over {type(member).__name__} has no compiled form")
        yield member


@reads_model("AdaBoostClassifier")
def read_ada_boost_classifier(est: Any, source: Source) -> Model:
    """Read an AdaBoostClassifier over trees: each votes with its weight, for one class against the rest."""
    count = len(est.classes_)
    if count < 2:
        raise NotConvertible("AdaBoost for a single class has no compiled form")
    trees = []
    for member, weight in zip(_tree_members(est), est.estimator_weights_, strict=False):
        votes = np.searchsorted(est.classes_, member.classes_)[shares_of(member.tree_).argmax(axis=1)]
        values = np.where(votes[:, None] == np.arange(count), weight, -1.0 / (count - 1) * weight)
        trees.append(sklearn_tree(member.tree_, values))
    total = float(np.sum(est.estimator_weights_))
    return WeightedVotes(plant(trees, rounded=True, missing=False), total, count)


@reads_model("AdaBoostRegressor")
def read_ada_boost_regressor(est: Any, source: Source) -> Model:
    """Read an AdaBoostRegressor over trees."""
    trees = [sklearn_tree(m.tree_, array(m.tree_.value[:, :, 0])) for m in _tree_members(est)]
    planted = plant(trees, rounded=True, missing=False, separate=True)
    return WeightedMedian(planted, array(est.estimator_weights_[: len(trees)]))
