"""The interface of an artifact store: bytes under the hash of their content.

What is stored never changes and has no owner: the same bytes put twice are one blob. Whether anything refers
to a blob is known to the metadata alone.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Collection, Iterator
from pathlib import Path

CACHE_BYTES = 10 * 2**30
"""How much copies of blobs that are far away may take on the local disk, unless somebody says otherwise."""

REFRESH_S = 6 * 3_600.0
"""A blob older than this looks new again once it is put again, so that no clean-up takes it for forgotten."""


@dataclasses.dataclass(frozen=True, slots=True)
class Blob:
    """One stored blob.

    Attributes:
        digest: SHA-256 of its bytes, in hex.
        size: How many bytes it has.
        age_s: Seconds since it was put, or put again after it had become old.
    """

    digest: str
    size: int
    age_s: float


class Artifacts(abc.ABC):
    """A store of immutable blobs, keyed by their SHA-256 in hex.

    Every method may raise `StoreUnavailable` and never an error of the storage behind it.
    """

    @abc.abstractmethod
    def put(self, data: bytes) -> str:
        """Store *data* and return its digest; when it returns, the bytes survive a loss of power.

        Bytes that are there already are left alone, unless what is there is damaged: then it is replaced.
        Whatever interrupts this, no other call ever sees half a blob.

        Raises:
            StorageFull: There is no space left; nothing was stored.
        """

    @abc.abstractmethod
    def put_file(self, path: Path) -> str:
        """Store the content of a file that nobody changes meanwhile, as `put` does, but not all in memory.

        Raises:
            StorageFull: There is no space left; nothing was stored.
        """

    @abc.abstractmethod
    def read(self, digest: str) -> bytes:
        """Return the bytes stored under *digest*, unverified: whoever reads compares the hash.

        Raises:
            ArtifactDigest: There is no such blob, or it is damaged; the message names it.
        """

    @abc.abstractmethod
    def missing(self, digests: Collection[str]) -> set[str]:
        """Return those of *digests* that are not stored; quick enough to ask inside a transaction."""

    @abc.abstractmethod
    def list(self) -> Iterator[Blob]:
        """Return every stored blob, in no particular order."""

    @abc.abstractmethod
    def remove(self, digests: Collection[str]) -> None:
        """Remove blobs; those that are not there count as removed."""

    @abc.abstractmethod
    def sweep(self, *, older_than_s: float = 86_400.0) -> int:
        """Remove what writers that died left behind, and return how many files that were.

        Args:
            older_than_s: Leave everything younger alone. The default of a day spares writers that cannot be
                seen from here, such as those in another container.
        """

    def close(self) -> None:  # noqa: B027 - most stores keep nothing open
        """Let go of connections and processes; the next call opens them again."""
