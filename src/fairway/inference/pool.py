"""The models that a server answers with: loaded, swapped when an alias moves, unloaded when too many.

A new version is loaded and proven beside the one that serves; then one assignment switches between two
requests. A version that cannot be loaded or fails its golden examples never serves: the old one goes on. What
is in memory, and how it gets there, is decided in `memory.py`; where references point, in `sources.py`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from fairway.bundle.bundle import Bundle
from fairway.bundle.names import Reference, parse_reference
from fairway.errors import (
    FairwayError,
    LoadCrashed,
    LoadTimeout,
    ModelNotFound,
    ModelNotReady,
    PredictionError,
    StoreUnavailable,
)
from fairway.inference.inquiry import Inquiry
from fairway.inference.loaded import LoadedModel
from fairway.inference.memory import Cells, Memory, give_back
from fairway.inference.sources import Entry, Look, Refusal, Source
from fairway.messages import Target

MAX_EXTRA = 8
"""Versions kept in memory that no served reference stands for, because callers name them (`coffee:1`)."""

MAX_KNOWN = 32
"""References that callers name and of which it is kept in mind what they stand for."""

MANY_CRASHES = 2
"""So many workers may die while they load a version; one may have been killed for another reason."""

RETRY_S = 5.0
"""How soon a version that could not be loaded is tried again; doubled each time, up to a minute."""

_MAX_RETRY_S = 60.0
_SOON_S, _MAX_SOON_S = 1.0, 4.0
"""The same for a version that could not be fetched, because the registry or its files are away."""

_LATE_S = 2.0
_NEVER = object()  # the token of a source that could not be asked


@dataclasses.dataclass(frozen=True, slots=True)
class _Table:
    """Which version answers which reference at this moment.

    Attributes:
        required: References that must be served, the default first.
        routes: Loaded model by reference; the empty reference is the default.
        entries: What answers by reference, also where it is not loaded at the moment.
        problems: Why a reference does not stand for what it should, by reference.
    """

    required: tuple[str, ...] = ()
    routes: dict[str, LoadedModel] = dataclasses.field(default_factory=dict)
    entries: dict[str, Entry] = dataclasses.field(default_factory=dict)
    problems: dict[str, _Problem] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class _Problem:
    """What is wrong with a reference, and the version that was refused if that is it.

    Neither here nor in `_Refused` stands the error itself: its traceback would keep what had been loaded.
    """

    code: str
    title: str
    candidate: Entry | None = None


@dataclasses.dataclass(slots=True)
class _Refused:
    """A version that could not be loaded: why, when it is tried again, and how often it was tried."""

    problem: _Problem
    until: float
    tries: int
    is_passing: bool
    is_told: bool


class Pool:
    """Implement `fairway.inference.engine.Router` for models from a source.

    Args:
        source: Where models come from.
        load: Turns an entry and its bundle into a model that has proven itself.
        names: Models or references to serve; empty serves every model of the source.
        notify: Gets an event name and its fields, for the log.
        max_loaded: Most versions that stay in memory; 0 for all that are served.
        load_timeout_s: Longest time that loading and proving a version may take.
        patience_s: How long a call waits for a version that is being loaded.
    """

    def __init__(
        self,
        source: Source,
        load: Callable[[Entry, Bundle], LoadedModel],
        *,
        names: Sequence[str] = (),
        notify: Callable[..., None],
        max_loaded: int = 0,
        load_timeout_s: float = 120.0,
        patience_s: float = 60.0,
    ) -> None:
        self._source = source
        self._names = [parse_reference(name) for name in names]
        self._notify = notify
        self._patience_s = patience_s
        self._memory = Memory(
            source.open, load, timeout_s=load_timeout_s, max_loaded=max_loaded, notify=notify
        )
        self._inquiry = Inquiry(notify)
        self._look = Look()
        self._table = _Table()
        self._extra: dict[Entry, None] = {}  # most recently used last
        self._refused: dict[Entry, _Refused] = {}
        self._resolved: dict[str, Entry] = {}
        self._keeps_record = True
        self._token: object = None
        self._taking: set[Entry] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._giving_back: asyncio.TimerHandle | None = None

    # -- routing -----------------------------------------------------------------------------------------

    async def choose(self, target: Target) -> LoadedModel:
        """Return the model that a target's reference stands for now."""
        model = self._table.routes.get(target.reference)
        if model is None:
            return await self.find(target.reference)
        model.used_at = target.call.started  # all that unloading has to know: which was asked for when
        return model

    async def find(self, text: str) -> LoadedModel:
        """Return the model for a reference that no loaded version is known to answer; it may be loaded first.

        Raises:
            RegistryError: There is no such model here, no such version or no such alias.
            ModelNotReady: The version cannot be loaded, or not soon enough for a call.
        """
        table = self._table
        entry = table.entries.get(text)
        if entry is None:
            if not text:
                raise ModelNotReady("no model is ready to answer", hint="see /health")
            reference = parse_reference(text)
            if reference.model not in self.served_models():
                served = ", ".join(self.served_models())
                raise ModelNotFound(reference.model, hint=f"served here: {served}")
            entry = await self._resolve(reference)
        model = self._memory.get(entry) or await self._fetch(entry)
        model.used_at = time.perf_counter()
        if entry in self._extra:
            self._extra[entry] = self._extra.pop(entry)
        return model

    async def _resolve(self, reference: Reference) -> Entry:
        """Return what a reference stands for that is not followed; if nobody can tell, what it last did."""
        text = str(reference)
        known = self._resolved.get(text)
        if known is not None and (reference.version is not None or self._inquiry.is_away):
            return known  # a version never changes; `_forget_what_changed` forgets one that is deleted
        try:
            entry = await self._inquiry.ask(partial(self._source.resolve, reference))
        except StoreUnavailable:
            if known is None:
                raise
            return known
        self._resolved[text] = entry
        while len(self._resolved) > MAX_KNOWN:
            del self._resolved[next(iter(self._resolved))]
        return entry

    async def _fetch(self, entry: Entry) -> LoadedModel:
        """Load a version for a caller; why it cannot be loaded is for the operator, not the caller."""
        refused = self._refused.get(entry)
        if refused is not None and time.monotonic() < refused.until:
            raise _not_ready(entry)
        try:
            model = await self._memory.obtain(entry, patience_s=self._patience_s)
        except TimeoutError:
            raise ModelNotReady(
                f"{entry.reference} is still being loaded", hint="try again in a few seconds"
            ) from None
        except FairwayError as error:
            self._refuse(entry, error)
            self._rebuild()
            raise _not_ready(entry) from error
        self._refused.pop(entry, None)
        if entry not in self._table.entries.values():
            self._extra[entry] = None
            while len(self._extra) > MAX_EXTRA:
                del self._extra[next(iter(self._extra))]
        self._rebuild()
        return model

    # -- following ---------------------------------------------------------------------------------------

    def load_all(self) -> None:
        """Load what is to be served, as much as there is room for, before the first request.

        Raises:
            FairwayError: The first model that cannot be found or loaded.
        """
        self._token = self._source.token()
        self._look = self._source.look(self._names)
        for found in self._look.found.values():
            if isinstance(found, FairwayError):
                raise found
            if self._memory.get(found) is None and self._memory.has_room:
                self._memory.load_now(found)
        self._rebuild()

    def let_go(self) -> None:
        """Let go of the source before a fork, which no connection survives."""
        self._source.close()

    def look_again(
        self,
        *,
        keeps_record: bool = True,
        crashes: Mapping[int, int] | None = None,
        marks: Cells | None = None,
    ) -> None:
        """Load what has moved since the models were loaded, before the first request of a forked process.

        Where the source cannot be asked, the loaded models serve, and `watch` goes on asking.

        Args:
            keeps_record: Whether this process puts refusals on record; one of a server's workers does.
            crashes: How many processes have died while they loaded a version, by its mark.
            marks: Gets what this process is loading, for the next one to know of what it has died.
        """
        self._keeps_record = keeps_record
        self._memory.marks = self._memory.marks if marks is None else marks
        try:
            self._token = self._source.token()
            self._look = self._source.look(self._names)
        except Exception as error:  # noqa: BLE001 - whatever it is, there are models that can serve
            self._token = _NEVER
            self._inquiry.note_failure(error)
            return
        self._rebuild()
        for entry in self._to_load():
            try:
                if (crashes or {}).get(entry.mark, 0) >= MANY_CRASHES:
                    raise LoadCrashed(f"workers have died while they loaded {entry.reference}")
                self._memory.load_now(entry, is_running=True)
            except FairwayError as error:
                self._refuse(entry, error)
        self._rebuild()

    async def watch(self, interval_s: float = 0.1) -> None:
        """Follow the source until cancelled: a moved alias is served within a second."""
        for entry in list(self._refused):  # before there was a loop
            self._start(self._tell_refusal, entry)
        while True:
            await asyncio.sleep(self._inquiry.pause_s or interval_s)
            try:
                token = await self._inquiry.ask(self._source.token)
                if token != self._token:
                    await self._look_around()
                    self._token = token
                self._inquiry.note_answer()
            except Exception as error:  # noqa: BLE001 - whatever it is, the server must go on following
                self._inquiry.note_failure(error)
            self._load_moved()

    async def look_now(self) -> None:
        """Follow what has just changed, without waiting for `watch` to see it."""
        await self._look_around()

    async def _look_around(self) -> None:
        """Ask where everything points now, also what callers have named."""
        self._look = await self._inquiry.ask(partial(self._source.look, self._names), is_long=True)
        self._rebuild()
        self._load_moved()
        for text, known in list(self._resolved.items()):
            await self._forget_what_changed(text, known)
        self._rebuild()

    def _load_moved(self) -> None:
        for entry in self._to_load():
            if entry not in self._taking:
                self._taking.add(entry)
                self._start(self._take, entry)

    async def _forget_what_changed(self, text: str, known: Entry) -> None:
        try:
            now = await self._inquiry.ask(partial(self._source.resolve, parse_reference(text)))
        except StoreUnavailable:
            raise
        except FairwayError:  # it was deleted
            now = None
        if now != known:
            self._resolved.pop(text, None)
            self._extra.pop(known, None)

    def _to_load(self) -> list[Entry]:
        """Return what references have moved to, and is neither here, on its way nor refused for the moment.

        What a reference stands for already, and was unloaded, comes back when a call asks for it.
        """
        entries, now = self._table.entries, time.monotonic()
        moved = [e for t, e in self._look.found.items() if isinstance(e, Entry) and entries.get(t) != e]
        return [
            entry
            for entry in dict.fromkeys(moved)
            if self._memory.get(entry) is None
            and not self._memory.is_loading(entry)
            and not (entry in self._refused and now < self._refused[entry].until)
        ]

    async def _take(self, entry: Entry) -> None:
        """Load a version that references have moved to, and switch to it."""
        try:
            await self._memory.obtain(entry)
        except FairwayError as error:
            self._refuse(entry, error)
        else:
            self._refused.pop(entry, None)
        finally:
            self._taking.discard(entry)
        self._rebuild()
        await self._tell_refusal(entry)

    def _start(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        """Let something go on beside the following; the event loop itself keeps tasks weakly only."""
        task = asyncio.create_task(work(*arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- the table ---------------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        """Make the table of this moment: what is loaded serves, and what is not leaves all as it was."""
        before, look = self._table, self._look
        routes: dict[str, LoadedModel] = {}
        entries: dict[str, Entry] = {}
        problems: dict[str, _Problem] = {}
        for text, found in look.found.items():
            problem, entry = self._judge(text, found)
            if problem is not None:
                problems[text] = problem
            if entry is not None:
                entries[text] = entry
        for reference in look.required:
            # A model that is served by one version or alias alone answers to its bare name, too.
            if reference in entries:
                entries.setdefault(parse_reference(reference).model, entries[reference])
        if look.required and look.required[0] in entries:
            entries[""] = entries[look.required[0]]
        self._drop_unused(entries.values())
        for text, entry in entries.items():
            model = self._memory.get(entry)
            if model is not None:
                routes[text] = model
        # One assignment: a request sees the old table or the new one, never a mixture.
        self._table = _Table(look.required, routes, entries, problems)
        self._tell_changes(before)

    def _judge(self, text: str, found: Entry | FairwayError) -> tuple[_Problem | None, Entry | None]:
        """Return what is wrong with a reference, and what is to answer it."""
        before = self._table.entries.get(text)
        if isinstance(found, FairwayError):
            return _Problem(found.code, found.title), before
        if self._memory.get(found) is not None:
            return None, found
        refused = self._refused.get(found)
        # While another version is on its way, what was wrong still is: the old one answers until it is here.
        problem = self._table.problems.get(text) if refused is None else refused.problem
        is_first = before is None and refused is None
        return problem, found if is_first and not self._memory.has_room else before

    def _tell_changes(self, before: _Table) -> None:
        for text, entry in self._table.entries.items():
            old = before.entries.get(text)
            if text and old is not None and old != entry:
                self._notify("model.swapped", reference=text, before=old.version, now=entry.version)
        for text, problem in self._table.problems.items():
            found = self._look.found.get(text)
            if isinstance(found, FairwayError) and before.problems.get(text) != problem:
                self._tell_failure(text, found)

    def _drop_unused(self, answering: Collection[Entry]) -> None:
        """Let go of what nothing stands for any more, and then of what is too much."""
        has_dropped = self._memory.keep({*answering, *self._extra})
        has_dropped |= self._memory.make_room()
        pointed_to = {entry for entry in self._look.found.values() if isinstance(entry, Entry)}
        for entry in [entry for entry, refused in self._refused.items() if refused.is_told]:
            if entry not in pointed_to:
                del self._refused[entry]  # whoever points to it again wants it to be tried again
        if has_dropped:
            self._give_back_late()

    def _give_back_late(self) -> None:
        """Give memory back to the system a little later: the last calls may still need it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no loop runs yet
            return
        if self._giving_back is None or self._giving_back.when() < loop.time():
            give = partial(self._start, asyncio.to_thread, give_back)
            self._giving_back = loop.call_later(_LATE_S, give)

    # -- failures ----------------------------------------------------------------------------------------

    def _refuse(self, entry: Entry, error: FairwayError) -> None:
        """Remember that a version could not be loaded, and when to try again."""
        known = self._refused.get(entry)
        tries = known.tries + 1 if known else 1
        passing = is_passing(error)
        first, most = (_SOON_S, _MAX_SOON_S) if passing else (RETRY_S, _MAX_RETRY_S)
        # A version that took too long, or of which workers have died, is tried when it is pointed to again.
        is_final = isinstance(error, LoadTimeout | LoadCrashed)
        pause_s = math.inf if is_final else min(first * 2 ** (tries - 1), most)
        self._refused[entry] = _Refused(
            _Problem(error.code, error.title, entry),
            until=time.monotonic() + pause_s,
            tries=tries,
            is_passing=passing,
            is_told=known is not None and known.is_told,
        )
        self._memory.count_refusal(entry)
        wanting = [text for text, found in self._look.found.items() if found == entry]
        for text in wanting or [entry.reference]:
            self._tell_failure(text, error)

    def _tell_failure(self, text: str, error: FairwayError) -> None:
        self._notify(
            "model.failed",
            level="error",
            reference=text,
            code=error.code,
            detail=error.detail,
            cause=error.__cause__,
        )

    async def _tell_refusal(self, entry: Entry) -> None:
        """Put a refusal on record; a registry that cannot be written to changes nothing here."""
        refused = self._refused.get(entry)
        if refused is None or refused.is_told or refused.is_passing:
            return
        if self._keeps_record:
            texts = [text for text, found in self._look.found.items() if found == entry]
            alias = next((text.partition("@")[2] for text in texts if "@" in text), None)
            refusal = Refusal(entry, alias, refused.problem.code, refused.problem.title)
            try:
                await self._inquiry.ask(partial(self._source.refuse, refusal), is_long=True)
            except Exception as error:  # noqa: BLE001 - best effort: the log has told it already
                self._notify("refusal.unrecorded", level="warning", reference=entry.reference, cause=error)
                return
        refused.is_told = True

    # -- what is served ----------------------------------------------------------------------------------

    @property
    def source(self) -> Source:
        """Where the models come from."""
        return self._source

    @property
    def is_fixed(self) -> bool:
        """Whether the models never change, as those of bundle files."""
        return self._source.is_fixed

    def served_models(self) -> list[str]:
        """Return the names of the models that this server answers for."""
        return list(dict.fromkeys(text.split(":")[0].split("@")[0] for text in self._table.required))

    def served(self) -> list[LoadedModel]:
        """Return the model behind every required reference that is loaded, the default first."""
        table = self._table
        return [table.routes[text] for text in table.required if text in table.routes]

    def listed(self) -> list[LoadedModel | Entry]:
        """Return what answers every required reference, as an entry where it is not loaded."""
        table = self._table
        return [table.routes.get(t) or table.entries[t] for t in table.required if t in table.entries]

    def unloaded(self) -> list[str]:
        """Return the required references whose version is not in memory at the moment."""
        table = self._table
        return [text for text in table.required if text in table.entries and text not in table.routes]

    def get(self, text: str) -> LoadedModel | None:
        """Return the loaded model that a reference stands for, or None."""
        found = self._table.routes.get(text)
        if found is None:
            entry = next((entry for entry in self._extra if entry.reference == text), None)
            found = None if entry is None else self._memory.get(entry)
        return found

    async def load_listed(self, text: str) -> None:
        """Load what answers a reference, if it is served and has been unloaded.

        Raises:
            ModelNotReady: It cannot be loaded, or not soon enough.
        """
        if text in self._table.entries and text not in self._table.routes:
            await self.find(text)

    def aliases(self, name: str) -> dict[str, int]:
        """Return the aliases of a model that are served, with their version."""
        prefix, entries = f"{name}@", self._table.entries
        return {t.removeprefix(prefix): e.version for t, e in entries.items() if t.startswith(prefix)}

    def loaded(self) -> int:
        """Return how many versions are in memory."""
        return len(self._memory)

    def tally(self) -> Mapping[tuple[str, str, int], float]:
        """Return what has been counted of versions in this process; see `memory.py`."""
        return dict(self._memory.tally)

    def is_ready(self) -> bool:
        """Tell whether there is a model to serve and every required one is loaded, or will be when asked."""
        table = self._table
        return bool(table.required) and all(
            text in table.routes or (text in table.entries and text not in table.problems)
            for text in table.required
        )

    def away_since(self) -> str:
        """Return since when the source cannot be asked, ISO 8601 in UTC; empty if it can."""
        return self._inquiry.away_since

    def status(self) -> dict[str, dict[str, Any]]:
        """Return per required reference, and per alias that failed, what serves and what is wrong."""
        table = self._table
        texts = dict.fromkeys([*table.required, *table.problems])
        return {text: _status(table, text) for text in texts}


def is_passing(error: FairwayError) -> bool:
    """Tell whether an error says nothing about a version: the store was away, or too much was going on."""
    return isinstance(error, StoreUnavailable) or (
        isinstance(error, PredictionError) and not isinstance(error, LoadTimeout | LoadCrashed)
    )


def _not_ready(entry: Entry) -> ModelNotReady:
    return ModelNotReady(f"{entry.reference} cannot be loaded", hint="the server's log holds the cause")


def _status(table: _Table, text: str) -> dict[str, Any]:
    entry, problem = table.entries.get(text), table.problems.get(text)
    answers = entry is not None and (problem is None or entry != problem.candidate)
    found: dict[str, Any] = {"status": "failed", "version": entry.version if entry and answers else None}
    if problem is None:
        return found | {"status": "ready" if text in table.routes else "unloaded" if answers else "loading"}
    # The detail may hold paths of this machine, or values; it stands in the log.
    refused = f"{problem.candidate.reference} is refused: " if problem.candidate is not None else ""
    found |= {"code": problem.code, "reason": f"{refused}{problem.title}"}
    return found | {"status": "degraded"} if answers else found
