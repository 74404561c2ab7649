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
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from fairway.bundle.attachment import Attachment, AttachmentManifest
from fairway.bundle.bundle import Bundle
from fairway.bundle.manifest import Manifest
from fairway.bundle.names import Reference, check_name, parse_reference
from fairway.errors import (
    AliasProtected,
    ArtifactDigest,
    Conflict,
    FairwayError,
    KeyNotFound,
    NothingToRollBack,
    RegistryInvalid,
    StoreUnavailable,
    UsageError,
    VersionLive,
    VersionNotFound,
)
from fairway.registry.artifacts.base import CACHE_BYTES, Artifacts
from fairway.registry.artifacts.local import LocalArtifacts
from fairway.registry.audit import Broken, verify
from fairway.registry.history import protection, replay, until
from fairway.registry.lookup import alias_not_found, find_latest, find_version
from fairway.registry.metadata.base import Change, Metadata, View
from fairway.registry.records import (
    MOVES,
    AttachmentRecord,
    Event,
    EventKind,
    Head,
    KeyRecord,
    ModelSummary,
    Move,
    Version,
)

__all__ = ["PRODUCTION", "Event", "ModelSummary", "Move", "Registry", "Version", "open_registry"]

PRODUCTION = "production"
"""The alias that a bare model name stands for, once it is there."""


class Anything(Enum):
    """What an alias may have pointed to before, where it does not matter."""

    ANY = "any"


ANY: Final = Anything.ANY

Result = TypeVar("Result")

_ATTEMPTS = 2
_MAX_ACTOR_CHARS = 200
_MAX_REASON_CHARS = 2_000
_CHANGING = frozenset({"register", "attach", *MOVES, "delete", "key_created", "key_revoked"})


def _now() -> datetime:
    return datetime.now(UTC)


def text_of(when: datetime) -> str:
    """Return a time as events hold it, which can be compared as text."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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

    def register(
        self,
        bundle: Bundle,
        *,
        name: str | None = None,
        actor: str,
        reason: str = "",
        upload: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> Version:
        """Store a bundle as the next version of its model; durable when this returns.

        Bytes that are stored already are not stored again, but every call gives a version of its own. The
        attachments of the bundle are registered with it, or not at all.

        Args:
            bundle: What to store.
            name: Name of the model. Defaults to the one in the manifest.
            actor: Who registers it.
            reason: Why.
            upload: A word that stands for this one call: whoever does not know whether it was heard may call
                again with the same word, and gets the version that was made then.
            details: What else the event is to hold, as JSON has it.

        Raises:
            NameInvalid: The name is outside the grammar; nothing was written.
            StorageFull: There is no space left; no version was made.
        """
        model = check_name("model", bundle.manifest.name if name is None else name)
        _check_texts(actor, reason)
        at = self._timestamp()
        attached = [_record_of(found, at, actor) for found in bundle.attachments.values()]

        def store() -> set[str]:
            parts = [self._store_attachment(found) for found in bundle.attachments.values()]
            return self._store(bundle).union(*parts)

        def make_known(change: Change) -> Version:
            made = _made_before(change, model, upload)
            if made is not None:
                return made
            number = change.claim_number(model, at=at)
            version = _describe(bundle.manifest, model, number, digest=bundle.digest, at=at, actor=actor)
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
                    details={
                        "digest": bundle.digest,
                        **({"upload": upload} if upload else {}),
                        **(details or {}),
                    },
                )
            )
            return version

        return self._store_and_commit(store, make_known)

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
            find_latest(view, wanted.model)
            if wanted.version is not None:
                return find_version(view, wanted.model, wanted.version)
            targets = view.targets(wanted.model)
            if wanted.alias is None:
                return find_version(
                    view, wanted.model, targets.get(PRODUCTION) or _highest(view, wanted.model)
                )
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
        at = self._timestamp()
        record = _record_of(attachment, at, actor)

        def make_known(change: Change) -> AttachmentRecord:
            change.attach(record)
            details = {"name": record.name, "digest": record.digest}
            change.append(
                Event(kind="attach", model=None, at=at, actor=actor, subject=record.subject, details=details)
            )
            return record

        return self._store_and_commit(lambda: self._store_attachment(attachment), make_known)

    def attach_check(
        self,
        attachment: Attachment,
        version: Version,
        *,
        actor: str,
        reason: str = "",
        details: Mapping[str, Any],
    ) -> int:
        """Store the report of a check with the event that names it, both or neither, and return its `seq`.

        Args:
            attachment: The report. It takes the place of the one before.
            version: The version that was checked.
            actor: Who checked it.
            reason: Why.
            details: What the event says; the digest of the report is added as `report`.

        Raises:
            VersionNotFound: The version was deleted meanwhile.
            StorageFull: There is no space left; what was attached before still counts.
        """
        _check_texts(actor, reason)
        at = self._timestamp()
        record = _record_of(attachment, at, actor)

        def make_known(change: Change) -> int:
            find_version(change, version.model, version.version)
            change.attach(record)
            return change.append(
                Event(
                    kind="check",
                    model=version.model,
                    version=version.version,
                    at=at,
                    actor=actor,
                    reason=reason,
                    subject=record.subject,
                    details={**details, "report": record.digest},
                )
            )

        return self._store_and_commit(lambda: self._store_attachment(attachment), make_known)

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

    def versions(self, model: str, *, deleted: bool = False) -> list[Version]:
        """Return the versions of a model by rising number.

        Args:
            model: Name of the model.
            deleted: Whether those that were deleted are among them.

        Raises:
            ModelNotFound: No model has this name.
        """
        with self.metadata.read() as view:
            find_latest(view, model)
            return view.versions(model, deleted=deleted)

    def history(self, model: str) -> list[Event]:
        """Return everything that happened to a model, oldest first.

        Raises:
            ModelNotFound: No model has this name.
        """
        with self.metadata.read() as view:
            find_latest(view, model)
            return view.events(model)

    def move_alias(
        self,
        model: str,
        alias: str,
        version: int,
        *,
        actor: str,
        reason: str = "",
        expected: int | Anything | None = ANY,
    ) -> Move:
        """Point an alias to a version; the alias is made if it is not there.

        Nothing is recorded if it points there already.

        Args:
            model: Name of the model.
            alias: Name of the alias.
            version: Number of the version.
            actor: Who moves it.
            reason: Why.
            expected: Where it has to point before: a version, or None if it must not be there.

        Raises:
            ModelNotFound: No model has this name.
            VersionNotFound: The model has no such version.
            NameInvalid: The alias is outside the grammar of names.
            Conflict: The alias does not point to what was expected.
            AliasProtected: Only a promotion or a rollback may move it.
        """
        return self._point("alias", model, alias, version, actor=actor, reason=reason, expected=expected)

    def promote(
        self,
        model: str,
        version: int,
        *,
        alias: str = PRODUCTION,
        actor: str,
        reason: str = "",
        expected: int | Anything | None,
        details: Mapping[str, Any] | None = None,
    ) -> Move:
        """Point an alias to a version that has passed its gate; as `move_alias`, but recorded as a promotion.

        Args:
            model: Name of the model.
            version: Number of the version.
            alias: Name of the alias.
            actor: Who promotes it.
            reason: Why.
            expected: What the gate compared it with: where the alias points until now, None if it is new.
            details: What the decision was based on, as JSON has it.

        Raises:
            FairwayError: As `move_alias` does, but for the protection: whoever promotes has looked at it.
        """
        return self._point(
            "promote", model, alias, version, actor=actor, reason=reason, expected=expected, details=details
        )

    def _point(
        self,
        kind: EventKind,
        model: str,
        alias: str,
        version: int,
        *,
        actor: str,
        reason: str,
        expected: int | Anything | None,
        details: Mapping[str, Any] | None = None,
    ) -> Move:
        check_name("alias", alias)
        _check_texts(actor, reason)
        with self.metadata.write() as change:
            find_latest(change, model)
            find_version(change, model, version)
            current = change.targets(model).get(alias)
            if expected is not ANY and current != expected:
                raise _conflict(model, alias, current, expected)
            if kind == "alias" and current != version:
                _check_unprotected(change, model, alias, f"fairway promote {model}:{version}")
            if current == version:
                seq = next(e.seq for e in reversed(change.events(model, alias=alias)) if e.kind in MOVES)
                return Move(model, alias, from_version=current, to_version=version, seq=seq)
            event = Event(
                kind=kind,
                model=model,
                alias=alias,
                from_version=current,
                to_version=version,
                at=self._timestamp(),
                actor=actor,
                reason=reason,
                details=details or {},
            )
            return Move(model, alias, event.from_version, event.to_version, seq=change.append(event))

    def remove_alias(self, model: str, alias: str, *, actor: str, reason: str = "") -> Move:
        """Take an alias away; a rollback brings it back to where it pointed.

        Raises:
            ModelNotFound: No model has this name.
            AliasNotFound: The model has no such alias.
            AliasProtected: Only a promotion or a rollback may move it.
        """
        _check_texts(actor, reason)
        with self.metadata.write() as change:
            find_latest(change, model)
            targets = change.targets(model)
            if alias not in targets:
                raise alias_not_found(model, alias, targets)
            _check_unprotected(change, model, alias, f"fairway rollback {model}")
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

    def rollback(
        self,
        model: str,
        alias: str = PRODUCTION,
        *,
        actor: str,
        reason: str = "",
        to: int | None = None,
    ) -> Move:
        """Point an alias to where it pointed before its last move.

        Done again it goes one step further back; it never returns to what was rolled back, and it passes over
        versions that were deleted since.

        Args:
            model: Name of the model.
            alias: Name of the alias.
            actor: Who rolls back.
            reason: Why.
            to: How far back: a version that the alias pointed to before. Default: one step.

        Raises:
            ModelNotFound: No model has this name.
            AliasNotFound: The model never had this alias.
            NothingToRollBack: The alias has no earlier target, or *to* is none.
        """
        check_name("alias", alias)
        _check_texts(actor, reason)
        with self.metadata.write() as change:
            find_latest(change, model)
            events = change.events(model, alias=alias)
            state = replay(events).get(alias)
            if state is None:
                raise alias_not_found(model, alias, change.targets(model))
            there = {version.version for version in change.versions(model)}
            earlier = state.earlier(there if to is None else there & {to})
            if earlier is None:
                raise NothingToRollBack(model, alias, to=to)
            event = Event(
                kind="rollback",
                model=model,
                alias=alias,
                from_version=state.target,
                to_version=earlier,
                at=self._timestamp(),
                actor=actor,
                reason=reason,
            )
            protected = protection(events, alias) is not None
            return Move(
                model, alias, event.from_version, event.to_version, change.append(event), protected=protected
            )

    def delete(self, model: str, version: int, *, actor: str, reason: str = "") -> Version:
        """Delete a version; its number is never given again, and its history stays.

        Its files stay, too, until they are collected: other versions may have the same ones.

        Raises:
            ModelNotFound: No model has this name.
            VersionNotFound: The model has no such version, or it was deleted before.
            VersionLive: An alias points to it.
        """
        _check_texts(actor, reason)
        with self.metadata.write() as change:
            found = find_version(change, model, version)
            if found.aliases:
                raise VersionLive(
                    f"{found.reference} cannot be deleted: {model}@{found.aliases[0]} points to it",
                    hint=f"move the alias first, for example with: fairway rollback {model}",
                )
            at = self._timestamp()
            change.delete_version(model, version, at=at)
            event = Event(
                kind="delete",
                model=model,
                version=version,
                at=at,
                actor=actor,
                reason=reason,
                details={"digest": found.digest},
            )
            change.append(event)
        return found

    def record(
        self,
        kind: EventKind,
        *,
        actor: str,
        reason: str = "",
        model: str | None = None,
        version: int | None = None,
        alias: str | None = None,
        subject: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> int:
        """Record an event that changes nothing else, such as a check or an approval, and return its `seq`.

        Raises:
            ModelNotFound: No model has this name.
            VersionNotFound: The model has no such version.
            UsageError: A text cannot be kept, or the kind is one that changes something.
        """
        if kind in _CHANGING:
            raise UsageError(f"an event {kind!r} is recorded with the change that it tells of")
        _check_texts(actor, reason)
        with self.metadata.write() as change:
            if model is not None:
                find_latest(change, model)
                if version is not None:
                    find_version(change, model, version)
            event = Event(
                kind=kind,
                model=model,
                version=version,
                alias=alias,
                subject=subject,
                details=details or {},
                at=self._timestamp(),
                actor=actor,
                reason=reason,
            )
            return change.append(event)

    def at(self, model: str, when: datetime) -> dict[str, int]:
        """Return where the aliases of a model pointed at a time, by alias.

        Everything counts up to the last event that bears this time or an earlier one; see
        `fairway.registry.history.until`.

        Args:
            model: Name of the model.
            when: The time, with a zone.

        Raises:
            ModelNotFound: No model has this name.
        """
        states = replay(until(self.history(model), text_of(when)))
        return {alias: state.target for alias, state in sorted(states.items()) if state.target is not None}

    # -- the record --------------------------------------------------------------------------------------

    def audit(self, *, after: int = 0, limit: int | None = None, model: str | None = None) -> list[Event]:
        """Return events of all kinds, oldest first.

        Args:
            after: Only events with a higher `seq`.
            limit: Most events to return; None for all.
            model: Only events of this model.
        """
        with self.metadata.read() as view:
            if model is not None:
                find_latest(view, model)
            return view.audit(after=after, limit=limit, model=model)

    def head(self) -> Head:
        """Return the newest event's number and hash; kept elsewhere, it proves the record up to there."""
        with self.metadata.read() as view:
            return view.head()

    def verify_audit(self) -> Broken | None:
        """Return the first event that is not as it was recorded, or None if all of them are."""
        with self.metadata.read() as view:
            return verify_record(view)

    # -- keys --------------------------------------------------------------------------------------------

    def keys(self) -> list[KeyRecord]:
        """Return all API keys, oldest first, with those that are void."""
        with self.metadata.read() as view:
            return view.keys()

    def key(self, key_id: str) -> KeyRecord:
        """Return one API key.

        Raises:
            KeyNotFound: There is none of this id.
        """
        with self.metadata.read() as view:
            return _find_key(view, key_id)

    def add_key(self, record: KeyRecord, *, actor: str, reason: str = "") -> None:
        """Add an API key; durable when this returns. The event holds all of it but the hash of the secret."""
        _check_texts(actor, reason)
        details = {
            "name": record.name,
            "role": record.role,
            "models": list(record.models),
            "expires_at": record.expires_at,
        }
        with self.metadata.write() as change:
            change.add_key(record)
            self._record_key(change, "key_created", record.id, details, actor=actor, reason=reason)

    def revoke_key(self, key_id: str, *, actor: str, reason: str = "") -> KeyRecord:
        """Revoke an API key for good and return it; nothing is recorded if it is revoked already.

        Raises:
            KeyNotFound: There is none of this id.
        """
        _check_texts(actor, reason)
        with self.metadata.write() as change:
            if _find_key(change, key_id).revoked_at is None:
                change.revoke_key(key_id, at=self._timestamp())
                self._record_key(change, "key_revoked", key_id, {}, actor=actor, reason=reason)
            return _find_key(change, key_id)

    def expire_key(self, key_id: str, *, at: datetime, actor: str, reason: str = "") -> KeyRecord:
        """Let an API key expire at a time, unless it expires before, and return it.

        Raises:
            KeyNotFound: There is none of this id.
        """
        _check_texts(actor, reason)
        with self.metadata.write() as change:
            before = _find_key(change, key_id)
            change.expire_key(key_id, at=text_of(at))
            after = _find_key(change, key_id)
            if after != before:
                details = {"expires_at": after.expires_at}
                self._record_key(change, "key_revoked", key_id, details, actor=actor, reason=reason)
            return after

    def _record_key(
        self,
        change: Change,
        kind: EventKind,
        key_id: str,
        details: Mapping[str, Any],
        *,
        actor: str,
        reason: str,
    ) -> None:
        event = Event(
            kind=kind,
            model=None,
            subject=key_id,
            details=details,
            at=self._timestamp(),
            actor=actor,
            reason=reason,
        )
        change.append(event)

    def note_key_uses(self, uses: Mapping[str, str]) -> None:
        """Note when keys were used last; see `Metadata.note_key_uses`."""
        self.metadata.note_key_uses(uses)

    # -- the store ---------------------------------------------------------------------------------------

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
        self.artifacts.close()

    def __enter__(self) -> Self:
        """Return the registry, which is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the registry."""
        self.close()

    def _store_and_commit(
        self, store: Callable[[], set[str]], make_known: Callable[[Change], Result]
    ) -> Result:
        """Store files, then make them known in one transaction in which all of them are there.

        A clean-up removes files that nothing refers to, and until the transaction nothing refers to ours. It
        removes under the write lock, and only after it has looked, under the same lock, for what refers to
        them. So what is there while we hold the lock stays there once we have committed. What was removed
        before is stored again.

        Args:
            store: Stores the files and returns their digests.
            make_known: Writes the rows that refer to them.
        """
        for _ in range(_ATTEMPTS):
            digests = store()
            with self.metadata.write() as change:
                if not self.artifacts.missing(digests):
                    return make_known(change)
        # Somebody cleans up without a pause and spares nothing: then they wait for once.
        with self.metadata.write() as change:
            store()
            return make_known(change)

    def _store(self, bundle: Bundle) -> set[str]:
        """Store every file of a bundle, its manifest last, and return the digests of all of them."""
        for path, entry in bundle.manifest.files.items():
            if self.artifacts.put(bundle.read(path)) != entry.sha256:
                raise ArtifactDigest(f"{path} is not the file that the manifest names", hint="pack it again")
        digests = {entry.sha256 for entry in bundle.manifest.files.values()}
        return digests | {self.artifacts.put(bundle.manifest.to_bytes())}

    def _store_attachment(self, attachment: Attachment) -> set[str]:
        """Store every file of an attachment, its manifest last, and return the digests of all of them."""
        digests = {self.artifacts.put(attachment.read(path)) for path in attachment.manifest.files}
        return digests | {self.artifacts.put(attachment.manifest.to_bytes())}

    def _open_attachment(self, record: AttachmentRecord) -> Attachment:
        data = self.artifacts.read(record.digest)
        if hashlib.sha256(data).hexdigest() != record.digest:
            raise ArtifactDigest(
                f"the manifest of the attachment {record.name!r} is not the one that was attached",
                hint="make the attachment again with fairway compile",
            )
        manifest = AttachmentManifest.from_bytes(data)
        return Attachment.from_files(manifest, lambda path: self.artifacts.read(manifest.files[path].sha256))

    def timestamp(self) -> str:
        """Return the time of now as events hold it."""
        return self._timestamp()

    def _timestamp(self) -> str:
        return text_of(self._clock())


def open_registry(
    home: Path,
    *,
    database: str = "",
    artifacts: str = "",
    cache_bytes: int = CACHE_BYTES,
    forking: int = 0,
) -> Registry:
    """Open a registry; made or migrated as needed.

    Args:
        home: The home folder, which holds what is not elsewhere.
        database: Address of the database of its rows. Default: `registry.db` in the home folder.
        artifacts: Address of the object store of its files. Default: `artifacts/` in the home folder.
        cache_bytes: How much copies of files of an object store may take in the home folder.
        forking: Id of the process that forks workers later; see `ObjectArtifacts`.

    Raises:
        RegistryInvalid: What is there is not a registry; it is left untouched.
        SchemaNewer: A newer fairway has migrated it; it is left untouched.
        StoreUnavailable: The folder cannot be made or used.
    """
    from fairway.registry.artifacts.opening import open_artifacts
    from fairway.registry.metadata.sql import open_metadata

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
    store = open_artifacts(artifacts, home=home, cache_bytes=cache_bytes, forking=forking)
    store.sweep()
    return Registry(open_metadata(database, home=home), store)


def open_to_look_up(home: Path) -> Registry:
    """Open the registry in a home folder to resolve references and open bundles, and for nothing else.

    It takes no time: a registry that is as this fairway left it is read without the database libraries.

    Raises:
        FairwayError: As `open_registry` does.
    """
    from fairway.registry.metadata.views import open_reader

    reader = open_reader(home / "registry.db")
    return open_registry(home) if reader is None else Registry(reader, LocalArtifacts(home / "artifacts"))


def _record_of(attachment: Attachment, at: str, actor: str) -> AttachmentRecord:
    """Return the row that makes an attachment known."""
    return AttachmentRecord(attachment.subject, attachment.name, digest=attachment.digest, at=at, actor=actor)


def _highest(view: View, model: str) -> int:
    """Return the highest version of a model that is not deleted.

    Raises:
        VersionNotFound: All of them were deleted.
    """
    found = view.versions(model)
    if not found:
        raise VersionNotFound(model, view.latest(model) or 0, hint="all versions of this model were deleted")
    return found[-1].version


def _conflict(model: str, alias: str, current: int | None, expected: int | Anything | None) -> Conflict:
    now, before = (
        f"{model}:{number}" if isinstance(number, int) else "nothing" for number in (current, expected)
    )
    return Conflict(
        f"{model}@{alias} points to {now}, not to {before}: somebody else has moved it",
        hint=f"look at it with: fairway show {model}, then decide again",
    )


def _check_unprotected(view: View, model: str, alias: str, instead: str) -> None:
    found = protection(view.events(model, alias=alias), alias)
    instead += "" if alias == PRODUCTION else f" --alias {alias}"
    if found is not None:
        raise AliasProtected(
            f"{model}@{alias} is protected since {found.since} (by {found.actor}): "
            "only a promotion or a rollback moves it",
            hint=f"{instead}; or end the protection first: fairway protect {model}@{alias} --off",
        )


def _find_key(view: View, key_id: str) -> KeyRecord:
    found = view.key(key_id)
    if found is None:
        raise KeyNotFound(key_id, hint="fairway keys list shows every key")
    return found


def verify_record(view: View) -> Broken | None:
    """Return the first event that is not as it was recorded, or whose version is not; None if all are."""
    events = view.audit()
    return verify(events, view.head()) or _differing_version(view, events)


def _differing_version(view: View, events: Sequence[Event]) -> Broken | None:
    """Return the first `register` event whose version now has other content than it tells of."""
    contents = {
        (version.model, version.version): version.digest
        for model in {event.model for event in events if event.kind == "register"}
        for version in view.versions(model or "", deleted=True)
    }
    for event in events:
        told = event.details.get("digest") if event.kind == "register" else None
        if told and contents.get((event.model or "", event.version or 0)) != told:
            return Broken(
                event.seq, f"{event.model}:{event.version} is not what event {event.seq} registered"
            )
    return None


def _made_before(view: View, model: str, upload: str) -> Version | None:
    """Return the version that a call with this word has registered, if there is one."""
    for event in reversed(view.events(model)) if upload else ():
        if event.kind == "register" and event.details.get("upload") == upload and event.version:
            return view.version(model, event.version)
    return None


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
