"""Every form in which a model comes as a file: who writes it, and what the model says of the example.

A flavor adds its forms here; `test_flavor_files.py` sends each of them the whole way.
"""

from __future__ import annotations

import dataclasses
import functools
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import cloudpickle
import joblib
import lightgbm
import numpy as np
import pandas as pd
import skops.io
import xgboost
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from . import onnx_cases

RANDOM = np.random.default_rng(3)
TABLE = pd.DataFrame(RANDOM.normal(size=(40, 3)), columns=["a", "b", "c"])
LABELS = (TABLE["a"] > 0).to_numpy().astype(int) + (TABLE["b"] > 1).to_numpy()
WORDS = np.array(["low", "mid", "high"])[LABELS]


@dataclasses.dataclass
class Form:
    """A model file.

    Attributes:
        flavor: The flavor that it has to get.
        path: The file or folder.
        answers: What the model says of every row of the example.
        example: The rows.
        trust: Types that have to be trusted by name.
    """

    flavor: str
    path: Path
    answers: list[Any]
    example: pd.DataFrame = dataclasses.field(default_factory=lambda: TABLE)
    trust: tuple[str, ...] = ()


FORMS: dict[str, Callable[[Path], Form]] = {}


def form(write: Callable[[Path], Form]) -> Callable[[Path], Form]:
    """Add a form; its function gets a path without a telling suffix."""
    FORMS[write.__name__] = write
    return write


@functools.cache
def classifiers() -> dict[str, Any]:
    """Return a fitted classifier per framework."""
    quiet = {"n_estimators": 5, "verbose": -1, "min_child_samples": 3}
    small = {"iterations": 5, "verbose": 0, "allow_writing_files": False}
    return {
        "sklearn": make_pipeline(StandardScaler(), LogisticRegression()).fit(TABLE, WORDS),
        "xgboost": xgboost.XGBClassifier(n_estimators=5).fit(TABLE, LABELS),
        "lightgbm": lightgbm.LGBMClassifier(**quiet).fit(TABLE, WORDS),
        "catboost": catboost.CatBoostClassifier(**small).fit(TABLE, WORDS),
    }


def saved(flavor: str, path: Path, model: Any) -> Form:
    return Form(flavor, path, np.asarray(model.predict(TABLE)).ravel().tolist())


def contained(flavor: str, how: str) -> Callable[[Path], Form]:
    """Return the writer of a framework's classifier in a container of any flavor's object."""

    def write(path: Path) -> Form:
        model = classifiers()[flavor]
        if how == "joblib, compressed":
            joblib.dump(model, path, compress=("zlib", 3))
        elif how == "pickle":
            path.write_bytes(pickle.dumps(model))
        elif how == "cloudpickle":
            path.write_bytes(cloudpickle.dumps(model))
        else:
            skops.io.dump(model, path, compression=zipfile.ZIP_DEFLATED)
        return saved(flavor, path, model)

    return write


for one in ("sklearn", "xgboost", "lightgbm", "catboost"):
    for manner in ("joblib, compressed", "pickle", "cloudpickle", "skops"):
        FORMS[f"{one} in {manner}"] = contained(one, manner)


@form
def xgboost_ubj_of_an_estimator(path: Path) -> Form:
    model = classifiers()["xgboost"]
    model.save_model(path.with_suffix(".ubj"))
    return saved("xgboost", path.with_suffix(".ubj").rename(path), model)


@form
def xgboost_json_of_a_booster(path: Path) -> Form:
    booster = xgboost.train({}, xgboost.DMatrix(TABLE, LABELS), 5)
    path.write_bytes(booster.save_raw("json"))
    return Form("xgboost", path, booster.predict(xgboost.DMatrix(TABLE)).tolist())


@form
def lightgbm_text_of_a_booster(path: Path) -> Form:
    booster = lightgbm.train({"verbose": -1, "min_data_in_leaf": 3}, lightgbm.Dataset(TABLE, LABELS), 5)
    booster.save_model(path)
    return Form("lightgbm", path, booster.predict(TABLE).tolist())


@form
def catboost_cbm(path: Path) -> Form:
    model = classifiers()["catboost"]
    model.save_model(str(path), format="cbm")
    return saved("catboost", path, model)


@form
def onnx_file(path: Path) -> Form:
    case = onnx_cases.text_classes()
    path.write_bytes(case.model.SerializeToString())
    example = pd.DataFrame(case.example.astype(float), columns=["w", "x", "y", "z"])
    return Form("onnx", path, list(case.answers), example)
