"""The versions that are in memory: how they get there, and which of them go.

Used on the event loop, except for `load_now`. What takes long happens beside it: each version is loaded once,
however many ask for it, and one that hangs holds up no other.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, TypeAlias

from fairway.bundle.bundle import Bundle
from fairway.errors import FairwayError, InternalError, LoadTimeout, PredictionTimeout
from fairway.inference.aside import load_aside
from fairway.inference.lane import Lane
from fairway.inference.loaded import LoadedModel
from fairway.inference.predictors import NATIVE
from fairway.inference.sources import Entry
from fairway.messages import Timing

Cells: TypeAlias = "list[float] | memoryview[float]"

LOADS, UNLOADS, REFUSALS, SECONDS = "loads", "unloads", "refusals", "seconds"
"""What is counted of each version."""

AT_ONCE = 2
"""Versions that are loaded at the same time."""

_UNBOUNDED = sys.maxsize
_FIRST_LOOK_S = 20.0
"""How long a new worker may be busy with what was moved since its master had loaded the models."""


class Memory:
    """Holds loaded versions, by what they are.

    Args:
        open_bundle: Returns the verified bundle of an entry.
        load: Turns an entry and its bundle into a model that has proven itself.
        timeout_s: Longest time that both may take together while a server runs.
        max_loaded: Most versions that stay; 0 for all.
        notify: Gets an event name and its fields, for the log.

    Attributes:
        marks: Which versions are being loaded, for whoever finds out of what this process has died.
        tally: What has happened in this process, by kind, model and version.
    """

    def __init__(
        self,
        open_bundle: Callable[[Entry], Bundle],
        load: Callable[[Entry, Bundle], LoadedModel],
        *,
        timeout_s: float,
        max_loaded: int,
        notify: Callable[..., None],
    ) -> None:
        self._open_bundle = open_bundle
        self._load = load
        self._timeout_s = timeout_s
        self._max_loaded = max_loaded or _UNBOUNDED
        self._notify = notify
        self._models: dict[Entry, LoadedModel] = {}
        self._loading: dict[Entry, asyncio.Task[LoadedModel]] = {}
        self._lane = Lane("loading", timeout_s=timeout_s, max_queue=_UNBOUNDED, threads=AT_ONCE)
        self.marks: Cells = [0.0] * AT_ONCE
        self._marking = threading.Lock()
        self.tally: Counter[tuple[str, str, int]] = Counter()

    def __len__(self) -> int:
        """Return how many versions are loaded."""
        return len(self._models)

    def get(self, entry: Entry) -> LoadedModel | None:
        """Return the loaded version, or None."""
        return self._models.get(entry)

    @property
    def has_room(self) -> bool:
        """Tell whether another version may stay beside those that are here or coming."""
        return len(self._models.keys() | self._loading.keys()) < self._max_loaded

    # -- in ----------------------------------------------------------------------------------------------

    def load_now(self, entry: Entry, *, is_running: bool = False) -> LoadedModel:
        """Load a version before there is an event loop.

        Args:
            entry: The version.
            is_running: Whether there are others that may serve meanwhile, so that there is a limit in time.

        Raises:
            FairwayError: It cannot be loaded, or not in time.
        """
        work = partial(self._produce, entry)
        patience_s = min(_FIRST_LOOK_S, self._timeout_s)
        try:
            made = load_aside(work, timeout_s=patience_s) if is_running else work()
        except TimeoutError:
            raise _too_slow(entry, patience_s) from None
        return self._admit(entry, *made)

    async def obtain(self, entry: Entry, *, patience_s: float | None = None) -> LoadedModel:
        """Return a version, loaded if it is not; all who ask meanwhile get the same.

        Args:
            entry: The version.
            patience_s: How long to wait for it; it goes on being loaded.

        Raises:
            TimeoutError: It was not there after *patience_s*.
            FairwayError: It cannot be loaded, or not in time.
        """
        model = self._models.get(entry)
        if model is not None:
            return model
        task = self._loading.get(entry)
        if task is None:
            task = self._loading[entry] = asyncio.create_task(self._bring(entry))
            task.add_done_callback(_look_at_outcome)
        # Not `asyncio.timeout`: a call is stepped by its connection, outside of any task.
        done, _ = await asyncio.wait([task], timeout=patience_s)
        if not done:
            raise TimeoutError
        return task.result()

    def is_loading(self, entry: Entry) -> bool:
        """Tell whether a version is on its way."""
        return entry in self._loading

    async def _bring(self, entry: Entry) -> LoadedModel:
        try:
            made = await self._lane.run(partial(self._produce, entry), Timing(0.0))
            return self._admit(entry, *made)
        except PredictionTimeout:
            raise _too_slow(entry, self._timeout_s) from None
        finally:
            self._loading.pop(entry, None)

    def _produce(self, entry: Entry) -> tuple[LoadedModel, float]:
        """Open, load and prove a version; return it with the seconds that it took."""
        started = time.perf_counter()
        place = self._mark(entry)
        try:
            bundle = self._open_bundle(entry)
            model = self._load(entry, bundle)
        except FairwayError:
            raise
        except BaseException as cause:  # a model's own code may even try to end the process
            raise InternalError from cause
        finally:
            if place is not None:
                self.marks[place] = 0.0
        return model, time.perf_counter() - started

    def _mark(self, entry: Entry) -> int | None:
        with self._marking:
            place = next((place for place in range(AT_ONCE) if not self.marks[place]), None)
            if place is not None:  # those that hang may have taken all
                self.marks[place] = float(entry.mark)
            return place

    def _admit(self, entry: Entry, model: LoadedModel, seconds: float) -> LoadedModel:
        model.used_at = time.perf_counter()
        self._models[entry] = model
        self._count(LOADS, entry)
        self._count(SECONDS, entry, seconds)
        self._notify(
            "model.loaded",
            model=entry.model,
            version=entry.version,
            seconds=round(seconds, 3),
            predictor=model.predictor_name,
            reason=model.reason,
        )
        self._tell_differences(model)
        return model

    def _tell_differences(self, model: LoadedModel) -> None:
        """Say what is not as it was when the model was packed; a compiled predictor needs none of it."""
        for difference in model.differences if model.predictor_name == NATIVE else ():
            self._notify(
                "environment.differs",
                level="warning" if difference.matters else "info",
                model=model.name,
                version=model.version,
                package=difference.name,
                grade=difference.grade,
                detail=str(difference),
            )

    # -- out ---------------------------------------------------------------------------------------------

    def keep(self, wanted: Collection[Entry]) -> bool:
        """Let go of every version that is not wanted; return whether there was one.

        Calls that such a version has still to answer keep it until they are answered.
        """
        return self._let_go(entry for entry in list(self._models) if entry not in wanted)

    def make_room(self) -> bool:
        """Let go of the versions that were not asked for longest, if there are too many."""
        surplus = max(0, len(self._models) - self._max_loaded)
        by_age = sorted(self._models, key=lambda entry: self._models[entry].used_at) if surplus else ()
        return self._let_go(itertools.islice(by_age, surplus))

    def _let_go(self, entries: Iterable[Entry]) -> bool:
        gone = list(entries)
        for entry in gone:
            model = self._models.pop(entry)
            self._count(UNLOADS, entry)
            self._notify("model.unloaded", model=model.name, version=model.version)
        return bool(gone)

    def count_refusal(self, entry: Entry) -> None:
        """Count a version that could not be loaded or proven."""
        self._count(REFUSALS, entry)

    def _count(self, what: str, entry: Entry, amount: float = 1) -> None:
        self.tally[what, entry.model, entry.version] += amount  # type: ignore[assignment]  # seconds, too


def give_back() -> None:
    """Hand memory that was freed back to the system; glibc would keep most of it for the next version."""
    if sys.platform == "linux":
        trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # not every C library has it
            trim(0)


def _too_slow(entry: Entry, seconds: float) -> LoadTimeout:
    return LoadTimeout(
        f"{entry.reference} was not loaded and proven within {seconds:g} s",
        hint="raise server.load_timeout_s if it takes so long for a good reason",
    )


def _look_at_outcome(task: asyncio.Task[LoadedModel]) -> None:
    """Take note of an error that nobody may have waited for."""
    if not task.cancelled():
        task.exception()
