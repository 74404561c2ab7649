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


@dataclass(frozen=True)
class Load:
    """What wrk measured at one number of connections."""

    connections: int
    calls_per_s: float
    p50_ms: float
    p99_ms: float


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


def ask(port: int, body: bytes) -> tuple[int, bytes]:
    """Post *body* to /predict on a new connection; return the status and the reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/predict", body, {"content-type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


@contextlib.contextmanager
def running(
    command: Sequence[str], *, port: int, first: bytes, environ: Mapping[str, str], folder: Path
) -> Iterator[Server]:
    """Run a server and stop it, with all its workers, at the end.

    Args:
        command: What to start.
        port: Where it will listen.
        first: Body of the request whose answer ends the measured start.
        environ: Variables in addition to those of this process.
        folder: Working directory; the server's output goes to `server.log` in it.
    """
    log = folder / "server.log"
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if ask(port, first)[0] == http.HTTPStatus.OK:
                    break
            waited = time.perf_counter() - began
            if process.poll() is not None or waited > START_DEADLINE_S:
                tail = log.read_text(errors="replace")[-2000:]
                raise SystemExit(f"{command[0]} did not answer after {waited:.1f} s:\n{tail}")
            time.sleep(0.005)
        yield Server(port, process.pid, time.perf_counter() - began)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a server to stop; after a while end it and its workers."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_DEADLINE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def load(server: Server, *, connections: int, seconds: int, bodies: Path) -> Load:
    """Let wrk post *bodies* for some seconds; a single failed call ends the run."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(POST)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{server.port}"],
        env={**os.environ, "BENCH_BODIES": str(bodies)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    if found["failed"]:
        raise SystemExit(f"{found['failed']} calls failed; a benchmark of errors says nothing")
    return Load(connections, found["calls"] / found["seconds"], found["p50_ms"], found["p99_ms"])


def memory_mb(pid: int) -> float:
    """Return the memory of a process and everything below it in MB, shared pages counted once (PSS)."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    tree = {pid}
    while more := {child for child, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(map(_pss_kb, tree)) / 1024


def _pss_kb(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
