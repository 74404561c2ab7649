"""Whole columns at once: what the reference validator does to rows, done to arrays.

A table's reader has its values as arrays already; a Python object per value would cost more than most models.
`ColumnReader` accepts only columns without any fault and says None otherwise: whoever asked then goes through
`Validator` in `validation.py`, which is the definition. A property test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.bundle.signature import LIST_KINDS, MAX_EXACT_INTEGER, Input, Signature
from fairway.bundle.validation import Refused, convert_value, has_int_levels
from fairway.messages import ArrayColumns

Array = NDArray[Any] | list[Any]
"""Values of one input as a table gives them. Missing is NaN in an array, None in a list."""


class ColumnReader:
    """The validator's rules for whole columns.

    Args:
        signature: Inputs and policies.
        max_text_chars: Longest text that is read, in code points.
    """

    def __init__(self, signature: Signature, *, max_text_chars: int = 1_000_000) -> None:
        self._signature = signature
        self._max_text_chars = max_text_chars

    def check(self, arrays: Sequence[Array]) -> ArrayColumns | None:
        """Return the columns, or None if any value is at fault, or too unusual to be judged here.

        Args:
            arrays: One per input, in signature order; all of one length.
        """
        inputs = self._signature.inputs
        try:
            read = [self._read(entry, array) for entry, array in zip(inputs, arrays, strict=True)]
            unseen = [
                (entry.name, code, concerned)
                for find in (self._outside, self._unknown)
                for entry, values in zip(inputs, read, strict=True)
                for code, concerned in find(entry, values)
            ]
        except Refused:
            return None
        return ArrayColumns(self._signature.names, read, unseen)

    def _read(self, entry: Input, array: Array) -> Array:
        values = array if isinstance(array, list) else _ARRAYS.get(entry.kind, _as_list)(array)
        if isinstance(values, list):
            values = self._read_list(entry, values)
        if not entry.nullable and _has_missing(values):
            raise _FAULT
        return values

    def _read_list(self, entry: Input, values: list[Any]) -> Array:
        types = set(map(type, values))
        if entry.kind in {"text", "category"} and types <= {str, type(None)} and not has_int_levels(entry):
            if max((len(value) for value in values if value), default=0) > self._max_text_chars:
                raise _FAULT
            return values
        if entry.kind == "number" and types <= {float, type(None)}:
            return _numbers(np.array(values, np.float64))
        limit = self._max_text_chars
        read = [None if value is None else convert_value(value, entry, limit) for value in values]
        if entry.kind == "vector" and not all(map(_is_finite, read)):
            raise _FAULT
        return _numbers(np.array(read, np.float64)) if entry.kind == "number" else _packed(entry, read)

    def _outside(self, entry: Input, values: Array) -> list[tuple[str, NDArray[np.bool_]]]:
        policy, low, high = self._signature.out_of_range, entry.minimum, entry.maximum
        if low is None or high is None or policy == "pass":
            return []
        if entry.kind in LIST_KINDS:
            concerned = np.array(
                [value is not None and not low <= len(value) <= high for value in values], bool
            )
        elif isinstance(values, list):
            concerned = np.array([value is not None and not low <= value <= high for value in values], bool)
        elif values.dtype.kind == "f":
            concerned = (values < low) | (values > high)  # neither holds for NaN, which is missing
        else:
            # Compared as integers: a float64 bound would round its neighbours beyond 2^53.
            concerned = (values < math.ceil(low)) | (values > math.floor(high))
        return _noted("out_of_range", concerned, policy)

    def _unknown(self, entry: Input, values: Array) -> list[tuple[str, NDArray[np.bool_]]]:
        policy, levels = self._signature.unseen_category, frozenset(entry.levels)
        if not levels or policy == "pass":
            return []
        if entry.kind == "category_list":
            unknown = [value is not None and not levels.issuperset(value) for value in values]
            return _noted("category_unknown", np.array(unknown, bool), policy)
        found = values if isinstance(values, list) else values.tolist()
        if set(found) <= levels:
            return []
        concerned = np.array([value is not None and value not in levels for value in found], bool)
        return _noted("category_unknown", concerned, policy)


_FAULT = Refused("", "")


def _noted(code: str, concerned: NDArray[np.bool_], policy: str) -> list[tuple[str, NDArray[np.bool_]]]:
    if not concerned.any():
        return []
    if policy == "reject":
        raise _FAULT
    return [(code, concerned)]


def _as_list(array: NDArray[Any]) -> list[Any]:
    """Return an array as plain values; NaN is missing."""
    values: list[Any] = array.tolist()
    if array.dtype.kind != "f":
        return values
    return [None if value != value else value for value in values]  # noqa: PLR0124 - NaN


def _numbers(array: NDArray[Any]) -> Array:
    if array.dtype.kind in "iu":
        if _reaches(array, MAX_EXACT_INTEGER):  # beyond, the reference asks of each whether it is exact
            return _as_list(array)
        return array.astype(np.float64)
    if array.dtype.kind != "f":
        return _as_list(array)
    if np.isinf(array).any():
        raise _FAULT
    return array.astype(np.float64, copy=False)


def _integers(array: NDArray[Any]) -> Array:
    if array.dtype.kind == "f" and np.isfinite(array).all() and not _reaches(array, MAX_EXACT_INTEGER):
        whole = array.astype(np.int64)
        return whole if (whole == array).all() else _as_list(array)
    if array.dtype.kind in "iu" and not (array.dtype == np.uint64 and _reaches(array, 2**63)):
        return array.astype(np.int64, copy=False)
    return _as_list(array)


def _reaches(array: NDArray[Any], limit: int) -> bool:
    return len(array) > 0 and not (int(array.max()) < limit and int(array.min()) > -limit)


def _booleans(array: NDArray[Any]) -> Array:
    return array if array.dtype.kind == "b" else _as_list(array)


_ARRAYS: dict[str, Callable[[NDArray[Any]], Array]] = {
    "number": _numbers,
    "integer": _integers,
    "boolean": _booleans,
}


def _packed(entry: Input, values: list[Any]) -> Array:
    """Return integers and booleans as an array where none is missing."""
    kinds = {"integer": np.int64, "boolean": np.bool_}
    return values if entry.kind not in kinds or None in values else np.array(values, kinds[entry.kind])


def _has_missing(values: Array) -> bool:
    if isinstance(values, list):
        return None in values
    return values.dtype.kind == "f" and bool(np.isnan(values).any())


def _is_finite(vector: list[float] | None) -> bool:
    return vector is None or all(map(math.isfinite, vector))
