"""Trees called directly: the same bits as the forest itself, or the forest itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairway.flavors.forests import with_direct_trees

X, Y = load_breast_cancer(return_X_y=True)
Z, W = load_diabetes(return_X_y=True)
HOLES = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
FEW = {"n_estimators": 30, "random_state": 0}


def uses_trees(model: Any) -> bool:
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    return bool({"predict", "predict_proba"} & vars(last).keys())


@pytest.mark.parametrize(
    ("model", "rows", "labels"),
    [
        (RandomForestClassifier(**FEW), X, Y),
        (RandomForestClassifier(**FEW), X, np.array(["no", "yes"])[Y]),
        (RandomForestClassifier(**FEW, class_weight="balanced", max_leaf_nodes=9), HOLES, Y),
        (ExtraTreesClassifier(**FEW, bootstrap=True), Z, W // 60),
        (RandomForestRegressor(**FEW), Z, W),
        (RandomForestRegressor(**FEW, criterion="absolute_error", max_depth=3), Z[:99], W[:99]),
        (ExtraTreesRegressor(**FEW), HOLES, Y * 0.1),
        (make_pipeline(StandardScaler(), RandomForestClassifier(**FEW)), X, Y),
    ],
    ids=["classes", "texts", "missing", "seven classes", "numbers", "medians", "extra", "pipeline"],
)
def test_trees_called_directly_give_the_same_bits(model: Any, rows: Any, labels: Any) -> None:
    """Of labels, probabilities and scores, for one row and for many."""
    model.fit(rows, labels)
    direct = with_direct_trees(model)
    assert uses_trees(direct)
    assert not uses_trees(model)
    for some in (rows, rows[:1], rows[7:60], rows.astype(np.float32)):
        np.testing.assert_array_equal(direct.predict(some), model.predict(some))
        if hasattr(model, "classes_"):
            np.testing.assert_array_equal(direct.predict_proba(some), model.predict_proba(some))
            assert direct.predict(some).dtype == model.predict(some).dtype


@pytest.mark.parametrize("bad", [np.full((1, 30), np.inf), np.zeros((1, 29)), np.zeros(30)])
def test_what_the_forest_refuses_is_refused(bad: Any) -> None:
    """In the same words: its checks are not left out."""
    model = RandomForestClassifier(**FEW).fit(X, Y)
    with pytest.raises(ValueError) as expected:
        model.predict(bad)
    with pytest.raises(ValueError) as caught:
        with_direct_trees(model).predict(bad)
    assert str(caught.value) == str(expected.value)


def test_several_threads_are_not_needed() -> None:
    """The sum is that of one thread, whatever the model was fitted with."""
    model = RandomForestRegressor(**FEW, n_jobs=2).fit(Z, W)
    direct = with_direct_trees(model)
    assert uses_trees(direct)
    assert model.n_jobs == 2
    np.testing.assert_array_equal(direct.predict(Z), model.set_params(n_jobs=1).predict(Z))


class Doubled(RandomForestRegressor):
    """A forest with an opinion of its own."""

    def predict(self, rows: Any) -> Any:
        return 2 * super().predict(rows)


class Skewed(RandomForestClassifier):
    """A forest whose label is not the likeliest class."""

    def predict(self, rows: Any) -> Any:
        return self.classes_[(self.predict_proba(rows)[:, 1] > 0.1).astype(int)]


@pytest.mark.parametrize(
    ("model", "rows", "labels"),
    [
        (Doubled(**FEW), Z, W),
        (RandomForestRegressor(**FEW), Z, np.c_[W, W]),
        (GradientBoostingClassifier(n_estimators=3), X, Y),
    ],
    ids=["its own predict", "two outputs", "no forest"],
)
def test_other_models_are_left_alone(model: Any, rows: Any, labels: Any) -> None:
    """They are returned as they are."""
    model.fit(rows, labels)
    assert with_direct_trees(model) is model


def test_a_label_of_its_own_is_kept() -> None:
    """Only the sum over the trees is replaced."""
    model = Skewed(**FEW).fit(X, Y)
    np.testing.assert_array_equal(with_direct_trees(model).predict(X), model.predict(X))


def test_a_forest_that_does_not_add_up_is_left_alone() -> None:
    """Trees that answer otherwise than their arrays say, as those of another version might."""
    model = RandomForestRegressor(**FEW).fit(Z, W)
    tree = model.estimators_[3]
    tree.predict = lambda rows, **_: np.zeros(len(rows))
    assert with_direct_trees(model) is model
