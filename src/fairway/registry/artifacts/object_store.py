"""An artifact store in a bucket of an S3-compatible object store, with a cache on the local disk.

Whatever is read is compared with its hash before it is used or kept. What is put is compared by the server,
which gets a SHA-256 with every request, and by its ETag or its size afterwards.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.errors import ArtifactStoreFailed
from fairway.registry.artifacts.base import CACHE_BYTES, REFRESH_S, Artifacts, Blob
from fairway.registry.artifacts.bucket import (
    PART_BYTES,
    PATIENCE_S,
    Bucket,
    Interrupted,
    Patience,
    insist,
    is_usable,
)
from fairway.registry.artifacts.cache import Cache
from fairway.registry.artifacts.fetching import Fetcher, download
from fairway.registry.artifacts.files import is_digest, key_of, mapped_errors

if TYPE_CHECKING:
    from obstore import ObjectMeta

_QUICK_S = 4.0
"""Patience of what happens inside a transaction, in which every other writer waits."""

_AT_ONCE = 8
_KEYS_PER_REQUEST = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of the bytes to be stored.

    Attributes:
        digest: Their SHA-256.
        size: How many they are.
        tags: The ETags by which a store would call them, if it makes its ETags as S3 does without a key.
    """

    digest: str
    size: int
    tags: frozenset[str]


class ObjectArtifacts(Artifacts):
    """Blobs in a bucket: `<prefix>/sha256/ab/<digest>`.

    Args:
        url: `s3://bucket/prefix`.
        cache: Folder of the local copies.
        cache_bytes: How much they may take.
        patience_s: How long one operation goes on failing before it is given up.
        forking: Id of a process that forks workers later, or 0: there a child process reads from the store,
            for whoever has used it can fork no more.
        refresh_s: Age from which on an object that is put again is written again.

    Raises:
        SettingsError: The address or the endpoint cannot be used.
        MissingExtra: obstore is not installed.
    """

    def __init__(
        self,
        url: str,
        cache: Path,
        *,
        cache_bytes: int = CACHE_BYTES,
        patience_s: float = PATIENCE_S,
        forking: int = 0,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._bucket = Bucket(url, patience_s=patience_s)
        self._quick = Bucket(url, patience_s=min(_QUICK_S, patience_s))
        self._cache = Cache(cache, max_bytes=cache_bytes)
        self._forking = forking
        self._refresh_s = refresh_s
        self._fetcher = Fetcher(url, patience_s=patience_s)
        self._fetching = threading.Lock()

    @property
    def name(self) -> str:
        """The address, as messages show it."""
        return self._bucket.name

    def put(self, data: bytes) -> str:
        """Store *data* and return its digest; see `Artifacts.put`."""
        parts = (data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES))
        return self._settle(data, _facts_of(parts))

    def put_file(self, path: Path) -> str:
        """Store the content of a file; see `Artifacts.put_file`."""
        with mapped_errors(f"reading {path}"), path.open("rb") as file:
            facts = _facts_of(iter(lambda: file.read(PART_BYTES), b""))
        return self._settle(path, facts)

    def read(self, digest: str) -> bytes:
        """Return the bytes stored under *digest*, verified; from the cache if they are there."""
        data = self._cache.get(digest)
        if data is None:
            data = self._fetch(digest)
            self._cache.keep(digest, data)
        return data

    def missing(self, digests: Collection[str]) -> set[str]:
        """Return what is not there; see `Artifacts.missing`. The cache is not asked."""

        def is_missing(digest: str) -> bool:
            return insist(lambda: self._quick.head(key_of(digest)), self._quick.patience_s) is None

        asked = sorted(set(digests))
        with ThreadPoolExecutor(min(_AT_ONCE, len(asked)) or 1) as threads:
            return {
                digest for digest, gone in zip(asked, threads.map(is_missing, asked), strict=True) if gone
            }

    def list(self) -> Iterator[Blob]:
        """Return every blob; see `Artifacts.list`."""
        patience = Patience(self._bucket.patience_s)
        after = ""
        while True:
            try:
                for found in self._bucket.list("sha256", after=after):
                    for meta in found:
                        digest = meta["path"].rpartition("/")[2]
                        if is_digest(digest):
                            yield Blob(digest, size=meta["size"], age_s=_age_of(meta))
                        after = max(after, meta["path"])
                    patience.renew()
            except Interrupted as interrupted:
                patience.wait_after(interrupted)
            else:
                return

    def remove(self, digests: Collection[str]) -> None:
        """Remove blobs, here and from the cache; see `Artifacts.remove`."""
        keys = [key_of(digest) for digest in sorted(set(digests))]
        for start in range(0, len(keys), _KEYS_PER_REQUEST):
            some = keys[start : start + _KEYS_PER_REQUEST]
            insist(lambda some=some: self._quick.delete(some), self._quick.patience_s)  # type: ignore[misc]
        for digest in digests:
            self._cache.discard(digest)

    def sweep(self, *, older_than_s: float = 86_400.0) -> int:
        """Remove what dead processes left in the cache; the store itself shows no half of an object."""
        return self._cache.sweep(older_than_s=older_than_s)

    def close(self) -> None:
        """End the child process that reads; see `Artifacts.close`."""
        with self._fetching:
            self._fetcher.close()

    def _settle(self, content: bytes | Path, facts: _Facts) -> str:
        """See that an object is there, whole and young.

        Nothing is gained by a conditional request: writing the right bytes over the right bytes changes
        nothing, and no others are ever written there.
        """
        key = key_of(facts.digest)

        def attempt() -> None:
            found = self._bucket.head(key)
            if found is not None and found["e_tag"] in facts.tags and _age_of(found) < self._refresh_s:
                return
            if self._bucket.put(key, content, size=facts.size) in facts.tags:
                return
            # With a key of the user's own an ETag says nothing about the content; the size does.
            found = self._bucket.head(key)
            if found is None or found["size"] != facts.size:
                raise Interrupted(
                    ArtifactStoreFailed(
                        f"{self.name} took {facts.digest} and does not hold it",
                        hint="check the store; is something in between that caches or changes requests?",
                    )
                )

        insist(attempt, self._bucket.patience_s)
        return facts.digest

    def _fetch(self, digest: str) -> bytes:
        if self._forking != os.getpid() and is_usable():
            return download(self._bucket, digest)
        with self._fetching:
            return self._fetcher.read(digest)


def _facts_of(parts: Iterator[bytes]) -> _Facts:
    """Look once through bytes that come in parts of `PART_BYTES`."""
    whole, plain, tags, size = hashlib.sha256(), _md5(), [], 0
    for part in parts:
        whole.update(part)
        plain.update(part)
        tags.append(_md5(part).digest())
        size += len(part)
    in_parts = _md5(b"".join(tags)).hexdigest()
    return _Facts(whole.hexdigest(), size, frozenset({f'"{plain.hexdigest()}"', f'"{in_parts}-{len(tags)}"'}))


def _md5(data: bytes = b"") -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)  # what S3 calls an object by


def _age_of(meta: ObjectMeta) -> float:
    return (datetime.now(UTC) - meta["last_modified"]).total_seconds()
