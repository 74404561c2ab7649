"""Threads for the slow calls of one model: bounded, so that one model never holds up another, or the end."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from fairway.errors import Overloaded, PredictionTimeout
from fairway.messages import Timing

THREADS = 2
MAX_PENDING = 64

_Work = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any], Timing]


class Lane:
    """Runs calls off the event loop.

    The threads are daemons: a model that hangs must not keep the process from ending. A call that is given
    up still counts until its thread is done with it, so hung calls fill the lane and are refused, not hidden.

    Args:
        name: What runs here, for messages.
        timeout_s: Longest time that a caller waits.
        max_pending: Most calls that run or wait.
    """

    def __init__(self, name: str, *, timeout_s: float, max_pending: int = MAX_PENDING) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._max_pending = max_pending
        self._pending = 0
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    async def run(self, call: Callable[[], Any], timing: Timing) -> Any:
        """Return what *call* returns; note in *timing* how long it waited for a thread.

        Raises:
            Overloaded: Too many calls run or wait already.
            PredictionTimeout: It did not finish in time.
        """
        if self._pending >= self._max_pending:
            raise Overloaded(
                f"{self._pending} calls wait for {self._name} already", hint="try again in a second"
            )
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Any] = loop.create_future()
        self._pending += 1
        timing.queue = -time.perf_counter()
        self._work.put((loop, result, call, timing))
        self._start_thread()
        await asyncio.wait([result], timeout=self._timeout_s)
        if not result.done():
            result.cancel()
            raise PredictionTimeout(
                f"{self._name} did not answer within {self._timeout_s:g} s", hint="send fewer rows per call"
            )
        return result.result()

    def _start_thread(self) -> None:
        # Asked, not remembered: a fork leaves threads behind in the parent.
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) < min(THREADS, self._pending):
            thread = threading.Thread(target=self._serve, name=f"fairway-{self._name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        while True:
            loop, result, call, timing = self._work.get()
            outcome: Any = None
            error: BaseException | None = None
            if not result.cancelled():
                timing.queue += time.perf_counter()
                try:
                    outcome = call()
                except BaseException as raised:  # noqa: BLE001 - handed to whoever waits
                    error = raised
            try:
                loop.call_soon_threadsafe(self._finish, result, outcome, error)
            except RuntimeError:  # the loop has ended; nobody waits any more
                return

    def _finish(self, result: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
        self._pending -= 1
        if result.done():
            return
        if error is None:
            result.set_result(outcome)
        else:
            result.set_exception(error)
