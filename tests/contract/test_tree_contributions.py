"""What boosting libraries tell of their own trees: exact, by input, and believed only if it adds up."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn")

from fairway.bundle.validation import Validator
from fairway.flavors.base import flavor_named
from fairway.flavors.contributions import Contributions
from fairway.inference.explain.explainer import Explainer
from fairway.inference.explain.knowledge import Knowledge
from fairway.inference.loaded import LoadedModel, load_model
from fairway.lifecycle.compiling import prove_and_compile
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.messages import ExplainWish

RANDOM = np.random.default_rng(0)
X = pd.DataFrame(RANDOM.normal(size=(300, 5)), columns=["a", "b", "c", "d", "e"])
GOALS = {
    "number": 3 * X["a"] - 2 * X["b"] * X["c"],
    "two": (X["a"] + X["b"] > 0).map({True: "yes", False: "no"}),
    "three": np.digitize(X["a"] + X["b"], [-0.7, 0.7]),
    "count": np.floor(np.exp(X["a"] / 2) * 2),
}


def estimator(library: str, goal: str) -> Any:
    module = pytest.importorskip(library)
    prefix = {"xgboost": "XGB", "lightgbm": "LGBM", "catboost": "CatBoost"}[library]
    kind = "Classifier" if goal in {"two", "three"} else "Regressor"
    common: dict[str, Any] = {"n_estimators": 20, "max_depth": 4, "learning_rate": 0.3}
    if goal == "count":
        common["objective"] = {"xgboost": "count:poisson", "lightgbm": "poisson", "catboost": "Poisson"}[
            library
        ]
    if library == "lightgbm":
        common["verbosity"] = -1
    if library == "catboost":
        common |= {"verbose": False, "allow_writing_files": False}
    return getattr(module, prefix + kind)(**common)


def packed(library: str, goal: str) -> LoadedModel:
    target = GOALS[goal]
    if library == "xgboost" and goal == "two":
        target = (target == "yes").astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = estimator(library, goal).fit(X.to_numpy(), np.asarray(target))
    bundle = make_bundle(fitted, name="m", example=X, code=(), facts=Facts(), wishes=Wishes())
    assert bundle.manifest.flavor == library
    return load_model(bundle)


def explain(model: LoadedModel, row: Any, **wish: Any) -> dict[str, Any]:
    columns = Validator(model.signature).check([row], pointer=str)
    explainer = Explainer(model, Knowledge(model.bundle, model.predictor))
    (found,) = explainer.explain(columns, ExplainWish(**wish), budget_s=20)
    return found


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
@pytest.mark.parametrize("goal", GOALS)
def test_trees_tell_what_adds_up_to_the_answer(library: str, goal: str) -> None:
    """The sum of base and contributions is the answer through the link of the model."""
    model = packed(library, goal)
    row = X.iloc[7].tolist()
    found = explain(model, row)
    (target,) = found["targets"]
    assert found["features"]["method"] == "trees"
    assert [e["standard_error"] for e in target["features"]] == [0.0] * 5
    total = target["base"] + sum(entry["contribution"] for entry in target["features"])
    assert total == pytest.approx(target["value"])
    columns = Validator(model.signature).check([row], pointer=str)
    outputs = model.predict(columns, probabilities=True)
    (answer,) = outputs.part(0, 1).values[model.signature.outputs[0].name]  # noqa: PD011 - not of pandas
    if goal == "number":
        assert (target["scale"], total) == ("output", pytest.approx(answer, rel=1e-4))
    if goal == "count":
        assert target["scale"] == "log"
        assert math.exp(total) == pytest.approx(answer, rel=1e-4)
    if goal == "two":
        assert target["scale"] == "log-odds"
        assert sigmoid(total) == pytest.approx(target["probability"], abs=1e-5)
        assert target["probability"] >= 0.5
    if goal == "three":
        assert target["scale"] == "score"


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_shap_reads_the_same_off_the_trees(library: str) -> None:
    """The package shap, with its own reader of the models, gives the same contributions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shap = pytest.importorskip("shap")
    fitted = estimator(library, "number").fit(X.to_numpy(), np.asarray(GOALS["number"]))
    model = load_model(make_bundle(fitted, name="m", example=X, code=(), facts=Facts(), wishes=Wishes()))
    oracle = shap.TreeExplainer(fitted)
    for n in range(5):
        (target,) = explain(model, X.iloc[n].tolist())["targets"]
        ours = {entry["input"]: entry["contribution"] for entry in target["features"]}
        theirs = oracle.shap_values(X.to_numpy()[n : n + 1])[0]
        assert [ours[name] for name in X.columns] == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm", "catboost"])
def test_both_classes_are_told_with_opposite_signs(library: str) -> None:
    """What speaks for one of two classes speaks against the other."""
    first, second = explain(packed(library, "two"), X.iloc[3].tolist(), of="each")["targets"]
    ours = {entry["input"]: entry["contribution"] for entry in first["features"]}
    assert ours == {e["input"]: pytest.approx(-e["contribution"]) for e in second["features"]}
    assert sigmoid(first["value"]) == pytest.approx(first["probability"], abs=1e-5)


def test_a_compiled_model_is_told_of_by_its_library() -> None:
    """The compiled predictor knows no contributions, so the original is loaded to tell."""
    pytest.importorskip("onnxruntime")
    model = load_model(prove_and_compile(packed("lightgbm", "number").bundle))
    assert model.predictor_name != "native"
    assert explain(model, X.iloc[0].tolist())["features"]["method"] == "trees"


def test_shapley_can_be_asked_for_all_the_same() -> None:
    """On the scale of probabilities, as for any other model."""
    found = explain(packed("xgboost", "two"), X.iloc[0].tolist(), method="shapley")
    assert found["features"]["method"] == "shapley_exact"
    assert found["targets"][0]["scale"] == "probability"


def wrong(found: Contributions) -> Contributions:
    return Contributions(found.base + 0.5, found.values, found.link)


@pytest.mark.parametrize("change", [wrong, lambda _: None])
def test_what_does_not_add_up_is_not_believed(change: Callable[[Any], Any]) -> None:
    """A library that tells another sum than the answer, or nothing, is asked as any model is."""
    model = packed("lightgbm", "number")

    class Wrong:
        def __init__(self, predictor: Any) -> None:
            self.predict = predictor.predict
            self._contributions = predictor.contributions

        def contributions(self, columns: Any) -> Any:
            return change(self._contributions(columns))

    assert flavor_named("lightgbm").has_contributions
    wrong_model = LoadedModel(model.bundle, name="m", version=1, predictor=Wrong(model.predictor))
    found = explain(wrong_model, X.iloc[0].tolist())
    assert found["features"]["method"] == "shapley_exact"
    assert found["targets"][0]["additivity"]["holds"]
