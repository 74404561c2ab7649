"""Counts that several processes keep in one memory, and what is left of them when one is killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import pytest

from fairway.server.cells import BLOCK_BYTES, INFLIGHT, LocalCounts, SharedCounts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no forks on Windows")

ROWS = ("fairway_rows_total", ("café", "1"))


def in_child(act: Callable[[], None], *, kill: bool = False) -> None:
    """Run *act* in a forked process, which is killed at the end or leaves by itself."""
    pid = os.fork()
    if pid == 0:
        act()
        if kill:
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    os.waitpid(pid, 0)


def count(shared: SharedCounts, worker: int, value: float) -> None:
    """Do what a worker does."""
    shared.attach(worker)
    shared.gauges[INFLIGHT] += 1
    shared.cells(*ROWS, 2)[1] += value


def test_counts_of_processes_are_added_up() -> None:
    """Each counts into its own block; whoever reads sees all of them, those of the killed included."""
    shared = SharedCounts(3)
    in_child(lambda: count(shared, 0, 2.5))
    in_child(lambda: count(shared, 1, 4), kill=True)

    assert shared.sums() == {ROWS: [0, 6.5]}


def test_a_replacement_goes_on_where_the_killed_worker_stopped() -> None:
    """The same series, not a second one, and counters never go backwards."""
    shared = SharedCounts(2)
    for _ in range(3):
        in_child(lambda: count(shared, 1, 1), kill=True)

    assert shared.sums() == {ROWS: [0, 3]}


def test_gauges_are_those_of_processes_that_run() -> None:
    """A killed worker answers nothing any more, whatever it was doing."""
    shared = SharedCounts(2)
    in_child(lambda: count(shared, 0, 1), kill=True)
    in_child(lambda: count(shared, 1, 1), kill=True)
    assert (shared.gauge(INFLIGHT), len(shared.pids())) == (2, 2)
    shared.detach(0)
    assert (shared.gauge(INFLIGHT), len(shared.pids())) == (1, 1)
    shared.attach(1)
    assert (shared.gauge(INFLIGHT), shared.pids()) == (0, [os.getpid()])


def test_a_series_that_a_kill_left_half_written_does_not_show() -> None:
    """What is published last is its size; the next one that comes begins at zero."""
    shared = SharedCounts(1)
    count(shared, 0, 1)
    block = shared._own
    used = int(block._cells[0])
    for index in range(used, used + 20):
        block._cells[index] = 7.0

    assert shared.sums() == {ROWS: [0, 1]}
    assert list(shared.cells("fairway_errors_total", ("café", "1", "value_type"), 2)) == [0, 0]


def test_series_beyond_the_room_are_dropped_and_nothing_else() -> None:
    """A worker never fails because there is nowhere to count."""
    shared = SharedCounts(2)
    shared.attach(0)
    size = BLOCK_BYTES // 8 // 4
    for number in range(5):
        shared.cells("fairway_rows_total", (str(number),), size)[0] += 1

    assert [labels for _, labels in shared.sums()] == [("0",), ("1",), ("2",)]
    assert shared._blocks[1]._cells[0] == 8


def test_one_process_keeps_lists() -> None:
    """The same interface, without memory to share."""
    counts = LocalCounts()
    counts.cells(*ROWS, 2)[1] += 3
    counts.gauges[INFLIGHT] += 1

    assert counts.cells(*ROWS, 2) is counts.cells(*ROWS, 2)
    assert counts.sums() == {ROWS: [0, 3]}
    assert counts.gauge(INFLIGHT) == 1
