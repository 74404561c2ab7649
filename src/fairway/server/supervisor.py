"""Several workers: the models are loaded once, then processes are forked that share them.

gunicorn's arbiter is the master: it forks, waits and forks again, without the files and variables that it
would read and the text that it would print. Every worker has a number, and with it a listening socket and a
block of counts that both outlive it: who connects while a worker is replaced waits for the next one there.

The master runs no thread, for none would survive the fork, and what it held locked would stay locked.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from fairway.inference.aside import load_aside
from fairway.inference.pool import Pool
from fairway.log import Log
from fairway.server.app import App
from fairway.server.cells import LOADING, LOADING_AT_ONCE, SharedCounts
from fairway.server.listen import DRAIN_S, announce, begin_to_listen, serve, share_port

SILENCE_S = 30.0
"""How long beyond the longest call an event loop may show no sign of life before its worker is killed."""

STABLE_S = 5.0
"""A worker that dies younger than this is replaced with a delay, doubled each time up to `MAX_DELAY_S`."""

MAX_DELAY_S = 1.0

_FIRST_DELAY_S = 0.1
_STOP_S = DRAIN_S + 3.0
_HELD = (signal.SIGINT, signal.SIGTERM)


@dataclasses.dataclass
class Slot:
    """The place of a worker, which is filled again when it dies.

    Attributes:
        number: Number of the worker, from 0.
        bound: Its listening socket.
        started: When its last worker was forked.
        due: When the next one may be.
        deaths: How many have died young, one after the other.
    """

    number: int
    bound: socket.socket
    started: float = 0.0
    due: float = 0.0
    deaths: int = 0

    def plan(self, now: float) -> float:
        """Decide when the next worker comes, after one has died; return the delay."""
        self.deaths = self.deaths + 1 if now - self.started < STABLE_S else 0
        delay_s = min(MAX_DELAY_S, _FIRST_DELAY_S * 2.0 ** (self.deaths - 1)) if self.deaths else 0.0
        self.due = now + delay_s
        return delay_s


@dataclasses.dataclass
class Crew:
    """What the master hands to its workers.

    Attributes:
        slots: Their places.
        pool: The models.
        shared: Their counts.
        log: The server's log.
        build_app: Returns the application of a worker.
        forking: The slot whose worker is being forked.
        crashes: How many workers have died while they loaded a version, by its mark.
    """

    slots: list[Slot]
    pool: Pool
    shared: SharedCounts
    log: Log
    build_app: Callable[[Pool, SharedCounts], App]
    forking: Slot
    crashes: Counter[int] = dataclasses.field(default_factory=Counter)


def supervise(
    load: Callable[[], Pool],
    build_app: Callable[[Pool, SharedCounts], App],
    bound: socket.socket,
    *,
    workers: int,
    log: Log,
    patience_s: float,
) -> None:
    """Serve with several workers until SIGINT or SIGTERM; calls in flight are answered first.

    Args:
        load: Returns a pool with every model loaded and proven.
        build_app: Returns the application of a worker; called after the fork.
        bound: The bound socket.
        workers: How many.
        log: The server's log, without a thread.
        patience_s: Longest time that one call may hold an event loop.

    Raises:
        PortInUse: Another process has begun to listen since the address was bound.
        SystemExit: SIGTERM came; the exit code is 0.
        KeyboardInterrupt: SIGINT came.
    """
    pool = load_aside(lambda: _load_for_fork(load))
    begin_to_listen(bound)
    slots = [Slot(number, twin) for number, twin in enumerate(share_port(bound, workers))]
    crew = Crew(slots, pool, SharedCounts(workers), log, build_app, forking=slots[0])
    master = _Master(_Application(crew, timeout_s=patience_s + SILENCE_S))
    # What is here stays: no collection shall touch, and thereby copy, a page that the workers share.
    gc.collect()
    gc.freeze()
    log.event("server.started", workers=workers)
    announce(bound, pool.served_models(), workers=workers)
    try:
        master.run()
    except SystemExit:
        if master.is_interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        log.event("server.stopped")
        log.close()


def _load_for_fork(load: Callable[[], Pool]) -> Pool:
    pool = load()
    pool.let_go()
    return pool


class _Silent:
    """Stands where gunicorn wants a logger: what is worth a line, the master says as an event."""

    def __init__(self, _: object) -> None:
        pass

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_args, **_fields: None


class _Application(BaseApplication):
    """gunicorn's settings and application, from nowhere but here."""

    def __init__(self, crew: Crew, *, timeout_s: float) -> None:
        self.crew = crew
        memory = Path("/dev/shm")  # noqa: S108 - for the files by which workers show that they live: no disk
        self._options: dict[str, Any] = {
            "workers": len(crew.slots),
            "timeout": int(timeout_s),
            "graceful_timeout": int(_STOP_S),
            "worker_class": _Worker,
            "logger_class": _Silent,
            "control_socket_disable": True,
            "worker_tmp_dir": str(memory) if os.access(memory, os.W_OK) else None,
        }
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> App:
        """Return the application; gunicorn asks for it in the worker."""
        return self.crew.build_app(self.crew.pool, self.crew.shared)


class _Master(Arbiter):
    """Forks a worker per slot, tells what becomes of them, and stops them."""

    # Whatever a worker's exit code, the others go on, and another one takes its place.
    WORKER_BOOT_ERROR = APP_LOAD_ERROR = -1
    SIGNALS = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM]  # noqa: RUF012 - the parent's form

    def __init__(self, application: _Application) -> None:
        self.is_interrupted = False
        self._crew = application.crew
        self._tell = application.crew.log.event
        super().__init__(application)

    def start(self) -> None:
        """Begin without gunicorn's own listening, which reads variables."""
        self.pid = os.getpid()
        self.LISTENERS = list({slot.bound for slot in self._crew.slots})
        self.init_signals()

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """Wait for a signal, or until a worker is due or was silent for too long."""
        self._crew.log.flush()
        due = [slot.due - time.monotonic() for slot in self._free()]
        found: list[int] = super().wait_for_signals(timeout=max(0.01, min([timeout, *due])))
        return found

    def handle_int(self) -> None:
        """Stop as for SIGTERM, and remember why."""
        self.is_interrupted = True
        self.handle_term()

    handle_quit = handle_hup = Arbiter.handle_term

    def spawn_workers(self) -> None:
        """Fork a worker for every free slot that is due."""
        now = time.monotonic()
        for slot in self._free():
            if slot.due <= now:
                slot.started = now
                self._crew.forking = slot
                self.spawn_worker()

    def spawn_worker(self) -> None:
        """Fork. Signals are held back meanwhile; the worker lets them in when it can act on them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
        try:
            super().spawn_worker()
        except SystemExit as end:  # in the worker, which must not go up the master's stack
            self._crew.log.close()
            os._exit(end.code if isinstance(end.code, int) else 0)
        except OSError as cause:  # there is no memory, or no process id, for another process
            self._tell_death(self._crew.forking, cause=cause)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)

    def murder_workers(self) -> None:
        """Kill workers whose event loop is stuck; slow models run beside it and do not silence it."""
        for pid, worker in list(self.WORKERS.items()):
            silence_s = time.monotonic() - worker.tmp.last_update()
            if silence_s > self.timeout:
                facts = {"worker": worker.slot.number, "pid": pid, "seconds": round(silence_s)}
                self._tell("worker.stuck", level="error", **facts)
                self.kill_worker(pid, signal.SIGKILL)

    def reap_workers(self) -> None:
        """Take note of every process that has ended; as process 1 of a container also of foreign ones."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            worker = self.WORKERS.pop(pid, None)
            if worker is not None:
                self._bury(worker, pid, os.waitstatus_to_exitcode(status))

    def _bury(self, worker: _Worker, pid: int, code: int) -> None:
        worker.tmp.close()
        self._crew.crashes.update(self._crew.shared.loading(worker.slot.number) if code else ())
        self._crew.shared.detach(worker.slot.number)
        if code:  # 0: somebody has stopped it by a signal, and it has answered its calls
            ended = {"signal": _signal_name(-code)} if code < 0 else {"exit_code": code}
            self._tell_death(worker.slot, pid=pid, **ended)

    def _tell_death(self, slot: Slot, **fields: Any) -> None:
        now = time.monotonic()
        lived_s, delay_s = now - slot.started, slot.plan(now)
        fields |= {"seconds": round(lived_s, 3), "restart_in_s": delay_s}
        self._tell("worker.died", level="error", worker=slot.number, **fields)

    def _free(self) -> list[Slot]:
        taken = {worker.slot.number for worker in self.WORKERS.values()}
        return [slot for slot in self._crew.slots if slot.number not in taken]


class _Worker(Worker):
    """One forked process that serves on the socket of its slot."""

    app: _Application

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.slot = self.app.crew.forking

    def init_process(self) -> None:
        """Make what was inherited one's own, then serve."""
        crew = self.app.crew
        crew.log.start_in_worker(worker=self.slot.number, pid=os.getpid())
        try:
            self.sockets = [self.slot.bound]
            for slot in crew.slots:
                if slot.bound is not self.slot.bound:
                    slot.bound.close()
            crew.shared.attach(self.slot.number)
            self.notify()
            crew.pool.look_again(
                keeps_record=self.slot.number == 0,
                crashes=crew.crashes,
                marks=crew.shared.gauges[LOADING : LOADING + LOADING_AT_ONCE],
            )
            super().init_process()
        except Exception as cause:  # noqa: BLE001 - told here, for gunicorn would print it
            crew.log.event("worker.failed", level="error", cause=cause)
            sys.exit(1)

    def init_signals(self) -> None:
        """Leave SIGINT and SIGTERM to uvicorn, and let them do nothing when it raises them again at the end.

        A terminal sends SIGINT and SIGHUP to every process; when to stop is for the master to say.
        """
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for number in (*_HELD, signal.SIGHUP):
            signal.signal(number, _ignore)  # a function: SIG_IGN would also forget what is held back

    def run(self) -> None:
        """Serve until told to stop."""
        serve(self.wsgi, self.slot.bound, log=self.app.crew.log, each_second=self._each_second)

    async def _each_second(self) -> None:
        """Show that the event loop turns, and stop when the master is gone."""
        self.notify()
        if os.getppid() != self.ppid:
            signal.raise_signal(signal.SIGTERM)


def _ignore(*_: object) -> None:
    """Do nothing about a signal."""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)
