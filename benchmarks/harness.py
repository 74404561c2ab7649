"""Start a server, ask it, load it, weigh it, stop it: what every serving benchmark needs."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 10.0
POST = Path(__file__).parent / "post.lua"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""For every system: there are as many workers as cores, and threads that fight for cores stall them all."""


@dataclass(frozen=True)
class Load:
    """What wrk measured: one cell of the tables.

    Attributes:
        rows: Rows per call.
        connections: Kept connections.
        calls_per_s: Answered calls.
        p50_ms: Half of the calls took no longer.
        p99_ms: Ninety-nine of a hundred took no longer.
        failed: Calls that got no answer, or one that is not of the 200s or 300s; with any, the cell is void.
    """

    rows: int
    connections: int
    calls_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True)
class Server:
    """A running server: its port, its process, and how long it took to give the first answer."""

    port: int
    pid: int
    first_answer_s: float


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, path: str, body: bytes) -> tuple[int, bytes]:
    """Post *body* on a new connection; return the status and the reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, body, {"content-type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    path: str,
    first: bytes,
    environ: Mapping[str, str],
    folder: Path,
) -> Iterator[Server]:
    """Run a server and stop it, with everything that it started, at the end.

    Args:
        command: What to start.
        port: Where it will listen.
        path: Route of predictions.
        first: Body of the request whose answer ends the measured start.
        environ: Variables in addition to those of this process.
        folder: Working directory; the server's output goes to `server.log` in it.

    Raises:
        RuntimeError: It does not answer in time; the message holds the end of what it printed.
    """
    log = folder / "server.log"
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **ONE_THREAD, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        status = 0
        while status != http.HTTPStatus.OK:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _ = ask(port, path, first)
            waited = time.perf_counter() - began
            if process.poll() is not None or waited > START_DEADLINE_S:
                tail = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"no answer after {waited:.1f} s, last status {status}:\n{tail}")
            time.sleep(0.005)
        yield Server(port, process.pid, time.perf_counter() - began)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to stop; after a while end it and whatever it has started."""
    started = tree_of(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_DEADLINE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid, birth in started.items():  # some leave the process group
        if birth and _birth_of(pid) == birth:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def load(server: Server, path: str, bodies: Path, *, rows: int, connections: int, seconds: int) -> Load:
    """Let wrk post *bodies* for some seconds."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(POST), "--timeout", "20s"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}"],
        env={**os.environ, "BENCH_BODIES": str(bodies), "BENCH_PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    rate = found["calls"] / found["seconds"]
    return Load(rows, connections, rate, found["p50_ms"], found["p99_ms"], found["failed"])


def tree_of(pid: int) -> dict[int, str]:
    """Return a process and everything below it, each with the moment of its start."""
    parents, births = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)], births[int(stat.parent.name)] = int(fields[1]), fields[19]
    tree = {pid}
    while more := {child for child, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return {each: births.get(each, "") for each in tree}


def _birth_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def memory_mb(pid: int) -> float:
    """Return the memory of a process and everything below it in MB, shared pages counted once (PSS)."""
    return sum(map(_pss_kb, tree_of(pid))) / 1024


def _pss_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def busy_share(seconds: float = 0.3) -> float:
    """Return the share of the processors that is at work during a moment in which we ourselves rest."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    total = sum(after) - sum(before)
    idle = after[3] + after[4] - before[3] - before[4]
    return 1 - idle / total if total else 0.0


def _ticks() -> list[int]:
    return [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
