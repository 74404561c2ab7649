"""What is made of sums of trees: single trees, forests, boosting, isolation of none."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import expit, softmax
from fairway.compilers.steps.base import (
    Array,
    Model,
    Source,
    Step,
    prepared,
    read_transformer,
    reads_model,
)
from fairway.compilers.steps.scaling import array
from fairway.compilers.steps.trees import (
    OneTree,
    Questions,
    constant_tree,
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


@dataclasses.dataclass
class BoostedClassifier(Model):
    """Sums of trees as scores.

    Attributes:
        trees: Scores, (n, 1) for two classes, else (n, classes).
        factor: What scores are multiplied by before they become probabilities.
        tie: Class number of a score of zero, with two classes.
        rest: Whether each class is judged against the rest, not all together.
    """

    is_classifier: ClassVar[bool] = True
    trees: Step
    factor: float
    tie: int
    rest: bool = False

    def raw(self, value: Any) -> Array:
        return self.trees(value)

    def answers(self, raw: Array) -> NDArray[Any]:
        if raw.shape[1] == 1:
            return (raw[:, 0] >= 0 if self.tie else raw[:, 0] > 0).astype(np.intp)
        return raw.argmax(axis=1)

    def decision(self, raw: Array) -> Array:
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def chances(self, raw: Array) -> Array:
        if raw.shape[1] == 1:
            upper = expit(self.factor * raw[:, 0])
            return np.stack([1.0 - upper, upper], axis=1)
        return softmax(self.factor * raw)


@dataclasses.dataclass
class BoostedRegressor(Model):
    """A sum of trees through the inverse of a link: `identity`, `log` or `logit`."""

    trees: Step
    link: str
    single: bool = True

    def raw(self, value: Any) -> Array:
        found = self.trees(value)
        found = found[:, 0] if self.single else found
        if self.link == "log":
            return np.exp(found)
        return expit(found) if self.link == "logit" else found

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw


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


def _shares(tree: Any) -> Array:
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
    trees = [sklearn_tree(member.tree_, _shares(member.tree_)) for member in members]
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


def _boosted_trees(est: Any, start: Array) -> list[OneTree]:
    """Return the trees of gradient boosting; leaf values carry the learning rate."""
    trees, width = [constant_tree(start)], est.estimators_.shape[1]
    for stage in est.estimators_:
        for place, member in enumerate(stage):
            values = np.zeros((member.tree_.node_count, width))
            values[:, place] = est.learning_rate * member.tree_.value[:, 0, 0]
            trees.append(sklearn_tree(member.tree_, values))
    return trees


def _start_of(est: Any) -> Array:
    """Return what gradient boosting starts its sums from."""
    if not (isinstance(est.init_, str) or type(est.init_).__name__.startswith("Dummy")):
        raise NotConvertible(
            f"gradient boosting that starts from {type(est.init_).__name__} has no compiled form"
        )
    probe = np.zeros((1, est.n_features_in_), np.float32)
    return array(est._raw_predict_init(probe)[0])


@reads_model("GradientBoostingClassifier", missing="kept")
def read_gradient_boosting_classifier(est: Any, source: Source) -> Model:
    """Read a GradientBoostingClassifier."""
    trees = plant(_boosted_trees(est, _start_of(est)), rounded=True, missing=False)
    return BoostedClassifier(trees, 2.0 if est.loss == "exponential" else 1.0, tie=1)


@reads_model("GradientBoostingRegressor", missing="kept")
def read_gradient_boosting_regressor(est: Any, source: Source) -> Model:
    """Read a GradientBoostingRegressor."""
    return BoostedRegressor(
        plant(_boosted_trees(est, _start_of(est)), rounded=True, missing=False), "identity"
    )


def _histogram_trees(est: Any, width: int) -> tuple[list[OneTree], Questions]:
    """Return the trees of histogram boosting, and the questions for categories that they ask."""
    start = np.broadcast_to(array(est._baseline_prediction).ravel(), (width,))
    questions = Questions(est.n_features_in_)
    known = _known_categories(est)
    trees = [constant_tree(array(start))]
    for stage in est._predictors:
        for place, predictor in enumerate(stage):
            trees.append(_histogram_tree(predictor, place, width, questions, known))
    return trees, questions


def _known_categories(est: Any) -> dict[int, list[int]]:
    flags = getattr(est, "is_categorical_", None)
    if flags is None:
        return {}
    bitsets, places = est._bin_mapper.make_known_categories_bitsets()
    return {
        feature: _members(bitsets[places[feature]])
        for feature in np.flatnonzero(est._bin_mapper.is_categorical_).tolist()
    }


def _members(bitset: Any) -> list[int]:
    """Return the numbers in a set of 256 bits, eight words of 32."""
    return [number for number in range(256) if int(bitset[number // 32]) >> (number % 32) & 1]


def _histogram_tree(
    predictor: Any, place: int, width: int, questions: Questions, known: dict[int, list[int]]
) -> OneTree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    feature = nodes["feature_idx"].astype(np.intp).copy()
    threshold = nodes["num_threshold"].astype(np.float64).copy()
    missing_left = nodes["missing_go_to_left"].astype(np.intp).copy()
    left, right = nodes["left"].astype(np.intp).copy(), nodes["right"].astype(np.intp).copy()
    for node in np.flatnonzero(~leaf & nodes["is_categorical"].astype(bool)):
        asked = int(feature[node])
        members = _members(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]])
        number = questions.ask(asked, members, known=known[asked], others=bool(missing_left[node]))
        # "1 goes left" as "at most 0.5 goes left" with the children changed over.
        feature[node], threshold[node] = number, 0.5
        left[node], right[node] = right[node], left[node]
    values = np.zeros((len(nodes), width))
    values[:, place] = nodes["value"]
    left[leaf] = right[leaf] = -1
    return OneTree(feature, threshold, left, right, values, missing_left)


def _histogram_source(est: Any, source: Source) -> tuple[list[Step], Source]:
    """Return the steps of the encoder that histogram boosting with categories has inside."""
    from fairway.compilers.steps.inputs import convert

    inside = getattr(est, "_preprocessor", None)
    if inside is None:
        return convert(source, ("dense",), type(est).__name__)
    return read_transformer(inside, source)


def _histogram_model(est: Any, source: Source, width: int) -> tuple[list[Step], Any]:
    steps, _ = _histogram_source(est, source)
    trees, questions = _histogram_trees(est, width)
    return [*steps, *questions.steps()], plant(trees, rounded=False, missing=True)


@reads_model("HistGradientBoostingClassifier", takes=("columns", "dense"), missing="kept")
def read_histogram_classifier(est: Any, source: Source) -> Model:
    """Read a HistGradientBoostingClassifier."""
    steps, trees = _histogram_model(est, source, int(est.n_trees_per_iteration_))
    return prepared(steps, BoostedClassifier(trees, 1.0, tie=0))


@reads_model("HistGradientBoostingRegressor", takes=("columns", "dense"), missing="kept")
def read_histogram_regressor(est: Any, source: Source) -> Model:
    """Read a HistGradientBoostingRegressor."""
    steps, trees = _histogram_model(est, source, 1)
    link = "log" if est.loss in {"poisson", "gamma"} else "identity"
    return prepared(steps, BoostedRegressor(trees, link))


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
        votes = np.searchsorted(est.classes_, member.classes_)[_shares(member.tree_).argmax(axis=1)]
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
