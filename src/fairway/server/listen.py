"""Bind the address first, then serve an application on it with uvicorn until a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

import uvicorn

from fairway.errors import PortInUse, SettingsError, UsageError
from fairway.log import Log
from fairway.server.app import App
from fairway.server.foreign_log import foreign_lines
from fairway.server.wire import Connection, has_unread

DRAIN_S = 30  # what Kubernetes and SageMaker give a process to end by default

_BACKLOG = 2048
_HANDSHAKE_S = 0.1
_TURN_S = 0.01
_ACCEPT_S = 2.0  # without a packet filter new callers go on coming

# Linux' numbers; the module `socket` knows neither.
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_SYN, _ACK, _FLAGS_OFFSET = 0x02, 0x10, 13
# A program of the kernel's packet filter: load the TCP flags, keep SYN and ACK, drop what has SYN alone.
_DROP_SYN = (
    (0x30, 0, 0, _FLAGS_OFFSET),
    (0x54, 0, 0, _SYN | _ACK),
    (0x15, 0, 1, _SYN),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFF_FFFF),
)


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


def begin_to_listen(bound: socket.socket) -> None:
    """Let callers connect; they wait until somebody serves.

    Raises:
        PortInUse: Another process has begun to listen since the address was bound.
    """
    try:
        bound.listen(_BACKLOG)
    except OSError as cause:
        raise PortInUse(*bound.getsockname()[:2]) from cause


def share_port(bound: socket.socket, count: int) -> list[socket.socket]:
    """Return *count* listening sockets, *bound* the first, among which the kernel spreads the connections.

    The first took the port without SO_REUSEPORT, so nobody else has it; it learns to share only now. Linux
    spreads them; elsewhere all are the same socket.
    """
    if sys.platform != "linux":
        return [bound] * count
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sockets = [bound]
    for _ in range(1, count):
        twin = socket.socket(bound.family, socket.SOCK_STREAM)
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        twin.bind(bound.getsockname())
        twin.listen(_BACKLOG)
        sockets.append(twin)
    return sockets


def check_workers(workers: int) -> None:
    """Refuse several workers where the platform or the calling program cannot have them.

    Raises:
        SettingsError: The platform cannot fork.
        UsageError: The calling thread gets no signals.
    """
    if not hasattr(os, "fork"):
        raise SettingsError(
            f"server.workers is {workers}, and on this platform a server has one process",
            hint="leave server.workers at 1",
        )
    if threading.current_thread() is not threading.main_thread():
        raise UsageError(
            "several workers can only be served from the main thread", hint="serve in a process of its own"
        )


def announce(bound: socket.socket, models: Sequence[str], *, workers: int = 1) -> None:
    """Say on standard error what is served, by how many, and where."""
    host, port = bound.getsockname()[:2]
    by = f" with {workers} workers" if workers > 1 else ""
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    # One write, with its line end: the log's thread writes to the same stream.
    sys.stderr.write(f"fairway serves {', '.join(models) or 'no model'}{by} on {address}\n")
    sys.stderr.flush()


def run(app: App, bound: socket.socket, *, log: Log, models: Sequence[str]) -> None:
    """Serve until SIGINT or SIGTERM; calls in flight are answered first, for up to 30 seconds.

    Raises:
        PortInUse: Another process has begun to listen since the address was bound.
        SystemExit: SIGTERM came; the exit code is 0.
        KeyboardInterrupt: SIGINT came.
    """
    begin_to_listen(bound)
    announce(bound, models)
    try:
        with _clean_exit():
            serve(app, bound, log=log)
    finally:
        log.close()


def serve(
    app: App, bound: socket.socket, *, log: Log, each_second: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Serve on a listening socket until a signal comes, which is raised again when all is answered.

    Args:
        app: The application.
        bound: The socket.
        log: Gets what uvicorn and asyncio have to say.
        each_second: Called about once per second while the event loop turns.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        proxy_headers=False,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
        lifespan="on",
        callback_notify=each_second,
        timeout_notify=0,
    )
    with foreign_lines(partial(_tell, log)):
        _Server(config).run(sockets=[bound])


class _Server(uvicorn.Server):
    """uvicorn's server, which ends without losing who has just connected."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections; a signal that came before is acted on now, when everybody can be answered."""
        for bound in sockets or ():
            _admit(bound)
        await super().startup(sockets)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody new in, accept who is at the door, and only then close the door.

        Closing a listening socket resets the connections that wait to be accepted, with the calls that they
        may have sent. Once the kernel ignores new ones, the time of a handshake brings the last of them, and
        some turns of the event loop accept them: not one turn, for on a busy machine its timers are late.
        """
        for bound in sockets or ():
            _turn_away(bound)
        await asyncio.sleep(_HANDSHAKE_S)
        deadline = time.monotonic() + _ACCEPT_S
        while any(map(has_unread, sockets or ())) and time.monotonic() < deadline:  # noqa: ASYNC110 - no event
            await asyncio.sleep(_TURN_S)
        await asyncio.sleep(_TURN_S)
        await super().shutdown(sockets)


def _turn_away(bound: socket.socket) -> None:
    """Have the kernel ignore new connections to a listening socket, where it can."""
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _DROP_SYN))
    filter_ = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(program))
    with contextlib.suppress(OSError):  # a sandbox without packet filters
        bound.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)


def _admit(bound: socket.socket) -> None:
    """Undo `_turn_away`, which lasts as long as the socket: longer than the worker that called it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # there is nothing to undo
            bound.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


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
