"""The models that a server has in memory: loaded, swapped when an alias moves, dropped when unused.

A new version is loaded and proven beside the one that serves; then one assignment switches between two
requests. A version that cannot be loaded or fails its golden examples never serves: the old one goes on.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fairway.bundle.bundle import Bundle
from fairway.bundle.names import Reference, parse_reference
from fairway.errors import FairwayError, InternalError, ModelNotFound, ModelNotReady
from fairway.inference.loaded import LoadedModel
from fairway.inference.predictors import NATIVE
from fairway.messages import Target

MAX_EXTRA = 8
"""Versions kept in memory that no served reference stands for, because callers name them (`coffee:1`)."""

RETRY_S = 5.0
"""How soon a version that could not be loaded is tried again; doubled each time, up to a minute."""

_MAX_RETRY_S = 60.0
_NEVER = object()  # the token of a source that could not be asked


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What a reference stands for at this moment."""

    model: str
    version: int
    digest: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Table:
    """Which model answers which reference, as of one look at the source.

    Attributes:
        required: References that must be served, the default first.
        routes: Loaded model by reference; the empty reference is the default.
        problems: What is wrong with a reference that could not be resolved or loaded.
    """

    required: tuple[str, ...] = ()
    routes: dict[str, LoadedModel] = dataclasses.field(default_factory=dict)
    problems: dict[str, FairwayError] = dataclasses.field(default_factory=dict)


class Source(Protocol):
    """Where models come from."""

    def models(self) -> list[str]:
        """Return the names of all models."""

    def references(self, model: str) -> list[Reference]:
        """Return the movable references of a model: its bare name and its aliases."""

    def resolve(self, reference: Reference) -> Entry:
        """Return what a reference stands for.

        Raises:
            RegistryError: It stands for nothing, or the registry cannot be asked.
        """

    def open(self, entry: Entry) -> Bundle:
        """Return the verified bundle of an entry."""

    def token(self) -> object:
        """Return a value that differs after any change; cheap."""

    def close(self) -> None:
        """Let go of every connection; the next question opens them again."""


class Pool:
    """Implement `fairway.inference.engine.Router` for models from a source.

    Args:
        source: Where models come from.
        load: Turns an entry and its bundle into a model that has proven itself.
        names: Models or references to serve; empty serves every model of the source.
        notify: Gets an event name and its fields, for the log.
    """

    def __init__(
        self,
        source: Source,
        load: Callable[[Entry, Bundle], LoadedModel],
        *,
        names: Sequence[str] = (),
        notify: Callable[..., None],
    ) -> None:
        self._source = source
        self._load = load
        self._names = [parse_reference(name) for name in names]
        self._notify = notify
        self._table = _Table()
        self._loaded: dict[Entry, LoadedModel] = {}
        self._extra: dict[Entry, LoadedModel] = {}
        self._refused: dict[Entry, tuple[float, ModelNotReady]] = {}
        self._is_started = False
        self._loading = asyncio.Lock()
        self._token: object = None
        self._retry_at, self._retry_s = 0.0, RETRY_S

    # -- routing -----------------------------------------------------------------------------------------

    async def choose(self, target: Target) -> LoadedModel:
        """Return the model that a target's reference stands for now."""
        model = self._table.routes.get(target.reference)
        return model if model is not None else await self.find(target.reference)

    async def find(self, text: str) -> LoadedModel:
        """Return the model for a reference that is not among the served ones; it may have to be loaded.

        Raises:
            RegistryError: There is no such model here, no such version or no such alias.
            ModelNotReady: The version cannot be loaded.
        """
        if not text:
            raise ModelNotReady("no model is ready to answer", hint="see /health")
        reference = parse_reference(text)
        if reference.model not in self.served_models():
            raise ModelNotFound(reference.model, hint=f"served here: {', '.join(self.served_models())}")
        # Resolved anew for every call: an alias that is not watched may have moved.
        entry = await asyncio.to_thread(self._source.resolve, reference)
        if entry in self._extra:
            self._extra[entry] = self._extra.pop(entry)  # most recently used last
            return self._extra[entry]
        async with self._loading:
            return await asyncio.to_thread(self._load_extra, entry)

    def _load_extra(self, entry: Entry) -> LoadedModel:
        """Load a version that a caller names; why it cannot be loaded is for the operator, not the caller."""
        until, refusal = self._refused.get(entry, (0.0, None))
        if refusal is not None and time.monotonic() < until:
            raise refusal
        try:
            self._extra[entry] = self._obtain(entry)
        except FairwayError as error:
            reference = f"{entry.model}:{entry.version}"
            self._note_failure(reference, error)
            refusal = ModelNotReady(f"{reference} cannot be loaded", hint="the server's log holds the cause")
            self._refused[entry] = (time.monotonic() + RETRY_S, refusal)
            raise refusal from error
        while len(self._extra) > MAX_EXTRA:
            self._extra.pop(next(iter(self._extra)))
        self._drop_unused()
        return self._extra[entry]

    # -- loading -----------------------------------------------------------------------------------------

    def load_all(self) -> None:
        """Load everything that is to be served, before the first request.

        Raises:
            FairwayError: The first model that cannot be loaded.
        """
        self._token = self._source.token()
        self._refresh()
        for problem in self._table.problems.values():
            raise problem
        self._is_started = True

    def let_go(self) -> None:
        """Let go of the source before a fork, which no connection survives."""
        self._source.close()

    def look_again(self) -> None:
        """Load what has moved since the models were loaded, before the first request of a forked process.

        Where the source cannot be asked, the loaded models serve, and `watch` goes on asking.
        """
        try:
            self._token = self._source.token()
            self._refresh()
        except Exception as error:  # noqa: BLE001 - whatever it is, there are models that can serve
            self._token = _NEVER
            self._notify("registry.failed", level="error", cause=error)

    async def watch(self, interval_s: float = 0.25) -> None:
        """Follow the source until cancelled: a moved alias is served within a second."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                token = await asyncio.to_thread(self._source.token)
                if token == self._token and not self._is_retry_due():
                    continue
                async with self._loading:
                    await asyncio.to_thread(self._refresh)
                self._token = token
                self._plan_retry()
            except Exception as error:  # noqa: BLE001 - whatever it is, the server must go on following
                self._notify("registry.failed", level="error", cause=error)
                await asyncio.sleep(1.0)

    def _is_retry_due(self) -> bool:
        return bool(self._table.problems) and time.monotonic() >= self._retry_at

    def _plan_retry(self) -> None:
        """A failure may pass by itself (a busy database, a disk): try again, ever more rarely."""
        self._retry_s = min(self._retry_s * 2, _MAX_RETRY_S) if self._table.problems else RETRY_S
        self._retry_at = time.monotonic() + self._retry_s

    def _refresh(self) -> None:
        """Resolve every movable reference again and load what is new; leave what fails as it was."""
        before = self._table.routes
        routes: dict[str, LoadedModel] = {}
        problems: dict[str, FairwayError] = {}
        required = self._wanted()
        for reference in self._movable(required):
            text = str(reference)
            try:
                routes[text] = self._obtain(self._source.resolve(reference))
            except FairwayError as error:
                problems[text] = error
                self._note_failure(text, error)
                if text in before:
                    routes[text] = before[text]
        for reference in required:
            # A model that is served by one version or alias alone answers to its bare name, too.
            if str(reference) in routes:
                routes.setdefault(reference.model, routes[str(reference)])
        if required and str(required[0]) in routes:
            routes[""] = routes[str(required[0])]
        # One assignment: a request sees the old table or the new one, never a mixture.
        self._table = _Table(tuple(map(str, required)), routes, problems)
        self._tell_swaps(before, routes)
        self._drop_unused()

    def _tell_swaps(self, before: dict[str, LoadedModel], now: dict[str, LoadedModel]) -> None:
        for text, model in now.items():
            old = before.get(text)
            if text and old is not None and old.version != model.version:
                self._notify("model.swapped", reference=text, before=old.version, now=model.version)

    def _note_failure(self, text: str, error: FairwayError) -> None:
        if not self._is_started:  # `load_all` raises it to whoever starts the server
            return
        self._notify(
            "model.failed",
            level="error",
            reference=text,
            code=error.code,
            detail=error.detail,
            cause=error.__cause__,
        )

    def _wanted(self) -> list[Reference]:
        return self._names or [Reference(model, None, None) for model in self._source.models()]

    def _movable(self, required: list[Reference]) -> list[Reference]:
        """Return what is required and the aliases of every model that is served by its bare name."""
        found: list[Reference] = []
        for name in required:
            is_bare = name.version is None and name.alias is None
            found.extend(self._source.references(name.model) if is_bare else [name])
        return list(dict.fromkeys(found))

    def _obtain(self, entry: Entry) -> LoadedModel:
        model = self._loaded.get(entry)
        if model is not None:
            return model
        started = time.perf_counter()
        try:
            model = self._load(entry, self._source.open(entry))
        except FairwayError:
            raise
        except Exception as cause:
            raise InternalError from cause
        self._loaded[entry] = model
        seconds = round(time.perf_counter() - started, 3)
        self._notify(
            "model.loaded",
            model=entry.model,
            version=entry.version,
            seconds=seconds,
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

    def _drop_unused(self) -> None:
        used = {id(model) for model in (*self._table.routes.values(), *self._extra.values())}
        self._loaded = {entry: model for entry, model in self._loaded.items() if id(model) in used}

    # -- what is served ----------------------------------------------------------------------------------

    def served_models(self) -> list[str]:
        """Return the names of the models that this server answers for."""
        return list(dict.fromkeys(text.split(":")[0].split("@")[0] for text in self._table.required))

    def served(self) -> list[LoadedModel]:
        """Return the model behind every required reference that is loaded, the default first."""
        table = self._table
        return [table.routes[text] for text in table.required if text in table.routes]

    def get(self, text: str) -> LoadedModel | None:
        """Return the loaded model that a reference stands for, or None."""
        found = self._table.routes.get(text)
        if found is None:
            found = next((model for model in list(self._extra.values()) if model.reference == text), None)
        return found

    def aliases(self, name: str) -> dict[str, int]:
        """Return the aliases of a model that are loaded, with their version."""
        prefix, routes = f"{name}@", self._table.routes
        return {t.removeprefix(prefix): m.version for t, m in routes.items() if t.startswith(prefix)}

    def is_ready(self) -> bool:
        """Tell whether there is a model to serve and every required one is loaded and proven."""
        table = self._table
        return bool(table.required) and all(text in table.routes for text in table.required)

    def status(self) -> dict[str, dict[str, Any]]:
        """Return per required reference, and per alias that failed, what serves and what is wrong."""
        table = self._table
        texts = dict.fromkeys([*table.required, *table.problems])
        return {text: _status(table.routes.get(text), table.problems.get(text)) for text in texts}


def _status(model: LoadedModel | None, problem: FairwayError | None) -> dict[str, Any]:
    state = "ready" if problem is None else "degraded" if model is not None else "failed"
    found: dict[str, Any] = {"status": state, "version": model.version if model else None}
    if problem is not None:
        # The detail may hold paths of this machine; it stands in the log.
        found |= {"code": problem.code, "reason": problem.title}
    return found
