"""Cells of a table of text as values, and values as cells.

An empty cell is a missing value. A cell of a number, an integer or a list is read as JSON is (`5.1`, `1e3`;
not `+5`, `NaN` or `1,5`), a boolean is `true` or `false` in any case, everything else is text as it stands.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec

from fairway.bundle.signature import MAX_EXACT_INTEGER, Input
from fairway.bundle.validation import has_int_levels
from fairway.errors import MalformedRequest
from fairway.protocols.json_body import parse_json

_LISTS = frozenset({"vector", "text_list", "category_list"})
_BOOLEANS = {"": None, "true": True, "false": False}


def _is_json(entry: Input) -> bool:
    is_level = entry.kind == "category" and has_int_levels(entry)
    return entry.kind in {"number", "integer"} | _LISTS or is_level


def cell_value(entry: Input, cell: str, max_depth: int) -> Any:
    """Return one cell as a request would hold it: what cannot be read stays the text that it is."""
    if cell == "":
        return None
    if entry.kind == "boolean":
        return _BOOLEANS.get(cell.lower(), cell)
    if not _is_json(entry):
        return cell
    try:
        return parse_json(cell.encode(), max_depth=max_depth)
    except MalformedRequest as error:
        if error.faults:  # JSON, but a value that none may be: NaN, 1e400
            raise
        return cell


def cells_of(entry: Input) -> Callable[[Sequence[str]], list[Any]]:
    """Return the function that reads all cells of an input at once, or raises where `cell_value` has to."""
    if entry.kind == "boolean":
        return lambda cells: [_BOOLEANS[cell.lower()] for cell in cells]
    if entry.kind in _LISTS:
        return lambda cells: [msgspec.json.decode(cell) if cell else None for cell in cells]
    if not _is_json(entry):
        return lambda cells: [cell or None for cell in cells]
    # Beyond 2^53 msgspec would round an integer silently.
    number: Any = Annotated[float, msgspec.Meta(gt=-MAX_EXACT_INTEGER, lt=MAX_EXACT_INTEGER)]
    kind: Any = number if entry.kind == "number" else int
    decode = msgspec.json.Decoder(list[kind | None]).decode

    def read(cells: Sequence[str]) -> list[Any]:
        filled = [cell or "null" for cell in cells] if "" in cells else cells
        values: list[Any] = decode(f"[{','.join(filled)}]")
        if len(values) != len(cells):  # one of the cells holds a comma
            raise ValueError
        return values

    return read


def text_of(value: Any) -> str | None:
    """Return a value as a cell; what is missing, or no number, is an empty one."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, list | dict):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)
