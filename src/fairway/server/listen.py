"""Bind the address first, then serve an application on it with uvicorn until a signal comes."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterator, Sequence

import uvicorn

from fairway.errors import PortInUse, SettingsError
from fairway.log import Log
from fairway.server.app import App

_BACKLOG = 2048
_DRAIN_S = 10


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
    """Serve until SIGINT or SIGTERM; calls in flight are answered first."""
    bound.listen(_BACKLOG)
    host, port = bound.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
        lifespan="on",
    )
    print(f"fairway serves {', '.join(models) or 'no model'} on {address}", file=sys.stderr, flush=True)  # noqa: T201
    try:
        uvicorn.Server(config).run(sockets=[bound])
    finally:
        log.close()
