"""The package shap is the oracle: with the same background it must give the same contributions.

For trees `TreeExplainer` is exact by another algorithm than ours, which only asks the model; estimates by
permutations must agree within their own standard errors.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    shap = pytest.importorskip("shap")

from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeRegressor

from fairway.inference.explain.asking import Clock, Coalitions
from fairway.inference.explain.background import Background, background_of
from fairway.inference.explain.quantities import quantities_of
from fairway.inference.explain.shapley import exact_shares, sampled_shares
from fairway.inference.loaded import LoadedModel, load_model
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.messages import Columns

TREES = {
    "tree": DecisionTreeRegressor(max_depth=5, random_state=0),
    "forest": RandomForestRegressor(12, max_depth=5, random_state=0),
    "extra": ExtraTreesRegressor(12, max_depth=5, random_state=0),
    "boosting": GradientBoostingRegressor(n_estimators=30, random_state=0),
}


def packed(model: Any, example: Any) -> LoadedModel:
    return load_model(make_bundle(model, name="m", example=example, code=(), facts=Facts(), wishes=Wishes()))


def coalitions_of(model: LoadedModel, row: Any, background: Background) -> Coalitions:
    columns = Columns(model.signature.names, [list(map(float, row))])
    outputs = model.predict(columns, probabilities=True)
    quantities = quantities_of(model.signature, outputs, 0, of="each")
    return Coalitions(model, columns.rows[0], background, quantities, Clock(60))


def matrix_of(background: Background) -> Any:
    return np.array(background.columns, dtype=float).T


@pytest.fixture(scope="module")
def regression() -> tuple[Any, Any]:
    """Give rows that are float32 numbers, as trees see them, and a goal with interactions."""
    x, y = make_regression(300, 6, n_informative=5, noise=3, random_state=0)
    x = x.astype(np.float32).astype(float)
    return x, y + 20 * x[:, 0] * x[:, 1]


@pytest.mark.parametrize("name", TREES)
def test_trees_are_explained_as_by_shap(name: str, regression: tuple[Any, Any]) -> None:
    """Exact values by asking are those that are read off the trees."""
    x, y = regression
    fitted = TREES[name].fit(x, y)
    model = packed(fitted, x)
    # Both must see the same side of a threshold: the background's numbers are made float32, too.
    drawn = background_of(model.bundle)
    background = Background(
        [np.float32(column).astype(float).tolist() for column in drawn.columns], drawn.rows, drawn.source
    )
    oracle = shap.TreeExplainer(fitted, data=matrix_of(background), feature_perturbation="interventional")
    for row in x[:4]:
        ours = exact_shares(coalitions_of(model, row, background).worth, x.shape[1])
        theirs = oracle.shap_values(row[None], check_additivity=False)[0]
        assert ours.values[:, 0] == pytest.approx(theirs, abs=1e-4 * np.abs(theirs).max())


def test_classes_of_a_forest_are_explained_as_by_shap() -> None:
    """Probabilities of every class at once, in the order of the classes."""
    x, y = make_classification(300, 6, n_informative=5, n_redundant=0, n_classes=3, random_state=0)
    x = x.astype(np.float32).astype(float)
    fitted = RandomForestClassifier(12, max_depth=4, random_state=0).fit(x, y)
    model = packed(fitted, x)
    background = Background(x[:50].T.tolist(), 50, "test")
    oracle = shap.TreeExplainer(
        fitted, data=x[:50], feature_perturbation="interventional", model_output="probability"
    )
    for row in x[100:103]:
        ours = exact_shares(coalitions_of(model, row, background).worth, 6)
        theirs = oracle.shap_values(row[None], check_additivity=False)[0]
        assert ours.values == pytest.approx(theirs, abs=1e-6)


def test_a_linear_model_is_explained_as_by_shap(regression: tuple[Any, Any]) -> None:
    """Permutations of a linear model have no error at all."""
    x, y = regression
    fitted = Ridge().fit(x, y)
    model = packed(fitted, x)
    background = background_of(model.bundle)
    oracle = shap.LinearExplainer(fitted, shap.maskers.Independent(matrix_of(background), 100))
    for row in x[:3]:
        coalitions = coalitions_of(model, row, background)
        empty, full = coalitions.ends()
        ours = sampled_shares(coalitions.worth, 6, empty=empty, full=full, seed=0, is_over=lambda: False)
        assert ours.pairs == 3
        assert ours.values[:, 0] == pytest.approx(oracle.shap_values(row[None])[0], abs=1e-6)


def test_permutations_agree_with_shap_within_their_errors() -> None:
    """Twelve inputs, beyond what is enumerated: the truth lies within four standard errors."""
    x, y = make_classification(300, 12, n_informative=8, random_state=1)
    fitted = LogisticRegression().fit(x, y)
    model = packed(fitted, x)
    background = Background(x[:30].T.tolist(), 30, "test")
    oracle = shap.explainers.Exact(
        lambda rows: fitted.predict_proba(rows)[:, 1], shap.maskers.Independent(x[:30], 30)
    )
    row = x[200]
    coalitions = coalitions_of(model, row, background)
    empty, full = coalitions.ends()
    ours = sampled_shares(
        coalitions.worth, 12, empty=empty, full=full, seed=0, is_over=lambda: False, max_pairs=40
    )
    theirs = oracle(row[None]).values[0]
    assert ours.errors is not None
    assert (np.abs(ours.values[:, 1] - theirs) <= 4 * ours.errors[:, 1] + 1e-9).all()
    assert ours.errors[:, 1].max() < 0.05 * np.abs(theirs).sum()
    assert empty[1] == pytest.approx(float(fitted.predict_proba(x[:30])[:, 1].mean()))
