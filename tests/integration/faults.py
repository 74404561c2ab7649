"""A proxy before an HTTP server that misbehaves as object stores and the networks before them do.

Every connection carries one request. What happens to it is what is planned first for its method; with nothing
planned it passes untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import socket
import struct
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RANGE = re.compile(rb"\r\nrange: *(\S+)", re.IGNORECASE)
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset

ERRORS = {
    "500": (500, "Internal Server Error", "InternalError"),
    "503": (503, "Service Unavailable", "SlowDown"),
    "403": (403, "Forbidden", "InvalidAccessKeyId"),
    "507": (507, "Insufficient Storage", "XMinioStorageFull"),
}
"""Faults that are answered by the proxy; the request does not arrive."""

CUTS = ("reset", "cut", "cut-short")
"""Faults of the answer's body: reset half-way; ended half-way; half of it under a header that fits."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A request that came to the proxy: its method, its path, and the range it asked for."""

    method: str
    path: str
    range: str


@dataclasses.dataclass
class Proxy:
    """What a test tells the proxy, and what it tells the test.

    Attributes:
        address: Where it listens, as a URL.
        requests: Every request that came, in order.
    """

    address: str
    requests: list[Request] = dataclasses.field(default_factory=list)
    _plans: dict[str, list[tuple[str, int]]] = dataclasses.field(default_factory=dict)

    def plan(self, fault: str, *, times: int = 1_000_000, method: str = "GET") -> None:
        """Let a fault happen to the next requests of a method.

        Args:
            fault: One of `ERRORS` or `CUTS`; `drop` for a connection that is reset before any answer, `hang`
                for one on which nothing ever comes.
            times: To how many requests.
            method: Of which method.
        """
        self._plans.setdefault(method, []).append((fault, times))

    def heal(self) -> None:
        """Forget what was planned."""
        self._plans.clear()

    def count(self, method: str) -> int:
        """Return how many requests of a method came."""
        return sum(request.method == method for request in self.requests)

    def _next_fault(self, method: str) -> str:
        plans = self._plans.get(method)
        if not plans:
            return ""
        fault, times = plans.pop(0)
        if times > 1:
            plans.insert(0, (fault, times - 1))
        return fault


@contextlib.contextmanager
def faulty_proxy(upstream: str) -> Iterator[Proxy]:
    """Run a proxy before the server at *upstream* in a thread of its own."""
    parts = urlsplit(upstream)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="faulty-proxy")
    thread.start()
    proxy = Proxy("")
    try:
        handler = _Handler(proxy, parts.hostname or "", parts.port or 80)
        server = asyncio.run_coroutine_threadsafe(handler.listen(), loop).result(30)
        proxy.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(server), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _end_all(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _Handler:
    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self._proxy, self._host, self._port = proxy, host, port

    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        method, path = head.split(b" ", 2)[:2]
        asked = _RANGE.search(head)
        request = Request(method.decode(), path.decode(), asked[1].decode() if asked else "")
        self._proxy.requests.append(request)
        fault = self._proxy._next_fault(request.method)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "drop":
            _reset(writer)
            return
        if fault in ERRORS:
            writer.write(_error(*ERRORS[fault]))
            await writer.drain()
            return
        answer = await self._forward(head, body)
        await _send(writer, answer, fault)

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(head[:-2] + b"connection: close\r\n\r\n" + body)
            await writer.drain()
            return await reader.read(-1)
        finally:
            writer.close()


async def _send(writer: asyncio.StreamWriter, answer: bytes, fault: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    if fault in CUTS:
        body = body[: len(body) // 2]
    if fault == "cut-short":
        head = _LENGTH.sub(b"\r\ncontent-length: %d" % len(body), head)
    writer.write(head + b"\r\n\r\n" + body)
    await writer.drain()
    if fault == "reset":
        await asyncio.sleep(0.05)  # what was written arrives before the reset
        _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()


def _error(status: int, title: str, code: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>AKIATESTTESTTEST may not</Message></Error>".encode()
    return b"HTTP/1.1 %d %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (
        status,
        title.encode(),
        len(body),
        body,
    )
