"""Versions that go from one registry to another without a network: several of them in one file.

What comes in is treated as a pushed bundle is (`taking.py`): what neither this home made nor a trusted key
has signed is checked as a foreign model file, proven and compiled anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import msgspec

from fairway.bundle.admission import without_unvouched
from fairway.bundle.attachment import Attachment, AttachmentManifest
from fairway.bundle.bundle import Bundle
from fairway.bundle.manifest import Manifest
from fairway.bundle.names import check_name
from fairway.errors import ArtifactCorrupt, UsageError
from fairway.lifecycle.compiling import Mode
from fairway.lifecycle.taking import take_in
from fairway.registry.contents import blobs_of, read_whole
from fairway.registry.parcel import Contents, Parcel, ParcelWriter
from fairway.registry.records import Version
from fairway.registry.registry import Registry

_MAX_VERSIONS = 10_000


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A version in an exported file.

    Attributes:
        model: Name of the model.
        version: Its number where it comes from.
        digest: Digest of the bundle.
        created_at: When it was registered there.
        actor: Who registered it there.
        attachments: Digests of the manifests of what was attached.
    """

    model: str
    version: int
    digest: str
    created_at: str
    actor: str
    attachments: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Exported:
    """A file of exported versions.

    Attributes:
        path: Where it is.
        digest: SHA-256 of its list of contents, which covers every byte of it.
        versions: The versions in it.
        size: How many bytes their files have.
    """

    path: str
    digest: str
    versions: tuple[Version, ...]
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class Imported:
    """What became of one version of a file.

    Attributes:
        source: What it was called where it comes from, such as `coffee:3`.
        version: What it is here.
        is_new: Whether it was registered now; else it was here already.
        left_out: Names of attachments that nobody vouches for and that were not made anew.
    """

    source: str
    version: Version
    is_new: bool
    left_out: tuple[str, ...] = ()


def export_versions(registry: Registry, references: Sequence[str], path: Path, *, actor: str) -> Exported:
    """Write versions with all that is attached to them, signatures too, into one file.

    Args:
        registry: The registry.
        references: What to export.
        path: The file. Nothing is there yet.
        actor: Who does it.

    Raises:
        UsageError: Nothing is to be exported, or something is at *path*.
        RegistryError: A reference stands for nothing.
        ArtifactDigest: A stored file is missing or damaged.
    """
    if not references:
        raise UsageError("there is nothing to export", hint="name versions, such as coffee:3")
    found = {version.reference: version for version in map(registry.resolve, references)}
    versions = tuple(found.values())
    read = registry.artifacts.read
    with ParcelWriter(path, as_folder=False) as parcel:
        entries = [_entry_of(registry, version) for version in versions]
        manifests = {digest for entry in entries for digest in (entry.digest, *entry.attachments)}
        for digest in sorted(blobs_of(manifests, read)):
            parcel.add_blob(digest, read_whole(digest, read))
        facts = {"versions": msgspec.to_builtins(entries), "head": registry.head().hash}
        contents = parcel.finish("export", facts, actor=actor, at=registry.timestamp())
    for version in versions:
        registry.record(
            "export",
            model=version.model,
            version=version.version,
            actor=actor,
            subject=path.name,
            details={"digest": version.digest, "file": contents.digest},
        )
    size = sum(entry.size for entry in contents.files.values())
    return Exported(str(path), contents.digest, versions, size)


def import_versions(
    registry: Registry, path: Path, *, home: Path, actor: str, reason: str = "", mode: Mode = "auto"
) -> list[Imported]:
    """Register every version of a file that is not here yet; where one is refused, none is registered.

    Args:
        registry: The registry.
        path: The file.
        home: The home folder, whose trust store holds the keys that are trusted.
        actor: Who does it.
        reason: Why.
        mode: Whether to compile; see `prove_and_compile`.

    Returns:
        What became of each version, in the order of the file.

    Raises:
        ArtifactCorrupt: It is no such file, or it is damaged.
        ArtifactDigest: A byte of it is not what was exported.
        UntrustedBundle: Nobody vouches for a version, and its model could run code.
        PackedModelDiffers: Nobody vouches for it, and it does not answer here as it did when it was packed.
    """
    with Parcel(path, kind="export") as parcel:
        entries = _entries_of(parcel.contents, path)
        taken: list[tuple[_Entry, Version | None, Bundle, tuple[str, ...]]] = []
        for entry in entries:
            bundle = _bundle_of(parcel, entry)
            present = _find(registry, entry)
            left_out: tuple[str, ...] = ()
            if present is None:
                come = bundle.attachments.keys()
                bundle = take_in(without_unvouched(home, bundle), home, mode=mode)
                left_out = tuple(sorted(come - bundle.attachments.keys()))
            taken.append((entry, present, bundle, left_out))
        done: list[Imported] = []
        for entry, present, bundle, left_out in taken:
            version = present or _find(registry, entry)  # one content may stand in the file twice
            is_new = version is None
            if version is None:
                version = _register(
                    registry, entry, bundle, parcel.contents, path, actor=actor, reason=reason
                )
            done.append(Imported(f"{entry.model}:{entry.version}", version, is_new, left_out))
    return done


def _entry_of(registry: Registry, version: Version) -> _Entry:
    with registry.metadata.read() as view:
        attached = view.attachments(version.digest)
    return _Entry(
        model=version.model,
        version=version.version,
        digest=version.digest,
        created_at=version.created_at,
        actor=version.actor,
        attachments=tuple(record.digest for record in attached.values()),
    )


def _entries_of(contents: Contents, path: Path) -> list[_Entry]:
    try:
        entries = msgspec.convert(contents.facts.get("versions"), list[_Entry])
    except msgspec.ValidationError as cause:
        raise ArtifactCorrupt(f"{path} does not say which versions it holds: {cause}") from cause
    if not 0 < len(entries) <= _MAX_VERSIONS:
        raise ArtifactCorrupt(f"{path} says that it holds {len(entries)} versions")
    for entry in entries:
        check_name("model", entry.model)
    return entries


def _bundle_of(parcel: Parcel, entry: _Entry) -> Bundle:
    """Return a bundle of the file with its attachments, every hash verified."""
    manifest = Manifest.from_bytes(parcel.read_blob(entry.digest))
    bundle = Bundle.from_files(manifest, lambda path: parcel.read_blob(manifest.files[path].sha256))
    return bundle.with_attachments(_attachment_of(parcel, digest) for digest in entry.attachments)


def _attachment_of(parcel: Parcel, digest: str) -> Attachment:
    manifest = AttachmentManifest.from_bytes(parcel.read_blob(digest))
    return Attachment.from_files(manifest, lambda path: parcel.read_blob(manifest.files[path].sha256))


def _find(registry: Registry, entry: _Entry) -> Version | None:
    """Return the newest version of the model with the same content, if there is one."""
    with registry.metadata.read() as view:
        versions = view.versions(entry.model)
    return next((version for version in reversed(versions) if version.digest == entry.digest), None)


def _register(
    registry: Registry,
    entry: _Entry,
    bundle: Bundle,
    contents: Contents,
    path: Path,
    *,
    actor: str,
    reason: str,
) -> Version:
    # In the event of the version itself, too, which is written with the version or not at all.
    provenance = {
        "source": f"{entry.model}:{entry.version}",
        "registered_at": entry.created_at,
        "registered_by": entry.actor,
        "exported_at": contents.created_at,
        "exported_by": contents.actor,
        "file": contents.digest,
    }
    version = registry.register(
        bundle, name=entry.model, actor=actor, reason=reason, details={"imported": provenance}
    )
    registry.record(
        "import",
        model=version.model,
        version=version.version,
        actor=actor,
        reason=reason,
        subject=path.name,
        details={"digest": version.digest, **provenance},
    )
    return version
