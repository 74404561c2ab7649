"""The connection itself: uvicorn's protocol, which answers bytes that are no HTTP in our own words."""

from __future__ import annotations

import contextlib
import http
import logging
from collections.abc import Callable, Iterator
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fairway.messages import Reply


def wire_protocol(refuse: Callable[[], Reply]) -> type[HttpToolsProtocol]:
    """Return the protocol class for a server.

    Args:
        refuse: Gives the reply to bytes that are no HTTP request, having counted and logged it.
    """

    class Wire(HttpToolsProtocol):
        """One connection."""

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own words, without a code
            """Refuse what the parser refused; whoever asked before that still gets an answer."""
            cycle: Any = self.cycle
            if cycle is not None and not cycle.response_complete:
                if not cycle.more_body:
                    cycle.keep_alive = False  # answered, then closed
                    self.flow.pause_reading()
                    return
                cycle.disconnected = True  # the fault is in the body that it waits for
                cycle.message_event.set()
            self.transport.write(_as_bytes(refuse()))
            self.transport.close()

    return Wire


def _as_bytes(reply: Reply) -> bytes:
    headers = [*reply.headers, (b"content-length", str(len(reply.body)).encode()), (b"connection", b"close")]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    status = f"HTTP/1.1 {reply.status} {http.HTTPStatus(reply.status).phrase}\r\n".encode()
    return status + lines + b"\r\n" + reply.body


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
