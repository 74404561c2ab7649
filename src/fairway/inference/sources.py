"""Where a pool gets its models: a registry that changes, or bundles that do not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fairway.bundle.bundle import Bundle
from fairway.bundle.names import Reference
from fairway.errors import ModelNotFound, UsageError, VersionNotFound
from fairway.inference.pool import Entry

if TYPE_CHECKING:  # a bundle is served without the registry's libraries
    from fairway.registry.registry import Registry


HEAD_INTERVAL_S = 60.0
"""The head of the record is told no more often."""


class RegistrySource:
    """Implement `fairway.inference.pool.Source` for a registry.

    Args:
        open_registry: Opens the registry; called when it is first asked, and again after `close`.
        notify: Gets the head of the record (`audit.head`) at the start and when it has changed: in a log that
            is kept elsewhere it shows later whether the record was cut off or written anew.
        clock: Gives monotonic seconds.
    """

    def __init__(
        self,
        open_registry: Callable[[], Registry],
        *,
        notify: Callable[..., None] = lambda *_, **__: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_registry = open_registry
        self._notify = notify
        self._clock = clock
        self._seen: object = self  # no token is equal to it
        self._told: object = None
        self._next = clock()
        self._opening = threading.Lock()
        self._opened: Registry | None = None

    @property
    def _registry(self) -> Registry:
        with self._opening:
            if self._opened is None:
                self._opened = self._open_registry()
            return self._opened

    def models(self) -> list[str]:
        """Return the names of all models."""
        return [summary.name for summary in self._registry.models()]

    def references(self, model: str) -> list[Reference]:
        """Return the bare name and every alias."""
        aliases = next((m.aliases for m in self._registry.models() if m.name == model), {})
        return [Reference(model, None, None), *(Reference(model, None, alias) for alias in aliases)]

    def resolve(self, reference: Reference) -> Entry:
        """Ask the registry."""
        version = self._registry.resolve(reference)
        return Entry(version.model, version.version, version.digest)

    def open(self, entry: Entry) -> Bundle:
        """Open the stored bundle; every hash is verified."""
        reference = Reference(entry.model, entry.version, None)
        return self._registry.open(self._registry.resolve(reference))

    def token(self) -> object:
        """Return the registry's change token."""
        token = self._registry.change_token()
        if token != self._seen and self._clock() >= self._next:
            self._tell_head()
            self._seen = token
        return token

    def _tell_head(self) -> None:
        head = self._registry.head()
        if head != self._told:
            self._notify("audit.head", seq=head.seq, hash=head.hash)
            self._told, self._next = head, self._clock() + HEAD_INTERVAL_S

    def close(self) -> None:
        """Close the registry."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


class BundleSource:
    """Implement `fairway.inference.pool.Source` for bundle files and folders."""

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        self._bundles: dict[str, Bundle] = {}
        for bundle in bundles:
            if bundle.manifest.name in self._bundles:
                raise UsageError(
                    f"two bundles are called {bundle.manifest.name!r}",
                    hint="serve each by a server of its own",
                )
            self._bundles[bundle.manifest.name] = bundle

    def models(self) -> list[str]:
        """Return the names of the bundles."""
        return list(self._bundles)

    def references(self, model: str) -> list[Reference]:
        """Return the bare name: a bundle has no aliases."""
        return [Reference(model, None, None)]

    def resolve(self, reference: Reference) -> Entry:
        """Return the bundle of this name, as version 0."""
        bundle = self._bundles.get(reference.model)
        if bundle is None or reference.alias is not None:
            raise ModelNotFound(str(reference), hint=f"served here: {', '.join(self._bundles)}")
        if reference.version:
            raise VersionNotFound(reference.model, reference.version, hint="a bundle file has no number")
        return Entry(reference.model, 0, bundle.digest)

    def open(self, entry: Entry) -> Bundle:
        """Return the bundle, verified when it was opened."""
        return self._bundles[entry.model]

    def token(self) -> object:
        """Bundles do not change."""
        return None

    def close(self) -> None:
        """Nothing is open."""
