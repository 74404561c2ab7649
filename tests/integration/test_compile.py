"""Compiling on the command line: what is printed, what is refused, and what then serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fairway as fw
from fairway.bundle.attachment import build_attachment
from fairway.bundle.bundle import open_bundle
from fairway.cli.main import main
from fairway.errors import UntrustedBundle
from fairway.testing import running_server

from .conftest import IRIS_ROW, iris_model, iris_table, snapshot

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home folder with iris:1, not compiled, and a bundle file of it that was."""
    home = tmp_path_factory.mktemp("shop") / "home"
    fw.push(iris_model(), name="iris", example=iris_table(), compile="off", home=home)
    fw.pack(iris_model(), home.parent / "iris.fairway", name="iris", example=iris_table(), home=home)
    return home


def run(*arguments: str | Path, home: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    capsys.readouterr()
    ended = main([*map(str, arguments), "--home", str(home)])
    out, err = capsys.readouterr()
    assert ended == code, err
    return out + err


def undecided() -> Any:
    """Return a fitted model that has no compiled form."""
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(optimizer=None).fit(np.arange(12.0).reshape(-1, 1), np.arange(12.0))


def test_a_version_is_compiled_later(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report is printed, kept, shown, and obeyed at the next load."""
    assert fw.load("iris:1", home=shop).predictor_name == "native"
    printed = run("compile", "iris:1", home=shop, capsys=capsys)
    assert printed.startswith("Compiled iris:1\nPredictor  numpy was proven equal and takes ")
    assert "\nnumpy      equal            float64" in printed
    assert "\nonnx       not convertible" in printed
    assert "numpy was proven equal" in run("show", "iris:1", home=shop, capsys=capsys)
    shown = json.loads(run("show", "iris:1", "--json", home=shop, capsys=capsys))
    assert (shown["predictor"], shown["compilation"]["compilers"]["numpy"]["verdict"]) == ("numpy", "equal")
    model = fw.load("iris:1", home=shop)
    assert (model.predictor_name, model.reason) == ("numpy", shown["reason"])
    assert run("doctor", home=shop, capsys=capsys)


def test_a_bundle_takes_its_predictor_along(shop: Path, tmp_path: Path) -> None:
    """From the file into the registry and out again, without being compiled anew."""
    bundle = open_bundle(shop.parent / "iris.fairway")
    version = fw.push(shop.parent / "iris.fairway", home=shop)
    pulled = fw.pull(version.reference, tmp_path / "iris", home=shop)
    assert pulled.digest == bundle.digest
    for found in (pulled, open_bundle(tmp_path / "iris")):
        assert found.attachments["compiled"].digest == bundle.attachments["compiled"].digest
    assert fw.load(tmp_path / "iris", home=shop).predictor_name == "numpy"


@pytest.mark.parametrize("name", ["iris.fairway", "iris"])
def test_a_bundle_is_compiled_in_its_place(
    shop: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A swapped attachment is refused although its hashes fit; compiling anew puts that right."""
    bundle = fw.pull("iris:1", tmp_path / name, home=shop)
    forged = build_attachment(bundle.digest, "compiled", {"report.json": b'{"format":1}'})
    bundle.with_attachments([forged]).save_attachments(tmp_path / name)
    with pytest.raises(UntrustedBundle, match="the attachment 'compiled' of the bundle 'iris'"):
        fw.load(tmp_path / name, home=shop)
    with pytest.raises(UntrustedBundle):
        fw.push(tmp_path / name, home=shop)

    report = json.loads(run("compile", tmp_path / name, "--json", home=shop, capsys=capsys))
    assert report["predictor"] == "numpy"
    assert fw.load(tmp_path / name, home=shop).predictor_name == "numpy"


def test_require_registers_nothing_without_a_proof(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 with the reason; auto registers the same model as it is, and compile ends with 3, too."""
    import joblib

    joblib.dump(undecided(), tmp_path / "odd.joblib")
    (tmp_path / "rows.csv").write_text("a\n" + "\n".join(map(str, np.arange(12.0))))
    arguments = ("push", tmp_path / "odd.joblib", "--example", tmp_path / "rows.csv")
    printed = run(*arguments, "--compile", "require", home=home, capsys=capsys, code=3)
    assert "no compiled predictor of 'odd' was proven" in printed
    assert "GaussianProcessRegressor has no compiled form" in printed
    assert fw.list_models(home=home) == []
    assert not [path for path in (home / "artifacts").rglob("*") if path.is_file()]

    printed = run(*arguments, home=home, capsys=capsys)
    assert "Predictor  the model serves as it is, because it was not compiled" in printed
    before = snapshot(home)
    printed = run("compile", "odd", home=home, capsys=capsys, code=3)
    assert printed.startswith("odd stays as it is\n")
    assert before["versions"] == snapshot(home)["versions"]


def test_the_server_says_what_answers(shop: Path) -> None:
    """In the event of the load; forced by the environment as by the flag."""
    path = shop.parent / "iris.fairway"
    bodies = set()
    for predictor in ("numpy", "native"):
        with running_server(path, home=shop, environ={"FAIRWAY_SERVER_PREDICTOR": predictor}) as server:
            bodies.add(server.ask("/predict", IRIS_ROW).body)
            lines = [line for line in server.log.read_text().splitlines() if '"model.loaded"' in line]
        (loaded,) = map(json.loads, lines)
        assert (loaded["predictor"], loaded["reason"]) == (predictor, f"{predictor} was asked for")
    assert len(bodies) == 1


def test_a_predictor_that_was_not_proven_is_refused(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything listens; the hint names what may serve."""
    printed = run(
        "serve",
        shop.parent / "iris.fairway",
        "--port",
        "0",
        "--predictor",
        "onnx",
        home=shop,
        capsys=capsys,
        code=3,
    )
    assert "Error: the predictor 'onnx' must not serve this model: the model has no trees" in printed
    assert "Try: what may serve it: numpy, native" in printed
