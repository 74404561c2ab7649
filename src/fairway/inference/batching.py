"""Calls that come together are predicted together, where many rows take little longer than one.

Nobody waits for company: an idle model is asked at once. What arrives while it is busy, or in the same turn
of the event loop, makes the next batch. Each caller gets the very answer that the call gets alone: a batch
that fails is taken apart, so that a bad row fails its own caller only.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from fairway.inference.cost import Predict
from fairway.inference.lane import Job, Lane
from fairway.messages import Columns, Outputs, Timing

MAX_ROWS = 256


class _Caller:
    """One call, waiting for its share of a batch."""

    __slots__ = ("arrived", "columns", "error", "future", "outputs", "probabilities", "timing")

    def __init__(self, columns: Columns, timing: Timing, *, probabilities: bool) -> None:
        self.columns = columns
        self.timing = timing
        self.probabilities = probabilities
        self.arrived = time.perf_counter()
        self.outputs: Outputs | None = None
        self.error: BaseException | None = None
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, outputs: Outputs | None, error: BaseException | None = None) -> None:
        """Let the caller go on, unless it has gone."""
        if not self.future.done():
            self.outputs, self.error = outputs, error
            self.future.set_result(None)

    def result(self) -> Outputs:
        """Return the answer, or raise what the model raised."""
        if self.error is not None:
            raise self.error
        assert self.outputs is not None  # noqa: S101 - settled with one of the two
        return self.outputs


class Batcher:
    """Puts the calls of one model together.

    Args:
        predict: The model.
        lane: Where it runs.
        max_rows: Most rows in a batch. A call with more goes alone, and does not come here.
        window_s: How long a batch is kept open for more; 0 lets nobody wait.
        patience_s: Returns how long the event loop may stand still for a call that is alone.
        overdue_s: Returns after how long a batch no longer holds up the next one, and is taken apart: one of
            its rows may never be answered.
    """

    def __init__(
        self,
        predict: Predict,
        lane: Lane,
        *,
        max_rows: int = MAX_ROWS,
        window_s: float = 0.0,
        patience_s: Callable[[], float],
        overdue_s: Callable[[], float],
    ) -> None:
        self._predict = predict
        self._lane = lane
        self.max_rows = max_rows
        self._window_s = window_s
        self._patience_s = patience_s
        self._overdue_s = overdue_s
        self._waiting: list[_Caller] = []
        self._running: list[_Caller] | None = None
        self._plan: asyncio.Handle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_crowded = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, columns: Columns, timing: Timing, *, probabilities: bool) -> Outputs:
        """Return the answer to a call.

        Raises:
            Overloaded: Too many calls wait already.
            PredictionTimeout: The model did not answer in time.
        """
        self._lane.enter()
        try:
            loop = self._current_loop()
            caller = _Caller(columns, timing, probabilities=probabilities)
            if self._may_go_at_once():
                job = self._lane.submit(partial(self._ask, [caller]), patience_s=self._patience_s())
                self._start_soon(loop)  # whoever else comes in this turn goes with the others of it
                if job.future is None:
                    outputs: Outputs = job.result()
                    return outputs
                self._follow(loop, [caller], job)
            else:
                self._join(loop, caller)
            await self._lane.wait(caller.future)
            return caller.result()
        finally:
            self._lane.leave()

    def _current_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # what an ended event loop has left behind is nobody's
            self._loop, self._plan, self._running = loop, None, None
            self._waiting, self._is_crowded = [], False
        return loop

    def _may_go_at_once(self) -> bool:
        """Tell whether this call is the first one of this turn, and the last turn had no more than one."""
        is_idle = self._running is None and self._plan is None
        return is_idle and not self._is_crowded and not self._window_s

    # -- from callers to a batch -------------------------------------------------------------------------

    def _join(self, loop: asyncio.AbstractEventLoop, caller: _Caller) -> None:
        self._waiting.append(caller)
        if self._running is not None:  # its end starts the next one
            return
        if self._plan is None:
            self._start_soon(loop)
        elif self._window_s and sum(len(other.columns) for other in self._waiting) >= self.max_rows:
            self._plan.cancel()
            self._start(loop)

    def _start_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._window_s:
            self._plan = loop.call_later(self._window_s, self._start, loop)
        else:  # after everything that this turn brings
            self._plan = loop.call_soon(self._start, loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send off what waits, as many rows as fit."""
        self._plan = None
        if self._running is not None:
            return
        self._waiting = [caller for caller in self._waiting if not caller.future.done()]
        batch: list[_Caller] = []
        rows = 0
        for caller in self._waiting:
            rows += len(caller.columns)
            if batch and rows > self.max_rows:
                break
            batch.append(caller)
        self._is_crowded = len(batch) > 1
        if batch:
            del self._waiting[: len(batch)]
            self._follow(loop, batch, self._lane.submit(partial(self._ask, batch)))

    def _ask(self, batch: list[_Caller]) -> Outputs:
        """Ask the model; runs in a thread."""
        began = time.perf_counter()
        for caller in batch:
            caller.timing.queue = began - caller.arrived
        columns = batch[0].columns
        if len(batch) > 1:
            columns = Columns(columns.names, [row for caller in batch for row in caller.columns.rows])
        return self._predict(columns, any(caller.probabilities for caller in batch))

    # -- from a batch to callers -------------------------------------------------------------------------

    def _follow(self, loop: asyncio.AbstractEventLoop, batch: list[_Caller], job: Job) -> None:
        self._running = batch
        task = loop.create_task(self._finish(loop, batch, job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, loop: asyncio.AbstractEventLoop, batch: list[_Caller], job: Job) -> None:
        """Hand out the answers of a batch; one that fails or takes too long is taken apart."""
        if job.future is not None:
            await asyncio.wait([job.future], timeout=self._overdue_s())
        if self._running is batch:
            self._running = None
            if self._waiting and self._plan is None:
                self._start(loop)
        if len(batch) == 1:
            await self._deliver(job, batch[0])
        elif job.future is not None and not job.future.done():
            self._lane.give_up(job)
            await self._one_by_one(batch)
        else:
            await self._share_out(batch, job)

    async def _share_out(self, batch: list[_Caller], job: Job) -> None:
        try:
            outputs: Outputs = job.result()
        except BaseException:  # noqa: BLE001 - each caller gets its own
            await self._one_by_one(batch)
            return
        start = 0
        for caller in batch:
            stop = start + len(caller.columns)
            share = outputs.part(start, stop)
            if not caller.probabilities:
                share.probabilities = None
            caller.settle(share)
            start = stop

    async def _one_by_one(self, batch: list[_Caller]) -> None:
        callers = [caller for caller in batch if not caller.future.done()]
        jobs = [self._lane.submit(partial(self._ask, [caller])) for caller in callers]
        await asyncio.gather(*map(self._deliver, jobs, callers))

    async def _deliver(self, job: Job, caller: _Caller) -> None:
        """Hand a job's outcome to its only caller; give the job up when the caller does."""
        if job.future is not None:
            await asyncio.wait([job.future, caller.future], return_when=asyncio.FIRST_COMPLETED)
            if not job.future.done():
                self._lane.give_up(job)
                return
        try:
            caller.settle(job.result())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            caller.settle(None, error)
