"""The hot path: its steps, their order, and what each of them hands on."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from fairway.bundle.signature import Input, Output, Signature
from fairway.errors import FairwayError, ModelNotReady, SignatureMismatch
from fairway.inference.engine import INLINE_BYTES, Engine, engine_of
from fairway.messages import Call, Columns, Outputs, Prediction, Reply, Target, Timing
from fairway.protocols.native import NativeProtocol

SIGNATURE = Signature(
    (Input("a", "number", typical=1.0),), (Output("y", "score", "number"),), classes=("n", "y")
)


class Steps:
    """Every part of the engine at once; writes down what is asked of it, and may fail at one step."""

    name, version, reference, classes, signature = "coffee", 3, "coffee:3", ("n", "y"), SIGNATURE

    def __init__(self, fail: str = "") -> None:
        self.taken: list[str] = []
        self.fail = fail
        self.asked_for_probabilities = False
        self.recorded: Prediction | None = None
        self.thread = ""

    def note(self, step: str) -> None:
        self.taken.append(step)
        if step == self.fail:
            raise ModelNotReady(f"failed at {step}")

    def open(self, call: Call) -> Target:
        self.note("open")
        return Target(call, "coffee", frozenset(call.query.split(",")))

    async def choose(self, target: Target) -> Any:
        self.note("choose")
        assert target.reference == "coffee"
        return self

    def read(self, _: Target, model: Any) -> Columns:
        self.note("read")
        assert model is self
        self.thread = threading.current_thread().name
        return Columns(("a",), [[1.0]])

    async def answer(self, columns: Columns, _: Timing, *, probabilities: bool, turn: object) -> Outputs:
        assert turn is None
        self.note("predict")
        self.asked_for_probabilities = probabilities
        return Outputs({"y": [row[0] for row in columns.rows]})

    def record(self, target: Target, prediction: Prediction) -> None:
        self.note("record")
        assert prediction.id == target.id
        self.recorded = prediction

    def encode(self, _: Target, prediction: Prediction) -> Reply:
        self.note("encode")
        return Reply(200, [], b"%d" % prediction.outputs.values["y"][0])


def answer(steps: Any, call: Call) -> Reply:
    """Run the engine once."""
    return asyncio.run(Engine(steps, steps).answer(call, steps))


def a_call(body: bytes = b"", query: str = "") -> Call:
    """Return a call."""
    return Call("POST", "/predict", query, lambda _: "", body)


def test_a_call_takes_six_steps_in_order() -> None:
    """Open, choose, read, predict, record, encode."""
    steps, call = Steps(), a_call()
    reply = answer(steps, call)
    assert steps.taken == ["open", "choose", "read", "predict", "record", "encode"]
    assert reply.body == b"1"
    assert call.model == "coffee:3"
    assert call.prediction is steps.recorded
    assert steps.recorded is not None
    assert (steps.recorded.model, steps.recorded.version, steps.recorded.id) == ("coffee", 3, call.id)
    assert steps.recorded.classes == ("n", "y")


@pytest.mark.parametrize("step", ["open", "choose", "read", "predict"])
def test_what_fails_before_the_prediction_records_nothing(step: str) -> None:
    """The error goes to the one place that answers errors; the call says how far it got."""
    steps, call = Steps(fail=step), a_call()
    with pytest.raises(ModelNotReady, match=f"failed at {step}"):
        answer(steps, call)
    assert steps.taken[-1] == step
    assert steps.recorded is None
    assert call.prediction is None
    assert bool(call.model) == (step in {"read", "predict"})


@pytest.mark.parametrize(("query", "asked"), [("", False), ("flags", False), ("flags,probabilities", True)])
def test_probabilities_are_computed_only_when_asked_for(query: str, asked: bool) -> None:
    """They may cost as much as the prediction."""
    steps = Steps()
    answer(steps, a_call(query=query))
    assert steps.asked_for_probabilities is asked


def test_the_reply_says_where_the_time_went() -> None:
    """As Server-Timing, in milliseconds, for every stage, and their sum."""
    (header,) = [value for name, value in answer(Steps(), a_call()).headers if name == b"server-timing"]
    stages = dict(part.split(b";dur=") for part in header.split(b", "))
    assert list(stages) == [b"read", b"queue", b"predict", b"encode", b"total"]
    *parts, total = map(float, stages.values())
    assert all(part >= 0 for part in parts)
    assert sum(parts) == pytest.approx(total, abs=0.0025)  # each is rounded to a microsecond


@pytest.mark.parametrize(("size", "inline"), [(INLINE_BYTES, True), (INLINE_BYTES + 1, False)])
def test_a_large_body_is_read_in_another_thread(size: int, inline: bool) -> None:
    """Meanwhile the loop answers others."""
    steps = Steps()
    answer(steps, a_call(b"x" * size))
    assert (steps.thread == threading.current_thread().name) is inline


def test_a_fault_in_a_large_body_comes_back_as_it_is() -> None:
    """The thread changes nothing about the error."""
    steps = Steps(fail="read")
    with pytest.raises(ModelNotReady, match="failed at read"):
        answer(steps, a_call(b"x" * (INLINE_BYTES + 1)))


def test_one_model_answers_without_a_server(scripted: Any) -> None:
    """The same engine, protocol and validation, for `fairway predict` and tests."""
    engine = engine_of(scripted(lambda columns: [2 * row[0] for row in columns.rows]))
    protocol = NativeProtocol()
    reply = asyncio.run(engine.answer(a_call(b'[{"a":1},{"a":2}]'), protocol))
    assert json.loads(reply.body) == {"predictions": [{"y": 2.0}, {"y": 4.0}]}
    with pytest.raises(SignatureMismatch):
        asyncio.run(engine.answer(a_call(b'{"a":"1"}'), protocol))
    with pytest.raises(FairwayError):
        asyncio.run(engine.answer(a_call(b""), protocol))
