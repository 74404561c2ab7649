"""Conversion to formats that run no code: the copy answers the same, or nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.bundle.safety import Trust, check_files
from fairway.cli.main import main
from fairway.errors import BundleError, UsageError
from fairway.lifecycle.converting import _agree

joblib = pytest.importorskip("joblib")
datasets = pytest.importorskip("sklearn.datasets")

SAFE = Trust("safe-only")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a table and a forest."""
    from sklearn.ensemble import RandomForestClassifier

    place = tmp_path_factory.mktemp("models")
    features, labels = datasets.load_iris(return_X_y=True)
    rows = [
        dict(zip("abcd", row, strict=True)) | {"y": int(y)}
        for row, y in zip(features.tolist(), labels, strict=True)
    ]
    (place / "table.json").write_text(json.dumps(rows), encoding="utf-8")
    joblib.dump(RandomForestClassifier(5, random_state=0).fit(features, labels), place / "forest.joblib")
    return place


def fitted(model: Any) -> Any:
    return model.fit(*datasets.load_iris(return_X_y=True))


def convert(folder: Path, name: str, ending: str, out: Path) -> Any:
    return fw.convert(folder / name, out / f"model{ending}", example=folder / "table.json", target="y")


def test_a_forest_becomes_skops_and_answers_the_same(folder: Path, tmp_path: Path) -> None:
    """All rows of the example are compared; the file passes the strictest policy."""
    pytest.importorskip("skops")
    done = convert(folder, "forest.joblib", ".skops", tmp_path)

    assert (done.format, done.rows, done.type) == ("skops", 150, "RandomForestClassifier")
    check_files({"model.skops": (tmp_path / "model.skops").read_bytes()}, SAFE)


@pytest.mark.parametrize("ending", [".ubj", ".json"])
def test_an_xgboost_model_becomes_its_own_format(folder: Path, tmp_path: Path, ending: str) -> None:
    """The estimator of scikit-learn's manners is read back as one."""
    xgboost = pytest.importorskip("xgboost")
    joblib.dump(fitted(xgboost.XGBClassifier(n_estimators=3)), folder / "xgb.joblib")

    done = convert(folder, "xgb.joblib", ending, tmp_path)

    assert (done.format, done.rows) == ("xgboost", 150)
    check_files({done.path: Path(done.path).read_bytes()}, SAFE)


def test_a_lightgbm_model_becomes_text(folder: Path, tmp_path: Path) -> None:
    """The booster inside is compared."""
    lightgbm = pytest.importorskip("lightgbm")
    joblib.dump(fitted(lightgbm.LGBMClassifier(n_estimators=3, verbose=-1)), folder / "lgbm.joblib")

    done = convert(folder, "lgbm.joblib", ".txt", tmp_path)

    assert (done.format, done.rows) == ("lightgbm", 150)


def test_without_an_example_nothing_is_claimed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line says so."""
    pytest.importorskip("skops")
    assert main(["convert", str(folder / "forest.joblib"), str(tmp_path / "m.skops")]) == 0
    assert "not compared" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "out", "error"),
    [
        ("forest.joblib", "m.ubj", BundleError),
        ("forest.joblib", "m.onnx", UsageError),
        ("forest.joblib", "there.skops", UsageError),
    ],
)
def test_what_cannot_be_written_is_not(
    folder: Path, tmp_path: Path, name: str, out: str, error: type[Exception]
) -> None:
    """The wrong format, an unknown one, a file that exists."""
    (tmp_path / "there.skops").write_bytes(b"mine")

    with pytest.raises(error):
        fw.convert(folder / name, tmp_path / out)

    assert [path.name for path in tmp_path.iterdir()] == ["there.skops"]
    assert (tmp_path / "there.skops").read_bytes() == b"mine"


def test_a_difference_is_exit_code_three(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A class of the user's that comes back otherwise: nothing is written."""
    pytest.importorskip("skops")
    (tmp_path / "fading.py").write_text(
        "from sklearn.linear_model import LinearRegression\n"
        "class Fading(LinearRegression):\n"
        "    def __getstate__(self):\n"
        "        state = super().__getstate__()\n"
        "        return {**state, 'intercept_': state['intercept_'] + 1.0}\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import fading

    joblib.dump(fitted(fading.Fading()), tmp_path / "fading.joblib")
    arguments = ["convert", str(tmp_path / "fading.joblib"), str(tmp_path / "m.skops"), "--target", "y"]
    arguments += ["--example", str(folder / "table.json"), "--code", str(tmp_path / "fading.py")]

    assert main(arguments) == 3
    assert "after the conversion" in capsys.readouterr().err
    assert not (tmp_path / "m.skops").exists()


def test_lists_in_lists_are_compared_by_element() -> None:
    """As probabilities are."""
    assert _agree([[0.5, 0.5]], [[0.5, 0.5 + 1e-12]], 1e-9)
    assert not _agree([[0.5, 0.5]], [[0.5, 0.6]], 1e-9)
    assert not _agree([1], [1, 2], 1e-9)
