"""Which calls run where, and why."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from fairway.errors import ModelFailed
from fairway.inference.cost import Cost
from fairway.inference.scheduling import HELD_S, INLINE_S, SLICE_ROWS, WATCHED_CALLS, Limits, Scheduler
from fairway.messages import Columns, Outputs, Timing

EXAMPLES = Columns(("a",), [[0.1 * n] for n in range(10)])


def a_scheduler(
    predict: Any = None,
    *,
    is_foreign: bool = True,
    cost: tuple[float, float] = (0.002, 0.00001),
    **limits: Any,
) -> Scheduler:
    """Return a scheduler that has measured its model and then got the figures of the test."""
    scheduler = Scheduler(predict or double, name="coffee:3", limits=Limits(**limits), is_foreign=is_foreign)
    scheduler.measure(EXAMPLES, probabilities=True)
    scheduler._batcher = None
    scheduler.cost = Cost(*cost)
    return scheduler


def double(columns: Columns, probabilities: bool) -> Outputs:
    """Answer each row by itself."""
    values = [row[0] * 2 for row in columns.rows]
    return Outputs({"y": values}, [[v] for v in values] if probabilities else None)


def rows(count: int) -> Columns:
    """Return rows."""
    return Columns(("a",), [[float(n)] for n in range(count)])


def ask(scheduler: Scheduler, count: int, *, probabilities: bool = False) -> Outputs:
    """Ask once."""
    return asyncio.run(scheduler.answer(rows(count), Timing(0), probabilities=probabilities))


def test_only_what_we_compiled_runs_on_the_loop() -> None:
    """As many rows as take less than the loop may stand still for; no more than a slice."""
    assert a_scheduler(is_foreign=True).inline_rows == -1
    ours = a_scheduler(is_foreign=False, cost=(0.001, 0.0001))
    ours._place()
    assert ours.inline_rows in {39, 40}
    ours.cost = Cost(0.000007, 0.000001)
    ours._place()
    assert ours.inline_rows == SLICE_ROWS


def busy(seconds: float) -> None:
    """Keep the processor busy, as a slow model does and a busy machine does not."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_model_that_is_slow_is_sent_away_and_fast_calls_bring_it_back() -> None:
    """The first long call raises the suspicion, the next one proves it; after that the loop is not held."""
    threads: list[str] = []

    def slow_for_ones(columns: Columns, probabilities: bool) -> Outputs:
        threads.append(threading.current_thread().name)
        if columns.rows[0][0] == 1.0:
            busy(1.5 * HELD_S)
        return double(columns, probabilities)

    ours = a_scheduler(slow_for_ones, is_foreign=False, cost=(0.0001, 0.0))
    ours._place()
    ours.suspect(1)
    assert ours.inline_rows == -1
    threads.clear()
    one = Columns(("a",), [[1.0]])
    for _ in range(2):
        asyncio.run(ours.answer(one, Timing(0), probabilities=False))
    assert [name == "MainThread" for name in threads] == [True, False]
    ours.suspect(1)  # it was not on the loop, so it says nothing of it
    assert ours.cost.of(1) >= HELD_S
    for _ in range(3000):
        ours.cost.learn(1, 0.0001)
    ask(ours, 1)
    assert ours.inline_rows > 0


def test_a_busy_machine_sends_no_model_away() -> None:
    """A call that held the loop because others had the processor leaves a fast model where it is."""
    ours = a_scheduler(is_foreign=False, cost=(0.0001, 0.0))
    ours._place()
    inline = ours.inline_rows
    ours.suspect(1)
    before = threading.active_count()
    for _ in range(WATCHED_CALLS):
        assert ours.inline_rows == -1
        assert ask(ours, 1).values == {"y": [0.0]}
    assert ours.inline_rows == inline
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("is_foreign", "cost", "mode", "gathered"),
    [
        (False, (0.00001, 0.000001), "auto", True),
        (False, (0.00001, 0.0001), "auto", False),  # rows are what it costs
        (False, (0.02, 0.0), "auto", False),  # too slow for the event loop
        (True, (0.00001, 0.000001), "auto", False),
        (False, (0.00001, 0.000001), "off", False),
    ],
)
def test_calls_of_a_turn_are_gathered_where_that_gains(
    monkeypatch: pytest.MonkeyPatch, is_foreign: bool, cost: tuple[float, float], mode: str, gathered: bool
) -> None:
    """And `batching` says so with its figures."""
    monkeypatch.setattr("fairway.inference.scheduling.measure", lambda *_: Cost(*cost))
    scheduler = Scheduler(double, name="coffee:3", limits=Limits(batching=mode), is_foreign=is_foreign)
    scheduler.measure(EXAMPLES, probabilities=True)
    assert (scheduler.gathered_rows > 0) is gathered
    assert scheduler.batching.startswith("calls of one turn of the event loop") is gathered


@pytest.mark.parametrize(
    ("is_foreign", "cost", "mode", "batched", "said"),
    [
        (True, (0.002, 0.00001), "auto", True, "calls are batched: 8 rows take 2.08 ms together and 16.1 ms"),
        (True, (0.002, 0.002), "auto", False, "calls are not batched: 8 rows take 18 ms together and 32 ms"),
        (True, (0.00005, 0.0), "auto", False, "calls are not batched: 8 rows take 0.05 ms together"),
        (False, (0.002, 0.00001), "auto", False, "calls are not batched: a call takes 2.01e+03 us"),
        (True, (0.002, 0.00001), "off", False, "batching is off by the setting"),
        (False, (0.002, 0.002), "on", True, "batching is on by the setting"),
    ],
)
def test_batching_is_for_what_gains_from_it(
    is_foreign: bool, cost: tuple[float, float], mode: str, batched: bool, said: str
) -> None:
    """And the reason is said with its figures."""
    scheduler = a_scheduler(is_foreign=is_foreign, cost=cost, batching=mode)
    verdict, reason = scheduler._judge_batching()
    assert verdict is batched
    assert reason.startswith(said)


def test_a_model_whose_rows_depend_on_each_other_is_neither_batched_nor_cut() -> None:
    """Its answers would differ in silence."""
    asked: list[int] = []

    def of_all(columns: Columns, probabilities: bool) -> Outputs:
        asked.append(len(columns))
        mean = sum(row[0] for row in columns.rows) / len(columns)
        return Outputs({"y": [row[0] - mean for row in columns.rows]})

    scheduler = a_scheduler(of_all)
    assert "differs in bits" in scheduler._judge_batching()[1]
    asked.clear()
    ask(scheduler, 3 * SLICE_ROWS)
    assert asked == [3 * SLICE_ROWS]


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("count", [SLICE_ROWS, SLICE_ROWS + 1, 3 * SLICE_ROWS, 3 * SLICE_ROWS + 7])
def test_a_large_call_is_predicted_in_slices_to_the_same_answer(count: int, probabilities: bool) -> None:
    """Whatever its size is a multiple of."""
    asked: list[int] = []

    def predict(columns: Columns, probabilities: bool) -> Outputs:
        asked.append(len(columns))
        return double(columns, probabilities)

    scheduler = a_scheduler(predict)
    asked.clear()
    outputs = ask(scheduler, count, probabilities=probabilities)
    whole = double(rows(count), probabilities)
    assert outputs.values == whole.values
    assert outputs.probabilities == whole.probabilities
    assert sum(asked) == count
    assert max(asked) <= SLICE_ROWS


def test_an_error_in_a_slice_is_the_error_of_the_call() -> None:
    """No half answer."""

    def fail(columns: Columns, _: bool) -> Outputs:
        if columns.rows[0][0] >= SLICE_ROWS:
            raise ModelFailed("coffee:3")
        return double(columns, False)

    scheduler = a_scheduler(fail)
    with pytest.raises(ModelFailed):
        ask(scheduler, 2 * SLICE_ROWS)


def test_a_model_that_hangs_holds_the_loop_for_a_moment_only() -> None:
    """Nobody could know that it would; the next one does not wait for it at all."""
    release = threading.Event()

    def hang(columns: Columns, probabilities: bool) -> Outputs:
        if columns.rows[0][0] == 7.0:
            release.wait(10)
        return double(columns, probabilities)

    scheduler = a_scheduler(hang, cost=(0.0001, 0.0))

    async def both() -> list[str]:
        done: list[str] = []
        seven = Columns(("a",), [[7.0]])
        slow = asyncio.create_task(scheduler.answer(seven, Timing(0), probabilities=False))
        await asyncio.sleep(0)
        other = await scheduler.answer(rows(1), Timing(0), probabilities=False)
        assert other.values == {"y": [0.0]}
        done.append("other")
        release.set()
        await slow
        return [*done, "slow"]

    assert asyncio.run(both()) == ["other", "slow"]
    assert scheduler.cost.of(1) > INLINE_S


def test_the_time_in_the_queue_is_noted() -> None:
    """From the arrival to the thread."""
    timing = Timing(time.perf_counter())
    asyncio.run(a_scheduler().answer(rows(1), timing, probabilities=False))
    assert 0 <= timing.queue < 10
