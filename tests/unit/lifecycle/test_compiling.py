"""Compiling a packed model: in a fresh process, with an honest report whatever happens there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, Ridge

from fairway.bundle.bundle import Bundle, build_bundle
from fairway.errors import PackedModelDiffers, PredictorNotProven, UsageError
from fairway.lifecycle.compiling import check_mode, compile_packed, prove_and_compile, report_of
from fairway.lifecycle.pack import Facts, Wishes, pack_model

pytestmark = pytest.mark.slow

IRIS = load_iris()
HEADER = "import os\nfrom sklearn.linear_model import Ridge\n\n\nclass Odd(Ridge):\n"
METHOD = "    def as_steps(self):\n        "


def pack(model: Any, example: Any, *, name: str = "odd", **options: Any) -> Bundle:
    options = {"code": ()} | options
    return pack_model(model, name=name, example=example, facts=Facts(), wishes=Wishes(), **options)


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Callable[[str], tuple[Any, Path]]]:
    """Give a function that returns a model that does something when it is compiled, and its module."""
    code = tmp_path / "odd_of_this_test.py"

    def make(body: str) -> tuple[Any, Path]:
        code.write_text(HEADER + METHOD + body + "\n")
        module = importlib.import_module(code.stem)
        return module.Odd().fit([[0.0], [1.0]], [0.0, 1.0]), code

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        yield make
    sys.modules.pop(code.stem, None)


@pytest.fixture(scope="module")
def iris() -> Bundle:
    """Give a packed and compiled model."""
    return pack(LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target), IRIS.data)


def test_packing_compiles_and_proves_with_the_rows_of_the_example(iris: Bundle) -> None:
    """The attachment belongs to the bundle, whose digest does not know of it."""
    report = report_of(iris)
    assert report is not None
    assert report["predictor"] == "numpy"
    assert report["digest"] == iris.digest == iris.attachments["compiled"].subject
    assert report["compilers"]["numpy"]["rows"]["given rows"] == len(IRIS.data)
    assert "numpy/program.json" in iris.attachments["compiled"].manifest.files


def test_off_leaves_the_model_as_it_is() -> None:
    """Nothing is attached, and the copy is proven as ever."""
    model = Ridge().fit([[0.0], [1.0]], [0.0, 1.0])
    assert pack(model, [[0.0], [1.0]], compile="off").attachments == {}


def test_a_compiler_that_raises_is_told_in_the_report(odd: Callable[[str], tuple[Any, Path]]) -> None:
    """The push goes on, and the original serves."""
    model, code = odd("raise KeyError('lost')")
    report = report_of(pack(model, [[0.0], [1.0]], code=[code]))
    assert report is not None
    assert report["predictor"] == "native"
    assert report["compilers"]["numpy"]["verdict"] == "failed"
    assert "because it was not compiled (the compiler raised KeyError: 'lost')" in report["reason"]


def test_a_compiler_that_takes_its_process_down_is_told_in_the_report(
    odd: Callable[[str], tuple[Any, Path]],
) -> None:
    """The packed copy has passed its proof before that."""
    model, code = odd("os._exit(9)")
    report = report_of(pack(model, [[0.0], [1.0]], code=[code]))
    assert report is not None
    assert report["predictor"] == "native"
    assert report["reason"] == (
        "the model serves as it is, because it could not be compiled: "
        "the process that compiled it failed (exit status 9)"
    )


def test_require_refuses_what_was_not_proven(odd: Callable[[str], tuple[Any, Path]]) -> None:
    """With the reason of the report; the exit code of the command line is 3."""
    model, code = odd("raise KeyError('lost')")
    with pytest.raises(
        PredictorNotProven, match=r"no compiled predictor of 'odd' was proven: .*'lost'"
    ) as caught:
        pack(model, [[0.0], [1.0]], code=[code], compile="require")
    assert caught.value.exit_code == 3


def test_a_copy_that_fails_its_proof_is_refused_as_before() -> None:
    """Compiling is no way around the proof of the packed copy."""
    bundle = pack(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), [[0.0], [1.0]], compile="off")
    facts = {f: getattr(bundle.manifest, f) for f in bundle.manifest.__struct_fields__ if f != "files"}
    contents = {path: bundle.read(path) for path in bundle.manifest.files}
    golden = contents["golden.json"].replace(b'"prediction":[', b'"prediction":[9')
    with pytest.raises(PackedModelDiffers, match="fails its golden examples"):
        prove_and_compile(build_bundle(contents | {"golden.json": golden}, **facts))


def test_what_a_bundle_brings_is_kept(iris: Bundle) -> None:
    """It is not compiled again; `off` leaves it out, and `require` asks for its report."""
    assert compile_packed(iris).attachments["compiled"] is iris.attachments["compiled"]
    assert compile_packed(iris, mode="require").attachments == iris.attachments
    bare = compile_packed(iris, mode="off")
    assert bare.attachments == {}
    assert report_of(compile_packed(bare))["predictor"] == "numpy"  # type: ignore[index]


def test_modes_are_checked() -> None:
    """Before anything is packed."""
    assert check_mode("off") == "off"
    with pytest.raises(UsageError, match="compile cannot be 'maybe'"):
        check_mode("maybe")
