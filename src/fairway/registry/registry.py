"""The registry: numbers versions, keeps them, and records every change with the change itself.

It decides what is refused and what is written, in which order; where rows and bytes are kept is left to a
metadata store and an artifact store. Aliases are in `aliases.py`, API keys in `keys.py`, the record that all
of them write in `ledger.py`.

A version is registered in this order: every file of the bundle, then its manifest, each of them safe on the
disk; only then one transaction that makes the version known. A process that is killed in between leaves files
that nothing refers to, never a version that lacks one. Attachments go the same way: those that a bundle
brings are made known by the transaction of its version, later ones by one of their own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from fairway.bundle.attachment import Attachment, AttachmentManifest
from fairway.bundle.bundle import Bundle
from fairway.bundle.manifest import Manifest
from fairway.bundle.names import Reference, check_name, parse_reference
from fairway.errors import (
    ArtifactDigest,
    FairwayError,
    RegistryInvalid,
    StoreUnavailable,
    VersionLive,
    VersionNotFound,
)
from fairway.registry.aliases import PRODUCTION, Aliases
from fairway.registry.artifacts.base import CACHE_BYTES
from fairway.registry.artifacts.local import LocalArtifacts
from fairway.registry.keys import Keys
from fairway.registry.ledger import check_texts
from fairway.registry.lookup import alias_not_found, find_latest, find_version
from fairway.registry.metadata.base import Change, View
from fairway.registry.records import (
    AttachmentRecord,
    Event,
    ModelSummary,
    Move,
    Version,
)

__all__ = ["PRODUCTION", "Event", "ModelSummary", "Move", "Registry", "Version", "open_registry"]


Result = TypeVar("Result")

_ATTEMPTS = 2


class Registry(Aliases, Keys):
    """Names, versions, aliases and history. Safe to use from several threads and processes.

    Args:
        metadata: Where models, versions and events are kept.
        artifacts: Where the files of bundles are kept.
        clock: Gives the time that is written down for people to read. Nothing is ordered by it.
    """

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
        check_texts(actor, reason)
        at = self.timestamp()
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
        check_texts(actor, "")
        at = self.timestamp()
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
        check_texts(actor, reason)
        at = self.timestamp()
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

    def delete(self, model: str, version: int, *, actor: str, reason: str = "") -> Version:
        """Delete a version; its number is never given again, and its history stays.

        Its files stay, too, until they are collected: other versions may have the same ones.

        Raises:
            ModelNotFound: No model has this name.
            VersionNotFound: The model has no such version, or it was deleted before.
            VersionLive: An alias points to it.
        """
        check_texts(actor, reason)
        with self.metadata.write() as change:
            found = find_version(change, model, version)
            if found.aliases:
                raise VersionLive(
                    f"{found.reference} cannot be deleted: {model}@{found.aliases[0]} points to it",
                    hint=f"move the alias first, for example with: fairway rollback {model}",
                )
            at = self.timestamp()
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
