"""For tests of models, flavors and clients: a real server in a process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
_ADDRESS = re.compile(rb"^fairway serves .* on http://127\.0\.0\.1:(\d+)\r?$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Answer:
    """A reply as it came over the wire.

    Attributes:
        status: HTTP status.
        headers: Headers by lower-case name.
        body: The whole body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as parsed JSON."""
        return json.loads(self.body)


@dataclasses.dataclass(frozen=True)
class RunningServer:
    """A server that `running_server` has started.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        process: The process.
        log: File with everything that it printed.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Address of the server, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Send one request on a connection of its own and return the whole reply.

        Args:
            path: Path and query.
            body: Bytes, an iterator of bytes (in chunks), or data that is sent as JSON. Default: no body.
            method: HTTP method; POST with a body and GET without by default.
            headers: Sent as they are.
            timeout_s: Longest wait for the server.
        """
        if body is not None and not isinstance(body, bytes | Iterator):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        with contextlib.closing(connection):
            verb = method or ("GET" if body is None else "POST")
            chunked = isinstance(body, Iterator)
            connection.request(verb, path, body, dict(headers or {}), encode_chunked=chunked)
            reply = connection.getresponse()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())

    def stop(self) -> int:
        """Ask the server to end, as a container's platform does (SIGTERM), and return its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_DEADLINE_S)


@contextlib.contextmanager
def running_server(
    *references: str | Path, home: Path, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[RunningServer]:
    """Run `fairway serve` on a free port of 127.0.0.1 until the block ends.

    Args:
        *references: What to serve: references, or paths of bundles. None serves the whole registry.
        home: Folder of the registry.
        environ: Variables beside those of this process, such as `{"FAIRWAY_LIMITS_MAX_ROWS": "10"}`.
        folder: Working directory, which gets the log. Default: a new one that goes away afterwards.

    Raises:
        TimeoutError: The server does not answer in time, or has ended; the message holds its last lines.

    Example:
        >>> with running_server("iris", home=home) as server:  # doctest: +SKIP
        ...     server.ask("/predict", {"features": [5.1, 3.5, 1.4, 0.2]}).json()
        {'prediction': [0]}
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairway-server-")))
        # A file, not a pipe: a pipe that nobody reads would fill up and hold the server.
        log = folder / "server.log"
        command = [sys.executable, "-m", "fairway", "serve", *map(str, references), "--port", "0"]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                [*command, "--home", str(home)],
                cwd=folder,
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield _wait_until_alive(process, log)
        finally:
            _end(process)


def _wait_until_alive(process: subprocess.Popen[bytes], log: Path) -> RunningServer:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := _ADDRESS.search(log.read_bytes()):
            server = RunningServer(int(found[1]), process, log)
            with contextlib.suppress(OSError, http.client.HTTPException):
                if server.ask("/livez").status == http.HTTPStatus.OK:
                    return server
        time.sleep(0.01)
    tail = log.read_text(errors="replace")[-2000:]
    what = "ended" if process.poll() is not None else f"did not answer within {START_DEADLINE_S:g} s"
    raise TimeoutError(f"the server {what}:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
