"""What a call costs in this process: real requests through the real connection, engine and model.

Only the network is missing. A connection gets the bytes of a request as its event loop would hand them over,
and writes its reply to a transport that keeps nothing; so neither a client nor the kernel takes part.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from time import perf_counter, process_time
from typing import Any

import msgspec
import uvicorn
from uvicorn.server import ServerState

from fairway.errors import FairwayError
from fairway.inference.loaded import LoadedModel
from fairway.inference.stopwatch import STAGES, Stopwatch
from fairway.server.app import App
from fairway.server.wire import Connection

ROUNDS = 5
WARM_UP_CALLS = 20
MIN_CALLS = 3
MAX_KEPT_BYTES = 4096
_OK = b"HTTP/1.1 200"


@dataclasses.dataclass(frozen=True)
class HotPath:
    """What a call with a number of rows costs.

    Attributes:
        reference: The version that answered.
        predictor: What predicts: `native`, or the name of a compiler.
        rows: Rows per call.
        body_bytes: Mean size of the bodies.
        call_us: Microseconds of a whole call, without a stopwatch inside; the median.
        calls_per_s: Calls for which a second of one core is enough, the writing of the log included; by
            processor time, which other programs do not lengthen.
        stages_us: Microseconds by stage, medians of calls of their own; see `STAGES`.
    """

    reference: str
    predictor: str
    rows: int
    body_bytes: int
    call_us: float
    calls_per_s: float
    stages_us: dict[str, float]


class InProcess:
    """One connection to an application in this process.

    Args:
        app: The application.
        stopwatch: Times every call; by stage, if the application was built with it.
    """

    def __init__(self, app: App, stopwatch: Stopwatch) -> None:
        self._watch = stopwatch
        self._state = ServerState()
        self._state.default_headers = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
        self._transport = _Transport()
        config = uvicorn.Config(
            app, http=Connection, log_config=None, access_log=False, proxy_headers=False, ws="none"
        )
        self._connection = Connection(config, self._state, {})
        self._connection.connection_made(self._transport)

    async def call(self, request: bytes) -> bytes:
        """Send one request; return the beginning of the reply when all of it has been written."""
        answered, transport = self._state.total_requests, self._transport
        transport.begin()
        self._watch.start()
        self._connection.data_received(request)
        while self._state.total_requests == answered:  # what is slow or large is answered later
            await transport.written()
        self._watch.lap("reply")
        return transport.reply

    def send(self, request: bytes) -> None:
        """Send one request without waiting for its answer."""
        self._transport.begin()
        self._connection.data_received(request)

    def close(self) -> None:
        """End the connection."""
        self._connection.connection_lost(None)


class _Transport(asyncio.Transport):
    """Takes what the connection writes, and drops it."""

    def __init__(self) -> None:
        super().__init__()
        self.reply = b""
        self._waiter: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Expect a reply."""
        self.reply = b""

    def write(self, data: Any) -> None:
        """Keep the beginning of a reply."""
        if len(self.reply) < MAX_KEPT_BYTES:
            self.reply += data
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def written(self) -> None:
        """Wait until more has been written."""
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def is_closing(self) -> bool:
        """Tell that the connection is open."""
        return False

    def close(self) -> None:
        """There is nothing to close."""

    def pause_reading(self) -> None:
        """Requests come one at a time as it is."""

    def resume_reading(self) -> None:
        """As above."""


def measure(
    build: Callable[[Stopwatch | None], App], model: LoadedModel, *, rows: Sequence[int], seconds: float
) -> list[HotPath]:
    """Return what calls to a model cost, by number of rows.

    Args:
        build: Makes the application, with a stopwatch around the parts of its engine or without.
        model: The model that it answers with; its golden examples are what is asked.
        rows: Numbers of rows.
        seconds: About how long to measure each of them.

    Raises:
        FairwayError: The server refuses such a call.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return [runner.run(_measure(build, model, count, seconds)) for count in rows]


async def _measure(
    build: Callable[[Stopwatch | None], App], model: LoadedModel, rows: int, seconds: float
) -> HotPath:
    bodies = list(bodies_of(model, rows))
    requests = [request_of(body) for body in bodies]
    unsplit, split = Stopwatch(), Stopwatch()
    whole = await _run(InProcess(build(None), unsplit), unsplit, requests, seconds / 2)
    parts = await _run(InProcess(build(split), split), split, requests, seconds / 2)
    return HotPath(
        reference=model.reference,
        predictor=model.predictor_name,
        rows=rows,
        body_bytes=sum(map(len, bodies)) // len(bodies),
        call_us=median(sum(call.values()) for call in whole.calls_ns) / 1e3,
        calls_per_s=whole.calls_per_s,
        stages_us={stage: median(call[stage] for call in parts.calls_ns) / 1e3 for stage in STAGES},
    )


@dataclasses.dataclass(frozen=True)
class _Run:
    """What many calls took: nanoseconds by stage of each, and how many fit into a second of one core."""

    calls_ns: list[dict[str, int]]
    calls_per_s: float


async def _run(connection: InProcess, watch: Stopwatch, requests: Sequence[bytes], seconds: float) -> _Run:
    began = perf_counter()
    for request in itertools.islice(itertools.cycle(requests), WARM_UP_CALLS):
        _check(await connection.call(request))
    count = max(MIN_CALLS, round(seconds / ROUNDS / (perf_counter() - began) * WARM_UP_CALLS))
    calls_ns, least_s = [], math.inf
    for _ in range(ROUNDS):
        began = process_time()
        for request in itertools.islice(itertools.cycle(requests), count):
            await connection.call(request)
            calls_ns.append(watch.take())
        least_s = min(least_s, process_time() - began)
    connection.close()
    return _Run(calls_ns, count / least_s)


def bodies_of(model: LoadedModel, rows: int) -> Iterator[bytes]:
    """Yield bodies of the model's golden examples: a record for one row, a list of records for more."""
    examples = model.bundle.golden.inputs or (model.signature.typical_row(),)
    for first in range(len(examples)):
        chosen = list(itertools.islice(itertools.cycle(examples), first, first + rows))
        yield msgspec.json.encode(chosen if rows > 1 else chosen[0])


def request_of(body: bytes) -> bytes:
    """Return the bytes of a prediction's request, as a plain client sends them."""
    head = b"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body)


def _check(reply: bytes) -> None:
    if reply.startswith(_OK):
        return
    problem = msgspec.json.decode(reply.partition(b"\r\n\r\n")[2] or b"{}")
    raise FairwayError(problem.get("detail", "the server refuses the call"), hint=problem.get("hint", ""))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the event loop that the server uses, too."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
