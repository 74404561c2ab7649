"""Blobs as files of a folder: `sha256/ab/<digest>`, written aside and renamed into place."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from fairway.errors import ArtifactDigest, StorageFull, StoreUnavailable

_TEMPORARY = re.compile(r"\.write-(\d+)-[0-9a-f]{16}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def is_digest(name: str) -> bool:
    """Tell whether a name is one that a blob can have."""
    return _DIGEST.fullmatch(name) is not None


def key_of(digest: str) -> str:
    """Return where a blob lies, below the folder or the prefix of its store.

    Raises:
        ArtifactDigest: It is no digest; nothing else ever becomes part of a path.
    """
    if not is_digest(digest):
        raise ArtifactDigest(f"{digest[:80]!a} is not the SHA-256 of a file")
    return f"sha256/{digest[:2]}/{digest}"


def write_file(folder: Path, path: Path, write: Callable[[BinaryIO], object], *, durable: bool) -> None:
    """Write a file beside its place and rename it there; leave nothing behind if anything fails.

    A failed fsync ends the write: the kernel may report it once only, so a second try proves nothing.

    Args:
        folder: Where the temporary file goes; a folder of the same disk.
        path: Where the file goes.
        write: Writes the content.
        durable: Whether the content has to survive a loss of power.
    """
    aside = folder / f".write-{os.getpid()}-{secrets.token_hex(8)}"
    try:
        with aside.open("xb") as file:
            write(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:  # also KeyboardInterrupt: a stopped push leaves no trace
        with contextlib.suppress(OSError):
            aside.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make renames into *folder* survive a loss of power."""
    if os.name == "nt":  # pragma: no cover - no folder can be opened there; NTFS keeps renames in its journal
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def entries_of(folder: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Return every blob of a folder: digest, path, and what the file system says of it."""
    for path in (folder / "sha256").glob("??/*"):
        with contextlib.suppress(FileNotFoundError):  # another process may remove it at the same time
            if is_digest(path.name):
                yield path.name, path, path.stat()


def sweep_folder(folder: Path, *, older_than_s: float) -> int:
    """Remove the temporary files of dead processes from a folder; see `Artifacts.sweep`."""
    if not folder.is_dir():
        return 0
    removed = 0
    latest = time.time() - older_than_s
    with mapped_errors(f"sweeping {folder}"), os.scandir(folder) as entries:
        for entry in entries:
            found = _TEMPORARY.fullmatch(entry.name)
            # Another process may sweep at the same time; a file that cannot be removed harms nobody.
            with contextlib.suppress(OSError):
                if found and entry.stat().st_mtime <= latest and not _is_alive(int(found[1])):
                    Path(entry).unlink()
                    removed += 1
    return removed


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
def mapped_errors(doing: str) -> Iterator[None]:
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
