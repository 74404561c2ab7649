"""scikit-learn's gradient boosting, with exact splits and with histograms."""

from __future__ import annotations

import dataclasses
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
