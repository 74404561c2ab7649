"""Threads for slow calls: bounded, fair, and so that one model never holds up another, or the end.

What runs here may take its time or never come back. The event loop waits for it at most for a moment.
"""

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
MAX_THREADS = 10
"""With those that were started because others hang."""

MAX_QUEUE = 64

MORE: Any = object()
"""What a call returns that wants to be called again, after those that wait."""


class Job:
    """A call on its way through a lane.

    Attributes:
        settled: Locked until there is an outcome; what a thread waits for that has no event loop.
        outcome: What the call returned.
        error: What it raised, or None.
        future: Done with the job, without its outcome; made by `Lane.submit` when that did not wait for it.
    """

    __slots__ = (
        "call", "error", "future", "is_given_up", "is_hung", "is_running", "loop", "outcome", "settled",
        "timing",
    )  # fmt: skip

    def __init__(self, call: Callable[[], Any], timing: Timing | None) -> None:
        self.call = call
        self.timing = timing
        self.settled = threading.Lock()
        self.settled.acquire()
        self.outcome: Any = None
        self.error: BaseException | None = None
        self.future: asyncio.Future[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.is_running = self.is_given_up = self.is_hung = False

    def result(self) -> Any:
        """Return what the call returned, or raise what it raised."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.error = None  # or the error's traceback would hold itself
        return self.outcome


class Lane:
    """Runs calls off the event loop.

    The threads are daemons: a model that hangs must not keep the process from ending. A thread whose call was
    given up hangs until the call returns. It counts as a call that waits, and another thread takes its place
    as long as there are fewer than `MAX_THREADS`.

    Args:
        name: What runs here, for messages.
        timeout_s: Longest time that a caller waits.
        max_queue: Most calls that run, wait or hang.
        threads: How many calls run at once.
    """

    def __init__(
        self, name: str, *, timeout_s: float, max_queue: int = MAX_QUEUE, threads: int = THREADS
    ) -> None:
        self._name = name
        self.timeout_s = timeout_s
        self._max_queue = max_queue
        self._at_once = threads
        self._lock = threading.Lock()
        self._waiting = 0
        self._hung = 0
        self._work: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def pending(self) -> int:
        """Number of calls that run, wait or hang."""
        return self._waiting + self._hung

    # -- for one call ------------------------------------------------------------------------------------

    async def run(self, call: Callable[[], Any], timing: Timing, *, patience_s: float = 0.0) -> Any:
        """Return what *call* returns; note in *timing* how long it waited for a thread.

        Args:
            call: The call. One that returns `MORE` is called again when those that wait have had a turn.
            timing: Gets the time in the queue.
            patience_s: How long the event loop may stand still for it, if nothing else runs here.

        Raises:
            Overloaded: Too many calls run or wait already.
            PredictionTimeout: It did not finish in time.
        """
        is_idle = not self.pending
        self.enter()
        try:
            job = self.submit(call, timing, patience_s=patience_s if is_idle else 0.0)
            if job.future is not None:
                await self.wait(job.future, job)
            return job.result()
        finally:
            self.leave()

    # -- for many calls that run as one ------------------------------------------------------------------

    def enter(self) -> None:
        """Count a caller, who must `leave`.

        Raises:
            Overloaded: Too many calls run or wait already.
        """
        if self._hung >= MAX_THREADS:
            raise Overloaded(f"{self._hung} calls of {self._name} hang", hint="try again later")
        if self.pending >= self._max_queue:
            raise Overloaded(
                f"{self.pending} calls wait for {self._name} already", hint="try again in a second"
            )
        self._waiting += 1

    def leave(self) -> None:
        """Take a caller off the count."""
        self._waiting -= 1

    def submit(
        self, call: Callable[[], Any], timing: Timing | None = None, *, patience_s: float = 0.0
    ) -> Job:
        """Start a call; the job has a future unless the call ended within *patience_s*."""
        job = Job(call, timing)
        if timing is not None:
            timing.queue = -time.perf_counter()
        self._work.put(job)
        self._start_thread()
        if patience_s and job.settled.acquire(timeout=patience_s):
            return job
        job.loop = asyncio.get_running_loop()
        job.future = job.loop.create_future()
        # The thread settles first and then looks for a future: one of the two sees what the other did.
        if job.settled.acquire(blocking=False):
            job.future = None
        return job

    async def wait(self, future: asyncio.Future[Any], job: Job | None = None) -> None:
        """Wait until *future* is done; else give up *job*.

        Raises:
            PredictionTimeout: It was not done in time.
        """
        try:
            await asyncio.wait([future], timeout=self.timeout_s)
        finally:
            if not future.done():
                future.cancel()
                if job is not None:
                    self.give_up(job)
        if future.cancelled():
            raise PredictionTimeout(
                f"{self._name} did not answer within {self.timeout_s:g} s", hint="send fewer rows per call"
            )

    def give_up(self, job: Job) -> None:
        """Let nobody wait for a job any more: it never begins, or hangs until it returns."""
        with self._lock:
            job.is_given_up = True
            if job.is_running and not job.is_hung:
                job.is_hung = True
                self._hung += 1
        self._start_thread()

    def close(self) -> None:
        """End the threads once they have done what was submitted; nothing may be submitted any more."""
        for _ in self._threads:
            self._work.put(None)

    # -- the threads -------------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        # Asked, not remembered: a fork leaves threads behind in the parent.
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        wanted = min(self._at_once + self._hung, MAX_THREADS, self._hung + max(1, self._waiting))
        if len(self._threads) < wanted:
            thread = threading.Thread(target=self._serve, name=f"fairway-{self._name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        while self._take_turn(self._work.get()):
            pass

    def _take_turn(self, job: Job | None) -> bool:
        """Run a job, or a part of it; return whether this thread is to go on. Keeps nothing of the job."""
        if job is None:
            return False
        if not self._begin(job):
            return True
        try:
            outcome = job.call()
        except BaseException as raised:  # noqa: BLE001 - handed to whoever waits
            outcome, job.error = None, raised
        with self._lock:
            job.is_running = False
            was_hung, job.is_hung = job.is_hung, False
            self._hung -= was_hung
        if was_hung:  # another thread has taken the place of this one
            return len(self._threads) <= self._at_once + self._hung
        if outcome is MORE:
            self._work.put(job)
            return True
        job.outcome = outcome
        return _tell(job)

    def _begin(self, job: Job) -> bool:
        with self._lock:
            if job.is_given_up:
                return False
            job.is_running = True
        if job.timing is not None and job.timing.queue < 0:
            job.timing.queue += time.perf_counter()
        return True


def _tell(job: Job) -> bool:
    """Let whoever waits for a job go on; return whether its event loop still runs."""
    job.settled.release()
    future, loop = job.future, job.loop
    if future is not None and loop is not None:
        try:
            loop.call_soon_threadsafe(_finish, future)
        except RuntimeError:  # it has ended; nobody waits any more
            return False
    return True


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
