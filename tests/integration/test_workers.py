"""Done under load, with callers that check every answer: kill a worker, stop the server, move an alias."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.server.listen import begin_to_listen, listen
from fairway.testing import RunningServer, running_server

from .conftest import Elapsed, counts, wait_until
from .traffic import Traffic

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has one process per server")

SLOPES = {"line:1": 1.0, "line:2": 2.0}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home with line:1 and line:2, which answer exactly once and twice the input."""
    linear = pytest.importorskip("sklearn.linear_model")
    np = pytest.importorskip("numpy")
    home = tmp_path_factory.mktemp("lines") / "home"
    for slope in SLOPES.values():
        model = linear.LinearRegression().fit([[0.0], [1.0]], [0.0, slope])
        model.coef_, model.intercept_ = np.array([slope]), 0.0
        fw.push(model, name="line", example={"x": [0.0, 1.0, 2.0]}, home=home)
    fw.alias("line:1", "production", home=home)
    return home


@contextmanager
def serving(home: Path, folder: Path, workers: int, **environ: str) -> Iterator[RunningServer]:
    variables = {"FAIRWAY_SERVER_WORKERS": str(workers), **environ}
    with running_server("line", home=home, folder=folder, environ=variables) as server:
        yield server


@pytest.fixture(scope="module")
def server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a running server with two workers."""
    with serving(home, tmp_path_factory.mktemp("two-workers"), 2) as server:
        wait_until(lambda: len(events(server, "worker.started")) == 2)
        yield server


def events(server: RunningServer, name: str) -> list[dict[str, Any]]:
    """Return the events of one name; a line of JSON that is none is a failure."""
    lines = server.log.read_bytes().splitlines(keepends=True)
    found = [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"\n")]
    return [event for event in found if event["event"] == name]


def workers_of(server: RunningServer) -> list[int]:
    """Return the process ids of the workers that run, from the kernel."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc, and shares the port as Linux does")

# -- nothing is lost --


@linux
def test_a_killed_worker_costs_no_more_than_its_calls_in_flight(server: RunningServer) -> None:
    """The others go on, another one takes its place within two seconds, and no counter goes backwards."""
    began, key = len(events(server, "worker.started")), '{model="line",version="1"}'
    with Traffic(server.port, SLOPES, callers=8, strangers=4) as traffic:
        traffic.wait_for(300)
        before = counts(server, "fairway_rows_total")[key]
        victim = workers_of(server)[0]
        os.kill(victim, signal.SIGKILL)
        killed = Elapsed()
        wait_until(lambda: len(events(server, "worker.started")) > began)
        replaced_s = killed.seconds()
        traffic.wait_for(300)
        after = counts(server, "fairway_rows_total")[key]

    assert replaced_s <= 2.0
    assert len(traffic.tally.lost) <= 12
    assert (traffic.tally.wrong, traffic.tally.refused) == ([], 0)
    assert after >= before + 300
    assert victim not in workers_of(server)
    assert (victim, "SIGKILL") in [(died["pid"], died["signal"]) for died in events(server, "worker.died")]


@linux
def test_workers_that_die_young_are_replaced_without_haste(server: RunningServer) -> None:
    """The delay grows up to a second, the other worker answers meanwhile, and the log tells each time."""
    for _ in range(3):
        began = len(events(server, "worker.started"))
        os.kill(workers_of(server)[-1], signal.SIGKILL)
        wait_until(lambda: len(events(server, "worker.started")) > began)  # noqa: B023
    delays = [event["restart_in_s"] for event in events(server, "worker.died")][-3:]

    assert 0 < delays[-1] <= 1.0
    assert server.ask("/readyz").status == 200


@pytest.mark.parametrize(
    ("workers", "stop", "code"),
    [(1, signal.SIGTERM, 0), (2, signal.SIGTERM, 0), (2, signal.SIGINT, 130)],
    ids=["one worker", "two workers", "two workers, interrupted"],
)
def test_a_stop_under_load_loses_no_call(
    home: Path, tmp_path: Path, workers: int, stop: signal.Signals, code: int
) -> None:
    """Whoever could connect and has sent a call gets the answer; after that, connections are refused."""
    with (
        serving(home, tmp_path, workers) as server,
        socket.create_connection(("127.0.0.1", server.port)) as silent,
        Traffic(server.port, SLOPES, callers=8, strangers=8) as traffic,
    ):
        traffic.wait_for(300)
        server.process.send_signal(stop)
        assert server.process.wait(20) == code
        wait_until(lambda: traffic.tally.refused)
        assert silent.recv(1) == b""  # an end, not a reset

    assert (traffic.tally.lost, traffic.tally.wrong) == ([], [])
    assert len(events(server, "server.stopped")) == 1
    assert len(events(server, "worker.stopped")) == (workers if workers > 1 else 0)


def test_a_stop_reaches_workers_that_have_just_been_forked(home: Path, tmp_path: Path) -> None:
    """They begin, answer who waits, and end; and gunicorn has neither read nor said anything."""
    environ = {"GUNICORN_CMD_ARGS": "--bind 0.0.0.0:1 --workers 9", "WEB_CONCURRENCY": "7"}
    with serving(home, tmp_path, 3, **environ) as server:
        assert server.stop() == 0
    plain = [line for line in server.log.read_text().splitlines() if not line.startswith("{")]

    assert len(events(server, "worker.started")) == len(events(server, "worker.stopped")) == 3
    assert plain == [f"fairway serves line with 3 workers on http://127.0.0.1:{server.port}"]


def test_an_alias_that_moves_under_load_loses_nothing_and_mixes_nothing(
    home: Path, server: RunningServer
) -> None:
    """All workers follow within a second, and every answer is of one version for all of its rows."""
    with production(home, server, 1), Traffic(server.port, SLOPES, callers=8, rows=5) as traffic:
        for version in (2, 1, 2):
            traffic.wait_for(100)
            fw.alias(f"line:{version}", "production", home=home)
            moved = Elapsed()
            wait_until(lambda: versions(server) == {f"line:{version}"})  # noqa: B023
            assert moved.seconds() < 1.5  # a second, and that of asking
        traffic.wait_for(100)

    assert (traffic.tally.lost, traffic.tally.wrong, traffic.tally.refused) == ([], [], 0)
    assert traffic.tally.answered.keys() == SLOPES.keys()


@linux
def test_a_replacement_serves_what_was_moved_after_the_start(home: Path, server: RunningServer) -> None:
    """Not the version that the master had loaded, not even for its first call."""
    with production(home, server, 2):
        for worker in workers_of(server):
            os.kill(worker, signal.SIGKILL)
        assert versions(server) == {"line:2"}


@contextmanager
def production(home: Path, server: RunningServer, version: int) -> Iterator[None]:
    """Let production be a version for the time of a block, and line:1 afterwards, for all workers."""
    fw.alias(f"line:{version}", "production", home=home)
    wait_until(lambda: versions(server) == {f"line:{version}"})
    try:
        yield
    finally:
        fw.alias("line:1", "production", home=home)
        wait_until(lambda: versions(server) == {"line:1"})


def versions(server: RunningServer) -> set[str]:
    """Return who answers; each call comes on a connection of its own, so no worker is left out."""
    return {server.ask("/predict", {"x": 3}).headers["fairway-model"] for _ in range(16)}


# -- who is there --


@linux
def test_metrics_speak_for_all_workers(server: RunningServer) -> None:
    """Whoever is scraped says the same, and the calls of all are in it; so are their processes."""
    key = '{model="line",version="1"}'
    before = counts(server, "fairway_rows_total").get(key, 0.0)
    for number in range(20):
        server.ask("/predict", [{"x": number}] * 3)
    seen = [counts(server, "fairway_rows_total")[key] for _ in range(8)]
    (memory,) = counts(server, "process_resident_memory_bytes").values()
    total = sum(resident_bytes(pid) for pid in (server.process.pid, *workers_of(server)))

    assert seen == [before + 60.0] * 8
    assert 0 < memory < total


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@linux
def test_workers_end_when_the_master_is_killed_and_free_the_port(home: Path, tmp_path: Path) -> None:
    """No orphan holds the address; what they had begun they answer."""
    with serving(home, tmp_path, 2) as server, Traffic(server.port, SLOPES, strangers=4) as traffic:
        traffic.wait_for(100)
        orphans = workers_of(server)
        server.process.kill()
        server.process.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans))
        with listen("127.0.0.1", server.port) as bound:
            begin_to_listen(bound)

    assert (traffic.tally.lost, traffic.tally.wrong) == ([], [])


# -- the address --


def test_a_second_server_on_the_port_is_told_so(home: Path, server: RunningServer) -> None:
    """Also one that would share its port among workers of its own."""
    command = [sys.executable, "-m", "fairway", "serve", "line", "--port", str(server.port), "--workers", "2"]
    done = subprocess.run([*command, "--home", str(home)], capture_output=True, check=False, timeout=60)

    assert (done.returncode, b"in use by another process" in done.stderr) == (1, True)
    assert server.ask("/livez").status == 200
