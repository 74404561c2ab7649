"""What leaves a registry as a whole: rows and files in one zip, or in one folder with the same members.

`contents.json` says what the parcel is and lists every other member with its size and SHA-256. Stored files
lie under `sha256/ab/<digest>`. A zip is not deflated: what it takes on the disk is what it unpacks to.

`FORMAT` is raised when a reader of today would misunderstand what is written; a fact that older readers may
ignore does not raise it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import msgspec

from fairway.bundle.archive import ZIP_FAULTS
from fairway.bundle.manifest import FileEntry
from fairway.errors import ArtifactCorrupt, ArtifactDigest, BundleTooNew, UsageError
from fairway.registry.artifacts.files import is_digest, key_of, mapped_errors, sweep_folder, sync_folder

FORMAT = 1
ROWS = "rows.json"
CONTENTS = "contents.json"

_MAX_CONTENTS_BYTES = 2**28
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

Kind = Literal["backup", "export"]


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a parcel says of itself.

    Attributes:
        kind: `backup` or `export`.
        fairway: Release that wrote it.
        created_at: When, ISO 8601 in UTC.
        actor: Who wrote it.
        facts: What the kind of parcel adds.
        files: Every other member.
        format: Number of the format.
    """

    kind: Kind
    fairway: str
    created_at: str
    actor: str
    facts: dict[str, Any]
    files: dict[str, FileEntry]
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """Return the one spelling of it."""
        return msgspec.json.encode(msgspec.to_builtins(self), order="sorted")

    @property
    def digest(self) -> str:
        """SHA-256 of these bytes: covers every byte of the parcel."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


class _Members(Protocol):
    """Where members lie."""

    def write(self, name: str, data: bytes) -> None: ...

    def read(self, name: str) -> bytes: ...

    def names(self) -> set[str]: ...

    def close(self) -> None: ...


class ParcelWriter:
    """Writes a parcel beside its place; `finish` puts it there, whole.

    Args:
        path: Where it goes. Nothing is there yet.
        as_folder: Whether it becomes a folder.

    Raises:
        UsageError: Something is at *path*; it is never overwritten.
    """

    def __init__(self, path: Path, *, as_folder: bool) -> None:
        if os.path.lexists(path):
            raise UsageError(f"{path} exists and is not overwritten", hint="choose another path or remove it")
        self._path = path
        self._aside = path.with_name(f".write-{os.getpid()}-{secrets.token_hex(8)}")
        self._files: dict[str, FileEntry] = {}
        self._is_finished = False
        with mapped_errors(f"writing {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            sweep_folder(path.parent, older_than_s=86_400)
            self._members: _Members = (
                _Folder(self._aside, new=True) if as_folder else _Zip(self._aside, new=True)
            )

    def add(self, name: str, data: bytes) -> None:
        """Add a member."""
        with mapped_errors(f"writing {self._path}"):
            self._members.write(name, data)
        self._files[name] = FileEntry.of(data)

    def add_blob(self, digest: str, data: bytes) -> None:
        """Add a stored file; one that is there already is not added again."""
        if key_of(digest) not in self._files:
            self.add(key_of(digest), data)

    def finish(self, kind: Kind, facts: Mapping[str, Any], *, actor: str, at: str) -> Contents:
        """Add the contents and put the parcel into its place, where it survives a loss of power."""
        from importlib.metadata import version

        contents = Contents(
            kind=kind,
            fairway=version("fairway"),
            created_at=at,
            actor=actor,
            facts=dict(facts),
            files=self._files,
        )
        with mapped_errors(f"writing {self._path}"):
            self._members.write(CONTENTS, contents.to_bytes())
            self._members.close()
            self._aside.rename(self._path)
            sync_folder(self._path.parent)
        self._is_finished = True
        return contents

    def __enter__(self) -> Self:
        """Return the writer; what is not finished at the end of the block is removed."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing behind that is not whole."""
        if self._is_finished:
            return
        with contextlib.suppress(OSError):
            self._members.close()
        with contextlib.suppress(OSError):
            if self._aside.is_dir():
                shutil.rmtree(self._aside)
            else:
                self._aside.unlink()


class Parcel:
    """A parcel that is there; every member is compared with its hash when it is read.

    Args:
        path: The file or folder.
        kind: What it has to be.

    Raises:
        ArtifactCorrupt: It is no such parcel, or members are missing or too many.
        BundleTooNew: A newer fairway has written it.
    """

    def __init__(self, path: Path, *, kind: Kind) -> None:
        self._path = path
        with self._mapped_faults(kind):
            self._members: _Members = _Folder(path) if path.is_dir() else _Zip(path)
        try:
            with self._mapped_faults(kind):
                self.contents = self._read_contents(kind)
        except BaseException:
            self._members.close()
            raise

    def read(self, name: str) -> bytes:
        """Return a member.

        Raises:
            ArtifactDigest: It is not in the parcel, or not what was put there.
        """
        entry = self.contents.files.get(name)
        if entry is None:
            raise ArtifactDigest(f"{self._path} does not hold {name}", hint="make it again")
        with self._mapped_faults(self.contents.kind):
            data = self._members.read(name)
        if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise ArtifactDigest(
                f"{name} in {self._path} is not what was put there",
                hint="copy it again from where it was made",
            )
        return data

    def read_blob(self, digest: str) -> bytes:
        """Return a stored file by its digest; see `read`."""
        return self.read(key_of(digest))

    def blobs(self) -> list[str]:
        """Return the digests of all stored files, sorted."""
        return sorted(name.rpartition("/")[2] for name in self.contents.files if name != ROWS)

    def close(self) -> None:
        """Close the file."""
        self._members.close()

    def __enter__(self) -> Self:
        """Return the parcel, which is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def _read_contents(self, kind: Kind) -> Contents:
        data = self._members.read(CONTENTS)
        number = msgspec.json.decode(data).get("format")
        if isinstance(number, int) and number > FORMAT:
            raise BundleTooNew(
                f"{self._path} has format {number}; this release reads up to {FORMAT}",
                hint="pip install --upgrade fairway",
            )
        contents = msgspec.json.decode(data, type=Contents)
        if contents.kind != kind or contents.format != FORMAT:
            raise ArtifactCorrupt(f"{self._path} holds the kind {contents.kind!r}, not {kind!r}")
        for name, entry in contents.files.items():
            digest = name.rpartition("/")[2]
            is_blob = is_digest(digest) and name == key_of(digest) and entry.sha256 == digest
            if not is_blob and not (name == ROWS and kind == "backup"):
                raise ArtifactCorrupt(f"{self._path} lists {name[:100]!a}, which is no part of its kind")
        if differing := sorted(self._members.names() ^ {CONTENTS, *contents.files}):
            raise ArtifactCorrupt(f"{self._path} does not hold exactly what it lists: {differing[0][:100]!a}")
        return contents

    @contextlib.contextmanager
    def _mapped_faults(self, kind: Kind) -> Iterator[None]:
        try:
            yield
        except (msgspec.DecodeError, AttributeError, KeyError, RecursionError, *ZIP_FAULTS) as cause:
            what = cause.strerror if isinstance(cause, OSError) else cause
            raise ArtifactCorrupt(
                f"{self._path} cannot be read as what fairway {kind} writes: {what}",
                hint="was the copy cut off? copy it again from where it was made",
            ) from cause


class _Zip:
    def __init__(self, path: Path, *, new: bool = False) -> None:
        self._file = path.open("xb" if new else "rb")
        self._new = new
        try:
            self._archive = zipfile.ZipFile(self._file, "w" if new else "r", zipfile.ZIP_STORED)
        except BaseException:
            self._file.close()
            raise

    def write(self, name: str, data: bytes) -> None:
        self._archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), data)

    def read(self, name: str) -> bytes:
        info = self._archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise zipfile.BadZipFile(f"{name!a} is compressed or encrypted")
        if name == CONTENTS and info.file_size > _MAX_CONTENTS_BYTES:
            raise zipfile.BadZipFile("its list of contents is too long")
        return self._archive.read(info)

    def names(self) -> set[str]:
        return set(self._archive.namelist())

    def close(self) -> None:
        try:
            self._archive.close()
            if self._new and not self._file.closed:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()


class _Folder:
    def __init__(self, path: Path, *, new: bool = False) -> None:
        self._folder = path
        if new:
            path.mkdir()

    def write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def read(self, name: str) -> bytes:
        # A link could lead to any other file.
        descriptor = os.open(self._folder / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            return file.read()

    def names(self) -> set[str]:
        return {
            path.relative_to(self._folder).as_posix()
            for path in self._folder.rglob("*")
            if not path.is_dir() or path.is_symlink()
        }

    def close(self) -> None:
        """Every file was closed when it was written."""
