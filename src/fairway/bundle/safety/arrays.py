"""Where joblib puts an array: behind the header in the pickle, as raw bytes or, for objects, as a pickle.

The place is worked out from the header as it stands in the file. The loader works it out once more from the
objects that were really made, and goes on only if both are equal: a header that is read in two ways could
hide a pickle in what looks like numbers.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from fairway.errors import ArtifactCorrupt, ArtifactUnsafe

HEADER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
OLD_HEADERS = frozenset(
    {
        ("joblib.numpy_pickle", "NDArrayWrapper"),
        ("joblib.numpy_pickle", "ZNDArrayWrapper"),
        ("joblib.numpy_pickle_compat", "NDArrayWrapper"),
        ("joblib.numpy_pickle_compat", "ZNDArrayWrapper"),
        ("sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper"),
        ("sklearn.externals.joblib.numpy_pickle", "NDArrayWrapper"),
        ("sklearn.externals.joblib.numpy_pickle", "ZNDArrayWrapper"),
    }
)
_TYPE = re.compile(r"[|<>=]?([biufcSUVMm])(\d{1,9})")
_OBJECTS = -1
_OBJECT = re.compile(r"[|<>=]?O\d*")


class ArrayPlace(NamedTuple):
    """Where the content of one array stands.

    Attributes:
        start: First byte after the header.
        data: First byte of the numbers, after what aligns them.
        end: First byte after them; for a nested pickle equal to *start*.
        nested: Whether the array holds objects, and so is a pickle.
    """

    start: int
    data: int
    end: int
    nested: bool


def place_of_array(made: Any, data: bytes, start: int) -> ArrayPlace | None:
    """Return where the array of a header is, or None if *made* is no header of joblib's.

    Args:
        made: An object that got its state (a `Made`).
        data: The file.
        start: Position after the header.

    Raises:
        ArtifactCorrupt: The file ends before the array does, or is of a joblib too old to read.
        ArtifactUnsafe: The header is not as joblib writes it.
    """
    if tuple(made.what) in OLD_HEADERS:
        raise old_joblib()
    if tuple(made.what) != HEADER:
        return None
    state = made.state
    shape = getattr(state.get("shape"), "items", None)
    itemsize = _item_size(state.get("dtype"))
    alignment = state.get("numpy_array_alignment_bytes")
    if made.args != () or shape is None or itemsize is None or not all(_is_count(n) for n in shape):
        raise ArtifactUnsafe(f"the header of an array at byte {start} is not as joblib writes it")
    if itemsize == _OBJECTS:
        return ArrayPlace(start, start, start, nested=True)
    return _place(data, start, size=math.prod(shape) * itemsize, aligned=alignment is not None)


def _place(data: bytes, start: int, *, size: int, aligned: bool) -> ArrayPlace:
    first = start
    if aligned:
        if start >= len(data):
            raise _cut_off()
        first = start + 1 + data[start]
    if first + size > len(data):
        raise _cut_off()
    return ArrayPlace(start, first, first + size, nested=False)


def _item_size(dtype: Any) -> int | None:
    """Return the bytes of one element, `_OBJECTS` for objects, None if it cannot be told."""
    if dtype is None or tuple(getattr(dtype, "what", ())) != ("numpy", "dtype"):
        return None
    text = dtype.args[0] if dtype.args else None
    state = dtype.state.get("state")
    if not isinstance(text, str) or state is None:
        return None
    if _OBJECT.fullmatch(text):
        return _OBJECTS
    found = _TYPE.fullmatch(text)
    if found is None:
        return None
    if any(holds_objects(field) for field in (state[2:3] + state[4:5])):
        return _OBJECTS
    return int(found[2]) * (4 if found[1] == "U" else 1)


def holds_objects(part: Any) -> bool:
    """Tell whether a field of a structured type, or anything inside it, is an object."""
    if isinstance(part, dict):
        return any(holds_objects(value) for value in part.values())
    items = getattr(part, "items", None)
    if isinstance(items, tuple):
        return any(holds_objects(item) for item in items)
    return hasattr(part, "what") and _item_size(part) == _OBJECTS


def _is_count(value: Any) -> bool:
    # np.int64 in a shape is written as a call, which joblib's own writer never does.
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48


def _cut_off() -> ArtifactCorrupt:
    return ArtifactCorrupt(
        "the file ends in the middle of an array", hint="was it cut off while copying? save the model again"
    )


def old_joblib() -> ArtifactCorrupt:
    """Return the error for a file of joblib 0.9 or older, or of the copy that scikit-learn once had."""
    return ArtifactCorrupt(
        "the file was written by a joblib too old to be read safely (0.9, or that inside scikit-learn 0.22)",
        hint="load it in its old environment, and save it again there with joblib 1.0 or newer",
    )
