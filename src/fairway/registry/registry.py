"""The registry: numbers versions, moves aliases, and records every change with the change itself.

It decides what is refused and what is written, in which order; where rows and bytes are kept is left to a
metadata store and an artifact store.

A version is registered in this order: every file of the bundle, then its manifest, each of them safe on the
disk; only then one transaction that makes the version known. A process that is killed in between leaves files
that nothing refers to, never a version that lacks one. Attachments go the same way: those that a bundle
brings are made known by the transaction of its version, later ones by one of their own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from fairway.bundle.attachment import Attachment, AttachmentManifest
from fairway.bundle.bundle import Bundle
from fairway.bundle.manifest import Manifest
from fairway.bundle.names import Reference, check_name, parse_reference
from fairway.errors import (
    ArtifactDigest,
    FairwayError,
    NothingToRollBack,
    RegistryInvalid,
    StoreUnavailable,
    UsageError,
)
from fairway.registry.artifacts.base import Artifacts
from fairway.registry.artifacts.local import LocalArtifacts
from fairway.registry.history import replay
from fairway.registry.lookup import alias_not_found, find_latest, find_version
from fairway.registry.metadata.base import Metadata
from fairway.registry.records import AttachmentRecord, Event, ModelSummary, Move, Version

__all__ = ["PRODUCTION", "Event", "ModelSummary", "Move", "Registry", "Version", "open_registry"]

PRODUCTION = "production"
"""The alias that a bare model name stands for, once it is there."""

_MAX_ACTOR_CHARS = 200
_MAX_REASON_CHARS = 2_000


def _now() -> datetime:
    return datetime.now(UTC)


class Registry:
    """Names, versions, aliases and history. Safe to use from several threads and processes.

    Args:
        metadata: Where models, versions and events are kept.
        artifacts: Where the files of bundles are kept.
        clock: Gives the time that is written down for people to read. Nothing is ordered by it.
    """

    def __init__(
        self, metadata: Metadata, artifacts: Artifacts, *, clock: Callable[[], datetime] = _now
    ) -> None:
        self.metadata = metadata
        self.artifacts = artifacts
        self._clock = clock

    def register(self, bundle: Bundle, *, name: str | None = None, actor: str, reason: str = "") -> Version:
        """Store a bundle as the next version of its model; durable when this returns.

        Bytes that are stored already are not stored again, but every call gives a version of its own. The
        attachments of the bundle are registered with it, or not at all.

        Args:
            bundle: What to store.
            name: Name of the model. Defaults to the one in the manifest.
            actor: Who registers it.
            reason: Why.

        Raises:
            NameInvalid: The name is outside the grammar; nothing was written.
            StorageFull: There is no space left; no version was made.
        """
        model = check_name("model", bundle.manifest.name if name is None else name)
        _check_texts(actor, reason)
        digest = self._store(bundle)
        at = self._timestamp()
        attached = [self._store_attachment(found, at, actor) for found in bundle.attachments.values()]
        with self.metadata.write() as change:
            number = change.claim_number(model, at=at)
            version = _describe(bundle.manifest, model, number, digest=digest, at=at, actor=actor)
            change.add_version(version)
            for record in attached:
                change.attach(record)
            change.append(
                Event(
                    kind="register",
                    model=model,
                    version=number,
                    at=at,
                    actor=actor,
                    reason=_with_trust(reason, bundle.manifest.trusted),
                )
            )
        return version

    def resolve(self, reference: str | Reference) -> Version:
        """Return the version that a reference means now.

        Args:
            reference: `coffee:3`, `coffee@challenger`, or `coffee`: then it is `coffee@production` if that
                alias exists, else the highest version.

        Raises:
            ModelNotFound: No model has this name; the hint names similar ones.
            VersionNotFound: The model has no such version.
            AliasNotFound: The model has no such alias.
        """
        wanted = parse_reference(reference) if isinstance(reference, str) else reference
        with self.metadata.read() as view:
            latest = find_latest(view, wanted.model)
            if wanted.version is not None:
                return find_version(view, wanted.model, wanted.version)
            targets = view.targets(wanted.model)
            if wanted.alias is None:
                return find_version(view, wanted.model, targets.get(PRODUCTION, latest))
            if wanted.alias not in targets:
                raise alias_not_found(wanted.model, wanted.alias, targets)
            return find_version(view, wanted.model, targets[wanted.alias])

    def attach(self, attachment: Attachment, *, actor: str) -> AttachmentRecord:
        """Store an attachment, which takes the place of the one of the same name; durable when this returns.

        Args:
            attachment: What to store. It belongs to every version with the content that it names.
            actor: Who attaches it.

        Raises:
            StorageFull: There is no space left; what was attached before still counts.
        """
        _check_texts(actor, "")
        record = self._store_attachment(attachment, self._timestamp(), actor)
        with self.metadata.write() as change:
            change.attach(record)
        return record

    def attachment(self, digest: str, name: str) -> Attachment | None:
        """Return what was attached last under a name to the bundle of a digest, or None.

        Raises:
            ArtifactDigest: A file is missing or is not the one that was attached.
        """
        with self.metadata.read() as view:
            record = view.attachments(digest).get(name)
        return None if record is None else self._open_attachment(record)

    def open(self, version: Version, *, attachments: bool = True) -> Bundle:
        """Return the bundle of a version with what is attached to it, every file compared with its hash.

        Args:
            version: The version.
            attachments: Whether to open the attachments, too. Whoever makes them anew does without.

        Raises:
            ArtifactDigest: A file is missing or is not the one that was registered.
        """
        data = self.artifacts.read(version.digest)
        if hashlib.sha256(data).hexdigest() != version.digest:
            raise ArtifactDigest(
                f"the manifest of {version.reference} is not the one that was registered",
                hint="put the file back from a backup, or push the same model file again",
            )
        manifest = Manifest.from_bytes(data)
        bundle = Bundle.from_files(manifest, lambda path: self.artifacts.read(manifest.files[path].sha256))
        if not attachments:
            return bundle
        with self.metadata.read() as view:
            records = view.attachments(version.digest)
        return bundle.with_attachments(map(self._open_attachment, records.values()))

    def models(self) -> list[ModelSummary]:
        """Return every model, sorted by name."""
        with self.metadata.read() as view:
            return view.models()

    def versions(self, model: str) -> list[Version]:
        """Return the versions of a model by rising number.

        Raises:
            ModelNotFound: No model has this name.
        """
        with self.metadata.read() as view:
            find_latest(view, model)
            return view.versions(model)

    def history(self, model: str) -> list[Event]:
        """Return everything that happened to a model, oldest first.

        Raises:
            ModelNotFound: No model has this name.
        """
        with self.metadata.read() as view:
            find_latest(view, model)
            return view.events(model)

    def move_alias(self, model: str, alias: str, version: int, *, actor: str, reason: str = "") -> Move:
        """Point an alias to a version; the alias is made if it is not there.

        Nothing is recorded if it points there already.

        Raises:
            ModelNotFound: No model has this name.
            VersionNotFound: The model has no such version.
            NameInvalid: The alias is outside the grammar of names.
        """
        check_name("alias", alias)
        _check_texts(actor, reason)
        with self.metadata.write() as change:
            find_latest(change, model)
            find_version(change, model, version)
            current = change.targets(model).get(alias)
            if current == version:
                seq = change.events(model, alias=alias)[-1].seq
                return Move(model, alias, from_version=current, to_version=version, seq=seq)
            event = Event(
                kind="alias",
                model=model,
                alias=alias,
                from_version=current,
                to_version=version,
                at=self._timestamp(),
                actor=actor,
                reason=reason,
            )
            return Move(model, alias, event.from_version, event.to_version, seq=change.append(event))

    def remove_alias(self, model: str, alias: str, *, actor: str, reason: str = "") -> Move:
        """Take an alias away; a rollback brings it back to where it pointed.

        Raises:
            ModelNotFound: No model has this name.
            AliasNotFound: The model has no such alias.
        """
        _check_texts(actor, reason)
        with self.metadata.write() as change:
            find_latest(change, model)
            targets = change.targets(model)
            if alias not in targets:
                raise alias_not_found(model, alias, targets)
            event = Event(
                kind="alias_removed",
                model=model,
                alias=alias,
                from_version=targets[alias],
                to_version=None,
                at=self._timestamp(),
                actor=actor,
                reason=reason,
            )
            return Move(model, alias, event.from_version, event.to_version, seq=change.append(event))

    def rollback(self, model: str, alias: str = PRODUCTION, *, actor: str, reason: str = "") -> Move:
        """Point an alias to where it pointed before its last move.

        Done again it goes one step further back; it never returns to what was rolled back.

        Raises:
            ModelNotFound: No model has this name.
            AliasNotFound: The model never had this alias.
            NothingToRollBack: The alias has no earlier target.
        """
        check_name("alias", alias)
        _check_texts(actor, reason)
        with self.metadata.write() as change:
            find_latest(change, model)
            state = replay(change.events(model, alias=alias)).get(alias)
            if state is None:
                raise alias_not_found(model, alias, change.targets(model))
            if state.earlier is None:
                raise NothingToRollBack(model, alias)
            event = Event(
                kind="rollback",
                model=model,
                alias=alias,
                from_version=state.target,
                to_version=state.earlier,
                at=self._timestamp(),
                actor=actor,
                reason=reason,
            )
            return Move(model, alias, event.from_version, event.to_version, seq=change.append(event))

    def change_token(self) -> object:
        """Return a value that differs once anybody has changed the registry; cheap enough to poll."""
        return self.metadata.change_token()

    def check(self) -> list[str]:
        """Examine all rows and all files, and return what is wrong, one sentence each; slow."""
        found = self.metadata.check()
        for model in self.models() if not found else ():
            for version in self.versions(model.name):
                try:
                    self.open(version)
                except FairwayError as error:
                    found.append(f"{version.reference}: {error}")
        return found

    def close(self) -> None:
        """Give back every connection."""
        self.metadata.close()

    def __enter__(self) -> Self:
        """Return the registry, which is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the registry."""
        self.close()

    def _store(self, bundle: Bundle) -> str:
        """Store every file of a bundle, its manifest last, and return the digest of the manifest."""
        for path, entry in bundle.manifest.files.items():
            if self.artifacts.put(bundle.read(path)) != entry.sha256:
                raise ArtifactDigest(f"{path} is not the file that the manifest names", hint="pack it again")
        return self.artifacts.put(bundle.manifest.to_bytes())

    def _store_attachment(self, attachment: Attachment, at: str, actor: str) -> AttachmentRecord:
        """Store every file of an attachment, its manifest last, and return the row that makes it known."""
        for path in attachment.manifest.files:
            self.artifacts.put(attachment.read(path))
        digest = self.artifacts.put(attachment.manifest.to_bytes())
        return AttachmentRecord(attachment.subject, attachment.name, digest=digest, at=at, actor=actor)

    def _open_attachment(self, record: AttachmentRecord) -> Attachment:
        data = self.artifacts.read(record.digest)
        if hashlib.sha256(data).hexdigest() != record.digest:
            raise ArtifactDigest(
                f"the manifest of the attachment {record.name!r} is not the one that was attached",
                hint="make the attachment again with fairway compile",
            )
        manifest = AttachmentManifest.from_bytes(data)
        return Attachment.from_files(manifest, lambda path: self.artifacts.read(manifest.files[path].sha256))

    def _timestamp(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def open_registry(home: Path) -> Registry:
    """Open the registry in a home folder: `registry.db` and `artifacts/`, made as needed.

    Raises:
        RegistryInvalid: What is there is not a registry; it is left untouched.
        SchemaNewer: A newer fairway has migrated it; it is left untouched.
        StoreUnavailable: The folder cannot be made or used.
    """
    from fairway.registry.metadata.sql import open_sqlite

    try:
        home.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as cause:
        raise RegistryInvalid(
            f"the home folder {home} is, or lies inside, a file; it was left untouched",
            hint="choose another home folder (FAIRWAY_HOME)",
        ) from cause
    except OSError as cause:
        raise StoreUnavailable(
            f"the home folder {home} cannot be made: {os.strerror(cause.errno or 0)}",
            hint="choose another home folder (FAIRWAY_HOME)",
        ) from cause
    artifacts = LocalArtifacts(home / "artifacts")
    artifacts.sweep()
    return Registry(open_sqlite(home / "registry.db"), artifacts)


def open_to_look_up(home: Path) -> Registry:
    """Open the registry in a home folder to resolve references and open bundles, and for nothing else.

    It takes no time: a registry that is as this fairway left it is read without the database libraries.

    Raises:
        FairwayError: As `open_registry` does.
    """
    from fairway.registry.metadata.views import open_reader

    reader = open_reader(home / "registry.db")
    return open_registry(home) if reader is None else Registry(reader, LocalArtifacts(home / "artifacts"))


def _with_trust(reason: str, types: Sequence[str]) -> str:
    """Return the reason with what the version was allowed beyond the list of known types."""
    if not types:
        return reason
    return "; ".join(filter(None, [reason, f"policy trusted: {', '.join(types)}"]))


def _check_texts(actor: str, reason: str) -> None:
    """Refuse what no database can hold, before anything is written."""
    for name, text, limit in (("actor", actor, _MAX_ACTOR_CHARS), ("reason", reason, _MAX_REASON_CHARS)):
        if len(text) > limit:
            raise UsageError(f"the {name} has {len(text)} characters; the limit is {limit}")
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise UsageError(f"the {name} holds a NUL character or bytes that are not UTF-8")


def _describe(manifest: Manifest, model: str, number: int, *, digest: str, at: str, actor: str) -> Version:
    """Return the version that a manifest becomes under a number."""
    return Version(
        model,
        number,
        digest=digest,
        flavor=manifest.flavor,
        model_type=manifest.model_type,
        created_at=at,
        actor=actor,
        size=sum(entry.size for entry in manifest.files.values()),
        tags=dict(manifest.tags),
        metrics=dict(manifest.metrics),
    )
