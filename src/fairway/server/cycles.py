"""What a call of the short way leaves behind when its answer is not there at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any

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
