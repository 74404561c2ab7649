"""Callers of running servers that check every answer, and count what becomes of each of their calls.

Every caller has one connection, sends a call when the one before is answered, and knows what it has to get:
the calls differ, and so do the answers. A call counts as lost if it was sent and its connection ended, or
nothing came, instead of an answer.

`Timeline` holds against the answers what was live when: who moves an alias notes it there.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from fairway.server.wire import has_unread

ANSWER_DEADLINE_S = 20.0
HAND_OVER_S = float(os.environ.get("FAIRWAY_TEST_HAND_OVER_S", "3"))
"""So long after a move a server may still answer with the version before. It is one second on a machine that
has nothing else to do; the tests share theirs."""

_RETRY_S = 0.01


class Answered(NamedTuple):
    """One right answer: when it was asked for and came, on the clock of `time.monotonic`, and from whom."""

    sent: float
    came: float
    port: int
    version: str


class Moved(NamedTuple):
    """One move of an alias: when it was asked for and acknowledged, and where it led."""

    asked: float
    done: float
    version: str


class Timeline:
    """What was live when.

    Args:
        version: What was live in the beginning, as the header `fairway-model` names it.
    """

    def __init__(self, version: str) -> None:
        self.moves = [Moved(-math.inf, -math.inf, version)]

    @contextlib.contextmanager
    def moving_to(self, version: str) -> Iterator[None]:
        """Note that the block moves the alias to a version."""
        asked = time.monotonic()
        yield
        self.moves.append(Moved(asked, time.monotonic(), version))

    def faults(self, answers: Sequence[Answered]) -> list[str]:
        """Return the answers of versions that were not live in that second, one sentence each."""
        ends = [*(move.done for move in self.moves[1:]), math.inf]
        lives = [(m.version, m.asked, end + HAND_OVER_S) for m, end in zip(self.moves, ends, strict=True)]
        return [
            f"{answer.version} was not live: {answer}"
            for answer in answers
            if not any(
                version == answer.version and begin <= answer.came and answer.sent <= end
                for version, begin, end in lives
            )
        ]

    def hand_overs(self, answers: Sequence[Answered]) -> list[float]:
        """Return for each move how long after it the last call was sent that another version answered."""
        found = []
        ends = [*(move.asked for move in self.moves[2:]), math.inf]
        for move, end in zip(self.moves[1:], ends, strict=True):
            late = [a.sent - move.done for a in answers if a.version != move.version and a.sent < end]
            found.append(max([0.0, *late]))
        return found


@dataclasses.dataclass
class Tally:
    """What became of the calls.

    Attributes:
        answered: How many got the right answer, by the version that gave it.
        lost: What happened instead of an answer, by call.
        wrong: Answers that were none, or those of another call.
        refused: Connections that were refused; nothing was sent on them.
        slowest_s: Longest time from a call to its answer.
        answers: Every right answer, in the order in which they came.
    """

    answered: Counter[str] = dataclasses.field(default_factory=Counter)
    lost: list[str] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)
    refused: int = 0
    slowest_s: float = 0.0
    answers: list[Answered] = dataclasses.field(default_factory=list, repr=False)

    @property
    def total(self) -> int:
        """Calls that were answered rightly."""
        return self.answered.total()


class Traffic:
    """Runs callers in a thread until the block ends.

    The model that answers has to give the single input times its version's slope.

    Args:
        ports: Where the servers listen on 127.0.0.1; the callers are spread over them.
        slopes: Slope by version, as the header `fairway-model` names it: `{"line:1": 1.0}`.
        callers: How many keep their connection.
        strangers: How many come with a new connection for every call.
        path: Where the calls go.
        rows: Rows per call.
    """

    def __init__(
        self,
        ports: int | Sequence[int],
        slopes: dict[str, float],
        *,
        callers: int = 8,
        strangers: int = 0,
        path: str = "/predict",
        rows: int = 1,
    ) -> None:
        self.tally = Tally()
        self._ports = itertools.cycle([ports] if isinstance(ports, int) else ports)
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
            assert time.monotonic() < deadline, self._why(calls, deadline_s)
            time.sleep(0.002)

    def _why(self, calls: int, deadline_s: float) -> str:
        tally = self.tally
        return (
            f"no {calls} answers in {deadline_s:g} s: {tally.total} came; {tally.lost[:3]} {tally.wrong[:3]}"
        )

    async def _call_all(self) -> None:
        await asyncio.gather(*(self._caller(next(self._ports), keeps=keeps) for keeps in self._keeps))

    async def _caller(self, port: int, *, keeps: bool) -> None:
        while not self._is_over:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                self.tally.refused += 1
                await asyncio.sleep(_RETRY_S)
                continue
            with contextlib.suppress(OSError):
                await self._converse(reader, writer, port, keeps=keeps)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, *, keeps: bool
    ) -> None:
        """Call until the server or the caller wants no more on this connection."""
        connection = writer.get_extra_info("socket")
        while not self._is_over and not has_unread(connection):  # the server has closed it: nothing was sent
            numbers = [float(next(self._numbers)) for _ in range(self._rows)]
            started = time.monotonic()
            writer.write(self._request(numbers, keeps=keeps))
            try:
                async with asyncio.timeout(ANSWER_DEADLINE_S):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
                    headers = dict(line.split(": ", 1) for line in head[1:] if line)
                    body = await reader.readexactly(int(headers["content-length"]))
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.tally.lost.append(
                    f"call {numbers[0]:g} after {time.monotonic() - started:.3f} s: {error!r}"
                )
                return
            came = time.monotonic()
            self.tally.slowest_s = max(self.tally.slowest_s, came - started)
            if self._judge(numbers, head[0], headers, body):
                self.tally.answers.append(Answered(started, came, port, headers["fairway-model"]))
            if headers.get("connection") == "close":
                return

    def _request(self, numbers: Sequence[float], *, keeps: bool) -> bytes:
        body = json.dumps([{"x": number} for number in numbers] if self._rows > 1 else {"x": numbers[0]})
        lines = [f"POST {self._path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
        lines += [] if keeps else ["connection: close"]
        return "\r\n".join([*lines, "", body]).encode()

    def _judge(self, numbers: Sequence[float], status: str, headers: dict[str, str], body: bytes) -> bool:
        version = headers.get("fairway-model", "")
        slope = self._slopes.get(version)
        got = list(_predictions(body)) if status == "http/1.1 200 ok" else None
        if slope is not None and got == [slope * number for number in numbers]:
            self.tally.answered[version] += 1
            return True
        self.tally.wrong.append(f"call {numbers[0]:g}: {status} {version} {body[:200]!r}")
        return False


def _predictions(body: bytes) -> Iterator[Any]:
    reply = json.loads(body)
    for row in reply.get("predictions", [reply]):
        yield row["prediction"]
