"""The stopwatch: every stage gets the time that its part takes, and the answer stays what it is."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from fairway.inference.engine import Engine
from fairway.inference.stopwatch import STAGES, Stopwatch
from fairway.messages import Call, Columns, Outputs, Prediction, Reply, Target, Timing

NAP_S = 0.002
NAP_NS = 2_000_000


class Sleeper:
    """Every part of an engine at once; one of them takes a while."""

    name, version, reference, classes = "coffee", 3, "coffee:3", ()

    def __init__(self, slow: str = "") -> None:
        self.slow = slow
        self.scheduler = self

    def suspect(self, *_: Any) -> None:
        """Be told of a call that took long: on a busy machine a nap does."""

    def at(self, stage: str) -> None:
        if stage == self.slow:
            time.sleep(NAP_S)

    def open(self, call: Call) -> Target:
        self.at("open")
        return Target(call, "coffee")

    async def choose(self, _: Target) -> Any:
        self.at("choose")
        return self

    def read(self, _: Target, __: Any) -> Columns:
        self.at("read")
        return Columns(("a",), [[1.0]])

    async def answer(self, columns: Columns, timing: Timing, **_: Any) -> Outputs:
        self.at("predict")
        if self.slow == "queue":
            await asyncio.sleep(NAP_S)
            timing.queue = NAP_S
        return Outputs({"y": [row[0] for row in columns.rows]})

    def record(self, _: Target, __: Prediction) -> None:
        self.at("record")

    def encode(self, _: Target, prediction: Prediction) -> Reply:
        self.at("encode")
        return Reply(200, [], b"%d" % prediction.outputs.values["y"][0])


def time_a_call(slow: str, watch: Stopwatch) -> Reply:
    """Answer one call with a stopwatch around the engine's parts."""
    parts: Any = Sleeper(slow)
    router, recorder, dialect = watch.around(parts, parts, parts)
    watch.start()
    if slow == "parse":
        time.sleep(NAP_S)
    reply = asyncio.run(Engine(router, recorder).answer(Call("POST", "/predict", "", str, b""), dialect))
    if slow == "reply":
        time.sleep(NAP_S)
    watch.lap("reply")
    return reply


@pytest.mark.parametrize("stage", STAGES)
def test_time_counts_to_the_stage_that_takes_it(stage: str) -> None:
    """From the bytes to the reply."""
    watch = Stopwatch()
    assert time_a_call(stage, watch).body == b"1"
    spent_ns = watch.take()
    assert list(spent_ns) == list(STAGES)
    assert spent_ns[stage] >= NAP_NS
    assert all(spent >= 0 for spent in spent_ns.values())


def test_what_was_taken_is_gone() -> None:
    """The next call begins at zero."""
    watch = Stopwatch()
    time_a_call("read", watch)
    watch.take()
    assert not any(watch.take().values())


def test_everything_else_of_a_dialect_is_its_own() -> None:
    """The wrapper stands where the dialect stood."""
    parts: Any = Sleeper()
    _, _, dialect = Stopwatch().around(parts, parts, parts)
    assert dialect.name == "coffee"
