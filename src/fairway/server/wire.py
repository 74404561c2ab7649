"""The HTTP/1.1 connection: limits, timeouts, and the short way from the parser to the engine.

A subclass of uvicorn's connection. A predict call is answered inside the parser's callback, without ASGI's
receive and send: the engine's coroutine is stepped once, and if it finished, the reply is written at once;
if it waits (a slow model, a first load), a task goes on while the connection keeps its order. Everything
else, and every request that waits behind another one of its connection, goes through ASGI. A head that is,
byte for byte, one that took the short way before is not parsed again (`heads.py`).

uvicorn has no header timeout, no body timeout and no size limits; they live here. One sweep per second looks
at all connections, so that no request pays for a timer of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fairway.errors import (
    BodyTooLarge,
    FairwayError,
    HeadersTooLarge,
    MalformedRequest,
    RequestError,
    RequestTimeout,
    UriTooLong,
)
from fairway.messages import Call, Reply
from fairway.server.heads import Head

if TYPE_CHECKING:
    from fairway.server.app import App

MAX_URL_BYTES = 32 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 100
MAX_CHUNKS = 65_536
MAX_SHORT_BODY_BYTES = 64 * 1024
HEADER_TIMEOUT_S = 10.0
BODY_IDLE_S = 10.0
BODY_TOTAL_S = 60.0
MIN_BYTES_PER_S = 1024
UNREAD_REPLY_S = 30.0
DRAIN_S = 0.3
LINGER_S = 2.0

_SHORT_URL = re.compile(rb"(/predict|/models/[A-Za-z0-9._@:-]+/predict)(?:\?([!-~]*))?")

_IDLE, _HEADERS, _BODY, _ANSWERING = range(4)


class _ShortCycle:
    """Stands where uvicorn keeps the state of a request, so that it queues further requests behind it."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self) -> None:
        self.response_complete = True
        self.disconnected = False
        self.keep_alive = True
        self.message_event = asyncio.Event()


class _Started:
    """A coroutine that was stepped once, continued by whoever awaits this."""

    __slots__ = ("_coroutine", "_yielded")

    def __init__(self, coroutine: Coroutine[Any, Any, Reply], yielded: Any) -> None:
        self._coroutine = coroutine
        self._yielded = yielded

    def __await__(self) -> Generator[Any, Any, Reply]:
        yielded = self._yielded
        try:
            while True:
                try:
                    value = yield yielded
                except BaseException as error:  # noqa: BLE001 - handed on to where it belongs
                    yielded = self._coroutine.throw(error)
                else:
                    yielded = self._coroutine.send(value)
        except StopIteration as done:
            reply: Reply = done.value
            return reply


class Connection(HttpToolsProtocol):
    """One client connection; see the module's docstring."""

    app: App
    _open: ClassVar[set[Connection]] = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._predictions = self.app.predictions
        self._heads = self.app.heads
        self._received = b""
        self._max_body_bytes = self.app.predictions.max_body_bytes
        self._stage = _IDLE
        self._since = self._last_data = self.loop.time()
        self._short: _ShortCycle | None = None
        self._refused = self._draining = False
        self._body = b""
        self._header_bytes = self._body_bytes = self._declared_bytes = self._chunk_count = 0
        self._keep_alive = True
        self._head: Head | None = None
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._prefix = b""

    # -- the connection ----------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin to watch the connection."""
        super().connection_made(transport)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching it."""
        self._open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless the connection was told to go away."""
        if self._refused:
            return
        self._last_data = self.loop.time()
        if self._stage == _IDLE:
            known = self._heads.find(data)
            if known is not None and self._is_free():
                self._unset_keepalive_if_required()
                self._stage, self._since, self._keep_alive = _ANSWERING, self._last_data, True
                self._answer(*known)
                return
            self._stage, self._since, self._received = _HEADERS, self._last_data, data
        super().data_received(data)
        self._received = b""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own words, without a code
        """Refuse what the parser refused; whoever asked before that still gets an answer."""
        cycle: Any = self.cycle
        is_complete = self._stage == _ANSWERING
        if cycle is not None and not cycle.response_complete and is_complete:
            cycle.keep_alive = False  # answered, then closed
            self.flow.pause_reading()
            return
        self._refuse(
            RequestError("the bytes that came are not an HTTP request", hint="speak HTTP/1.1, without TLS")
        )

    def shutdown(self) -> None:
        """Answer what is on its way for a moment, then close: nothing that was sent is lost."""
        self._draining = True
        self.loop.call_later(DRAIN_S, self._close_if_idle)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self.transport.is_closing():
            return
        if self._stage == _IDLE or (self.cycle is not None and self.cycle.response_complete):
            self.transport.close()

    def _refuse(self, error: FairwayError) -> None:
        """Answer at once and close: what follows on this connection cannot be understood or is not wanted."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not (is_answering and getattr(self.cycle, "response_started", False)):
            self._keep_alive = False
            self.transport.write(self._encode(self.app.refuse(error)))
        self._close_lingering()

    def _close_lingering(self) -> None:
        """Close when the client has had the time to read: bytes left unread would reset the connection."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)

    # -- parser callbacks --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._stage = _HEADERS
        self._header_bytes = self._body_bytes = self._declared_bytes = self._chunk_count = 0
        self._head = None

    def on_url(self, url: bytes) -> None:
        """Collect the request target up to its limit."""
        if len(self.url) + len(url) > MAX_URL_BYTES:
            self._refuse(UriTooLong(MAX_URL_BYTES))
            return
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header up to the limits."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES or len(self.headers) >= MAX_HEADERS:
            self._refuse(HeadersTooLarge(MAX_HEADER_BYTES, MAX_HEADERS))
            return
        # As the parent does it; a call more for every header is felt.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        elif name == b"content-length" and value.isdigit():
            self._declared_bytes = int(value[:20])
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the short way for a predict call that nothing stands before."""
        if self._refused:
            return
        self._stage, self._since = _BODY, self._last_data
        if self._declared_bytes > self._max_body_bytes:
            self._refuse(BodyTooLarge(self._max_body_bytes))
            return
        self._head = self._short_head()
        if self._head is not None:
            self._keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        else:
            super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Count chunks: many tiny ones cost far more than their bytes."""
        self._chunk_count += 1
        if self._chunk_count > MAX_CHUNKS:
            self._refuse(MalformedRequest("chunk_limit", f"the body has more than {MAX_CHUNKS} chunks"))

    def on_body(self, body: bytes) -> None:
        """Collect the body up to its limit."""
        if self._refused:
            return
        self._body_bytes += len(body)
        if self._body_bytes > self._max_body_bytes:
            self._refuse(BodyTooLarge(self._max_body_bytes))
        elif self._head is not None:
            self._body = self._body + body if self._body else body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer."""
        if self._refused:
            return
        self._stage, self._since = _ANSWERING, self._last_data
        if self._head is None:
            super().on_message_complete()
            return
        if self._keep_alive:
            self._heads.keep(self._received, self._head)
        body, self._body = self._body, b""  # a body goes when its answer is sent
        self._answer(self._head, body)

    def on_response_complete(self) -> None:
        """Wait for the next request, or close while draining."""
        self._stage, self._since = _IDLE, self.loop.time()
        super().on_response_complete()
        if self._draining and not self.pipeline:
            self._close_if_idle()

    # -- the short way -----------------------------------------------------------------------------------

    def _is_free(self) -> bool:
        """Tell whether no request of this connection is being answered or waits for its turn."""
        return (self.cycle is None or self.cycle.response_complete) and not self.pipeline

    def _short_head(self) -> Head | None:
        """Return what there is to know of the request if it may take the short way."""
        if self.parser.get_method() != b"POST" or self.expect_100_continue or self.parser.should_upgrade():
            return None
        if not 0 < self._declared_bytes <= MAX_SHORT_BODY_BYTES:  # chunked, empty, or better read with ease
            return None
        match = _SHORT_URL.fullmatch(self.url)
        if match is None or b".." in self.url or not self._is_free():
            return None
        if not all(self.app.allows_host(value) for name, value in self.headers if name == b"host"):
            return None
        query = match[2].decode() if match[2] else ""
        return Head(match[1].decode(), query, self.headers, body_bytes=self._declared_bytes)

    def _answer(self, head: Head, body: bytes) -> None:
        call = Call("POST", head.path, head.query, head.header, body)
        coroutine = self._predictions.answer(call)
        try:
            yielded = coroutine.send(None)
        except StopIteration as done:
            self._write(done.value)
            return
        cycle = self._short or _ShortCycle()
        self._short = self.cycle = cycle  # type: ignore[assignment]
        cycle.response_complete = cycle.disconnected = False
        cycle.keep_alive = self._keep_alive
        self.flow.pause_reading()
        task = self.loop.create_task(self._finish(_Started(coroutine, yielded), cycle))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _finish(self, started: _Started, cycle: _ShortCycle) -> None:
        reply = await started
        cycle.response_complete = True
        if cycle.disconnected or self.transport.is_closing():
            return
        self._keep_alive = cycle.keep_alive and not self._draining
        self.transport.write(self._encode(reply))
        if not self._keep_alive:
            self.server_state.total_requests += 1
            self.transport.close()
        else:
            self.on_response_complete()

    def _write(self, reply: Reply) -> None:
        if self._draining:
            self._keep_alive = False
        self.server_state.total_requests += 1
        self.transport.write(self._encode(reply))
        if self._keep_alive:
            self._stage, self._since = _IDLE, self._last_data
        else:
            self.transport.close()

    def _encode(self, reply: Reply) -> bytes:
        defaults = self.server_state.default_headers
        if defaults is not self._default_headers:  # uvicorn makes a new list when the date changes
            self._default_headers = defaults
            self._prefix = b"".join(b"%s: %s\r\n" % header for header in defaults)
        parts = [STATUS_LINE[reply.status], self._prefix]
        parts += [b"%s: %s\r\n" % header for header in reply.headers]
        if not self._keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"content-length: %d\r\n\r\n" % len(reply.body))
        parts.append(reply.body)
        return b"".join(parts)

    # -- timeouts ----------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Close the connection, or answer 408, if its client keeps it waiting for too long."""
        if self.flow.write_paused:
            if now - self._last_data > UNREAD_REPLY_S:
                self.transport.abort()
        elif self._stage == _IDLE:
            if now - self._since > self.timeout_keep_alive and self.timeout_keep_alive_task is None:
                self.transport.close()
        elif self._stage == _HEADERS:
            if now - self._since > HEADER_TIMEOUT_S:
                self._refuse(RequestTimeout("the headers did not arrive in time"))
        elif self._stage == _BODY and self._is_body_late(now):
            self._refuse(RequestTimeout("the body did not arrive in time"))

    def _is_body_late(self, now: float) -> bool:
        age = now - self._since
        if now - self._last_data > BODY_IDLE_S or age > BODY_TOTAL_S:
            return True
        return age > BODY_IDLE_S and self._body_bytes < MIN_BYTES_PER_S * age

    @classmethod
    async def watch(cls) -> None:
        """Sweep all connections once per second until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            now = loop.time()
            for connection in list(cls._open):
                connection.sweep(now)


@contextlib.contextmanager
def foreign_lines(tell: Callable[[str, str], None]) -> Iterator[None]:
    """Pass on what uvicorn and asyncio would print by themselves, so that every line of the log is JSON.

    Args:
        tell: Takes a level and a text.
    """
    handler = _ForeignLines(tell)
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate


# What a client did has its access line; it is no warning to the operator.
_SAID_ALREADY = ("Invalid HTTP request", "Unsupported upgrade request", "No supported WebSocket library")


class _ForeignLines(logging.Handler):
    def __init__(self, tell: Callable[[str, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        if not record.getMessage().startswith(_SAID_ALREADY):
            self._tell("error" if record.levelno >= logging.ERROR else "warning", self.format(record))
