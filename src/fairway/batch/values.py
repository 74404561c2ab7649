"""Values of the output as the text formats write them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec

from fairway.protocols.cells import text_of


class Repeated:
    """One value in every row."""

    def __init__(self, value: Any, rows: int) -> None:
        self.value = value
        self._rows = rows

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return itertools.repeat(self.value, self._rows)


class Numbered:
    """A text with the number of the row behind it: `<prefix>.<n>`."""

    def __init__(self, prefix: str, numbers: range) -> None:
        self.prefix = prefix
        self.numbers = numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[str]:
        prefix = self.prefix
        return (f"{prefix}.{number}" for number in self.numbers)


def as_list(column: Any) -> list[Any]:
    """Return a column as plain values; an Arrow array is turned into them."""
    values: list[Any] = column.to_pylist() if hasattr(column, "to_pylist") else list(column)
    return values


def as_text(column: Any) -> list[str | None]:
    """Return a column as cells; None is an empty one."""
    values = as_list(column)
    kinds = set(map(type, values))
    if kinds <= {str, type(None)}:
        return values
    if kinds <= {int, type(None)}:
        return [None if value is None else str(value) for value in values]
    return [_cell(value) for value in values]


def _cell(value: Any) -> str | None:
    return _raw_text(bytes(value)) if isinstance(value, msgspec.Raw) else text_of(value)


def _raw_text(raw: bytes) -> str | None:
    """Return a value of a JSON line: a text as itself, null as nothing, the rest as it is written."""
    if raw == b"null":
        return None
    return str(msgspec.json.decode(raw)) if raw.startswith(b'"') else raw.decode()
