"""Forests and single trees: class shares or means over all trees."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import (
    Array,
    Model,
    Source,
    Step,
    reads_model,
)
from fairway.compilers.steps.scaling import array
from fairway.compilers.steps.trees import (
    plant,
    sklearn_tree,
)


@dataclasses.dataclass
class Shares(Model):
    """The class with the largest share of the trees' votes.

    Attributes:
        trees: Sums of the leaves' class shares.
        count: Number of trees.
    """

    is_classifier: ClassVar[bool] = True
    trees: Step
    count: int

    def raw(self, value: Any) -> Array:
        return self.trees(value) / self.count

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw.argmax(axis=1)

    def chances(self, raw: Array) -> Array:
        return raw


@dataclasses.dataclass
class Mean(Model):
    """The mean of the trees, one number per row or one per output."""

    trees: Step
    count: int
    single: bool

    def raw(self, value: Any) -> Array:
        found = self.trees(value) / self.count
        return found[:, 0] if self.single else found

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw


def _one_output(est: Any) -> None:
    if getattr(est, "n_outputs_", 1) != 1:
        raise NotConvertible(f"{type(est).__name__} for several labels at once has no compiled form")


def _takes_missing(est: Any) -> bool:
    """Tell whether a fitted tree or ensemble of trees takes NaN: it does if it has seen any."""
    members = getattr(est, "estimators_", None)
    first = est if members is None else np.asarray(members, object).ravel()[0]
    flags = getattr(first, "_support_missing_values", None)
    seen = getattr(est, "_missing_values_in_feature_mask", None)
    mask = getattr(first, "missing_values_in_feature_mask_", None)
    return bool((seen is not None and np.any(seen)) or (mask is not None and np.any(mask))) or (
        flags is not None and _has_missing_side(est)
    )


def _has_missing_side(est: Any) -> bool:
    tags = getattr(est, "__sklearn_tags__", None)
    return bool(tags is not None and tags().input_tags.allow_nan)


def shares_of(tree: Any) -> Array:
    """Return the class shares of every node, as `predict_proba` gives them."""
    counts = array(tree.value[:, 0, :])
    total = counts.sum(axis=1, keepdims=True)
    total[total == 0.0] = 1.0
    # From scikit-learn 1.3 on nodes hold shares already; before they held counts.
    return counts if np.allclose(total, 1.0) else counts / total


def _all_trees(est: Any) -> list[Any]:
    return [est] if hasattr(est, "tree_") else list(est.estimators_)


@reads_model(
    "DecisionTreeClassifier",
    "ExtraTreeClassifier",
    "RandomForestClassifier",
    "ExtraTreesClassifier",
    missing="kept",
)
def read_forest_classifier(est: Any, source: Source) -> Model:
    """Read a tree or forest that votes."""
    _one_output(est)
    members = _all_trees(est)
    trees = [sklearn_tree(member.tree_, shares_of(member.tree_)) for member in members]
    return Shares(plant(trees, rounded=True, missing=_takes_missing(est)), len(trees))


@reads_model(
    "DecisionTreeRegressor",
    "ExtraTreeRegressor",
    "RandomForestRegressor",
    "ExtraTreesRegressor",
    missing="kept",
)
def read_forest_regressor(est: Any, source: Source) -> Model:
    """Read a tree or forest that averages."""
    members = _all_trees(est)
    trees = [sklearn_tree(member.tree_, array(member.tree_.value[:, :, 0])) for member in members]
    planted = plant(trees, rounded=True, missing=_takes_missing(est))
    return Mean(planted, len(trees), est.n_outputs_ == 1)
