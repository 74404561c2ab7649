"""What is particular to the boosting frameworks: what their files leave out, and damaged ones."""

from __future__ import annotations

import json
import re
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.errors import ArtifactCorrupt
from fairway.flavors import boosters, lightgbm_text
from fairway.flavors import catboost as catboost_flavor
from fairway.flavors import lightgbm as lightgbm_flavor
from fairway.flavors import xgboost as xgboost_flavor
from fairway.flavors.base import Flavor, ModelFiles
from fairway.flavors.pickles import PICKLE

RANDOM = np.random.default_rng(2)
X = RANDOM.normal(size=(50, 3))
Y = X @ np.array([1.0, 2.0, 3.0])
LABELS = (Y > 0).astype(int)
XGBOOST, LIGHTGBM, CATBOOST = xgboost_flavor.FLAVOR, lightgbm_flavor.FLAVOR, catboost_flavor.FLAVOR


def load(flavor: Flavor, files: dict[str, bytes]) -> Any:
    """Load files as a bundle has them."""
    return flavor.load(ModelFiles.of(files), CodeSpace({}, label="m"), trust=Trust.default())


def text_of(**settings: Any) -> str:
    """Return the text of a small LightGBM model."""
    data = lightgbm.Dataset(X, Y)
    booster = lightgbm.train({"verbose": -1, "min_data_in_leaf": 3, "num_leaves": 7, **settings}, data, 4)
    return booster.model_to_string()


# -- which file is whose --


def test_files_are_told_by_their_content() -> None:
    """Every flavor takes its own files and no other's."""
    booster = xgboost.train({}, xgboost.DMatrix(X, Y), 2)
    cat = catboost.CatBoostRegressor(iterations=2, verbose=0, allow_writing_files=False).fit(X, Y)
    files = {
        XGBOOST: [bytes(booster.save_raw("ubj")), bytes(booster.save_raw("json")), b"binf\0\0\0?"],
        LIGHTGBM: [text_of().encode(), text_of().replace("\n", "\r\n").encode()],
        CATBOOST: [CATBOOST.dump(cat)[catboost_flavor.CBM]],
    }
    for owner, contents in files.items():
        for data in contents:
            assert [flavor for flavor in files if flavor.reads({"x": data})] == [owner]
            assert not owner.reads({"x": data, "y": b""})


def test_json_that_is_no_model_is_nobodys() -> None:
    """Braces alone do not make an XGBoost model, nor the word in UBJ's place."""
    assert not XGBOOST.reads({"x": b'{"learner": 1}'})
    assert not XGBOOST.reads({"x": b"gradient_booster"})
    assert not XGBOOST.reads({"x": b""})


# -- XGBoost --


def test_an_estimator_keeps_what_its_file_does_not_hold() -> None:
    """Its class, and the number that it takes for missing."""
    marked = np.where(X > 1, -1.0, X)
    model = xgboost.XGBRFRegressor(n_estimators=3, missing=-1.0, random_state=0).fit(marked, Y)
    files = XGBOOST.dump(model)
    assert json.loads(files[boosters.ESTIMATOR]) == {"class": "XGBRFRegressor", "missing": -1.0}
    loaded = load(XGBOOST, files)
    assert type(loaded) is xgboost.XGBRFRegressor
    assert loaded.predict(marked).tolist() == model.predict(marked).tolist()


def test_an_estimator_with_code_in_it_is_pickled() -> None:
    """A class of one's own, and an objective in Python, are more than trees."""

    class Mine(xgboost.XGBRegressor):
        pass

    assert list(XGBOOST.dump(xgboost.XGBRegressor(n_estimators=1, objective=squared).fit(X, Y))) == [PICKLE]
    with pytest.raises(ArtifactCorrupt, match="cannot be saved"):  # it is local to this test
        XGBOOST.dump(Mine(n_estimators=1).fit(X, Y))


def squared(truth: Any, guess: Any) -> tuple[Any, Any]:
    """Return gradient and curvature of the squared error."""
    return guess - truth, np.ones_like(guess)


def test_a_model_that_was_not_fitted_is_refused() -> None:
    """In the words of its framework."""
    for flavor, model in (
        (XGBOOST, xgboost.XGBRegressor()),
        (LIGHTGBM, lightgbm.LGBMRegressor()),
        (CATBOOST, catboost.CatBoostRegressor()),
    ):
        with pytest.raises(ArtifactCorrupt, match="the model cannot be saved"):
            flavor.dump(model)


def test_a_stranger_beside_the_file_is_no_class() -> None:
    """What is recorded beside the file chooses among known classes only."""
    files = XGBOOST.dump(xgboost.XGBRegressor(n_estimators=1).fit(X, Y))
    for facts in ({"class": "callback"}, {"class": "DMatrix"}):
        with pytest.raises(ArtifactCorrupt, match="is no estimator"):
            load(XGBOOST, files | boosters.write_facts(facts))
    with pytest.raises(ArtifactCorrupt, match=r"estimator\.json is damaged"):
        load(XGBOOST, files | {boosters.ESTIMATOR: b"[]"})


@pytest.mark.parametrize("old", [b"binf\0\0\0\x3f\4\0\0\0", b"\0\0\0\x3f\4\0\0\0", b"bs64\tAAAA"])
def test_the_old_binary_format_says_how_to_convert_it(old: bytes) -> None:
    """With its mark or bare, and without asking XGBoost."""
    assert XGBOOST.reads({"x": old})
    with pytest.raises(ArtifactCorrupt, match="old binary format") as caught:
        load(XGBOOST, XGBOOST.keep({"x": old}))
    assert "pip install 'xgboost<3.1'" in caught.value.hint


# -- LightGBM --


def test_labels_survive_beside_the_text() -> None:
    """The text knows only their numbers."""
    words = np.array(["no", "yes"])[LABELS]
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, words)
    files = LIGHTGBM.dump(model)
    loaded = load(LIGHTGBM, files)
    assert loaded.predict(X).tolist() == model.predict(X).tolist()
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    del files[boosters.ESTIMATOR]
    assert load(LIGHTGBM, files).predict(X).tolist() == (model.predict(X) == "yes").astype(int).tolist()


def test_names_are_those_of_the_table() -> None:
    """LightGBM writes white space as an underscore, and makes names up for a matrix."""
    table = pd.DataFrame(X, columns=["size of it", "b", "c"])
    found = LIGHTGBM.describe(lightgbm.LGBMRegressor(n_estimators=1, verbose=-1).fit(table, Y))
    assert found.input_names == ("size_of_it", "b", "c")
    assert found.spelt("size of it") == "size_of_it"
    bare = LIGHTGBM.describe(lightgbm.LGBMRegressor(n_estimators=1, verbose=-1).fit(X, Y))
    assert bare.input_names == ()


def test_settings_of_another_release_make_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    """LightGBM warns of them on the standard output, where a program may expect JSON."""
    text = text_of().replace("[max_bin: 255]", "[max_bin: 255]\n[gone_since_then: 3]")
    assert "gone_since_then" in text
    loaded = load(LIGHTGBM, {lightgbm_flavor.TEXT: text.encode()})
    assert loaded.predict(X).shape == (50,)
    assert capfd.readouterr() == ("", "")
    assert LIGHTGBM.describe(loaded).hyperparameters["num_leaves"] == 7


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"\nTree=3.*", "\n", "trees are missing"),
        (r"(?<=\nleft_child=)-?\d+", "99", "has a node that points nowhere"),
        (r"(?<=\nleft_child=)-?\d+", "0", "has a node that points nowhere"),
        (r"(?<=\nright_child=)-?\d+", "-99", "has a node that points nowhere"),
        (r"(?<=\nsplit_feature=)\d+", "3", "asks for a feature that is not there"),
        (r"(?<=\nleaf_value=)\S+ ", "", "lacks leaves"),
        (r"(?<=\nthreshold=)\S+ ", "", "lacks nodes"),
        (r"(?<=\nthreshold=)\S+", "x", "could not convert"),
        (r"\nsplit_feature=", "\nsplit_creature=", "'split_feature' is missing"),
        (r"(?<=\nnum_tree_per_iteration=)1", "3", "trees are missing"),
        (r"(?<=\nfeature_names=)\S+ ", "", "names of the features are not whole"),
        (r"(?<=\nfeature_infos=)\S+ ", "", "the header is not whole"),
        (r"\nshrinkage=", "\nshrunk=", "is cut off"),
        (r"(?<=\ndecision_type=)\d+", "1", "asks for categories that are not there"),
    ],
)
def test_a_damaged_text_is_refused_before_lightgbm_reads_it(
    pattern: str, replacement: str, message: str
) -> None:
    """It would end the process, now or when it is asked."""
    damaged, count = re.subn(pattern, replacement, text_of(), count=1, flags=re.DOTALL)
    assert count == 1
    with pytest.raises(ArtifactCorrupt, match=message):
        load(LIGHTGBM, {lightgbm_flavor.TEXT: damaged.encode()})


def test_sound_texts_pass() -> None:
    """Of every boosting and with categories, and a model that learnt nothing."""
    for settings in (
        {},
        {"boosting": "dart"},
        {"linear_tree": True},
        {"objective": "multiclass", "num_class": 2},
    ):
        lightgbm_text.check_text(text_of(**settings) if "num_class" not in settings else classes_text())
    grades = lightgbm.Dataset(np.c_[np.arange(50) % 5, X], np.arange(50) % 5 % 2, categorical_feature=[0])
    settings = {"verbose": -1, "min_data_in_leaf": 3, "min_data_per_group": 1, "cat_smooth": 1}
    text = lightgbm.train(settings, grades, 3).model_to_string()
    assert "cat_threshold=" in text
    lightgbm_text.check_text(text)
    constant = lightgbm.train({"verbose": -1}, lightgbm.Dataset(X[:5], Y[:5]), 2)
    lightgbm_text.check_text(constant.model_to_string())


def classes_text() -> str:
    """Return the text of a model of two classes that are told apart as many are."""
    data = lightgbm.Dataset(X, LABELS)
    settings = {"objective": "multiclass", "num_class": 2, "verbose": -1}
    return lightgbm.train(settings, data, 2).model_to_string()


# -- CatBoost --


def test_new_categories_reach_catboost_as_they_are_written() -> None:
    """A category that was not declared is not missing: CatBoost would refuse that."""
    from fairway.bundle.kinds import infer_inputs
    from fairway.bundle.signature import Signature
    from fairway.bundle.tables import read_table
    from fairway.messages import Columns

    table = pd.DataFrame({"city": pd.Categorical(["Rome", "Oslo"] * 25), "size": X[:, 0]})
    model = catboost.CatBoostRegressor(
        iterations=3, verbose=0, allow_writing_files=False, cat_features=["city"]
    ).fit(table, Y)
    read = read_table(table)
    signature, options = CATBOOST.learn(
        model, read, Signature(infer_inputs(read), ()), output_names=(), feed=None
    )
    predictor = CATBOOST.predictor(model, signature, options)
    got = predictor.predict(Columns(signature.names, [["Lima", 0.5]]), probabilities=False)
    expected = model.predict(pd.DataFrame({"city": ["Lima"], "size": [0.5]}))
    assert dict(got.values)["prediction"] == expected.tolist()


def test_catboost_says_what_is_wrong_with_a_file() -> None:
    """In one line, and never with another class than its own."""
    with pytest.raises(ArtifactCorrupt, match="CatBoost cannot read the model file"):
        load(CATBOOST, {catboost_flavor.CBM: b"CBM1" + b"x" * 50})
    files = CATBOOST.dump(
        catboost.CatBoostRegressor(iterations=2, verbose=0, allow_writing_files=False).fit(X, Y)
    )
    with pytest.raises(ArtifactCorrupt, match="'Pool' is no model of CatBoost"):
        load(CATBOOST, files | boosters.write_facts({"class": "Pool"}))
