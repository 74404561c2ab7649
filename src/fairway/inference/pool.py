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
from fairway.errors import (
    AliasNotFound,
    FairwayError,
    InternalError,
    ModelNotFound,
    ModelNotReady,
    VersionNotFound,
)
from fairway.inference.loaded import LoadedModel
from fairway.messages import Target

MAX_EXPLICIT = 8
"""Versions kept in memory that only explicit references (`coffee:1`) ask for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What a reference stands for at this moment."""

    model: str
    version: int
    digest: str


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
        self._loaded: dict[Entry, LoadedModel] = {}
        self._routes: dict[str, LoadedModel] = {}
        self._explicit: dict[str, LoadedModel] = {}
        self._required: list[str] = []
        self._problems: dict[str, FairwayError] = {}
        self._is_started = False
        self._loading = asyncio.Lock()
        self._token: object = None

    # -- routing -----------------------------------------------------------------------------------------

    async def choose(self, target: Target) -> LoadedModel:
        """Return the model that a target's reference stands for now."""
        model = self._routes.get(target.reference)
        return model if model is not None else await self._find(target.reference)

    async def _find(self, text: str) -> LoadedModel:
        if not text:
            raise ModelNotReady("no model is ready to answer", hint="see /health")
        reference = parse_reference(text)
        if reference.model not in self.served_models():
            raise ModelNotFound(reference.model, hint=f"served here: {', '.join(self.served_models())}")
        if text in self._explicit:
            self._explicit[text] = self._explicit.pop(text)  # most recently used last
            return self._explicit[text]
        async with self._loading:
            if text not in self._explicit:
                self._explicit[text] = await asyncio.to_thread(self._obtain_asked_for, reference)
                self._forget_oldest()
            return self._explicit[text]

    def _obtain_asked_for(self, reference: Reference) -> LoadedModel:
        """Load a version that a caller names; why it cannot be loaded is for the operator, not the caller."""
        try:
            return self._obtain(reference)
        except (ModelNotFound, VersionNotFound, AliasNotFound):
            raise
        except FairwayError as error:
            self._note_failure(str(reference), error)
            raise ModelNotReady(
                f"{reference} cannot be loaded", hint="the server's log holds the cause"
            ) from error

    def _forget_oldest(self) -> None:
        while len(self._explicit) > MAX_EXPLICIT:
            self._explicit.pop(next(iter(self._explicit)))
        self._drop_unused()

    # -- loading -----------------------------------------------------------------------------------------

    def load_all(self) -> None:
        """Load everything that is to be served, before the first request.

        Raises:
            FairwayError: The first model that cannot be loaded.
        """
        self._token = self._source.token()
        self._refresh()
        for problem in self._problems.values():
            raise problem
        self._is_started = True

    async def watch(self, interval_s: float = 0.25) -> None:
        """Follow the source until cancelled: a moved alias is served within a second."""
        while True:
            await asyncio.sleep(interval_s)
            try:
                token = await asyncio.to_thread(self._source.token)
                if token == self._token:
                    continue
                async with self._loading:
                    await asyncio.to_thread(self._refresh)
                self._token = token
            except FairwayError as error:
                self._notify("registry.failed", level="error", code=error.code, detail=error.detail)

    def _refresh(self) -> None:
        """Resolve every movable reference again and load what is new; leave what fails as it was."""
        routes: dict[str, LoadedModel] = {}
        problems: dict[str, FairwayError] = {}
        required = self._wanted()
        for reference in self._movable(required):
            text = str(reference)
            try:
                routes[text] = self._obtain(reference)
            except FairwayError as error:
                problems[text] = error
                self._note_failure(text, error)
                if text in self._routes:
                    routes[text] = self._routes[text]
        for reference in required:
            # A model that is served by one version or alias alone answers to its bare name, too.
            if str(reference) in routes:
                routes.setdefault(reference.model, routes[str(reference)])
        if required and str(required[0]) in routes:
            routes[""] = routes[str(required[0])]
        for text, model in routes.items():
            before = self._routes.get(text)
            if text and before is not None and before.version != model.version:
                self._notify("model.swapped", reference=text, before=before.version, now=model.version)
        # One assignment: a request sees the old table or the new one, never a mixture.
        self._routes, self._problems, self._required = routes, problems, [str(r) for r in required]
        self._drop_unused()

    def _note_failure(self, text: str, error: FairwayError) -> None:
        if not self._is_started:  # `load_all` raises it to whoever starts the server
            return
        self._notify("model.failed", level="error", reference=text, code=error.code, detail=error.detail)

    def _wanted(self) -> list[Reference]:
        return self._names or [Reference(model, None, None) for model in self._source.models()]

    def _movable(self, required: list[Reference]) -> list[Reference]:
        """Return what is required and the aliases of every model that is served by its bare name."""
        found: list[Reference] = []
        for name in required:
            is_bare = name.version is None and name.alias is None
            found.extend(self._source.references(name.model) if is_bare else [name])
        return list(dict.fromkeys(found))

    def _obtain(self, reference: Reference) -> LoadedModel:
        entry = self._source.resolve(reference)
        model = self._loaded.get(entry)
        if model is None:
            started = time.perf_counter()
            try:
                model = self._load(entry, self._source.open(entry))
            except FairwayError:
                raise
            except Exception as cause:
                raise InternalError from cause
            self._loaded[entry] = model
            self._notify(
                "model.loaded",
                model=entry.model,
                version=entry.version,
                seconds=time.perf_counter() - started,
            )
        return model

    def _drop_unused(self) -> None:
        used = {id(model) for model in (*self._routes.values(), *self._explicit.values())}
        self._loaded = {entry: model for entry, model in self._loaded.items() if id(model) in used}

    # -- what is served ----------------------------------------------------------------------------------

    def served_models(self) -> list[str]:
        """Return the names of the models that this server answers for."""
        return list(dict.fromkeys(text.split(":")[0].split("@")[0] for text in self._required))

    def served(self) -> list[LoadedModel]:
        """Return the model behind every required reference that is loaded, the default first."""
        return [self._routes[text] for text in self._required if text in self._routes]

    def get(self, text: str) -> LoadedModel | None:
        """Return the loaded model that a reference stands for, or None."""
        return self._routes.get(text) or self._explicit.get(text)

    def aliases(self, name: str) -> dict[str, int]:
        """Return the aliases of a model that are loaded, with their version."""
        prefix = f"{name}@"
        return {t.removeprefix(prefix): m.version for t, m in self._routes.items() if t.startswith(prefix)}

    def is_ready(self) -> bool:
        """Tell whether there is a model to serve and every required one is loaded and proven."""
        return bool(self._required) and all(text in self._routes for text in self._required)

    def status(self) -> dict[str, dict[str, Any]]:
        """Return per required reference what serves and what is wrong, for the health page."""
        return {text: self._status(text) for text in [*self._required, *self._failed_aliases()]}

    def _failed_aliases(self) -> list[str]:
        return [text for text in self._problems if text not in self._required]

    def _status(self, text: str) -> dict[str, Any]:
        model, problem = self._routes.get(text), self._problems.get(text)
        state = "ready" if problem is None else "degraded" if model is not None else "failed"
        found: dict[str, Any] = {"status": state, "version": model.version if model else None}
        if problem is not None:
            # The detail may hold paths of this machine; it stands in the log.
            found |= {"code": problem.code, "reason": problem.title}
        return found
