"""Values of the output as the text formats write them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import Any

import msgspec


def as_list(column: Any) -> Sequence[Any]:
    """Return a column as plain values; an Arrow array is turned into them."""
    values: Sequence[Any] = column.to_pylist() if hasattr(column, "to_pylist") else column
    return values


def as_text(column: Any) -> list[str | None]:
    """Return a column as cells; None is an empty one."""
    values = as_list(column)
    kinds = set(map(type, values))
    if kinds <= {str, type(None)}:
        return list(values)
    if kinds <= {int, type(None)}:
        return [None if value is None else str(value) for value in values]
    return [_cell(value) for value in values]


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, msgspec.Raw):
        return _raw_text(bytes(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, list | dict):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)


def _raw_text(raw: bytes) -> str | None:
    """Return a value of a JSON line: a text as itself, null as nothing, the rest as it is written."""
    if raw == b"null":
        return None
    return str(msgspec.json.decode(raw)) if raw.startswith(b'"') else raw.decode()
