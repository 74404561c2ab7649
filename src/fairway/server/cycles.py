"""Around uvicorn's cycles, which answer one request each: their input and output, and a short one of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl

from fairway.messages import Reply


class ShortCycle:
    """Stands where uvicorn keeps the state of a request, so that it queues further requests behind it."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete")

    def __init__(self) -> None:
        self.response_complete = True
        self.disconnected = False
        self.keep_alive = True
        self.message_event = asyncio.Event()


class Started:
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


class Flow(FlowControl):
    """Reads on only if the connection wants it: a client that asks without end waits for its answers."""

    def __init__(self, transport: asyncio.Transport, wants_data: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._wants_data = wants_data

    def resume_reading(self) -> None:
        """Resume, unless answers are due or not taken."""
        if not self.write_paused and self._wants_data():
            super().resume_reading()


class Outlet:
    """What uvicorn's cycles write to: closing it leaves the client the time to read."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = end
