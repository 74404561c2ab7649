"""What Keras makes: archives, HDF5 files and models answer, once packed, as they do."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from fairway.bundle.bundle import Bundle
from fairway.errors import ArtifactUnsafe, BundleError
from fairway.flavors.base import flavor_of
from fairway.flavors.keras import FLAVOR
from fairway.inference.loaded import load_model
from fairway.inference.proof import prove
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.messages import Columns
from fairway.testing import check_flavor

MODELS = Path(__file__).parent / "models"
X = np.random.default_rng(7).normal(size=(30, 4)).astype(np.float32)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Make the same weights every time."""
    keras.utils.set_random_seed(0)
    with warnings.catch_warnings(action="ignore"):
        yield


def classifier() -> keras.Model:
    """Return a network with probabilities for three classes."""
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(6, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def answers(model: Any, rows: Any = X) -> Any:
    """Return what a network says of rows, as a user would ask it."""
    return np.asarray(model.predict(rows, verbose=0))


def packed(model: Any, example: Any = X, *, code: Any = (), **wishes: Any) -> Bundle:
    """Pack a model or file."""
    return make_bundle(model, name="net", example=example, code=code, facts=Facts(), wishes=Wishes(**wishes))


def replies(bundle: Bundle, rows: Any = X) -> Any:
    """Return what a bundle answers to rows of numbers."""
    return load_model(bundle).predict(Columns(bundle.signature.names, rows.tolist()), probabilities=True)


def test_a_model_is_packed_as_an_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object answers as it does once trained, also in a new process that has to choose the backend."""
    monkeypatch.delenv("KERAS_BACKEND")
    model = classifier()

    bundle = check_flavor(FLAVOR, model, X, answers=answers(model))

    assert flavor_of(model) is FLAVOR  # although its backend's classes are among its ancestors
    assert "model/model.keras" in bundle.manifest.files
    assert bundle.manifest.hyperparameters["layers"] == "Dense, BatchNormalization, Dropout, Dense"


@pytest.mark.parametrize(("suffix", "kept"), [(".keras", "model/model.keras"), (".h5", "model/model.h5")])
def test_files_are_kept_as_they_are(suffix: str, kept: str, tmp_path: Path) -> None:
    """Archives and HDF5 files are told apart by their content, and kept byte for byte."""
    model = classifier()
    saved = tmp_path / f"model{suffix}"
    model.save(saved)
    path = saved.rename(tmp_path / "model")

    bundle = packed(path, classes=["a", "b", "c"])
    prove(bundle)

    assert bundle.read(kept) == path.read_bytes()
    assert bundle.manifest.options["scale"] == "probabilities"
    outputs = replies(bundle)
    assert outputs.values["prediction"] == [["a", "b", "c"][i] for i in answers(model).argmax(1)]
    np.testing.assert_allclose(outputs.probabilities, answers(model), rtol=1e-4, atol=1e-6)


def test_inputs_and_outputs_go_by_their_names() -> None:
    """Columns that are named like the inputs of a functional model become its tensors."""
    size = keras.Input((1,), name="size")
    place = keras.Input((2,), name="place")
    row = keras.layers.Concatenate()([size, place])
    model = keras.Model(
        [size, place], {"rent": keras.layers.Dense(1)(row), "score": keras.layers.Dense(1)(row)}
    )
    rows = [{"place": [float(r[1]), float(r[2])], "size": float(r[0])} for r in X]
    said = model.predict([X[:, :1], X[:, 1:3]], verbose=0)

    bundle = packed(model, rows)
    got = load_model(bundle).predict(
        Columns(bundle.signature.names, [[row[name] for name in bundle.signature.names] for row in rows])
    )

    assert bundle.manifest.options["feed"] == "tensors"
    np.testing.assert_allclose(got.values["rent"], said["rent"][:, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got.values["score"], said["score"][:, 0], rtol=1e-4, atol=1e-5)


def test_layers_of_the_user_travel_with_the_model() -> None:
    """A registered layer in a file of the user's is found in a process that never saw it."""
    from own_layers import Scale

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1), Scale(3.0)])
    expected = answers(model)[:, 0]

    bundle = packed(model, code=[MODELS / "own_layers.py"])
    prove(bundle)

    np.testing.assert_allclose(replies(bundle).values["prediction"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_layer_is_refused(suffix: str, tmp_path: Path) -> None:
    """Python code inside a file is not run, whatever the file's form."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2.0)])
    path = tmp_path / f"model{suffix}"
    model.save(path)

    with pytest.raises(ArtifactUnsafe) as refused:
        packed(path)
    assert "--code" in refused.value.hint or "--trust" in refused.value.hint


def test_an_archive_that_names_a_function_of_the_system_is_refused(tmp_path: Path) -> None:
    """A configuration that was changed to name something else than a layer constructs nothing."""
    path, hostile = tmp_path / "model.keras", tmp_path / "hostile.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(path)
    marker = tmp_path / "marker"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(hostile, "w") as changed:
        for name in whole.namelist():
            data = whole.read(name)
            if name == "config.json":
                config = json.loads(data)
                config["config"]["layers"][1] = {
                    "module": "pathlib",
                    "class_name": "Path.touch",
                    "config": str(marker),
                    "registered_name": None,
                }
                data = json.dumps(config).encode()
            changed.writestr(name, data)

    with pytest.raises(BundleError):
        packed(hostile)
    assert not marker.exists()


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    """An HDF5 file without the layers is refused by its content."""
    path = tmp_path / "model.weights.h5"
    classifier().save_weights(path)

    with pytest.raises(BundleError):
        packed(path)
