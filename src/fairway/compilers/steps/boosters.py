"""XGBoost and LightGBM: their trees, read from the models that they write themselves."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import expit, softmax
from fairway.compilers.steps.base import Array, Model, Source, Step, prepared, reads_model
from fairway.compilers.steps.boosting import BoostedClassifier, BoostedRegressor
from fairway.compilers.steps.trees import OneTree, Questions, Trees, constant_tree, plant


@dataclasses.dataclass
class SingleScores(Model):
    """Scores in single precision, as XGBoost has them, through its links.

    Attributes:
        trees: Scores, (n, 1) or (n, outputs).
        link: `identity`, `logit`, `log` or `softmax`.
        classifies: Whether scores are those of classes.
    """

    trees: Step
    link: str
    classifies: bool

    def __post_init__(self) -> None:
        self.is_classifier = self.classifies  # type: ignore[misc]  # a fact of this instance

    def raw(self, value: Any) -> Array:
        scores = self.trees(value).astype(np.float32)
        if self.link == "logit":
            scores = expit(scores)
        elif self.link == "softmax":
            scores = softmax(scores)
        elif self.link == "log":
            scores = np.exp(scores)
        return scores.astype(np.float64)

    def answers(self, raw: Array) -> NDArray[Any]:
        if not self.classifies:
            return raw[:, 0] if raw.shape[1] == 1 else raw
        return raw[:, 0] > 0.5 if raw.shape[1] == 1 else raw.argmax(axis=1)

    def chances(self, raw: Array) -> Array:
        return np.concatenate([1.0 - raw, raw], axis=1) if raw.shape[1] == 1 else raw


@dataclasses.dataclass
class NanFor(Step):
    """Take a number for missing."""

    marker: float

    def __call__(self, value: Array) -> Array:
        return np.where(value == self.marker, np.nan, value)


@reads_model(
    "xgboost.XGBClassifier",
    "xgboost.XGBRegressor",
    "xgboost.XGBRFClassifier",
    "xgboost.XGBRFRegressor",
    missing="kept",
)
def read_xgboost(est: Any, source: Source) -> Model:
    """Read an XGBoost model: float32 comparisons, and sums that it rounds to float32."""
    booster = est.get_booster()
    best = getattr(est, "best_iteration", None)  # there is none without early stopping
    if best is not None:
        booster = booster[: int(best) + 1]
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    if learner["gradient_booster"]["name"] != "gbtree":
        raise NotConvertible(
            f"the booster {learner['gradient_booster']['name']!r} of XGBoost has no compiled form"
        )
    link = _xgboost_link(learner["objective"]["name"])
    trees = _xgboost_trees(learner, link)
    marker = est.missing
    steps: list[Step] = [] if marker is None or np.isnan(marker) else [NanFor(float(marker))]
    classifies = hasattr(est, "classes_")
    return prepared(steps, SingleScores(trees, link, classifies))


def _xgboost_link(objective: str) -> str:
    links = {
        "binary:logistic": "logit",
        "reg:logistic": "logit",
        "multi:softprob": "softmax",
        "multi:softmax": "softmax",
        "count:poisson": "log",
        "reg:gamma": "log",
        "reg:tweedie": "log",
        "reg:squarederror": "identity",
        "reg:absoluteerror": "identity",
        "reg:squaredlogerror": "identity",
        "reg:pseudohubererror": "identity",
        "reg:quantileerror": "identity",
    }
    if objective not in links:
        raise NotConvertible(f"the objective {objective!r} of XGBoost has no compiled form")
    return links[objective]


def _xgboost_trees(learner: dict[str, Any], link: str) -> Trees:
    model = learner["gradient_booster"]["model"]
    parameters = learner["learner_model_param"]
    outputs = max(1, int(parameters["num_class"]), int(parameters.get("num_target", 1)))
    base = np.array(json.loads(parameters["base_score"]), np.float64).ravel()
    if link == "logit":
        base = -np.log(1.0 / base - 1.0)
    if link == "log":
        base = np.log(base)
    trees = [constant_tree(np.broadcast_to(base.astype(np.float32).astype(np.float64), (outputs,)))]
    for tree, output in zip(model["trees"], model["tree_info"], strict=True):
        trees.append(_xgboost_tree(tree, int(output), outputs))
    return plant(trees, rounded=True, missing=True, single=True)


def _xgboost_tree(tree: dict[str, Any], output: int, outputs: int) -> OneTree:
    if tree.get("categories_nodes") or int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise NotConvertible("XGBoost's questions for categories and its vector leaves have no compiled form")
    left, right = np.array(tree["left_children"]), np.array(tree["right_children"])
    conditions = np.array(tree["split_conditions"], np.float32)
    values = np.zeros((len(left), outputs))
    values[:, output] = conditions
    # x < t asks the same of float32 numbers as x <= (the number before t).
    before = np.nextafter(conditions, np.float32(-np.inf)).astype(np.float64)
    return OneTree(tree["split_indices"], before, left, right, values, np.array(tree["default_left"]))


@reads_model(
    "lightgbm.LGBMClassifier",
    "lightgbm.LGBMRegressor",
    "fairway.LightgbmScores",
    "fairway.LightgbmClasses",
    missing="kept",
)
def read_lightgbm(est: Any, source: Source) -> Model:
    """Read a LightGBM model, or what its flavor makes of one: float64 throughout."""
    booster = est.booster_
    if getattr(booster, "pandas_categorical", None):
        raise NotConvertible("LightGBM on pandas categories has no compiled form")
    best = int(getattr(est, "best_iteration_", 0) or 0)
    model = booster.dump_model(num_iteration=best if best > 0 else None)
    objective, *settings = model.get("objective", "").split()
    if model.get("average_output", False):
        raise NotConvertible("LightGBM's random forests have no compiled form")
    outputs = int(model["num_tree_per_iteration"])
    reading = _LightgbmReading(outputs, source.width)
    trees = [reading.tree(n["tree_structure"], k % outputs) for k, n in enumerate(model["tree_info"])]
    if not trees:
        trees = [constant_tree(np.zeros(outputs))]
    planted = plant(trees, rounded=False, missing=True)
    return prepared(
        reading.questions.steps(), _lightgbm_model(objective, settings, planted, hasattr(est, "classes_"))
    )


def _lightgbm_model(objective: str, settings: list[str], trees: Trees, classifies: bool) -> Model:  # noqa: FBT001
    if classifies:
        if objective == "binary":
            slope = next((float(s.split(":")[1]) for s in settings if s.startswith("sigmoid:")), 1.0)
            return BoostedClassifier(trees, slope, tie=0)
        if objective == "multiclass":
            return BoostedClassifier(trees, 1.0, tie=0)
        raise NotConvertible(f"the objective {objective!r} of LightGBM has no compiled form")
    links = {
        **dict.fromkeys(["regression", "regression_l1", "huber", "fair", "quantile", "mape"], "identity"),
        **dict.fromkeys(["poisson", "gamma", "tweedie"], "log"),
        "cross_entropy": "logit",
    }
    if objective not in links or "sqrt" in settings:
        raise NotConvertible(f"the objective {objective!r} of LightGBM has no compiled form")
    return BoostedRegressor(trees, links[objective])


class _LightgbmReading:
    """Turns LightGBM's nested trees into nodes, and its questions for categories into 0/1 features."""

    def __init__(self, outputs: int, width: int) -> None:
        self.questions = Questions(width)
        self._outputs = outputs

    def tree(self, root: dict[str, Any], output: int) -> OneTree:
        rows: list[list[Any]] = []
        pending = [(root, -1, 0)]
        while pending:
            node, parent, side = pending.pop()
            number = len(rows)
            if parent >= 0:
                rows[parent][2 + side] = number
            if "leaf_value" in node and "split_feature" not in node:
                rows.append([0, 0.0, -1, -1, float(node["leaf_value"]), 1])
                continue
            rows.append(self._question(node))
            left, right = ("right_child", "left_child") if rows[-1][5] == 2 else ("left_child", "right_child")
            rows[-1][5] %= 2
            pending += [(node[left], number, 0), (node[right], number, 1)]
        feature, threshold, left_ids, right_ids, leaf, missing = zip(*rows, strict=True)
        values = np.zeros((len(rows), self._outputs))
        values[:, output] = leaf
        return OneTree(
            np.array(feature),
            np.array(threshold),
            np.array(left_ids),
            np.array(right_ids),
            values,
            np.array(missing),
        )

    def _question(self, node: dict[str, Any]) -> list[Any]:
        """Return one node; 2 in the last place asks for the children to be changed over."""
        if node["decision_type"] == "==":
            return [self._category(node), 0.5, -1, -1, 0.0, 2]
        if node["missing_type"] == "Zero":
            raise NotConvertible("LightGBM with zeros for missing values has no compiled form")
        threshold = float(node["threshold"])
        # Without missing values in training LightGBM takes NaN for 0.
        left = bool(node["default_left"]) if node["missing_type"] == "NaN" else threshold >= 0.0
        return [int(node["split_feature"]), threshold, -1, -1, 0.0, int(left)]

    def _category(self, node: dict[str, Any]) -> int:
        members = [int(member) for member in str(node["threshold"]).split("||")]
        return self.questions.ask(int(node["split_feature"]), members, known=members, others=False)
