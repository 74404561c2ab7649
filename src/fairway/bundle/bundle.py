"""A packed model, opened: every file's hash is verified before a byte of it is used.

A bundle is a folder, or the same files in one zip with the suffix `.fairway`. Whoever reads a file gets the
bytes that were hashed, never a second read of the path. Attachments lie beside the packed files and have
hashes of their own (`attachment.py`).
"""

from __future__ import annotations

import dataclasses
import functools
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from fairway.bundle.archive import ZIP_FAULTS, read_zip, replace_folder, write_folder, write_zip
from fairway.bundle.attachment import FOLDER as ATTACHMENTS
from fairway.bundle.attachment import SEAL_PREFIX, Attachment, find_attachments
from fairway.bundle.golden import GoldenExamples
from fairway.bundle.manifest import FileEntry, Manifest, check_members, read_verified
from fairway.bundle.signature import Signature
from fairway.errors import ArtifactCorrupt, ArtifactDigest, ArtifactEmpty, BundleError

MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
GOLDEN = "golden.json"
PROFILE = "profile.json"
ENVIRONMENT = "environment.json"
CARD = "card.md"
CODE_FOLDER = "code/"
DATA_FOLDER = "files/"
MODEL_FOLDER = "model/"

SUFFIX = ".fairway"


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A packed model.

    Attributes:
        manifest: What the bundle says of itself.
        files: Function that returns the raw bytes of one member.
        attachments: What was attached later, by name; the digest does not cover it.
    """

    manifest: Manifest
    files: Callable[[str], bytes] = dataclasses.field(repr=False)
    attachments: Mapping[str, Attachment] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_files(cls, manifest: Manifest, read: Callable[[str], bytes]) -> Bundle:
        """Return a bundle whose members come from *read*.

        Raises:
            ArtifactDigest: A member differs from the manifest, or is missing.
        """
        bundle = cls(manifest, read)
        for path in manifest.files:
            bundle.read(path)
        return bundle

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest: the identity of what was packed."""
        return self.manifest.digest

    @functools.cached_property
    def signature(self) -> Signature:
        """Typed inputs and outputs."""
        return Signature.from_dict(self._document(SIGNATURE))

    @functools.cached_property
    def golden(self) -> GoldenExamples:
        """Inputs with expected outputs; may hold real rows, so never publish them."""
        return GoldenExamples.from_dict(self._document(GOLDEN))

    @functools.cached_property
    def profile(self) -> dict[str, Any]:
        """Reference profile: how inputs and predictions were distributed in the example."""
        return self._document(PROFILE)

    @functools.cached_property
    def environment(self) -> dict[str, Any]:
        """Environment lock: Python, platform and exact package versions."""
        return self._document(ENVIRONMENT)

    @property
    def card(self) -> str:
        """Model card in Markdown."""
        return self.read(CARD).decode()

    @property
    def code(self) -> dict[str, bytes]:
        """Source files that travel with the model, by path below `code/`."""
        paths = [path for path in self.manifest.files if path.startswith(CODE_FOLDER)]
        return {path.removeprefix(CODE_FOLDER): self.read(path) for path in paths}

    @property
    def data(self) -> dict[str, bytes]:
        """Data files that travel with code of the user's own, by name."""
        paths = [path for path in self.manifest.files if path.startswith(DATA_FOLDER)]
        return {path.removeprefix(DATA_FOLDER): self.read(path) for path in paths}

    @property
    def model_paths(self) -> tuple[str, ...]:
        """Paths of the model's own files."""
        return tuple(path for path in self.manifest.files if path.startswith(MODEL_FOLDER))

    def read(self, path: str) -> bytes:
        """Return the verified bytes of one member.

        Raises:
            ArtifactDigest: The bytes differ from the manifest, or the member is missing.
        """
        return read_verified(
            self.manifest.files,
            self.files,
            path,
            whole=f"the bundle {self.manifest.name!r}",
            done="packed",
            hint="fetch the bundle again, or roll back to a version that is intact",
        )

    def with_attachments(self, attachments: Iterable[Attachment]) -> Bundle:
        """Return the same bundle with these attachments, and no others.

        Raises:
            ArtifactDigest: One belongs to another bundle.
        """
        found = {attachment.name: attachment for attachment in attachments}
        for attachment in found.values():
            if attachment.subject != self.digest:
                raise ArtifactDigest(f"the attachment {attachment.name!r} belongs to another bundle")
        return dataclasses.replace(self, attachments=found)

    def save(self, path: Path) -> Path:
        """Write the bundle with its attachments as a folder, or as one file when *path* ends in `.fairway`.

        Raises:
            BundleError: Something is at *path* already; it is never overwritten.
        """
        if os.path.lexists(path):
            raise BundleError(
                f"{path} exists and is not overwritten", hint="choose another path or remove it"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        write = write_zip if path.suffix == SUFFIX else write_folder
        write(path, self._members() | self._attached_members())
        return path

    def save_attachments(self, path: Path) -> None:
        """Write the attachments into the folder or file that this bundle was opened from.

        They take the place of all that are there; the rest of the bundle stays as it is.
        """
        if not path.is_dir():
            write_zip(path, self._members() | self._attached_members())
            return
        inside = {name.removeprefix(ATTACHMENTS): data for name, data in self._attached_members().items()}
        replace_folder(path / ATTACHMENTS, inside)

    def _members(self) -> dict[str, bytes]:
        packed = {name: self.read(name) for name in self.manifest.files}
        return {MANIFEST: self.manifest.to_bytes(), **packed}

    def _attached_members(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for attachment in self.attachments.values():
            found |= attachment.members()
        return found

    def _document(self, path: str) -> dict[str, Any]:
        try:
            document = msgspec.json.decode(self.read(path))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise ArtifactCorrupt(f"{path!r} of the bundle {self.manifest.name!r} is not JSON") from cause
        if not isinstance(document, dict):
            raise ArtifactCorrupt(f"{path!r} of the bundle {self.manifest.name!r} is not a JSON object")
        return document

    def _repr_html_(self) -> str:
        from fairway.bundle.display import html_of_bundle

        return html_of_bundle(self)


def build_bundle(contents: Mapping[str, bytes], **facts: Any) -> Bundle:
    """Return a bundle of the files in *contents*; *facts* are the other fields of the manifest."""
    check_members(contents)
    files = {path: FileEntry.of(data) for path, data in sorted(contents.items())}
    kept = dict(contents)
    return Bundle(Manifest(files=files, **facts), kept.__getitem__)


def open_bundle(path: str | Path, *, attachments: bool = True) -> Bundle:
    """Open a bundle folder or file and verify every hash.

    Args:
        path: The folder or file.
        attachments: Whether to open the attachments, too. Whoever makes them anew does without; signatures
            are opened all the same.

    Raises:
        ArtifactCorrupt: There is no bundle at *path*, or it cannot be read.
        ArtifactDigest: A member differs from the manifest, or an attachment belongs to another bundle.
        ArtifactPath: A member's name could lead outside of the bundle.
        BundleTooNew: The format is newer than this release reads.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, attachments=attachments)
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise ArtifactCorrupt(f"{path} cannot be read: {cause.strerror}") from cause
    if not data:
        raise ArtifactEmpty(f"{path} is empty", hint="was the upload or copy cut off?")
    return _open_zip(path, data, attachments=attachments)


def is_bundle(path: Path) -> bool:
    """Tell whether *path* looks like a bundle (by its content, not its name)."""
    if path.is_dir():
        return (path / MANIFEST).is_file()
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except ZIP_FAULTS:
        return False


def looks_like_path(name: str) -> bool:
    """Tell whether an argument names a bundle file or folder rather than a reference."""
    return "/" in name or name.endswith(".fairway") or is_bundle(Path(name))


def _open_folder(folder: Path, *, attachments: bool) -> Bundle:
    def read(name: str) -> bytes:
        # A link in place of a file could change its target between two reads.
        descriptor = os.open(folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    try:
        manifest = Manifest.from_bytes(read(MANIFEST))
    except OSError as cause:
        raise ArtifactCorrupt(f"{folder} is not a bundle: it has no {MANIFEST}") from cause
    try:
        bundle = Bundle.from_files(manifest, read)
        names = [name for name in _names_in(folder) if attachments or name.startswith(SEAL_PREFIX)]
        return bundle.with_attachments(find_attachments(bundle.digest, names, read).values())
    except OSError as cause:
        raise ArtifactCorrupt(f"a file of the bundle {folder} cannot be read: {cause.strerror}") from cause


def _names_in(folder: Path) -> list[str]:
    inside = folder / ATTACHMENTS
    return sorted(entry.name for entry in inside.iterdir() if entry.is_dir()) if inside.is_dir() else []


def _open_zip(path: Path, data: bytes, *, attachments: bool) -> Bundle:
    contents = read_zip(path, data)
    if MANIFEST not in contents:
        raise ArtifactCorrupt(f"{path} is not a bundle: it has no {MANIFEST}")
    manifest = Manifest.from_bytes(contents[MANIFEST])
    attached = {name for name in contents if name.startswith(ATTACHMENTS)}
    if unlisted := sorted(contents.keys() - manifest.files.keys() - {MANIFEST} - attached):
        raise ArtifactDigest(f"{path} holds {unlisted[0]!a}, which its manifest does not list")
    bundle = Bundle.from_files(manifest, contents.__getitem__)
    names = sorted({name.split("/")[1] for name in attached})
    if not attachments:
        names = [name for name in names if name.startswith(SEAL_PREFIX)]
        attached = {name for name in attached if name.split("/")[1] in names}
    found = find_attachments(bundle.digest, names, contents.__getitem__)
    listed = {member for attachment in found.values() for member in attachment.members()}
    if unlisted := sorted(attached - listed):
        raise ArtifactDigest(f"{path} holds {unlisted[0]!a}, which no attachment lists")
    return bundle.with_attachments(found.values())
