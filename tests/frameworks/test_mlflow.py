"""Model folders that MLflow has written, of every framework here: read, packed, and answering as before."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import keras
import mlflow.keras
import mlflow.pyfunc
import mlflow.pytorch
import mlflow.sklearn
import mlflow.xgboost
import numpy as np
import pandas as pd
import pytest
import small_net
import torch
import xgboost
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from fairway.bundle.bundle import Bundle
from fairway.bundle.safety import Trust
from fairway.errors import ArtifactUnsafe, MissingExtra
from fairway.flavors.base import find_flavors
from fairway.inference.loaded import load_model
from fairway.inference.proof import prove
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.messages import Columns

MODELS = Path(__file__).parent / "models"
RANDOM = np.random.default_rng(7)
TABLE = pd.DataFrame(
    {"size": RANDOM.normal(size=30), "rooms": RANDOM.integers(1, 6, 30), "old": RANDOM.random(30) > 0.5}
)
LABELS = (TABLE["size"] > 0).astype(int)
pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow advises whoever saves a model
LINES = ["scikit-learn==1.7.2", "some-package>=2"]


@pytest.fixture(autouse=True)
def in_silence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let MLflow advise unheard, and keep what it writes beside the folder in the test's own."""
    monkeypatch.chdir(tmp_path)
    logging.getLogger("mlflow").setLevel(logging.ERROR)


def packed(folder: Path, *, trust: Any = (), **given: Any) -> Bundle:
    """Pack a folder with nothing but what it says of itself."""
    return make_bundle(
        folder,
        name="model",
        example=given.get("example"),
        code=given.get("code", ()),
        facts=Facts(),
        wishes=Wishes(),
        trust=Trust(types=frozenset(trust)),
    )


def replies(bundle: Bundle, table: Any) -> dict[str, list[Any]]:
    """Return what a bundle answers to the rows of a frame or array, by output."""
    chosen = table[list(bundle.signature.names)].astype(object).to_numpy() if hasattr(table, "loc") else table
    columns = Columns(bundle.signature.names, chosen.tolist())
    return load_model(bundle).predict(columns, probabilities=True).values  # noqa: PD011 - no frame of pandas


def test_a_folder_of_scikit_learn_becomes_a_model_of_scikit_learn(tmp_path: Path) -> None:
    """Signature, example and requirements come from the folder; the framework's own flavor loads it."""
    model = LogisticRegression().fit(TABLE, LABELS)
    mlflow.sklearn.save_model(
        model,
        tmp_path / "folder",
        serialization_format="cloudpickle",
        signature=infer_signature(TABLE, model.predict(TABLE)),
        input_example=TABLE.head(5),
        pip_requirements=LINES,
    )

    bundle = packed(tmp_path / "folder")
    prove(bundle)

    kinds = {entry.name: entry.kind for entry in bundle.signature.inputs}
    assert bundle.manifest.flavor == "sklearn"
    assert kinds == {"size": "number", "rooms": "integer", "old": "boolean"}
    assert set(LINES) <= set(bundle.environment["declared"])
    assert bundle.manifest.lineage["mlflow_version"] == mlflow.__version__
    assert replies(bundle, TABLE)["prediction"] == model.predict(TABLE).tolist()


def test_optional_columns_may_be_missing(tmp_path: Path) -> None:
    """What the folder's signature does not require is null or left out, although no example row shows it."""
    model = xgboost.XGBClassifier(n_estimators=3).fit(TABLE, LABELS)
    gaps = TABLE.assign(size=TABLE["size"].where(TABLE.index > 3))
    mlflow.sklearn.save_model(
        model,
        tmp_path / "folder",
        serialization_format="cloudpickle",
        signature=infer_signature(gaps, model.predict(TABLE)),
        input_example=TABLE.tail(5),
        pip_requirements=LINES,
    )

    inputs = packed(tmp_path / "folder").signature.inputs

    assert {entry.name: entry.nullable for entry in inputs} == {"size": True, "rooms": False, "old": False}


@pytest.mark.skipif("xgboost" not in find_flavors(), reason="needs the flavor of XGBoost")
def test_a_folder_of_xgboost_becomes_a_model_of_xgboost(tmp_path: Path) -> None:
    """The framework's own file inside is read by the framework's own flavor."""
    model = xgboost.XGBRegressor(n_estimators=3).fit(TABLE[["size", "rooms"]], TABLE["size"])
    mlflow.xgboost.save_model(
        model, tmp_path / "folder", input_example=TABLE[["size", "rooms"]].head(5), pip_requirements=LINES
    )

    bundle = packed(tmp_path / "folder")

    assert bundle.manifest.flavor == "xgboost"
    (values,) = replies(bundle, TABLE).values()
    np.testing.assert_allclose(values, model.predict(TABLE[["size", "rooms"]]), rtol=1e-5)


def test_a_folder_of_pytorch_becomes_a_program(tmp_path: Path) -> None:
    """MLflow exports a network with its example; the rows in it are the example of the bundle."""
    model = small_net.SmallNet().eval()
    rows = RANDOM.normal(size=(6, 4)).astype(np.float32)
    mlflow.pytorch.save_model(
        model,
        tmp_path / "folder",
        input_example=rows,
        pip_requirements=LINES,
        export_model=True,
        signature=infer_signature(rows, rows[:, :1]),
    )

    bundle = packed(tmp_path / "folder")

    assert bundle.manifest.flavor == "torch"
    got = replies(bundle, rows)["prediction"]
    with torch.inference_mode():
        expected = model(torch.from_numpy(rows)).numpy()[:, 0]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_a_folder_of_keras_becomes_a_model_of_keras(tmp_path: Path) -> None:
    """A folder without a signature is packed with an example of the user's."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    rows = RANDOM.normal(size=(6, 4)).astype(np.float32)
    mlflow.keras.save_model(model, str(tmp_path / "folder"), pip_requirements=LINES)

    bundle = packed(tmp_path / "folder", example=rows)

    assert bundle.manifest.flavor == "keras"
    got = replies(bundle, rows)["prediction"]
    np.testing.assert_allclose(got, model.predict(rows, verbose=0)[:, 0], rtol=1e-4, atol=1e-6)


def python_function(folder: Path) -> Path:
    """Save a python_function whose code is a file, and return its folder."""
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(MODELS / "doubling.py"),
        signature=infer_signature(
            TABLE.astype({"rooms": "int32", "size": "float32"}),
            pd.DataFrame({"size": [1.0], "large": [True]}),
        ),
        input_example=TABLE.astype({"rooms": "int32", "size": "float32"}).head(8),
        pip_requirements=LINES,
    )
    return folder


def test_a_python_function_is_loaded_only_when_it_is_trusted(tmp_path: Path) -> None:
    """Its code is MLflow's to run, and the user's to allow; then it answers, also in a new process."""
    folder = python_function(tmp_path / "folder")

    with pytest.raises(ArtifactUnsafe, match="python_function") as refused:
        packed(folder)
    assert refused.value.hint.endswith("--trust mlflow.pyfunc")
    bundle = packed(folder, trust=["mlflow.pyfunc"])
    prove(bundle)

    values = replies(bundle, TABLE)
    assert bundle.manifest.flavor == "mlflow"
    assert values["large"] == (TABLE["rooms"] > 3).tolist()
    np.testing.assert_allclose(values["size"], 2 * TABLE["size"], rtol=1e-6)


def test_a_python_function_without_mlflow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only this kind of folder needs MLflow itself."""
    bundle = packed(python_function(tmp_path / "folder"), trust=["mlflow.pyfunc"])
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", None)

    with pytest.raises(MissingExtra) as missing:
        load_model(bundle)
    assert missing.value.hint == "pip install 'fairway[mlflow-pyfunc]'"
