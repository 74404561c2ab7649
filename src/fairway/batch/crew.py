"""Forked workers: each does one task after the other with what was in memory when it was started.

A model is loaded once and shared by all. Tasks and results are small; what is large goes through files.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import multiprocessing
import os
import signal
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self

from fairway.errors import BatchError, FairwayError, StorageFull, WorkerLost

_AHEAD = 2
"""Tasks that a worker has been given: it need not wait for the next one."""


class Crew:
    """Workers for one kind of task.

    Args:
        work: Does a task; runs in the workers.
        count: How many workers. Where processes cannot be forked the tasks are done in this one.
        prepare: Called in every worker before its first task.
    """

    def __init__(self, work: Callable[[Any], Any], count: int, *, prepare: Callable[[], None]) -> None:
        self._work = work
        self._count = count
        self._prepare = prepare
        self._ends: list[Connection] = []
        self._processes: dict[Connection, Any] = {}

    def __enter__(self) -> Self:
        if not hasattr(os, "fork"):
            return self
        gc.freeze()  # what is here stays: a collection in a worker would copy its pages
        with warnings.catch_warnings():
            # Libraries for linear algebra keep threads; they make new ones after a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            for _ in range(self._count):
                self._start()
        return self

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        self._ends.append(ours)
        process = context.Process(target=self._serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._processes[ours] = process

    def _serve(self, tasks: Connection) -> None:
        """Do tasks until the other side is gone."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started us decides
        for end in self._ends:  # held open here, the other workers would never see that side go
            end.close()
        self._prepare()
        _use_one_thread()
        with contextlib.suppress(EOFError, BrokenPipeError):
            while True:
                tasks.send(_attempt(self._work, tasks.recv()))

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for end, process in self._processes.items():
            if kind is not None:
                process.terminate()
            end.close()
        for process in self._processes.values():
            process.join()

    def results(self, tasks: Iterable[Any]) -> Iterator[Any]:
        """Yield the results of tasks as they are done; no more tasks are taken than workers can hold.

        Raises:
            FairwayError: A task failed.
            WorkerLost: A worker was killed.
        """
        if not self._processes:
            yield from (_value(_attempt(self._work, task)) for task in tasks)
            return
        waiting, busy = iter(tasks), dict.fromkeys(self._processes, 0)
        places = deque(list(busy) * _AHEAD)  # every worker has one task before any has two
        while True:
            while places and (task := next(waiting, None)) is not None:
                busy[self._send(places[0], task)] += 1
                places.popleft()
            running = [end for end, count in busy.items() if count]
            if not running:
                return
            for end in wait(running):
                assert isinstance(end, Connection)  # noqa: S101 - wait takes other things, too
                result = self._receive(end)
                busy[end] -= 1
                places.append(end)
                yield _value(result)

    def _send(self, end: Connection, task: Any) -> Connection:
        try:
            end.send(task)
        except BrokenPipeError:
            raise self._lost(end) from None
        return end

    def _receive(self, end: Connection) -> Any:
        try:
            return end.recv()
        except (EOFError, ConnectionResetError):
            raise self._lost(end) from None

    def _lost(self, end: Connection) -> WorkerLost:
        process = self._processes[end]
        process.join()
        return WorkerLost(process.exitcode)


def _attempt(work: Callable[[Any], Any], task: Any) -> tuple[str, Any]:
    try:
        return "done", work(task)
    except FairwayError as error:
        return "failed", (error.code, error.detail, error.hint)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return "full", str(error)
        return "broken", (f"{type(error).__name__}: {error}", traceback.format_exc())
    except Exception as error:  # noqa: BLE001 - told to the process that started us
        return "broken", (f"{type(error).__name__}: {error}", traceback.format_exc())


def _value(outcome: tuple[str, Any]) -> Any:
    kind, value = outcome
    if kind == "done":
        return value
    if kind == "full":
        raise StorageFull(
            f"there is no space left: {value}", hint="free some space, then run the same command"
        )
    if kind == "failed":
        code, detail, hint = value
        error = BatchError(detail, hint=hint)
        error.code = code  # type: ignore[misc]  # the one that the worker raised
        raise error
    detail, trace = value
    raise BatchError(detail) from RuntimeError(trace)


def _use_one_thread() -> None:
    """Let libraries compute with one thread: there is a worker per core, and GNU OpenMP's own hang here."""
    with contextlib.suppress(ImportError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)
