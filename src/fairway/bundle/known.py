"""What this home folder made itself: bundles and attachments, remembered by their digests.

One empty file each, which needs no database at start-up. The digest of a bundle does not cover its
attachments, and a compiled predictor decides what is answered: each is remembered by its own. Whether a
bundle that is not known may be loaded is decided in `admission.py`.
"""

from __future__ import annotations

from pathlib import Path

from fairway.bundle.bundle import Bundle

_FOLDER = "packed"


def remember(home: Path, bundle: Bundle) -> None:
    """Record that this home made *bundle* and its attachments."""
    folder = home / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for digest in (bundle.digest, *(attachment.digest for attachment in bundle.attachments.values())):
        (folder / digest).touch()


def is_known(home: Path, digest: str) -> bool:
    """Tell whether this home made the bundle or attachment of this digest."""
    return (home / _FOLDER / digest).is_file()
