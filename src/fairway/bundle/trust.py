"""Which bundle files may be loaded: for now those that this home packed or pulled itself.

Loading a pickle runs code, so a bundle file from elsewhere is not loaded on sight. What was packed here is
remembered by digest, one empty file each, which needs no database at start-up.
"""

from __future__ import annotations

from pathlib import Path

from fairway.bundle.bundle import Bundle
from fairway.errors import UntrustedBundle


def remember(home: Path, bundle: Bundle) -> None:
    """Record that this home made *bundle*."""
    folder = home / "packed"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / bundle.digest).touch()


def check_known(home: Path, bundle: Bundle) -> None:
    """Refuse a bundle that this home did not pack.

    Raises:
        UntrustedBundle: The digest is not one that this home remembers.
    """
    if not (home / "packed" / bundle.digest).is_file():
        raise UntrustedBundle(
            f"the bundle {bundle.manifest.name!r} ({bundle.digest[:12]}) was packed elsewhere; "
            "loading it could run code",
            hint="push the model file itself, or pack it here",
        )
