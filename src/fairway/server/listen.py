"""Bind the address first, then serve an application on it with uvicorn until a signal comes."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial

import uvicorn

from fairway.errors import PortInUse, SettingsError
from fairway.log import Log
from fairway.server.app import App
from fairway.server.foreign_log import foreign_lines
from fairway.server.wire import Connection

_BACKLOG = 2048
_DRAIN_S = 30  # what Kubernetes and SageMaker give a process to end by default


@contextlib.contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a bound socket: whoever is told that the port is taken has not waited for a model to load.

    Raises:
        PortInUse: Another process listens there.
        SettingsError: The address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as bound:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
        except OSError as cause:
            if cause.errno == errno.EADDRINUSE:
                raise PortInUse(host, port) from cause
            raise SettingsError(f"cannot listen on {host}:{port}: {cause.strerror}") from cause
        yield bound


def run(app: App, bound: socket.socket, *, log: Log, models: Sequence[str]) -> None:
    """Serve until SIGINT or SIGTERM; calls in flight are answered first, for up to 30 seconds.

    Raises:
        PortInUse: Another process has begun to listen since the address was bound.
        SystemExit: SIGTERM came; the exit code is 0.
        KeyboardInterrupt: SIGINT came.
    """
    host, port = bound.getsockname()[:2]
    try:
        bound.listen(_BACKLOG)
    except OSError as cause:
        raise PortInUse(host, port) from cause
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    config = uvicorn.Config(
        app,
        http=Connection,
        proxy_headers=False,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
        lifespan="on",
    )
    print(f"fairway serves {', '.join(models) or 'no model'} on {address}", file=sys.stderr, flush=True)  # noqa: T201
    try:
        with foreign_lines(partial(_tell, log)), _clean_exit():
            uvicorn.Server(config).run(sockets=[bound])
    finally:
        log.close()


def _tell(log: Log, level: str, detail: str) -> None:
    log.event("connection.failed", level=level, detail=detail)


@contextlib.contextmanager
def _clean_exit() -> Iterator[None]:
    """Let SIGTERM end with 0: uvicorn raises the signal once more when it has answered everybody."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
