"""Which stored files the rows of a registry refer to: the manifests, and whatever these name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from fairway.bundle.manifest import FileEntry
from fairway.errors import ArtifactCorrupt, ArtifactDigest
from fairway.registry.metadata.base import View


class _Listing(msgspec.Struct):
    """What the manifests of bundles and of attachments have in common, in every format."""

    files: dict[str, FileEntry]


def manifests_of(view: View) -> set[str]:
    """Return the digests of the manifests of all versions, and of what counts as attached to one of them."""
    versions = view.digests()
    return versions | {record.digest for record in view.all_attachments() if record.subject in versions}


def blobs_of(manifests: Iterable[str], read: Callable[[str], bytes]) -> set[str]:
    """Return the digests of manifests and of all files that they name.

    Args:
        manifests: Digests of manifests.
        read: Gives the bytes of a blob.

    Raises:
        ArtifactDigest: A manifest is missing or damaged, so nobody knows what it names.
    """
    found: set[str] = set()
    for digest in manifests:
        data = read_whole(digest, read)
        try:
            listing = msgspec.json.decode(data, type=_Listing)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
            raise ArtifactCorrupt(f"the artifact {digest} is not a manifest: {cause}") from cause
        found |= {digest, *(entry.sha256 for entry in listing.files.values())}
    return found


def read_whole(digest: str, read: Callable[[str], bytes]) -> bytes:
    """Return the bytes of a blob, compared with its digest.

    Raises:
        ArtifactDigest: They are others.
    """
    data = read(digest)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ArtifactDigest(
            f"the artifact {digest} is not what was stored",
            hint="put the file back from a backup, or push the same model file again",
        )
    return data
