"""Calls of one turn of the event loop are predicted as one, and nobody notices but the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from fairway.inference.turn import CROWD, Seat, Turn
from fairway.messages import Columns, Outputs, Timing


class Model:
    """Doubles each row, fails for negative ones, and remembers how many rows it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        self.asked.append(len(columns))
        values = [row[0] for row in columns.rows]
        if min(values) < 0:
            raise ValueError(f"{min(values)} is negative")
        return Outputs({"y": [2 * v for v in values]}, [[v] for v in values] if probabilities else None)


def rows(*values: float) -> Columns:
    """Return rows of one number each."""
    return Columns(("a",), [[value] for value in values])


async def outputs_of(seat: Seat) -> Outputs:
    """Wait as the engine does."""
    return await seat


async def ask(turn: Turn, *calls: tuple[Model, Columns, bool]) -> list[Any]:
    """Seat calls in one turn, step them as a connection does, and return what each of them got."""
    got: list[Any] = [None] * len(calls)

    def go_on(place: int, coroutine: Coroutine[Any, Any, Outputs], outputs: Any, error: Any) -> None:
        try:
            coroutine.throw(error) if error else coroutine.send(outputs)
        except StopIteration as done:
            got[place] = done.value
        except ValueError as raised:
            got[place] = str(raised)

    for place, (model, columns, probabilities) in enumerate(calls):
        seat = turn.seat(model, columns, Timing(0.0), probabilities=probabilities)
        coroutine = outputs_of(seat)
        assert coroutine.send(None) is seat
        seat.go_on = lambda outputs, error, n=place, c=coroutine: go_on(n, c, outputs, error)
    await asyncio.sleep(0)
    return got


def test_every_call_gets_the_answers_to_its_own_rows() -> None:
    """Two calls of one model are asked together; other models and other wishes go for themselves."""
    one, other = Model(), Model()
    calls = [
        (one, rows(1.0), False),
        (other, rows(5.0), False),
        (one, rows(2.0, 3.0), False),
        (one, rows(4.0), True),
    ]
    got = asyncio.run(ask(Turn(), *calls))
    assert [outputs.values["y"] for outputs in got] == [[2.0], [10.0], [4.0, 6.0], [8.0]]
    assert [outputs.probabilities for outputs in got] == [None, None, None, [[4.0]]]
    assert one.asked == [3, 1]
    assert other.asked == [1]


def test_a_row_that_fails_fails_its_own_caller_only() -> None:
    """The batch is taken apart."""
    model = Model()
    got = asyncio.run(ask(Turn(), *((model, rows(value), False) for value in (1.0, -2.0, 3.0))))
    assert [got[0].values, got[1], got[2].values] == [{"y": [2.0]}, "-2.0 is negative", {"y": [6.0]}]
    assert model.asked == [3, 1, 1, 1]


def test_a_call_that_has_gone_holds_nobody_up() -> None:
    """Its seat was never taken: nobody steps it."""

    async def run() -> list[Any]:
        turn, model = Turn(), Model()
        turn.seat(model, rows(9.0), Timing(0.0), probabilities=False)
        return await ask(turn, (model, rows(1.0), False))

    assert asyncio.run(run())[0].values == {"y": [2.0]}


def test_the_time_in_the_seat_is_time_in_the_queue() -> None:
    """It is told apart from the time in the model."""

    async def run() -> float:
        turn, timing = Turn(), Timing(0.0)
        turn.seat(Model(), rows(1.0), timing, probabilities=False)
        await asyncio.sleep(0)
        return timing.queue

    assert 0 < asyncio.run(run()) < 1


def test_who_calls_alone_takes_no_seat() -> None:
    """One connection, or several that are not busy at the same time."""
    turn = Turn()
    assert [turn.joined_by("a", n * 1e-4) for n in range(5)] == [None] * 5
    assert turn.joined_by("b", 1.0) is None
    assert turn.joined_by("a", 2.0) is None


def test_turns_are_taken_while_several_call_and_for_a_while_after() -> None:
    """Until some turns have had a single call."""

    async def alone(turn: Turn) -> None:
        turn.seat(Model(), rows(1.0), Timing(0.0), probabilities=False)
        await asyncio.sleep(0)

    turn = Turn()
    assert turn.joined_by("a", 1.0) is None
    assert turn.joined_by("b", 1.0) is turn
    for _ in range(CROWD):
        assert turn.joined_by("b", 2.0) is turn
        asyncio.run(alone(turn))
    assert turn.joined_by("b", 3.0) is None


@pytest.mark.parametrize("count", [2, 16])
def test_a_turn_may_follow_a_turn(count: int) -> None:
    """Nothing of the first one is left."""

    async def run() -> list[int]:
        turn, model = Turn(), Model()
        for _ in range(3):
            await ask(turn, *((model, rows(float(n)), False) for n in range(count)))
        return model.asked

    assert asyncio.run(run()) == [count] * 3
