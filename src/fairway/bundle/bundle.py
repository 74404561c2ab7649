"""A packed model, opened: every file's hash is verified before a byte of it is used.

A bundle is a folder, or the same files in one zip with the suffix `.fairway`. Whoever reads a file gets the
bytes that were hashed, never a second read of the path.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import lzma
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from fairway.bundle.golden import GoldenExamples
from fairway.bundle.manifest import FileEntry, Manifest, check_paths
from fairway.bundle.signature import Signature
from fairway.errors import ArtifactCorrupt, ArtifactDigest, ArtifactEmpty, BundleError

MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
GOLDEN = "golden.json"
PROFILE = "profile.json"
ENVIRONMENT = "environment.json"
CARD = "card.md"
CODE_FOLDER = "code/"

SUFFIX = ".fairway"
_MAX_MEMBERS = 10_000
_MAX_BYTES = 2 * 2**30
_MAX_RATIO = 100
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A packed model.

    Attributes:
        manifest: What the bundle says of itself.
        files: Function that returns the raw bytes of one member.
    """

    manifest: Manifest
    files: Callable[[str], bytes] = dataclasses.field(repr=False)

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

    def read(self, path: str) -> bytes:
        """Return the verified bytes of one member.

        Raises:
            ArtifactDigest: The bytes differ from the manifest, or the member is missing.
        """
        entry = self.manifest.files.get(path)
        if entry is None:
            raise ArtifactCorrupt(f"the bundle {self.manifest.name!r} has no file {path!r}")
        try:
            data = self.files(path)
        except (FileNotFoundError, KeyError) as cause:
            raise ArtifactDigest(f"{path!r} of the bundle {self.manifest.name!r} is missing") from cause
        if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise ArtifactDigest(
                f"{path!r} of the bundle {self.manifest.name!r} differs from what was packed",
                hint="fetch the bundle again, or roll back to a version that is intact",
            )
        return data

    def save(self, path: Path) -> Path:
        """Write the bundle as a folder, or as one file when *path* ends in `.fairway`.

        Raises:
            BundleError: Something is at *path* already; it is never overwritten.
        """
        if os.path.lexists(path):
            raise BundleError(
                f"{path} exists and is not overwritten", hint="choose another path or remove it"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        contents = {MANIFEST: self.manifest.to_bytes()} | {
            name: self.read(name) for name in self.manifest.files
        }
        write = _write_zip if path.suffix == SUFFIX else _write_folder
        write(path, contents)
        return path

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
    check_paths(contents)
    files = {
        path: FileEntry(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        for path, data in sorted(contents.items())
    }
    kept = dict(contents)
    return Bundle(Manifest(files=files, **facts), kept.__getitem__)


def open_bundle(path: str | Path) -> Bundle:
    """Open a bundle folder or file and verify every hash.

    Raises:
        ArtifactCorrupt: There is no bundle at *path*, or it cannot be read.
        ArtifactDigest: A member differs from the manifest.
        ArtifactPath: A member's name could lead outside of the bundle.
        BundleTooNew: The format is newer than this release reads.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path)
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise ArtifactCorrupt(f"{path} cannot be read: {cause.strerror}") from cause
    if not data:
        raise ArtifactEmpty(f"{path} is empty", hint="was the upload or copy cut off?")
    return _open_zip(path, data)


def is_bundle(path: Path) -> bool:
    """Tell whether *path* looks like a bundle (by its content, not its name)."""
    if path.is_dir():
        return (path / MANIFEST).is_file()
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except _ZIP_FAULTS:
        return False


def _open_folder(folder: Path) -> Bundle:
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
        return Bundle.from_files(manifest, read)
    except OSError as cause:
        raise ArtifactCorrupt(f"a file of the bundle {folder} cannot be read: {cause.strerror}") from cause


def _open_zip(path: Path, data: bytes) -> Bundle:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        _check_archive(archive, path)
        contents = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    except _ZIP_FAULTS as cause:
        raise ArtifactCorrupt(f"{path} is not a bundle: {cause}") from cause
    if MANIFEST not in contents:
        raise ArtifactCorrupt(f"{path} is not a bundle: it has no {MANIFEST}")
    manifest = Manifest.from_bytes(contents[MANIFEST])
    if unlisted := sorted(contents.keys() - manifest.files.keys() - {MANIFEST}):
        raise ArtifactDigest(f"{path} holds {unlisted[0]!a}, which its manifest does not list")
    return Bundle.from_files(manifest, contents.__getitem__)


# What the standard library raises on damaged archives, depending on where the damage is.
_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    EOFError,
    OSError,
)


def _check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    members = [info for info in archive.infolist() if not info.is_dir()]
    check_paths(info.filename for info in members)
    packed = sum(info.compress_size for info in members)
    unpacked = sum(info.file_size for info in members)
    too_dense = unpacked > 2**20 and unpacked > packed * _MAX_RATIO
    if len(members) > _MAX_MEMBERS or unpacked > _MAX_BYTES or too_dense:
        raise ArtifactCorrupt(
            f"{path} unpacks to {len(members)} files and {unpacked} bytes, which is beyond the limits"
        )


def _write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    with _beside(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(contents):
                # A fixed time: the same bundle gives the same bytes.
                archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), contents[name], zipfile.ZIP_DEFLATED)
        temporary.replace(path)


def _write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    with _beside(path) as temporary:
        for name, data in contents.items():
            file = temporary / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        temporary.replace(path)


class _beside:  # noqa: N801 - used like a function
    """A temporary path in the folder of *path*, gone when the block ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))

    def __enter__(self) -> Path:
        return self._folder / "new"

    def __exit__(self, *exc_info: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
