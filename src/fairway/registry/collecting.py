"""Remove stored files that nothing refers to any more, while others go on registering."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from fairway.errors import ArtifactCorrupt, ArtifactDigest
from fairway.registry.artifacts.base import Blob
from fairway.registry.contents import blobs_of, manifests_of
from fairway.registry.metadata.base import View
from fairway.registry.records import Event
from fairway.registry.registry import Registry

_LONGEST_WRITE_S = 3_600.0
"""Younger temporary files may be those of writers that cannot be seen from here."""

_AT_ONCE = 500
"""How many files go in one transaction, during which nobody else can write."""


@dataclasses.dataclass(frozen=True, slots=True)
class Collected:
    """What a clean-up removed, or would remove.

    Attributes:
        files: How many stored files.
        size: How many bytes they have.
        temporary: How many temporary files of writers that died; none on a dry run.
        digests: The files' digests.
    """

    files: int
    size: int
    temporary: int
    digests: tuple[str, ...] = dataclasses.field(repr=False)


def collect(
    registry: Registry, *, older_than_s: float, dry_run: bool = False, actor: str, reason: str = ""
) -> Collected:
    """Remove files to which neither a version nor an attachment of one refers.

    A push stores its files first, and refers to them in a transaction afterwards: until then they look
    forgotten. What keeps them: files are removed inside a write transaction that has looked for references
    anew, and a push commits inside one in which it has seen all of its files, or stores them again. Whichever
    comes first, the other sees its outcome, whatever clocks say and whoever is killed in between. That files
    younger than *older_than_s* are left alone only spares pushes that work.

    Args:
        registry: The registry.
        older_than_s: Age from which on a file may go.
        dry_run: Whether to remove nothing and only tell.
        actor: Who cleans up.
        reason: Why.

    Raises:
        ArtifactDigest: A manifest is missing or damaged, so nobody knows what it refers to; nothing more is
            removed.
    """
    known = _Known(registry)
    with registry.metadata.read() as view:
        known.refresh(view)
    found = [
        blob
        for blob in registry.artifacts.list()
        if blob.age_s >= older_than_s and blob.digest not in known.blobs
    ]
    if dry_run:
        return _collected(found, temporary=0)
    temporary = registry.artifacts.sweep(older_than_s=max(older_than_s, _LONGEST_WRITE_S))
    removed: list[Blob] = []
    for start in range(0, len(found), _AT_ONCE):
        removed += _remove(registry, found[start : start + _AT_ONCE], known, actor=actor, reason=reason)
    return _collected(removed, temporary=temporary)


class _Known:
    """The files that the registry refers to; manifests never change, so each is read once."""

    def __init__(self, registry: Registry) -> None:
        self._read = registry.artifacts.read
        self._manifests: set[str] = set()
        self.blobs: set[str] = set()

    def refresh(self, view: View) -> None:
        """Look at what is referred to now. What was a moment ago is kept, which harms nobody."""
        new = manifests_of(view) - self._manifests
        try:
            self.blobs |= blobs_of(new, self._read)
        except (ArtifactDigest, ArtifactCorrupt) as error:
            error.hint = f"nothing was removed, for what it refers to is not known; {error.hint}"
            raise
        self._manifests |= new


def _remove(
    registry: Registry, found: Sequence[Blob], known: _Known, *, actor: str, reason: str
) -> list[Blob]:
    with registry.metadata.write() as change:
        known.refresh(change)
        gone = [blob for blob in found if blob.digest not in known.blobs]
        if gone:
            registry.artifacts.remove([blob.digest for blob in gone])
            event = Event(
                kind="gc",
                model=None,
                at=registry.timestamp(),
                actor=actor,
                reason=reason,
                details={"files": len(gone), "size": sum(blob.size for blob in gone)},
            )
            change.append(event)
    return gone


def _collected(blobs: Sequence[Blob], *, temporary: int) -> Collected:
    return Collected(
        files=len(blobs),
        size=sum(blob.size for blob in blobs),
        temporary=temporary,
        digests=tuple(sorted(blob.digest for blob in blobs)),
    )
