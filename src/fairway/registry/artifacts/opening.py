"""Which store an address stands for."""

from __future__ import annotations

from pathlib import Path

from fairway.errors import UsageError
from fairway.registry.artifacts.base import CACHE_BYTES, Artifacts
from fairway.registry.artifacts.local import LocalArtifacts
from fairway.settings import masked


def open_artifacts(
    address: str, *, home: Path, cache_bytes: int = CACHE_BYTES, forking: int = 0
) -> Artifacts:
    """Open the store of a registry's files.

    Args:
        address: Its address; empty for the folder `artifacts` in the home folder.
        home: The home folder, which is there.
        cache_bytes: How much copies of files of an object store may take, in the folder `cache` of the home.
        forking: Id of the process that forks workers later; see `ObjectArtifacts`.

    Raises:
        UsageError: There is no such kind of store.
        SettingsError: The address, or what the environment says of the store, cannot be used.
        MissingExtra: What asks an object store is not installed.
    """
    if not address:
        return LocalArtifacts(home / "artifacts")
    if address.startswith("s3://"):
        from fairway.registry.artifacts.object_store import ObjectArtifacts

        return ObjectArtifacts(address, home / "cache", cache_bytes=cache_bytes, forking=forking)
    raise UsageError(
        f"artifacts cannot be kept in {masked(address)!r}", hint="use an address like s3://bucket/prefix"
    )
