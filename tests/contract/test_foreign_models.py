"""Models that others made: what loads answers as its makers say, what cannot be loaded says what to do."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fairway as fw
from fairway.bundle.bundle import Bundle
from fairway.errors import ArtifactCorrupt
from fairway.inference.loaded import LoadedModel, load_model
from fairway.messages import Columns

pytestmark = pytest.mark.service("models")

MODELS = Path(os.environ.get("FAIRWAY_TEST_MODELS", Path(__file__).parents[3] / "shared" / "models"))
IRIS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6], [5.1, 3.5, 1.4, 0.2], [7.7, 2.6, 6.9, 2.3]]


def packed(file: str, example: Any, folder: Path) -> Bundle:
    """Pack a file; the packed copy has answered in a fresh process."""
    return fw.pack(MODELS / file, folder / "packed.fairway", example=example, home=folder / "home")


def answers(loaded: LoadedModel, rows: list[Any]) -> Any:
    return loaded.predict(Columns(loaded.signature.names, rows), probabilities=True)


def test_xgboost_ubj(tmp_path: Path) -> None:
    """The four flowers of KServe."""
    bundle = packed("xgboost/iris.ubj", IRIS, tmp_path)
    assert bundle.manifest.flavor == "xgboost"
    for predictor in ("native", "auto"):
        assert answers(load_model(bundle, predictor=predictor), IRIS).values["prediction"] == [1, 1, 0, 2]


def test_old_xgboost_json_loads_with_a_warning(tmp_path: Path) -> None:
    """Of the sixth release before; XGBoost itself says what to do about it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        bundle = packed("xgboost/mushroom.json", np.eye(126), tmp_path)
    assert any("saved before XGBoost 1.6" in str(warning.message) for warning in said)
    assert bundle.manifest.model_type == "XGBClassifier (binary:logistic)"
    assert set(bundle.golden.expected["prediction"]) <= {0, 1}


def test_the_old_binary_format_of_xgboost_is_refused(tmp_path: Path) -> None:
    """With the commands that convert it."""
    with pytest.raises(ArtifactCorrupt, match="old binary format") as caught:
        packed("xgboost/iris_old_binary.bst", IRIS, tmp_path)
    assert "pip install 'xgboost<3.1'" in caught.value.hint
    assert "save_model" in caught.value.hint
    assert not (tmp_path / "packed.fairway").exists()


def test_lightgbm_text_under_another_name(tmp_path: Path) -> None:
    """The content decides, not the suffix."""
    bundle = packed("lightgbm/iris_text_named.bst", IRIS, tmp_path)
    assert bundle.manifest.flavor == "lightgbm"
    for predictor in ("native", "auto"):
        found = answers(load_model(bundle, predictor=predictor), IRIS)
        assert found.values["prediction"] == [1, 1, 0, 2]
        assert found.probabilities[0] == pytest.approx([0.00032, 0.95982, 0.03986], abs=1e-5)


def test_lightgbm_categories_are_exact(tmp_path: Path) -> None:
    """180 rows, every bit."""
    lines = (MODELS / "lightgbm/toy_categorical.test").read_text().split("\n")
    rows = [[float(pair.split(":")[1]) for pair in line.split()[1:]] for line in lines if line]
    expected = [float(text) for text in (MODELS / "lightgbm/toy_categorical.test.pred").read_text().split()]
    bundle = packed("lightgbm/toy_categorical_model.txt", rows, tmp_path)
    assert len(rows) == len(expected) == 180
    for predictor in ("native", "auto"):
        assert answers(load_model(bundle, predictor=predictor), rows).values["prediction"] == expected


def test_catboost_cbm(tmp_path: Path) -> None:
    """The share is that of the raw score which its makers wrote down."""
    row = list(range(10))
    bundle = packed("catboost/logloss10.cbm", [row, row[::-1]], tmp_path)
    found = answers(load_model(bundle), [row])
    assert found.values["prediction"] == [0]
    no, yes = found.probabilities[0]
    assert np.log(yes / no) == pytest.approx(-0.5009224726385373, rel=1e-12)


@pytest.mark.parametrize(("file", "kind"), [("simple", int), ("simple_string", str)])
def test_onnx_with_two_inputs_and_two_outputs(file: str, kind: type, tmp_path: Path) -> None:
    """Sum and difference, of whole numbers and of texts of numbers."""
    ones, count = [kind(1)] * 16, [kind(n) for n in range(16)]
    rows = [{"INPUT0": count, "INPUT1": ones}] * 2
    bundle = packed(f"onnx/{file}.onnx", rows, tmp_path)
    found = answers(load_model(bundle), [[count, ones]]).values
    assert [found[f"OUTPUT0_{n}"] for n in range(16)] == [[kind(n + 1)] for n in range(16)]
    assert [found[f"OUTPUT1_{n}"] for n in range(16)] == [[kind(n - 1)] for n in range(16)]


@pytest.mark.parametrize(
    "file",
    ["xgboost/iris.ubj", "lightgbm/toy_categorical_model.txt", "catboost/logloss10.cbm", "onnx/simple.onnx"],
)
def test_a_file_that_was_cut_off_is_refused(file: str, tmp_path: Path) -> None:
    """Wherever it was; the process lives on."""
    whole = (MODELS / file).read_bytes()
    for part in (0.3, 0.6, 0.9, 0.99):
        cut = tmp_path / "cut"
        cut.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(fw.errors.BundleError):
            fw.pack(cut, tmp_path / "packed", example=IRIS, home=tmp_path / "home")
    assert not (tmp_path / "packed").exists()
