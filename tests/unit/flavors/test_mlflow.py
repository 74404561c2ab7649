"""Model folders of MLflow, read without MLflow: what they say of a model, and what they may not say."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import Ridge

from fairway.bundle.safety import Trust
from fairway.errors import ArtifactCorrupt, ArtifactUnsafe, ExampleInvalid, MissingExtra, UsageError
from fairway.flavors.mlflow import IMPORTER
from fairway.lifecycle.pack import Facts, Wishes, make_bundle

X = pd.DataFrame(np.random.default_rng(7).normal(size=(20, 3)), columns=["size", "rooms", "age"])
MODEL = Ridge().fit(X, X["size"])
COLUMNS = [
    {"name": "size", "type": "double", "required": True},
    {"name": "rooms", "type": "double", "required": True},
    {"name": "age", "type": "float", "required": False},
]
SPLIT = {"columns": list(X.columns), "data": X.head(6).to_numpy().tolist()}


def dumped(model: Any) -> bytes:
    """Return a model as a joblib file."""
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


def described(**changes: Any) -> dict[str, Any]:
    """Return the description of a folder with a model of scikit-learn."""
    return {
        "flavors": {
            "python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.pkl"},
            "sklearn": {"pickled_model": "model.pkl", "code": None},
        },
        "mlflow_version": "3.1.0",
        "run_id": "0af3",
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "dataframe"},
        "signature": {"inputs": json.dumps(COLUMNS), "outputs": None},
        **changes,
    }


def folder(about: Any, **more: bytes) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {
        "MLmodel": yaml.safe_dump(about).encode() if isinstance(about, dict) else about,
        "model.pkl": dumped(MODEL),
        "requirements.txt": b"# made by hand\nscikit-learn==1.7.2\n",
        "input_example.json": json.dumps(SPLIT).encode(),
        **{name.replace("__", "/").replace("_dot_", "."): data for name, data in more.items()},
    }


def written(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder, and return it."""
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def packed(path: Path, example: Any = None, *, target: str | None = None, **given: Any) -> Any:
    """Pack a folder."""
    wishes = Wishes(target=target)
    return make_bundle(path, name="m", example=example, code=(), facts=Facts(), wishes=wishes, **given)


def test_a_folder_needs_no_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Example, order, kinds, optional columns, requirements and lineage come from the folder."""
    monkeypatch.setitem(sys.modules, "mlflow", None)

    bundle = packed(written(tmp_path / "folder", folder(described())))

    inputs = {entry.name: (entry.kind, entry.nullable) for entry in bundle.signature.inputs}
    assert bundle.manifest.flavor == "sklearn"
    assert inputs == {"size": ("number", False), "rooms": ("number", False), "age": ("number", True)}
    assert bundle.environment["declared"] == ["scikit-learn==1.7.2"]
    assert bundle.manifest.lineage == {"mlflow_run_id": "0af3", "mlflow_version": "3.1.0"}


def test_an_example_of_the_user_comes_first(tmp_path: Path) -> None:
    """Its columns are put into the order of the folder's signature, and those that it does not name go."""
    table = X.assign(note="x", price=1.0)[["age", "note", "price", "rooms", "size"]]

    bundle = packed(written(tmp_path / "folder", folder(described())), table, target="price")

    assert bundle.signature.names == ("size", "rooms", "age")
    assert bundle.signature.inputs[0].maximum == X["size"].max()


def test_a_column_that_the_example_lacks_is_named(tmp_path: Path) -> None:
    """An example has what the signature requires."""
    with pytest.raises(ExampleInvalid, match="has the column 'rooms', which the example lacks"):
        packed(written(tmp_path / "folder", folder(described())), X[["size", "age"]])


def test_code_in_the_folder_travels_with_the_model(tmp_path: Path) -> None:
    """Modules below the folder's code are the bundle's own."""
    about = described()
    about["flavors"]["sklearn"]["code"] = "code"
    files = folder(about, code__features_dot_py=b"LIMIT = 3\n", code__data_dot_txt=b"no module")

    assert packed(written(tmp_path / "folder", files)).code == {"features.py": b"LIMIT = 3\n"}


def test_a_folder_without_example_asks_for_one(tmp_path: Path) -> None:
    """A signature is learnt from rows, which somebody has to give."""
    about = described(saved_input_example_info=None)

    with pytest.raises(UsageError, match="learnt from an example table, and none was given"):
        packed(written(tmp_path / "folder", folder(about)))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (b"flavors: [", "is no YAML"),
        (b"\x00\xff", "is no YAML"),
        (b"[" * 5000, "is no YAML"),
        (b"- a list", "names no flavor"),
        (b"flavors: {}", "names no flavor"),
        (b"#" * 1_000_001, "a description has a few thousand"),
        (described(flavors={"sklearn": {"pickled_model": "../model.pkl"}}), "where there is none"),
        (described(flavors={"sklearn": {"pickled_model": "/model.pkl/../MLmodel"}}), "where there is none"),
        (described(flavors={"sklearn": {}}), "where there is none"),
        (described(signature={"inputs": "{"}), "the signature in MLmodel cannot be read"),
        (described(signature={"inputs": "[1]"}), "the signature in MLmodel cannot be read"),
    ],
)
def test_a_damaged_description_is_refused(about: Any, message: str) -> None:
    """What the description says is checked, and a path is only the name of a file in the folder."""
    with pytest.raises(ArtifactCorrupt, match=message):
        IMPORTER.open(folder(about), "folder")


def test_a_description_constructs_nothing(tmp_path: Path) -> None:
    """A tag of YAML that would call a function is refused, and the function is not called."""
    marker = tmp_path / "marker"
    about = (
        f"flavors: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{marker}']]"
    )

    with pytest.raises(ArtifactCorrupt, match="is no YAML"):
        IMPORTER.open(folder(about.encode()), "folder")
    assert not marker.exists()


def test_references_to_references_stay_small() -> None:
    """What a description refers to many times is one object, however often it is said."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]" for n in range(1, 40))]
    about = "\n".join([*lines, yaml.safe_dump(described())])

    assert IMPORTER.open(folder(about.encode()), "folder").names == ["size", "rooms", "age"]


def test_a_column_of_bytes_is_refused() -> None:
    """A type that no input can have is named."""
    about = described(signature={"inputs": json.dumps([{"name": "photo", "type": "binary"}])})

    with pytest.raises(ExampleInvalid, match="'photo' of the signature is of the type binary"):
        IMPORTER.open(folder(about), "folder")


def test_a_python_function_is_code_to_be_trusted(tmp_path: Path) -> None:
    """What only MLflow can load is refused before MLflow is imported."""
    about = described(flavors={"python_function": {"loader_module": "mlflow.pyfunc.model"}})

    with pytest.raises(ArtifactUnsafe) as refused:
        packed(written(tmp_path / "folder", folder(about)))
    assert refused.value.hint.endswith("--trust mlflow.pyfunc")


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML reads a folder, MLflow itself only a python_function."""
    about = described(flavors={"python_function": {"loader_module": "mlflow.pyfunc.model"}})
    path = written(tmp_path / "folder", folder(about))

    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtra) as missing:
        packed(path, trust=Trust(types=frozenset({"mlflow.pyfunc"})))
    assert missing.value.hint == "pip install 'fairway[mlflow-pyfunc]'"
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtra) as missing:
        packed(path)
    assert missing.value.hint == "pip install 'fairway[mlflow]'"
