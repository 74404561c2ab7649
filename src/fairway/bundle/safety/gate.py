"""The gate that every model file passes: checked as bytes, then loaded with the same list enforced."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any

from fairway.bundle.safety.policy import Trust
from fairway.errors import ArtifactUnsafe, MissingExtra

# First bytes of a pickle and of the compressors that joblib knows (zlib, gzip, bz2, xz, lzma, lz4).
PICKLE_MAGICS = (
    b"\x80",
    b"x\x01",
    b"x\x5e",
    b"x\x9c",
    b"x\xda",
    b"\x1f\x8b",
    b"BZ",
    b"\xfd7zXZ",
    b"]\x00",
    b"\x04\x22\x4d\x18",
)


def check_files(files: Mapping[str, bytes], trust: Trust) -> None:
    """Refuse files that the policy does not let anybody load; nothing of them is run to find out.

    Args:
        files: Contents by relative path.
        trust: What may be constructed.

    Raises:
        ArtifactUnsafe: Names the file.
    """
    if trust.policy != "safe-only":
        return
    for path, data in files.items():
        if data.startswith(PICKLE_MAGICS):
            raise ArtifactUnsafe(
                f"{path} is a pickle, and the policy safe-only loads none",
                hint="save the model in the format of its framework",
            )


def load_pickle(
    data: bytes, trust: Trust, *, modules: Callable[[], AbstractContextManager[Collection[str]]]
) -> Any:
    """Return the object of a pickle or joblib file, compressed or not.

    Args:
        data: The file.
        trust: What may be constructed.
        modules: Opens a block in which the modules that travel with the model can be imported, and gives the
            names of the top-level ones: they are the user's own, and trusted.

    Raises:
        ArtifactUnsafe: The file constructs something that is not trusted; names it.
        MissingExtra: joblib is not installed.
        Exception: Whatever a damaged pickle raises.
    """
    try:
        import joblib
    except ImportError as cause:
        raise MissingExtra("joblib", "sklearn", purpose="a pickle or joblib file") from cause
    check_files({"model": data}, trust)
    with modules():
        return joblib.load(io.BytesIO(data))
