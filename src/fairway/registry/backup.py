"""A whole registry in one parcel: all rows of one moment, and every file that they refer to.

A backup of one kind of store goes into any other: rows are rows, and files are known by their content.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec

from fairway.errors import ArtifactCorrupt, ArtifactDigest, RegistryInvalid, RegistryNotEmpty, SchemaNewer
from fairway.registry.audit import Broken
from fairway.registry.contents import blobs_of, manifests_of, read_whole
from fairway.registry.ledger import verify_record
from fairway.registry.metadata.base import View
from fairway.registry.metadata.views import REVISIONS
from fairway.registry.parcel import ROWS, Parcel, ParcelWriter
from fairway.registry.records import Event, Head
from fairway.registry.registry import Registry

FILE_SUFFIX = ".zip"
"""How the path of a backup ends that is one file; any other becomes a folder."""

_Rows = dict[str, list[dict[str, Any]]]


@dataclasses.dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was written or restored.

    Attributes:
        path: Where it is.
        digest: SHA-256 of its list of contents, which covers every byte of it.
        created_at: When it was written.
        head: What was recorded last in it; kept elsewhere, it proves that nothing in it was changed.
        models: How many models it holds.
        versions: How many versions, without those that were deleted.
        files: How many stored files.
        size: How many bytes they have.
    """

    path: str
    digest: str
    created_at: str
    head: Head
    models: int
    versions: int
    files: int
    size: int


def back_up(registry: Registry, path: Path, *, actor: str) -> Backup:
    """Write everything that a registry holds into a parcel, while others go on writing.

    Args:
        registry: The registry.
        path: Where it goes: a file if it ends in `.zip`, else a folder. Nothing is there yet.
        actor: Who does it.

    Raises:
        UsageError: Something is at *path*.
        RegistryInvalid: The record of events does not hold, so the backup could not be restored.
        ArtifactDigest: A stored file is missing or damaged.
        StorageFull: There is no space left; nothing is at *path*.
    """
    at = registry.timestamp()
    with ParcelWriter(path, as_folder=path.suffix != FILE_SUFFIX) as parcel:
        with registry.metadata.read() as view:
            _check_record(_verified(view))
            rows, head, manifests = view.dump(), view.head(), manifests_of(view)
        parcel.add(ROWS, msgspec.json.encode(rows))
        read = registry.artifacts.read
        for digest in sorted(blobs_of(manifests, read)):
            parcel.add_blob(digest, read_whole(digest, read))
        facts = {"revision": REVISIONS[-1], "head": dataclasses.asdict(head), **_counts(rows)}
        contents = parcel.finish("backup", facts, actor=actor, at=at)
    done = _backup_of(path, contents)
    registry.record(
        "backup", actor=actor, subject=path.name, details={"digest": done.digest, "head": done.head.hash}
    )
    return done


def restore(registry: Registry, path: Path, *, actor: str) -> Backup:
    """Fill an empty registry from a backup; all of it or nothing is there afterwards.

    Args:
        registry: The registry, in which nothing has ever happened.
        path: The backup.
        actor: Who does it.

    Raises:
        RegistryNotEmpty: Something is in the registry; it stays as it is.
        ArtifactCorrupt: There is no backup at *path*, or it is damaged.
        ArtifactDigest: A byte of it is not what was written.
        RegistryInvalid: Its record of events does not hold.
        SchemaNewer: A newer fairway has written it.
    """
    with registry.metadata.read() as view:
        _check_empty(view)
    with Parcel(path, kind="backup") as parcel:
        done = _backup_of(path, parcel.contents)
        _check_revision(parcel.contents.facts.get("revision"), path)
        rows = _rows_of(parcel)
        held = set(parcel.blobs())
        for digest in sorted(held):
            registry.artifacts.put(parcel.read_blob(digest))
        with registry.metadata.write() as change:
            _check_empty(change)
            change.fill(rows)
            _check_record(_verified(change))
            needed = blobs_of(manifests_of(change), parcel.read_blob)
            # Files that nothing refers to may be removed at any time; from here on something does.
            if gone := (needed - held) | registry.artifacts.missing(needed):
                raise ArtifactDigest(f"{len(gone)} files of the backup are missing, such as {min(gone)}")
            if change.head() != done.head:
                raise RegistryInvalid(f"{path} holds another record of events than it says")
            event = Event(
                kind="restore",
                model=None,
                at=registry.timestamp(),
                actor=actor,
                subject=path.name,
                details={"digest": done.digest, "head": done.head.hash},
            )
            change.append(event)
    return done


def _rows_of(parcel: Parcel) -> _Rows:
    try:
        return msgspec.json.decode(parcel.read(ROWS), type=_Rows)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise ArtifactCorrupt(f"{ROWS} of the backup does not hold rows: {cause}") from cause


def _counts(rows: _Rows) -> dict[str, int]:
    alive = [row for row in rows["versions"] if row["deleted_at"] is None]
    return {"models": len({row["model"] for row in alive}), "versions": len(alive)}


def _backup_of(path: Path, contents: Any) -> Backup:
    facts, files = contents.facts, [entry for name, entry in contents.files.items() if name != ROWS]
    try:
        head = msgspec.convert(facts["head"], Head)
        counts = {name: msgspec.convert(facts[name], int) for name in ("models", "versions")}
    except (KeyError, msgspec.ValidationError) as cause:
        raise ArtifactCorrupt(f"{path} does not say what it holds: {cause}") from cause
    return Backup(
        path=str(path),
        digest=contents.digest,
        created_at=contents.created_at,
        head=head,
        files=len(files),
        size=sum(entry.size for entry in files),
        **counts,
    )


def _check_empty(view: View) -> None:
    head = view.head()
    if head.seq or view.models() or view.keys():
        raise RegistryNotEmpty(head.seq)


def _check_revision(revision: object, path: Path) -> None:
    if revision == REVISIONS[-1]:
        return
    if revision in REVISIONS:
        raise RegistryInvalid(f"{path} was written at revision {revision!r}, from before there were backups")
    raise SchemaNewer(
        f"{path} was written at revision {str(revision)[:40]!a}; this fairway knows up to {REVISIONS[-1]!r}",
        hint="pip install --upgrade fairway",
    )


def _verified(view: View) -> Broken | None:
    try:
        return verify_record(view)
    except (TypeError, ValueError, AttributeError) as cause:
        raise RegistryInvalid("a row does not hold what it has to") from cause


def _check_record(broken: Broken | None) -> None:
    if broken is not None:
        raise RegistryInvalid(
            f"the record of events does not hold: {broken.why}",
            hint="fairway audit verify says where; use a backup from before",
        )
