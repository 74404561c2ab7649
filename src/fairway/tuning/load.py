"""A load on loopback: callers that ask one question again and again, each as soon as it is answered."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

from fairway.errors import FairwayError

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What callers saw.

    Attributes:
        callers: How many asked at the same time.
        calls_per_s: Answers per second, all callers together.
        p50_ms: Half of the answers came within this time.
        p99_ms: 99 of 100 did.
    """

    callers: int
    calls_per_s: float
    p50_ms: float
    p99_ms: float


class _Caller(asyncio.Protocol):
    """One connection; the next request leaves as soon as the reply is whole."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._received = b""
        self._began = 0.0
        self._transport: Any = None
        self.seconds: list[float] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(_HEAD_END)
        if not found or len(body) < _length(head):
            return
        status = head[9:12]
        if status != b"200":
            self._fail(FairwayError(f"the server answered with the status {status.decode('latin-1')}"))
            return
        self.seconds.append(time.perf_counter() - self._began)
        self._received = b""
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or FairwayError("the server closed the connection"))

    def _fail(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)

    def stop(self) -> None:
        """Ask no more."""
        if not self.ended.done():
            self.ended.set_result(None)
        if self._transport is not None:
            self._transport.abort()


def _length(head: bytes) -> int:
    found = head.lower().partition(_LENGTH)[2]
    return int(found.partition(b"\r\n")[0] or 0)


async def put_load(port: int, request: bytes, *, callers: int, seconds: float) -> Load:
    """Let callers ask for some seconds.

    Args:
        port: Where the server listens, on 127.0.0.1.
        request: The whole request, head and body.
        callers: How many ask at the same time.
        seconds: For how long.

    Raises:
        FairwayError: A call was not answered with 200.
    """
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda: _Caller(request), "127.0.0.1", port) for _ in range(callers)
    ]
    crew = [caller for _, caller in pairs]
    began = time.perf_counter()
    await asyncio.wait(
        [caller.ended for caller in crew], timeout=seconds, return_when=asyncio.FIRST_EXCEPTION
    )
    took = time.perf_counter() - began
    for caller in crew:
        caller.stop()
        caller.ended.result()
    waits = sorted(wait for caller in crew for wait in caller.seconds)
    if not waits:
        raise FairwayError(f"no call was answered within {seconds:g} s")
    return Load(callers, len(waits) / took, _quantile_ms(waits, 0.5), _quantile_ms(waits, 0.99))


def _quantile_ms(ordered: list[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))] * 1e3
