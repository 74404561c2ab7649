"""Calls that are answered together get what each gets alone, whatever comes when and whoever gives up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairway.errors import FairwayError, ModelFailed, Overloaded, PredictionTimeout
from fairway.inference.batching import Batcher
from fairway.inference.lane import Lane
from fairway.messages import Columns, Outputs, Timing

BAD = 13.0
SLEEPY = 7.0


class Model:
    """Doubles its input; raises on 13, waits on 7 to be let go; remembers how many rows it was asked."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.release = threading.Event()

    def predict(self, columns: Columns, probabilities: bool) -> Outputs:
        self.sizes.append(len(columns))
        values = [row[0] for row in columns.rows]
        if BAD in values:
            raise ModelFailed("coffee:3")
        if SLEEPY in values:
            self.release.wait(10)
        doubled = [2 * value for value in values]
        return Outputs({"y": doubled}, [[value, -value] for value in doubled] if probabilities else None)


def a_batcher(model: Model, **options: Any) -> tuple[Batcher, Lane]:
    """Return a batcher for a model."""
    lane = Lane("coffee:3", timeout_s=options.pop("timeout_s", 10), max_queue=options.pop("max_queue", 1000))
    options = {"patience_s": lambda: 0.0, "overdue_s": lambda: 5.0} | options
    return Batcher(model.predict, lane, **options), lane


def columns(*values: float) -> Columns:
    """Return rows of one input."""
    return Columns(("a",), [[value] for value in values])


async def ask(batcher: Batcher, values: list[float], *, probabilities: bool = False, turns: int = 0) -> Any:
    """Ask after some turns of the event loop; return the answer or the error."""
    for _ in range(turns):
        await asyncio.sleep(0)
    try:
        outputs = await batcher.answer(columns(*values), Timing(0), probabilities=probabilities)
    except FairwayError as error:
        return type(error)
    return outputs.values, outputs.probabilities


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = asyncio.get_running_loop().time() + 10
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)


def expected(values: list[float], *, probabilities: bool) -> Any:
    """Return what a call gets alone."""
    try:
        outputs = Model().predict(columns(*values), probabilities)
    except FairwayError as error:
        return type(error)
    return outputs.values, outputs.probabilities


calls = st.lists(
    st.tuples(
        st.lists(st.sampled_from([0.0, 1.0, -2.5, 3.0, BAD]), min_size=1, max_size=4),
        st.booleans(),
        st.integers(0, 6),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=60)
@given(calls, st.integers(1, 6), st.sampled_from([0.0, 0.001]), st.sampled_from([0.0, 1.0]))
def test_every_caller_gets_what_it_gets_alone(
    drawn: list[tuple[list[float], bool, int, bool]], max_rows: int, window_s: float, patience_s: float
) -> None:
    """Values and probabilities, errors of its own rows only, and nothing unasked; some callers go away."""
    model = Model()
    batcher, lane = a_batcher(model, max_rows=max_rows, window_s=window_s, patience_s=lambda: patience_s)

    async def run() -> list[Any]:
        tasks = [
            asyncio.create_task(ask(batcher, values, probabilities=probabilities, turns=turns))
            for values, probabilities, turns, _ in drawn
        ]
        await asyncio.sleep(0)
        for task, (_, _, _, goes) in zip(tasks, drawn, strict=True):
            if goes:
                task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: lane.pending == 0)
        return answers

    for answer, (values, probabilities, _, goes) in zip(asyncio.run(run()), drawn, strict=True):
        if not (goes and isinstance(answer, asyncio.CancelledError)):
            assert answer == expected(values, probabilities=probabilities)


def test_a_call_that_is_alone_is_asked_at_once() -> None:
    """Within the first step of its coroutine."""
    model = Model()
    batcher, _ = a_batcher(model, patience_s=lambda: 10.0)

    async def run() -> None:
        steps = batcher.answer(columns(3.0), Timing(0), probabilities=False)
        with pytest.raises(StopIteration) as stop:
            steps.send(None)
        assert stop.value.value.values == {"y": [6.0]}

    asyncio.run(run())


def test_what_comes_in_one_turn_or_while_a_batch_runs_goes_together() -> None:
    """The first at once, the others as one."""
    model = Model()
    batcher, _ = a_batcher(model, max_rows=10)

    async def run() -> None:
        first = asyncio.create_task(ask(batcher, [SLEEPY]))
        await asyncio.sleep(0)
        others = [asyncio.create_task(ask(batcher, [float(n)])) for n in range(5)]
        large = asyncio.create_task(ask(batcher, [0.0] * 8))
        await asyncio.sleep(0)
        model.release.set()
        await asyncio.gather(first, *others, large)

    asyncio.run(run())
    assert model.sizes == [1, 5, 8]


def test_companions_of_a_row_that_hangs_are_answered_without_it() -> None:
    """A batch that is overdue is taken apart; the hung call goes on alone."""
    model = Model()
    batcher, lane = a_batcher(model, overdue_s=lambda: 0.02, window_s=0.001)

    async def run() -> list[Any]:
        tasks = [asyncio.create_task(ask(batcher, [value])) for value in (1.0, SLEEPY, 2.0)]
        others = await asyncio.gather(tasks[0], tasks[2])
        assert not tasks[1].done()
        model.release.set()
        answers = [*others, await tasks[1]]
        await until(lambda: lane.pending == 0)
        return answers

    assert asyncio.run(run()) == [({"y": [2.0]}, None), ({"y": [4.0]}, None), ({"y": [14.0]}, None)]
    assert model.sizes[0] == 3


def test_a_call_that_hangs_times_out() -> None:
    """And counts until its thread is done."""
    model = Model()
    batcher, lane = a_batcher(model, timeout_s=0.02, overdue_s=lambda: 0.01)

    async def run() -> None:
        assert await ask(batcher, [SLEEPY]) is PredictionTimeout
        await until(lambda: lane.pending == 1)
        model.release.set()
        await until(lambda: lane.pending == 0)

    asyncio.run(run())


def test_a_hung_call_holds_up_the_next_batch_for_a_while_only() -> None:
    """Others go on beside it, and beyond the limit they are refused."""
    model = Model()
    batcher, lane = a_batcher(model, overdue_s=lambda: 0.02, max_queue=3)

    async def run() -> list[Any]:
        hung = asyncio.create_task(ask(batcher, [SLEEPY]))
        await asyncio.sleep(0)
        answers = await asyncio.gather(*(ask(batcher, [1.0]) for _ in range(4)))
        model.release.set()
        late = [await hung, await ask(batcher, [5.0])]
        await until(lambda: lane.pending == 0)
        return [*answers, *late]

    answers = asyncio.run(run())
    fine = ({"y": [2.0]}, None)
    assert answers == [fine, fine, Overloaded, Overloaded, ({"y": [14.0]}, None), ({"y": [10.0]}, None)]


def test_the_time_in_the_queue_is_each_callers_own() -> None:
    """From its arrival to the start of the batch that answers it."""
    model = Model()
    batcher, _ = a_batcher(model)
    timings = [Timing(0) for _ in range(3)]

    async def run() -> None:
        await asyncio.gather(
            *(batcher.answer(columns(1.0), timing, probabilities=False) for timing in timings)
        )

    asyncio.run(run())
    assert all(0 <= timing.queue < 10 for timing in timings)
    assert timings[1].queue >= timings[2].queue  # they left together, and the first of them came earlier
