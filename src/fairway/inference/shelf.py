"""A source whose bundles are put there and taken away while the server runs, as on a multi-model endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fairway.bundle.bundle import Bundle
from fairway.bundle.names import Reference
from fairway.errors import ModelNotFound
from fairway.inference.sources import Entry, Look, Refusal


class Shelf:
    """Implement `fairway.inference.sources.Source` for bundles that come and go.

    Args:
        open_bundle: Opens a bundle file or folder and refuses what is not trusted.
    """

    is_fixed = True
    """No registry stands behind it that could be managed."""

    def __init__(self, open_bundle: Callable[[Path], Bundle]) -> None:
        self._open_bundle = open_bundle
        self._bundles: dict[str, Bundle] = {}
        self._changes = 0

    def __len__(self) -> int:
        return len(self._bundles)

    def __contains__(self, name: str) -> bool:
        return name in self._bundles

    def put(self, name: str, path: Path) -> None:
        """Open the bundle at a path and offer it under a name.

        Raises:
            BundleError: There is no bundle that may be loaded.
        """
        bundle = self._open_bundle(path)
        self._bundles = {**self._bundles, name: bundle}
        self._changes += 1

    def remove(self, name: str) -> None:
        """Offer a bundle no more."""
        self._bundles = {other: bundle for other, bundle in self._bundles.items() if other != name}
        self._changes += 1

    def look(self, _: Sequence[Reference]) -> Look:
        """Return all that is offered."""
        bundles = self._bundles
        found = {name: Entry(name, 0, bundle.digest) for name, bundle in bundles.items()}
        return Look(tuple(bundles), found)

    def resolve(self, reference: Reference) -> Entry:
        """Return the bundle of this name."""
        bundle = self._bundles.get(reference.model)
        if bundle is None or reference.version or reference.alias:
            raise ModelNotFound(str(reference))
        return Entry(reference.model, 0, bundle.digest)

    def open(self, entry: Entry) -> Bundle:
        """Return the bundle, verified when it was opened."""
        bundle = self._bundles.get(entry.model)
        if bundle is None:  # it was taken away meanwhile
            raise ModelNotFound(entry.model)
        return bundle

    def refuse(self, refusal: Refusal) -> None:
        """Nothing is put on record."""

    def token(self) -> object:
        """Return a number that differs after every change."""
        return self._changes

    def close(self) -> None:
        """Nothing is open."""
