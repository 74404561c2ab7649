"""Arrays and tensors: NumPy's files and safetensors, whose headers say whether there is more than numbers."""

from __future__ import annotations

import ast
from typing import Any

import msgspec

from fairway.errors import ArtifactCorrupt, ArtifactUnsafe

_MAX_HEADER = 2**16
_MAX_TENSORS_HEADER = 100_000_000
_HEADER_SIZES = {
    1: (8, 2),
    2: (8, 4),
    3: (8, 4),
}  # by version: where the length stands, and in how many bytes


def check_npy(data: bytes, path: str) -> None:
    """Refuse an array file that holds objects, which are a pickle, or whose header cannot be read.

    Raises:
        ArtifactCorrupt: It cannot be read.
        ArtifactUnsafe: It holds objects.
    """
    try:
        start, width = _HEADER_SIZES[data[6]]
        length = int.from_bytes(data[start : start + width], "little")
        text = data[start + width : start + width + length].decode("latin-1")
        whole = len(text) == length <= _MAX_HEADER
        described = ast.literal_eval(text if whole else "")["descr"]
    except (KeyError, IndexError, ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as cause:
        raise ArtifactCorrupt(f"{path} is no whole array file") from cause
    if _holds_objects(described):
        raise ArtifactUnsafe(
            f"{path} is an array of objects, which NumPy keeps as a pickle",
            hint="save numbers or texts: array.astype(float), array.astype(str)",
        )


def _holds_objects(described: Any) -> bool:
    if isinstance(described, str):
        return "O" in described
    if isinstance(described, list | tuple):
        return any(_holds_objects(part) for part in described)
    return not isinstance(described, int)


def check_safetensors(data: bytes, path: str) -> None:
    """Refuse a file whose header points outside of it.

    Raises:
        ArtifactCorrupt: It does, or is no header.
    """
    length = int.from_bytes(data[:8], "little")
    room = len(data) - 8 - length
    try:
        header = msgspec.json.decode(data[8 : 8 + length] if length <= _MAX_TENSORS_HEADER else b"")
        places = [header[name]["data_offsets"] for name in header if name != "__metadata__"]
        outside = [place for place in places if not 0 <= place[0] <= place[1] <= room]
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
        TypeError,
        KeyError,
        IndexError,
        RecursionError,
    ) as cause:
        raise ArtifactCorrupt(f"{path} is no whole safetensors file") from cause
    if outside:
        raise ArtifactCorrupt(f"{path} places a tensor at {outside[0]}, which is outside of the file")
