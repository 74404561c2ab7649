"""The gate that every model file passes: looked into as bytes, judged by the policy."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fairway.bundle.safety.containers import decompress
from fairway.bundle.safety.formats import COMPRESSED, format_of
from fairway.bundle.safety.judge import refuse
from fairway.bundle.safety.looking import SAFE_FORMATS, Seen, look
from fairway.bundle.safety.policy import Trust
from fairway.errors import ArtifactEmpty, ArtifactUnsafe, FairwayError


def check_files(files: Mapping[str, bytes], trust: Trust, *, own: Collection[str] = ()) -> None:
    """Do what `fairway.bundle.safety.check_files` promises."""
    if files and not any(files.values()):
        raise ArtifactEmpty(f"{next(iter(files))} is empty", hint="was the save or copy cut off?")
    for path, data in files.items():
        check_seen(look(path, data, trust=trust, own=own, beside=files.keys()), trust)


def check_seen(seen: Seen, trust: Trust) -> None:
    """Refuse one file by what was seen in it.

    Raises:
        ArtifactImport: It needs a package that is not installed, nor on the list.
        ArtifactUnsafe: Its format or a name in it is not allowed.
    """
    if trust.policy == "safe-only" and seen.format not in SAFE_FORMATS:
        raise ArtifactUnsafe(
            f"{seen.path} is a file of the format {seen.format!r}; the policy safe-only loads only formats "
            "that run no code",
            hint="convert it where it is trusted: fairway convert MODEL OUT",
        )
    refuse(seen.names, seen.path)


def is_pickle(data: bytes) -> bool:
    """Tell whether a file is a pickle or joblib file, compressed or not; what cannot be unpacked is none."""
    kind = format_of(data)
    if kind not in COMPRESSED:
        return kind == "pickle"
    try:
        return format_of(decompress(data)) == "pickle"
    except FairwayError:
        return False
