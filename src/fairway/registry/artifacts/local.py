"""Blobs as files of a folder: `sha256/ab/<digest>`, written aside and renamed into place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from fairway.errors import ArtifactDigest, StorageFull, StoreUnavailable
from fairway.registry.artifacts.base import Artifacts

_TEMPORARY = re.compile(r"\.write-(\d+)-[0-9a-f]{16}")
_NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


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
        path = self._path(digest)
        with _mapped_errors(f"storing {path.name}"):
            self._settle(path.parent)
            if not _holds(path, data):
                self._write(path, data)
            # Also for a blob that was there: whoever renamed it into place may not have come this far yet.
            _sync_folder(path.parent)
        return digest

    def read(self, digest: str) -> bytes:
        """Return the bytes stored under *digest*; see `Artifacts.read`."""
        with _mapped_errors(f"reading {digest}"):
            try:
                return self._path(digest).read_bytes()
            except FileNotFoundError:
                raise ArtifactDigest(
                    f"the artifact {digest} is missing from {self.folder}",
                    hint="put the file back from a backup, or push the same model file again",
                ) from None

    def sweep(self, *, older_than_s: float = 86_400.0) -> int:
        """Remove temporary files of dead processes; see `Artifacts.sweep`."""
        if not self.folder.is_dir():
            return 0
        removed = 0
        latest = time.time() - older_than_s
        with _mapped_errors(f"sweeping {self.folder}"), os.scandir(self.folder) as entries:
            for entry in entries:
                found = _TEMPORARY.fullmatch(entry.name)
                # Another process may sweep at the same time; a file that cannot be removed harms nobody.
                with contextlib.suppress(OSError):
                    if found and entry.stat().st_mtime <= latest and not _is_alive(int(found[1])):
                        Path(entry).unlink()
                        removed += 1
        return removed

    def _path(self, digest: str) -> Path:
        return self.folder / "sha256" / digest[:2] / digest

    def _settle(self, shard: Path) -> None:
        """Make the folders down to *shard*, and their entries durable once in the life of this object."""
        for folder in (self.folder, shard.parent, shard):
            if folder not in self._settled:
                folder.mkdir(parents=True, exist_ok=True)
                _sync_folder(folder.parent)
                self._settled.add(folder)

    def _write(self, path: Path, data: bytes) -> None:
        """Write *data* beside its place and rename it there; leave nothing behind if anything fails.

        A failed fsync ends the write: the kernel may report it once only, so a second try proves nothing.
        """
        aside = self.folder / f".write-{os.getpid()}-{secrets.token_hex(8)}"
        try:
            with aside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:  # also KeyboardInterrupt: a stopped push leaves no trace
            with contextlib.suppress(OSError):
                aside.unlink()
            raise


def _holds(path: Path, data: bytes) -> bool:
    """Say whether the file is there and whole; a damaged one is to be replaced."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make renames into *folder* survive a loss of power."""
    if os.name == "nt":  # pragma: no cover - no folder can be opened there; NTFS keeps renames in its journal
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_alive(pid: int) -> bool:
    """Say whether another process of this machine has the number *pid*.

    Our own number counts as dead: a container starts every process under the same one, and no write takes as
    long as the age that a sweep asks for.
    """
    if os.name == "nt" or pid == os.getpid():  # os.kill would end a process there; the age decides alone
        return False
    try:
        with contextlib.suppress(PermissionError):  # it lives, but belongs to somebody else
            os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    return True


@contextlib.contextmanager
def _mapped_errors(doing: str) -> Iterator[None]:
    """Turn errors of the file system into errors of fairway."""
    try:
        yield
    except OSError as cause:
        if cause.errno in _NO_SPACE:
            raise StorageFull(
                f"no space is left for {doing}", hint="free some space and do it again; nothing was changed"
            ) from cause
        raise StoreUnavailable(
            f"{doing} failed: {cause.strerror or cause}", hint="check the disk and the folder's permissions"
        ) from cause
