"""An artifact store in a folder of a local disk, or of any disk that several machines mount."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from fairway.errors import ArtifactDigest
from fairway.registry.artifacts.base import REFRESH_S, Artifacts, Blob
from fairway.registry.artifacts.files import (
    entries_of,
    key_of,
    mapped_errors,
    sweep_folder,
    sync_folder,
    write_file,
)


class LocalArtifacts(Artifacts):
    """Blobs in a folder of a local disk.

    Args:
        folder: Where they are; made with the first blob.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._settled: set[Path] = set()

    def put(self, data: bytes) -> str:
        """Store *data* and return its digest; see `Artifacts.put`."""
        digest = hashlib.sha256(data).hexdigest()
        self._put(digest, lambda file: file.write(data))
        return digest

    def put_file(self, path: Path) -> str:
        """Store the content of a file; see `Artifacts.put_file`."""
        with mapped_errors(f"reading {path}"):
            digest = _digest_of(path)

        def copy(file: BinaryIO) -> None:
            with path.open("rb") as source:
                shutil.copyfileobj(source, file, 2**20)

        self._put(digest, copy)
        return digest

    def read(self, digest: str) -> bytes:
        """Return the bytes stored under *digest*; see `Artifacts.read`."""
        with mapped_errors(f"reading {digest}"):
            try:
                return self._path(digest).read_bytes()
            except FileNotFoundError:
                raise ArtifactDigest(
                    f"the artifact {digest} is missing from {self.folder}",
                    hint="put the file back from a backup, or push the same model file again",
                ) from None

    def missing(self, digests: Collection[str]) -> set[str]:
        """Return what is not there; see `Artifacts.missing`."""
        with mapped_errors(f"looking into {self.folder}"):
            return {digest for digest in digests if not self._path(digest).is_file()}

    def list(self) -> Iterator[Blob]:
        """Return every blob; see `Artifacts.list`."""
        now = time.time()
        with mapped_errors(f"listing {self.folder}"):
            for digest, _, stat in entries_of(self.folder):
                yield Blob(digest, size=stat.st_size, age_s=now - stat.st_mtime)

    def remove(self, digests: Collection[str]) -> None:
        """Remove blobs; see `Artifacts.remove`."""
        with mapped_errors(f"removing from {self.folder}"):
            for digest in digests:
                self._path(digest).unlink(missing_ok=True)

    def sweep(self, *, older_than_s: float = 86_400.0) -> int:
        """Remove temporary files of dead processes; see `Artifacts.sweep`."""
        return sweep_folder(self.folder, older_than_s=older_than_s)

    def _path(self, digest: str) -> Path:
        return self.folder / key_of(digest)

    def _put(self, digest: str, write: Callable[[BinaryIO], object]) -> None:
        path = self._path(digest)
        with mapped_errors(f"storing {digest}"):
            self._settle(path.parent)
            if not _holds(path, digest):
                write_file(self.folder, path, write, durable=True)
            # Also for a blob that was there: whoever renamed it into place may not have come this far yet.
            sync_folder(path.parent)

    def _settle(self, shard: Path) -> None:
        """Make the folders down to *shard*, and their entries durable once in the life of this object."""
        for folder in (self.folder, shard.parent, shard):
            if folder not in self._settled:
                folder.mkdir(parents=True, exist_ok=True)
                sync_folder(folder.parent)
                self._settled.add(folder)


def _holds(path: Path, digest: str) -> bool:
    """Say whether the file is there and whole, and let it look new; a damaged one is to be replaced."""
    try:
        if _digest_of(path) != digest:
            return False
        if time.time() - path.stat().st_mtime > REFRESH_S:
            with contextlib.suppress(PermissionError):  # somebody else's file stays as old as it is
                os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
