"""Which bundle files may be loaded: for now those that this home packed or pulled itself.

Loading a pickle runs code, so a bundle file from elsewhere is not loaded on sight. What was packed here is
remembered by digest, one empty file each, which needs no database at start-up. The digest of a bundle does
not cover its attachments, and a compiled predictor decides what is answered: each is remembered by its own.
"""

from __future__ import annotations

from pathlib import Path

from fairway.bundle.bundle import Bundle
from fairway.errors import UntrustedBundle


def remember(home: Path, bundle: Bundle) -> None:
    """Record that this home made *bundle* and its attachments."""
    folder = home / "packed"
    folder.mkdir(parents=True, exist_ok=True)
    for digest in (bundle.digest, *(attachment.digest for attachment in bundle.attachments.values())):
        (folder / digest).touch()


def check_known(home: Path, bundle: Bundle) -> None:
    """Refuse a bundle that this home did not pack, or that has an attachment which it did not make.

    A foreign attachment is refused, not left out: somebody has put it there, and whoever serves the bundle
    would wonder why it answers more slowly, or not at all.

    Raises:
        UntrustedBundle: A digest is not one that this home remembers.
    """
    known = home / "packed"
    if not (known / bundle.digest).is_file():
        raise UntrustedBundle(
            f"the bundle {bundle.manifest.name!r} ({bundle.digest[:12]}) was packed elsewhere; "
            "loading it could run code",
            hint="push the model file itself, or pack it here",
        )
    for attachment in bundle.attachments.values():
        if not (known / attachment.digest).is_file():
            raise UntrustedBundle(
                f"the attachment {attachment.name!r} of the bundle {bundle.manifest.name!r} "
                f"({attachment.digest[:12]}) was made elsewhere; it could change what is answered",
                hint="compile the bundle here: fairway compile PATH",
            )
