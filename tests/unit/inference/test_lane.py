"""Threads for slow calls: bounded, fair, and no reason for a process not to end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fairway.errors import Overloaded, PredictionTimeout
from fairway.inference.lane import MAX_THREADS, MORE, THREADS, Lane
from fairway.messages import Timing


def test_a_call_gives_its_value_or_its_error() -> None:
    """As if it had run right here."""
    lane = Lane("coffee", timeout_s=10)

    async def run() -> None:
        assert await lane.run(lambda: 3, Timing(0)) == 3
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 // 0, Timing(0))
        assert await lane.run(lambda: 4, Timing(0)) == 4

    asyncio.run(run())


def test_no_more_than_its_threads_run_at_once() -> None:
    """The others wait, and their timing says for how long."""
    lane = Lane("coffee", timeout_s=10)
    running, most = 0, 0
    lock = threading.Lock()
    full = threading.Event()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == THREADS:
                full.set()
        full.wait(10)
        with lock:
            running -= 1

    async def run() -> list[Timing]:
        timings = [Timing(0) for _ in range(6)]
        await asyncio.gather(*(lane.run(work, timing) for timing in timings))
        return timings

    timings = asyncio.run(run())
    assert most == THREADS
    assert all(0 <= timing.queue < 10 for timing in timings)


def test_what_comes_beyond_the_limit_is_refused_and_room_is_made_again() -> None:
    """At once, so that the caller can go elsewhere."""
    lane = Lane("coffee", timeout_s=10, max_queue=3)
    release = threading.Event()

    async def run() -> None:
        waiting = [asyncio.create_task(lane.run(release.wait, Timing(0))) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="3 calls wait for coffee already") as caught:
            await lane.run(release.wait, Timing(0))
        assert caught.value.hint == "try again in a second"
        release.set()
        await asyncio.gather(*waiting)
        assert await lane.run(lambda: "room", Timing(0)) == "room"

    asyncio.run(run())


def test_hung_calls_count_until_they_end() -> None:
    """Given up by their callers they still hold a thread: the lane says that it is full."""
    lane = Lane("coffee", timeout_s=0.02, max_queue=2)
    release = threading.Event()

    async def run() -> None:
        for _ in range(2):
            with pytest.raises(PredictionTimeout):
                await lane.run(release.wait, Timing(0))
        with pytest.raises(Overloaded):
            await lane.run(release.wait, Timing(0))
        release.set()
        deadline = asyncio.get_running_loop().time() + 10
        while lane.pending:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.005)

    asyncio.run(run())


def test_a_call_that_was_given_up_before_it_began_never_runs() -> None:
    """Nobody waits for it."""
    lane = Lane("coffee", timeout_s=10)
    release, ran = threading.Event(), threading.Event()

    async def run() -> None:
        blocked = [asyncio.create_task(lane.run(release.wait, Timing(0))) for _ in range(THREADS)]
        late = asyncio.create_task(lane.run(ran.set, Timing(0)))
        await asyncio.sleep(0)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late
        release.set()
        await asyncio.gather(*blocked)
        assert await lane.run(lambda: "after it", Timing(0)) == "after it"

    asyncio.run(run())
    assert not ran.is_set()
    assert lane.pending == 0


def test_other_threads_take_the_place_of_those_that_hang(wait_until: Callable[..., Any]) -> None:
    """Up to a bound; then calls are refused, and when the hung ones return everything is as it was."""
    lane = Lane("coffee", timeout_s=0.02)
    release = threading.Event()

    async def hang() -> None:
        with pytest.raises(PredictionTimeout):
            await lane.run(release.wait, Timing(0))

    async def run() -> None:
        for _ in range(MAX_THREADS - 1):
            await hang()
            lane.timeout_s = 10
            assert await lane.run(lambda: "others go on", Timing(0)) == "others go on"
            lane.timeout_s = 0.02
        await hang()
        with pytest.raises(Overloaded, match=f"{MAX_THREADS} calls of coffee hang") as caught:
            await lane.run(lambda: None, Timing(0))
        assert caught.value.hint == "try again later"
        release.set()
        deadline = asyncio.get_running_loop().time() + 10
        while lane.pending:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.005)
        lane.timeout_s = 10
        assert await lane.run(lambda: "again", Timing(0)) == "again"

    asyncio.run(run())
    wait_until(lambda: sum(thread.is_alive() for thread in lane._threads) <= THREADS)


def test_a_call_in_parts_lets_others_have_their_turn() -> None:
    """The lane calls it again, behind what has come meanwhile."""
    lane = Lane("coffee", timeout_s=10)
    done: list[str] = []
    release, queued = threading.Event(), threading.Event()

    def part() -> Any:
        queued.wait(10)
        done.append("part")
        return "whole" if done.count("part") == 3 else MORE

    async def run() -> None:
        blocked = asyncio.create_task(lane.run(release.wait, Timing(0)))  # leaves one thread
        large = asyncio.create_task(lane.run(part, Timing(0)))
        small = asyncio.create_task(lane.run(lambda: done.append("small"), Timing(0)))
        await asyncio.sleep(0)
        queued.set()
        assert await large == "whole"
        await small
        release.set()
        await blocked

    asyncio.run(run())
    assert done == ["part", "small", "part", "part"]


def test_a_call_in_parts_that_is_given_up_stops_after_its_part() -> None:
    """Nobody waits for the rest."""
    lane = Lane("coffee", timeout_s=0.02)

    def part() -> Any:
        return MORE

    async def run() -> None:
        with pytest.raises(PredictionTimeout):
            await lane.run(part, Timing(0))
        deadline = asyncio.get_running_loop().time() + 10
        while lane.pending or not lane._work.empty():
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.005)

    asyncio.run(run())


def test_the_loop_waits_for_a_short_call_and_not_for_a_long_one() -> None:
    """With patience a call that ends soon needs no turn of the loop."""
    lane = Lane("coffee", timeout_s=10)
    release = threading.Event()

    async def run() -> None:
        steps = lane.run(lambda: "soon", Timing(0), patience_s=10)
        with pytest.raises(StopIteration) as stop:
            steps.send(None)
        assert stop.value.value == "soon"
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 // 0, Timing(0), patience_s=10)
        long = asyncio.create_task(lane.run(lambda: release.wait(10), Timing(0), patience_s=0.001))
        await asyncio.sleep(0)
        release.set()
        assert await long is True

    asyncio.run(run())
    assert lane.pending == 0


def test_a_lane_outlives_a_loop() -> None:
    """What hung when a loop ended is counted until it returns, and the next loop is served."""
    lane = Lane("coffee", timeout_s=0.02)
    release = threading.Event()

    async def give_up() -> None:
        with pytest.raises(PredictionTimeout):
            await lane.run(release.wait, Timing(0))

    asyncio.run(give_up())
    assert lane.pending == 1
    release.set()
    lane.timeout_s = 10

    async def again() -> str:
        return str(await lane.run(lambda: "here", Timing(0)))

    assert asyncio.run(again()) == "here"


def test_a_hung_model_does_not_keep_the_process() -> None:
    """Its threads are daemons."""
    code = (
        "import asyncio, threading\n"
        "from fairway.inference.lane import Lane\nfrom fairway.messages import Timing\n"
        "from fairway.errors import PredictionTimeout\n"
        "try: asyncio.run(Lane('m', timeout_s=0.01).run(threading.Event().wait, Timing(0)))\n"
        "except PredictionTimeout: print('given up')"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=30, check=True, capture_output=True)
    assert done.stdout.strip() == b"given up"
