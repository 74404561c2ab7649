"""Which store an address stands for."""

from __future__ import annotations

from pathlib import Path

from fairway.errors import UsageError
from fairway.registry.artifacts.base import Artifacts
from fairway.registry.artifacts.local import LocalArtifacts
from fairway.settings import masked


def open_artifacts(address: str, *, home: Path) -> Artifacts:
    """Open the store of a registry's files.

    Args:
        address: Its address; empty for the folder `artifacts` in the home folder.
        home: The home folder, which is there.

    Raises:
        UsageError: There is no such kind of store.
    """
    if not address:
        return LocalArtifacts(home / "artifacts")
    raise UsageError(
        f"artifacts cannot be kept in {masked(address)!r}", hint="use an address like s3://bucket/prefix"
    )
