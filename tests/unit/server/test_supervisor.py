"""When a dead worker is replaced, when a silent one is killed, and where several cannot be had."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from fairway.errors import UsageError
from fairway.log import Log
from fairway.server.cells import SharedCounts
from fairway.server.listen import check_workers

if sys.platform == "win32":
    pytest.skip("gunicorn does not run on Windows", allow_module_level=True)

from fairway.server.supervisor import MAX_DELAY_S, STABLE_S, Crew, Slot, _Application, _Master, _Worker


def test_the_delay_doubles_while_workers_die_young_and_is_bounded() -> None:
    """The first replacement comes soon, and no row of deaths makes callers wait for more than a second."""
    with socket.socket() as bound:
        slot = Slot(0, bound, started=100.0)
        delays = [slot.plan(100.5) for _ in range(8)]

        assert delays == [0.1, 0.2, 0.4, 0.8, *[MAX_DELAY_S] * 4]
        assert slot.due == 100.5 + MAX_DELAY_S


def test_a_worker_that_had_lived_is_replaced_at_once() -> None:
    """And whatever died before it is forgotten."""
    with socket.socket() as bound:
        slot = Slot(0, bound, started=100.0)
        slot.plan(100.5)

        assert slot.plan(100.0 + STABLE_S) == 0
        assert slot.plan(100.5) == 0.1


def test_several_workers_are_refused_outside_of_the_main_thread() -> None:
    """There, no signal would come to stop them."""
    raised: list[UsageError] = []

    def try_it() -> None:
        with pytest.raises(UsageError, match="main thread") as info:
            check_workers(2)
        raised.append(info.value)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    assert raised[0].hint
    check_workers(2)


def test_a_worker_that_gives_no_sign_of_life_is_killed_and_the_log_says_so() -> None:
    """Until then it is left alone: a call may hold the event loop for as long as it is allowed to take."""
    stream = io.BytesIO()
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        crew = Crew(
            [Slot(0, bound)], pool=None, shared=SharedCounts(1), log=Log(stream, threaded=False),
            build_app=None, forking=Slot(0, bound),
        )  # type: ignore[arg-type]  # fmt: skip
        master = _Master(_Application(crew, timeout_s=1))
        child = subprocess.Popen(["sleep", "60"])
        worker = _Worker(1, 0, [], master.app, 0.5, master.cfg, master.log)
        master.WORKERS = {child.pid: worker}
        worker.notify()
        master.murder_workers()
        assert child.poll() is None
        deadline = time.monotonic() + 30
        while child.poll() is None:
            assert time.monotonic() < deadline
            master.murder_workers()
            time.sleep(0.01)
        master.WORKERS.clear()
        worker.tmp.close()

    assert child.returncode == -signal.SIGKILL
    assert json.loads(stream.getvalue().splitlines()[0])["event"] == "worker.stuck"
