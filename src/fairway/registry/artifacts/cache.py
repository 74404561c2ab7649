"""Copies of blobs on the local disk, for stores that are far away.

An entry is looked at before it is used: one that is torn or altered counts as absent and is removed. So an
entry needs no fsync, and nothing that is wrong with the folder is worse than an empty one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from fairway.registry.artifacts.files import entries_of, key_of, sweep_folder, write_file


class Cache:
    """Blobs that were read lately, in a folder that stays below a size.

    Args:
        folder: Where they are; made with the first entry.
        max_bytes: How much they may take together; those that were not used for longest go first. 0 keeps
            none.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    def get(self, digest: str) -> bytes | None:
        """Return the verified bytes of an entry, or None if there is no whole one."""
        path = self.folder / key_of(digest)
        try:
            data = path.read_bytes()
        except OSError:  # absent, or a disk that cannot be read: the store has the bytes
            return None
        if hashlib.sha256(data).hexdigest() != digest:
            self.discard(digest)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return data

    def keep(self, digest: str, data: bytes) -> None:
        """Keep verified bytes, if there is room. A disk that is full only makes the next read slow."""
        if len(data) > self.max_bytes:
            return
        path = self.folder / key_of(digest)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._make_room(len(data))
            write_file(self.folder, path, lambda file: file.write(data), durable=False)

    def discard(self, digest: str) -> None:
        """Remove an entry if it is there."""
        with contextlib.suppress(OSError):
            (self.folder / key_of(digest)).unlink()

    def sweep(self, *, older_than_s: float) -> int:
        """Remove temporary files of dead processes, and return how many."""
        return sweep_folder(self.folder, older_than_s=older_than_s)

    def _make_room(self, size: int) -> None:
        entries = sorted(entries_of(self.folder), key=lambda entry: entry[2].st_mtime)
        excess = sum(stat.st_size for _, _, stat in entries) + size - self.max_bytes
        for _, path, stat in entries:
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= stat.st_size
