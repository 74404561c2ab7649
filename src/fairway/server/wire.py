"""The HTTP/1.1 connection: framing, limits, timeouts, and the short way from the parser to the engine.

A subclass of uvicorn's connection. A predict call of any dialect is answered inside the parser's callback,
without ASGI's receive and send: the engine's coroutine is stepped once, and if it finished, the reply is
written at once; if it waits (a slow model, a first load), a task goes on while the connection keeps its
order. Everything else, and every request that waits behind another one of its connection, goes through ASGI.
A head that is, byte for byte, one that took the short way before is not parsed again (`heads.py`).

Every whole request gets one answer, in the order of the requests, whatever follows it. Bytes that cannot be
understood or are not wanted get one as well, when it is their turn, and end the connection. uvicorn has no
header timeout, no body timeout and no size limits; they live here. One sweep per second looks at all
connections, so that no request pays for a timer of its own.
"""

from __future__ import annotations

import asyncio
import logging
import re
import select
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fairway.errors import FairwayError, InternalError, RequestError, RequestTimeout
from fairway.inference.turn import Seat
from fairway.messages import Call, Reply
from fairway.server.cycles import Flow, Outlet, ShortCycle, Started
from fairway.server.framing import Framing
from fairway.server.heads import Head

if TYPE_CHECKING:
    from fairway.server.app import App

MAX_SHORT_BODY_BYTES = 64 * 1024
HEADER_TIMEOUT_S = 10.0
BODY_IDLE_S = 10.0
BODY_TOTAL_S = 60.0
MIN_BYTES_PER_S = 1024
UNREAD_REPLY_S = 25.0
DRAIN_S = 0.3
FIRST_CALL_S = 1.0
READ_S = 0.01
LINGER_S = 2.0

MANAGEMENT = b"/api/"
"""Beginning of the paths whose bodies have limits of their own."""

_SHORT_URL = re.compile(rb"(/[A-Za-z0-9._@:/-]*)(?:\?([!-~]*))?")

_IDLE, _HEAD, _BODY = range(3)


class Connection(HttpToolsProtocol):
    """One client connection; see the module's docstring."""

    app: App
    _open: ClassVar[set[Connection]] = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heads = self.app.heads
        self._turn = self.app.turn
        self._guard = self.app.guard
        self._ring = self.app.guard.ring
        self._received = b""  # what came in one piece between two requests
        self._calls = self.app.calls
        self._max_body_bytes = self.app.predictions.max_body_bytes
        self._stage = _IDLE  # where the parser stands
        self._since = self._last_data = self._connected = self.loop.time()
        self._unread_since, self._unread_bytes = self._since, 0
        self._unanswered = 0  # requests on their way through ASGI or a task
        self._unfinished: Any = None  # the ASGI cycle whose body is still being received
        self._is_over = False  # what arrives from now on is no request
        self._is_ended = False  # nothing more is written
        self._draining = False
        self._refusal: FairwayError | None = None
        self._short = ShortCycle()
        self._head: Head | None = None
        self.url = self._body = b""
        self._framing = Framing(self._max_body_bytes)
        self._keep_alive = True
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._prefix = b""

    # -- the connection ----------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin to watch the connection."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.wants_data)
        self._outlet = Outlet(transport, self._end)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching it."""
        self._open.discard(self)
        self._is_over = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless the connection is over."""
        if self._is_over:
            return
        self._last_data = self.loop.time()
        if self._stage == _IDLE:
            known = self._heads.find(data)
            if known is not None and not self._unanswered:
                self._since, self._keep_alive = self._last_data, True
                self._answer(*known)
                return
            self._received = data
        self._parse(data)
        self._received = b""
        if self._stage != _IDLE:
            self._count_wire(len(data))

    def _parse(self, rest: bytes) -> None:
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = self._without_upgrade(rest[upgrade.args[0] :])
            except httptools.HttpParserError as stopped:
                if not self._is_over:
                    self._refuse(_fault_of(stopped))
                return
            else:
                return

    def _without_upgrade(self, rest: bytes) -> bytes:
        """Return the request that asks for another protocol, and what follows, without that wish.

        A server may ignore it (RFC 9110, 7.8), and clients ask with every request that has a body, too. The
        parser takes such a body for the other protocol's, so the request is read once more by a new one.
        """
        version = self.parser.get_http_version().encode()
        head = [b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, version)]
        head += [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        return b"".join(head) + b"\r\n" + rest

    def _count_wire(self, size: int) -> None:
        try:
            self._framing.count_wire(size, has_head=self._stage == _BODY)
        except FairwayError as error:
            self._refuse(error)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks for it, uvicorn has no use
        """Go on answering a client that only stops sending; what was half sent is no request."""
        if not self._is_over:
            self._is_over = True
            self._abandon_unfinished()
        return self._unanswered > 0 and not self._is_ended

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read: its answers would pile up."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Read again."""
        super().resume_writing()
        self.flow.resume_reading()

    def shutdown(self) -> None:
        """Answer what is on its way for a moment, then close: nothing that was sent is lost."""
        self._draining = True
        has_sent = self._last_data != self._connected  # who has just come is about to
        self.loop.call_later(DRAIN_S if has_sent else FIRST_CALL_S, self._close_if_idle)
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self._stage != _IDLE or self._unanswered or self.transport.is_closing():
            return
        if has_unread(self.transport.get_extra_info("socket")):
            self.loop.call_later(READ_S, self._close_if_idle)  # to close now would reset what came in time
        else:
            self._close()

    def _close(self) -> None:
        self._is_over = True
        self.transport.close()

    # -- refusing ----------------------------------------------------------------------------------------

    def _refuse(self, error: FairwayError) -> None:
        """Answer in its turn and close: what follows cannot be understood, or is not wanted."""
        if self._is_over or self.transport.is_closing():
            return
        self._is_over = True
        if self._abandon_unfinished():
            self._refusal = error.with_traceback(None)  # its frames hold what was received
        if not self._unanswered:
            self._end()

    def _abandon_unfinished(self) -> bool:
        """Take a request back whose body will not come; return whether it can still be answered."""
        cycle, self._unfinished = self._unfinished, None
        if cycle is None:
            return True
        if cycle.response_started:  # it did not wait for its body
            if not cycle.response_complete:
                cycle.keep_alive = False
            return False
        cycle.disconnected, cycle.body = True, bytearray()  # a loop of references would keep it for long
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        self._unanswered -= 1
        return True

    def _end(self) -> None:
        """Say what is left to be said and close when the client has had the time to read.

        Bytes left unread would reset the connection, and the client might never see the answer.
        """
        if self._is_ended or self.transport.is_closing():
            return
        self._is_over = self._is_ended = True
        if self._refusal is not None:
            self._keep_alive = False
            reply = self.app.refuse(self._refusal, self.url)
            has_body = self._stage != _BODY or self.parser.get_method() != b"HEAD"
            self.transport.write(self._encode(reply, has_body=has_body))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)

    # -- parser callbacks --------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._is_over:
            raise ConnectionAbortedError  # nothing behind the last request is read (RFC 9112, 9.6)
        super().on_message_begin()
        self._stage, self._since = _HEAD, self._last_data
        self._framing = Framing(self._max_body_bytes)
        self._head = None

    def on_url(self, url: bytes) -> None:
        """Collect the request target up to its limit."""
        self._framing.count_url(len(self.url) + len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header up to the limits."""
        self._framing.count_header(len(name) + len(value), len(self.headers))
        if self._stage == _BODY:  # a trailer says nothing about the request (RFC 9110, 6.5.1)
            return
        name = name.lower()
        self._framing.note(name, value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the short way for a predict call that nothing stands before."""
        self._stage, self._since = _BODY, self._last_data
        version = self.parser.get_http_version()
        if self.url.startswith(MANAGEMENT):
            self._framing.limit_body(*self.app.body_limit(self.parser.get_method(), self.url))
        self._framing.check_head(self.parser.get_method(), version)
        self.url = self._framing.to_origin(self.url, self.headers)
        self.expect_100_continue = self._framing.expects_continue
        self._head = self._short_head()
        if self._head is not None:
            self._keep_alive = version != "1.0" and self.parser.should_keep_alive()
        elif not self.parser.should_upgrade():  # else it is read once more
            super().on_headers_complete()
            self._unanswered += 1
            self._unfinished = self.cycle
            self.cycle.transport = self._outlet  # type: ignore[assignment]
            # Whoever is refused before the body was asked for may send it or not: what follows is unknown.
            if self.expect_100_continue or self._draining:
                self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """Count chunks: many tiny ones cost far more than their bytes."""
        self._framing.count_chunk()

    def on_body(self, body: bytes) -> None:
        """Collect the body up to its limit."""
        self._framing.count_body(len(body))
        if self._head is not None:
            self._body = self._body + body if self._body else body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer."""
        self._stage, self._since = _IDLE, self._last_data
        if self._head is not None:
            head, body, self._body = self._head, self._body, b""  # a body goes when its answer is sent
            may_come_again = self._keep_alive
            self._answer(head, body)
            if may_come_again and head.verdict.error is None:  # else it would take the place of one that may
                self._heads.keep(self._received, head)
        elif self._unfinished is not None:
            cycle, self._unfinished = self._unfinished, None
            if self.expect_100_continue and not cycle.response_started:
                cycle.keep_alive = self.parser.should_keep_alive() and not self._draining
            if not cycle.keep_alive:
                self._is_over = True
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Turn to the next request, or close if none may come."""
        self._unanswered -= 1
        self._since = self._last_data = self.loop.time()  # what was not read meanwhile is not late
        self.server_state.total_requests += 1
        if self._is_ended or self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self.flow.resume_reading()
        if self._is_over:
            self._end()
        elif self._draining:
            self._close_if_idle()

    def wants_data(self) -> bool:
        """Tell whether there is a use for more bytes: no request waits, or only for its own body."""
        return not self.pipeline and (not self._unanswered or self._unfinished is not None)

    # -- the short way -----------------------------------------------------------------------------------

    def _short_head(self) -> Head | None:
        """Return what there is to know of the request if it may take the short way."""
        if self.parser.get_method() != b"POST" or self.expect_100_continue or self.parser.should_upgrade():
            return None
        if (
            not 0 < self._framing.declared_bytes <= MAX_SHORT_BODY_BYTES
        ):  # chunked, empty, or better read with ease
            return None
        match = _SHORT_URL.fullmatch(self.url)
        if match is None or b".." in self.url or self._unanswered:
            return None
        path = match[1].decode()
        route = self._calls.at(path)
        if route is None or not route.is_short:
            return None
        if not self.app.allows_host(self._framing.hosts[0] if self._framing.hosts else b""):
            return None
        query = match[2].decode() if match[2] else ""
        length = self._framing.declared_bytes
        return Head(path, query, self.headers, body_bytes=length, calls=route.calls)

    def _answer(self, head: Head, body: bytes) -> None:
        call = Call("POST", head.path, head.query, head.header, body)
        verdict = head.verdict
        if verdict.stamp is not self._ring.stamp:  # nobody has looked at it, or keys have changed since
            verdict = head.verdict = self._guard.judge(head.path, head.header, self.client)
            if verdict.error is not None:
                self._write(head.calls.refuse(call, verdict.error))
                return
        verdict.held.is_used = True
        call.may_list = verdict.may_list
        call.turn = self._turn.joined_by(self, self._last_data)
        coroutine = head.calls.answer(call)
        try:
            yielded = coroutine.send(None)
        except StopIteration as done:
            self._write(done.value)
            return
        cycle = self._short
        self.cycle = cycle  # type: ignore[assignment]
        cycle.response_complete = cycle.disconnected = False
        cycle.keep_alive = self._keep_alive
        self._unanswered += 1
        self._is_over = not self._keep_alive
        if type(yielded) is Seat:  # it goes on before this turn of the event loop ends
            yielded.go_on = partial(self._go_on, coroutine)
        else:
            call.turn = None  # a task goes on with it, and knows nothing of seats
            self._wait_for(coroutine, yielded)

    def _wait_for(self, coroutine: Coroutine[Any, Any, Reply], yielded: Any) -> None:
        """Let a task go on with a call that waits."""
        self.flow.pause_reading()
        task = self.loop.create_task(self._finish(Started(coroutine, yielded)))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _go_on(
        self, coroutine: Coroutine[Any, Any, Reply], outputs: Any, error: BaseException | None
    ) -> None:
        """Continue a call whose rows were predicted with those of others."""
        try:
            yielded = coroutine.send(outputs) if error is None else coroutine.throw(error)
        except StopIteration as done:
            self._finish_short(done.value)
        else:
            self._wait_for(coroutine, yielded)

    async def _finish(self, started: Started) -> None:
        self._finish_short(await started)

    def _finish_short(self, reply: Reply) -> None:
        cycle = self._short
        cycle.response_complete = True
        if self.transport.is_closing():
            return
        self._keep_alive = cycle.keep_alive and (not self._draining or bool(self.pipeline))
        self.transport.write(self._encode(reply))
        if not self._keep_alive:
            self._close()
        self.on_response_complete()

    def _write(self, reply: Reply) -> None:
        if self._draining:
            self._keep_alive = False
        self.server_state.total_requests += 1
        self.transport.write(self._encode(reply))
        if not self._keep_alive:
            self._close()

    def _encode(self, reply: Reply, *, has_body: bool = True) -> bytes:
        defaults = self.server_state.default_headers
        if defaults is not self._default_headers:  # uvicorn makes a new list when the date changes
            self._default_headers = defaults
            self._prefix = b"".join(b"%s: %s\r\n" % header for header in defaults)
        lines = [b": ".join(header) for header in reply.headers]
        if not self._keep_alive:
            lines.append(b"connection: close")
        lines.append(b"content-length: %d\r\n\r\n" % len(reply.body))
        body = reply.body if has_body else b""
        return b"".join((STATUS_LINE[reply.status], self._prefix, b"\r\n".join(lines), body))

    # -- timeouts ----------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Close the connection, or answer 408, if its client keeps it waiting for too long."""
        if self._is_unread(now):
            self.transport.abort()
        elif self._is_over or self.flow.read_paused or self._owes_an_answer():
            return  # it is not the client who is waited for
        elif self._stage == _IDLE:
            if now - self._since > self.timeout_keep_alive:
                self._close()
        elif self._stage == _HEAD:
            if now - self._since > HEADER_TIMEOUT_S:
                self._refuse(RequestTimeout("the headers did not arrive in time"))
        elif self._is_body_late(now):
            self._refuse(RequestTimeout("the body did not arrive in time"))

    def _owes_an_answer(self) -> bool:
        cycle = self._unfinished
        waits_for_body = cycle is not None and not cycle.response_complete
        return self._unanswered > waits_for_body

    def _is_body_late(self, now: float) -> bool:
        age = now - self._since
        if now - self._last_data > BODY_IDLE_S or age > BODY_TOTAL_S:
            return True
        return age > BODY_IDLE_S and self._framing.body_bytes < MIN_BYTES_PER_S * age

    def _is_unread(self, now: float) -> bool:
        """Tell whether the client has taken next to nothing of its answers for half a minute."""
        size = self.transport.get_write_buffer_size()
        is_busy = self._last_data > self._unread_since and not self.flow.write_paused
        is_taken = size <= self._unread_bytes - MIN_BYTES_PER_S * UNREAD_REPLY_S
        if not self._unread_bytes or not size or is_busy or is_taken:
            self._unread_since, self._unread_bytes = now, size
        return now - self._unread_since > UNREAD_REPLY_S

    @classmethod
    async def watch(cls) -> None:
        """Sweep all connections once per second until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            now = loop.time()
            for connection in list(cls._open):
                connection.sweep(now)


def has_unread(opened: Any) -> bool:
    """Tell whether a socket holds something to be read, an end or a connection to be accepted included."""
    if not hasattr(select, "poll"):
        return False
    asked = select.poll()
    asked.register(opened.fileno(), select.POLLIN)
    return bool(asked.poll(0))


def _fault_of(stopped: httptools.HttpParserError) -> FairwayError:
    """Return why the parser stopped: a limit of ours, bytes that are no request, or a fault of ours."""
    cause = stopped.__context__
    if isinstance(cause, FairwayError):
        return cause
    if cause is None or isinstance(cause, httptools.HttpParserError):
        return RequestError("the bytes that came are not an HTTP request", hint="speak HTTP/1.1, without TLS")
    logging.getLogger("uvicorn.error").error("a request was not read", exc_info=cause)
    return InternalError()
