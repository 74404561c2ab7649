"""The interface of an artifact store: bytes under the hash of their content.

What is stored never changes and has no owner: the same bytes put twice are one blob. Whether anything refers
to a blob is known to the metadata alone.
"""

from __future__ import annotations

import abc


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
    def read(self, digest: str) -> bytes:
        """Return the bytes stored under *digest*, unverified: whoever reads compares the hash.

        Raises:
            ArtifactDigest: There is no such blob; the message names it.
        """

    @abc.abstractmethod
    def sweep(self, *, older_than_s: float = 86_400.0) -> int:
        """Remove what writers that died left behind, and return how many files that were.

        Args:
            older_than_s: Leave everything younger alone. The default of a day spares writers that cannot be
                seen from here, such as those in another container.
        """
