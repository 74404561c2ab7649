"""Which predictor answers: the proven one, the next one where it cannot be loaded, the original at last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fairway.bundle.attachment import build_attachment
from fairway.bundle.bundle import Bundle
from fairway.compilers.compilation import compile_bundle
from fairway.errors import ArtifactCorrupt, MissingExtra, PredictorNotProven
from fairway.inference.loaded import load_model
from fairway.inference.predictors import choices_of, load_native

from .test_loaded import golden_with, rebuilt

Make = Callable[..., Any]


def attach(bundle: Bundle, files: dict[str, bytes]) -> Bundle:
    return bundle.with_attachments([build_attachment(bundle.digest, "compiled", files)])


def compiled(bundle: Bundle, **changes: Any) -> Bundle:
    """Return a bundle with its compiled predictor, and other entries in the report."""
    files = dict(compile_bundle(bundle, *load_native(bundle)).files)
    report = msgspec.json.decode(files["report.json"]) | {"predictor": "numpy", "reason": "numpy is faster"}
    report["compilers"] |= changes.pop("compilers", {})
    return attach(bundle, files | {"report.json": msgspec.json.encode(report | changes)})


def files_of(bundle: Bundle) -> dict[str, bytes]:
    attachment = bundle.attachments["compiled"]
    return {path: attachment.read(path) for path in attachment.manifest.files}


def unknown(seconds: float = 0.0) -> dict[str, Any]:
    """Return the entry of a compiler that was proven elsewhere and is not here."""
    return {"verdict": "equal", "seconds_one_row": seconds, "tolerance": 1e-9, "reason": "equal"}


def test_the_reports_choice_answers(bundles: Make) -> None:
    """With its reason; the golden examples go through it."""
    model = load_model(compiled(bundles(2.0)))
    assert (model.predictor_name, model.reason) == ("numpy", "numpy is faster")
    assert type(model._predictor).__name__ == "ProgramPredictor"


def test_a_bundle_that_was_not_compiled_serves_as_it_is(bundles: Make) -> None:
    """And says so."""
    model = load_model(bundles())
    assert (model.predictor_name, model.reason) == (
        "native",
        "the model serves as it is, because it was not compiled",
    )


def test_a_choice_that_cannot_be_loaded_gives_way_to_the_next(bundles: Make) -> None:
    """The next proven one first, then the original; the reason tells of all that were passed over."""
    bundle = compiled(bundles(), predictor="far", reason="far is fastest", compilers={"far": unknown()})
    assert [choice.name for choice in choices_of(bundle)] == ["far", "numpy", "native"]
    model = load_model(bundle)
    assert model.predictor_name == "numpy"
    assert model.reason == (
        "far cannot serve here: the predictor was written by the unknown compiler 'far'; "
        "numpy was proven equal, too"
    )
    report = {"format": 1, "predictor": "far", "reason": "far is fastest", "compilers": {"far": unknown()}}
    model = load_model(attach(bundles(), {"report.json": msgspec.json.encode(report)}))
    assert model.predictor_name == "native"
    assert model.reason.startswith("far cannot serve here")


def test_the_original_comes_first_where_it_is_faster(bundles: Make) -> None:
    """What was proven stands by for a place without the framework."""
    bundle = compiled(bundles(), predictor="native", reason="the model serves as it is")
    assert [choice.name for choice in choices_of(bundle)] == ["native", "numpy"]
    assert load_model(bundle).reason == "the model serves as it is"


def test_a_predictor_that_fails_the_golden_examples_here_gives_way(bundles: Make) -> None:
    """A compiled model of another bundle is caught by the replay, as it would be at any start."""
    model = load_model(attach(bundles(1.0), files_of(compiled(bundles(3.0)))))
    assert model.predictor_name == "native"
    assert "numpy cannot serve here: coffee fails its golden examples" in model.reason


def test_when_none_can_be_loaded_the_first_says_why(bundles: Make) -> None:
    """A foreign flavor and a compiler that is not there: the choice of the report is what is missed."""
    report = {"format": 1, "predictor": "far", "reason": "", "compilers": {"far": unknown()}}
    bundle = rebuilt(bundles(), {}, flavor="nonsense")
    with pytest.raises(ArtifactCorrupt, match="unknown compiler 'far'"):
        load_model(attach(bundle, {"report.json": msgspec.json.encode(report)}))


def test_a_predictor_can_be_forced(bundles: Make) -> None:
    """If it was proven, or is the original."""
    bundle = compiled(bundles())
    for name in ("native", "numpy"):
        model = load_model(bundle, predictor=name)
        assert (model.predictor_name, model.reason) == (name, f"{name} was asked for")


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda bundle: bundle, "it was not compiled", "compile it: fairway compile MODEL"),
        (compiled, "the model has no trees", "what may serve it: numpy, native"),
        (lambda bundle: compiled(bundle, compilers={"onnx": {"verdict": "different", "reason": "off by 1"}}),
         "off by 1", "what may serve it: numpy, native"),
    ],
    ids=["nothing", "not convertible", "different"],
)  # fmt: skip
def test_an_unproven_predictor_cannot_be_forced(
    bundles: Make, make: Callable[[Bundle], Bundle], message: str, hint: str
) -> None:
    """The error says what was found and what may serve instead."""
    with pytest.raises(PredictorNotProven, match=message) as caught:
        load_model(make(bundles()), predictor="onnx")
    assert caught.value.hint == hint


def test_a_forced_predictor_does_not_give_way(bundles: Make) -> None:
    """Whoever forces one wants that one or an error."""
    report = {"format": 1, "predictor": "far", "reason": "", "compilers": {"far": unknown()}}
    with pytest.raises(ArtifactCorrupt, match="unknown compiler 'far'"):
        load_model(attach(bundles(), {"report.json": msgspec.json.encode(report)}), predictor="far")


@pytest.mark.parametrize(
    "report",
    [
        b"",
        b"{}",
        b"[]",
        b'{"format":9,"predictor":"x","reason":"","compilers":{}}',
        b'{"format":1,"compilers":3}',
    ],
)
def test_a_report_that_cannot_be_read_leaves_the_original(bundles: Make, report: bytes) -> None:
    """A newer fairway may have written it: no reason not to serve, and said in the reason."""
    bundle = attach(bundles(), {"report.json": report})
    model = load_model(bundle)
    assert model.predictor_name == "native"
    assert model.reason.startswith("the model serves as it is: the compilation report ")
    with pytest.raises(ArtifactCorrupt):
        load_model(bundle, predictor="numpy")


def test_a_compiled_model_may_be_off_by_what_its_proof_allows(bundles: Make) -> None:
    """Where the original computes in single precision, so do the golden examples' answers."""
    bundle = bundles(1.0)
    moved = [value + 1e-7 for value in bundle.golden.expected["prediction"]]
    off = rebuilt(bundle, {"golden.json": golden_with(bundle, expected={"prediction": moved}, tolerance=0.0)})
    files = files_of(compiled(bundle))
    report = msgspec.json.decode(files["report.json"])
    report["compilers"]["numpy"]["tolerance"] = 1e-5
    model = load_model(attach(off, files | {"report.json": msgspec.json.encode(report)}))
    assert model.predictor_name == "numpy"


def test_a_missing_library_is_the_answer_when_it_is_forced(
    bundles: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the extra that brings it."""
    pytest.importorskip("onnx")
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    from fairway.lifecycle.pack import Facts, Wishes, make_bundle

    iris = load_iris()
    tree = DecisionTreeClassifier(max_depth=3).fit(iris.data, iris.target)
    bundle = make_bundle(tree, name="tree", example=iris.data, code=(), facts=Facts(), wishes=Wishes())
    bundle = compiled(bundle, predictor="onnx", reason="onnx is faster")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    assert load_model(bundle).predictor_name == "numpy"
    with pytest.raises(MissingExtra) as caught:
        load_model(bundle, predictor="onnx")
    assert caught.value.hint == "pip install 'fairway[onnx]'"
