"""Callers of a running server that check every answer, and count what becomes of each of their calls.

Every caller has one connection, sends a call when the one before is answered, and knows what it has to get:
the calls differ, and so do the answers. A call counts as lost if it was sent and its connection ended, or
nothing came, instead of an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from fairway.server.wire import has_unread

ANSWER_DEADLINE_S = 20.0
_RETRY_S = 0.01


@dataclasses.dataclass
class Tally:
    """What became of the calls.

    Attributes:
        answered: How many got the right answer, by the version that gave it.
        lost: What happened instead of an answer, by call.
        wrong: Answers that were none, or those of another call.
        refused: Connections that were refused; nothing was sent on them.
        slowest_s: Longest time from a call to its answer.
    """

    answered: Counter[str] = dataclasses.field(default_factory=Counter)
    lost: list[str] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)
    refused: int = 0
    slowest_s: float = 0.0

    @property
    def total(self) -> int:
        """Calls that were answered rightly."""
        return self.answered.total()


class Traffic:
    """Runs callers in a thread until the block ends.

    The model that answers has to give the single input times its version's slope.

    Args:
        port: Where the server listens on 127.0.0.1.
        slopes: Slope by version, as the header `fairway-model` names it: `{"line:1": 1.0}`.
        callers: How many keep their connection.
        strangers: How many come with a new connection for every call.
        path: Where the calls go.
        rows: Rows per call.
    """

    def __init__(
        self,
        port: int,
        slopes: dict[str, float],
        *,
        callers: int = 8,
        strangers: int = 0,
        path: str = "/predict",
        rows: int = 1,
    ) -> None:
        self.tally = Tally()
        self._port = port
        self._slopes = slopes
        self._keeps = [True] * callers + [False] * strangers
        self._path = path
        self._rows = rows
        self._numbers = itertools.count(1)
        self._is_over = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._call_all()), daemon=True)

    def __enter__(self) -> Self:
        """Let them call."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until every call has its answer, or none."""
        self._is_over = True
        self._thread.join(ANSWER_DEADLINE_S + 5)
        assert not self._thread.is_alive(), "a caller hangs"

    def wait_for(self, calls: int, *, deadline_s: float = 20.0) -> None:
        """Wait until so many more calls are answered."""
        goal, deadline = self.tally.total + calls, time.monotonic() + deadline_s
        while self.tally.total < goal:
            assert time.monotonic() < deadline, f"no {calls} answers in {deadline_s:g} s: {self.tally}"
            time.sleep(0.002)

    async def _call_all(self) -> None:
        await asyncio.gather(*(self._caller(keeps=keeps) for keeps in self._keeps))

    async def _caller(self, *, keeps: bool) -> None:
        while not self._is_over:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.tally.refused += 1
                await asyncio.sleep(_RETRY_S)
                continue
            with contextlib.suppress(OSError):
                await self._converse(reader, writer, keeps=keeps)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, keeps: bool
    ) -> None:
        """Call until the server or the caller wants no more on this connection."""
        connection = writer.get_extra_info("socket")
        while not self._is_over and not has_unread(connection):  # the server has closed it: nothing was sent
            numbers = [float(next(self._numbers)) for _ in range(self._rows)]
            started = time.perf_counter()
            writer.write(self._request(numbers, keeps=keeps))
            try:
                async with asyncio.timeout(ANSWER_DEADLINE_S):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
                    headers = dict(line.split(": ", 1) for line in head[1:] if line)
                    body = await reader.readexactly(int(headers["content-length"]))
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.tally.lost.append(
                    f"call {numbers[0]:g} after {time.perf_counter() - started:.3f} s: {error!r}"
                )
                return
            self.tally.slowest_s = max(self.tally.slowest_s, time.perf_counter() - started)
            self._judge(numbers, head[0], headers, body)
            if headers.get("connection") == "close":
                return

    def _request(self, numbers: Sequence[float], *, keeps: bool) -> bytes:
        body = json.dumps([{"x": number} for number in numbers] if self._rows > 1 else {"x": numbers[0]})
        lines = [f"POST {self._path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
        lines += [] if keeps else ["connection: close"]
        return "\r\n".join([*lines, "", body]).encode()

    def _judge(self, numbers: Sequence[float], status: str, headers: dict[str, str], body: bytes) -> None:
        version = headers.get("fairway-model", "")
        slope = self._slopes.get(version)
        got = list(_predictions(body)) if status == "http/1.1 200 ok" else None
        if slope is not None and got == [slope * number for number in numbers]:
            self.tally.answered[version] += 1
        else:
            self.tally.wrong.append(f"call {numbers[0]:g}: {status} {version} {body[:200]!r}")


def _predictions(body: bytes) -> Iterator[Any]:
    reply = json.loads(body)
    for row in reply.get("predictions", [reply]):
        yield row["prediction"]
