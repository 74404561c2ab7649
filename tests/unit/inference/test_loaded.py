"""A model in memory: what it answers, what its failures look like, and when it leaves the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from fairway.bundle.bundle import Bundle, build_bundle
from fairway.errors import (
    ArtifactCorrupt,
    ModelContract,
    ModelFailed,
    PackedModelDiffers,
    PredictionTimeout,
    UnknownFlavor,
)
from fairway.flavors.base import find_flavors
from fairway.inference.loaded import LoadedModel, load_model
from fairway.messages import Columns, Timing
from fairway.protocols.native import NativeProtocol

Make = Callable[..., Any]


def rows(*values: float) -> Columns:
    """Return rows of one input."""
    return Columns(("a",), [[value] for value in values])


def rebuilt(bundle: Bundle, changes: dict[str, bytes], **facts: Any) -> Bundle:
    """Return a bundle with other files and facts, and hashes that are right."""
    contents = {path: bundle.read(path) for path in bundle.manifest.files} | changes
    kept = {f: getattr(bundle.manifest, f) for f in bundle.manifest.__struct_fields__ if f != "files"}
    return build_bundle(contents, **(kept | facts))


def golden_with(bundle: Bundle, **changes: Any) -> bytes:
    """Return other golden examples."""
    return msgspec.json.encode(bundle.golden.to_dict() | changes)


# -- loading --


def test_a_bundle_is_loaded_and_proves_itself(bundles: Make) -> None:
    """It answers, and knows what it is."""
    model = load_model(bundles(2.0), name="tea", version=7)
    outputs = model.predict(Columns(("x0", "x1"), [[3.0, 0.0]]))
    assert outputs.values["prediction"] == [pytest.approx(6.0)]
    assert (model.name, model.version, model.reference, model.digest) == (
        "tea",
        7,
        "tea:7",
        bundles(2.0).digest,
    )
    unnumbered = load_model(bundles(2.0))
    assert (unnumbered.reference, unnumbered.version) == ("coffee", 0)


def test_a_model_that_answers_otherwise_does_not_load(bundles: Make) -> None:
    """The first difference is named; so is what differs in the environment."""
    expected = {"prediction": [0.5] * len(bundles().golden.inputs)}
    wrong = rebuilt(bundles(), {"golden.json": golden_with(bundles(), expected=expected)})
    with pytest.raises(
        PackedModelDiffers, match="coffee fails its golden examples: golden example 0: prediction is"
    ) as c:
        load_model(wrong)
    assert c.value.hint == ""
    environment = msgspec.json.encode(bundles().environment | {"packages": {"numpy": "1.0"}})
    wrong = rebuilt(wrong, {"environment.json": environment})
    with pytest.raises(PackedModelDiffers) as c:
        load_model(wrong, version=2)
    assert c.value.hint.startswith("the environment differs: numpy 1.0 was recorded")


def test_a_bundle_without_examples_loads(bundles: Make) -> None:
    """There is nothing to compare and nothing to measure."""
    empty = golden_with(bundles(), inputs=[], expected={"prediction": []})
    assert load_model(rebuilt(bundles(), {"golden.json": empty})).reference == "coffee"


def test_what_cannot_be_loaded_says_why(bundles: Make) -> None:
    """A flavor that is not there, a file that is none."""
    with pytest.raises(UnknownFlavor, match="there is no flavor 'nonsense'") as caught:
        load_model(rebuilt(bundles(), {}, flavor="nonsense"))
    assert caught.value.hint == f"flavors: {', '.join(sorted(find_flavors()))}"
    with pytest.raises(ArtifactCorrupt, match="the model file cannot be read as a pickle"):
        load_model(rebuilt(bundles(), {"model/model.joblib": b"\x80\x04nonsense"}))


# -- predicting --


def test_no_row_gives_no_prediction(scripted: Make) -> None:
    """The model is not asked: many fail on nothing."""
    model = scripted(lambda _: pytest.fail("asked"))
    assert model.predict(rows()).values == {"y": []}
    assert model.predict(rows(), probabilities=True).probabilities == []


@pytest.mark.parametrize("error", [ValueError("secret"), SystemExit(3), StopIteration(), MemoryError()])
@pytest.mark.parametrize("slow", [False, True])
def test_a_model_that_raises_is_a_failure_of_the_model(
    scripted: Make, error: BaseException, slow: bool
) -> None:
    """Whatever it raises: the cause is kept for the log and not told to the caller; the server lives."""

    def fail(_: Columns) -> Any:
        raise error

    model = scripted(fail, slow=slow)
    with pytest.raises(ModelFailed) as caught:
        asyncio.run(model.answer(rows(1), Timing(0)))
    assert caught.value.__cause__ is error
    assert "secret" not in str(caught.value) + caught.value.hint
    assert str(caught.value) == "coffee:3 raised an error on this input"


def test_a_broken_contract_is_told_as_it_is(scripted: Make) -> None:
    """Which row counts did not fit is no secret."""

    def fail(_: Columns) -> Any:
        raise ModelContract("the model gave 2 values of 'y' for 1 rows")

    with pytest.raises(ModelContract, match="2 values of 'y' for 1 rows"):
        scripted(fail).predict(rows(1))


def test_a_fast_call_stays_on_the_loop_and_a_slow_one_leaves_it(scripted: Make) -> None:
    """The time that a call will take is known from the load: so much a call, so much a row."""
    for slow in (False, True):
        model = scripted(lambda columns: [1.0] * len(columns), slow=slow)
        outputs = asyncio.run(model.answer(rows(1), Timing(0), probabilities=True))
        assert outputs.values == {"y": [1.0]}
        assert outputs.probabilities == [[1.0]]
        (thread,) = model._predictor.threads
        assert (thread == threading.current_thread().name) is not slow


def test_a_models_own_code_never_runs_on_the_loop(scripted: Make) -> None:
    """It may do anything, even if it was fast so far."""
    model = scripted(lambda columns: [1.0] * len(columns), ours=False)
    assert asyncio.run(model.answer(rows(1), Timing(0))).values == {"y": [1.0]}
    assert model._predictor.threads == ["fairway-coffee:3"]


def test_the_loop_answers_others_while_a_slow_call_runs(scripted: Make) -> None:
    """One heavy model does not hold up the server."""
    release = threading.Event()
    model = scripted(lambda columns: [1.0] * (len(columns) if release.wait(10) else 0), slow=True)

    async def both() -> list[str]:
        done = []
        slow = asyncio.create_task(model.answer(rows(1), Timing(0)))
        await asyncio.sleep(0)
        done.append("other")
        release.set()
        await slow
        return [*done, "slow"]

    assert asyncio.run(both()) == ["other", "slow"]


def test_a_call_that_takes_too_long_is_given_up(scripted: Make) -> None:
    """With what the caller can do about it."""
    release = threading.Event()
    model = scripted(lambda _: [release.wait(10)], slow=True, timeout_s=0.05)
    try:
        with pytest.raises(PredictionTimeout, match=r"coffee:3 did not answer within 0\.05 s") as caught:
            asyncio.run(model.answer(rows(1), Timing(0)))
        assert caught.value.hint == "send fewer rows per call"
    finally:
        release.set()


def test_loading_learns_how_long_calls_take(bundles: Make) -> None:
    """So that the first request is already where it belongs."""
    model = load_model(bundles())
    assert 0 < model.scheduler.cost.of(1) < 1


def test_a_reader_is_built_once_per_dialect(bundles: Make) -> None:
    """It is compiled from the signature, which takes a millisecond."""
    model: LoadedModel = load_model(bundles())
    protocol = NativeProtocol()
    assert model.reader(protocol) is model.reader(protocol)
