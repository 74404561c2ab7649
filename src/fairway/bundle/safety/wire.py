"""Protocol buffers, read without their schema: the fields of a message, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Field(NamedTuple):
    """One field: its number, its kind on the wire, and the number or bytes that it holds."""

    number: int
    kind: int
    value: int | bytes


def fields_of(message: bytes) -> Iterator[Field]:
    """Yield the fields of a message, those inside groups as well.

    Raises:
        ValueError: The bytes are no message.
    """
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field without a number")
        if kind == 0:
            value, position = _varint(message, position)
            yield Field(number, kind, value)
            continue
        if kind in {3, 4}:  # groups, which readers skip: what is inside counts as fields of the message
            continue
        if kind == 2:
            size, position = _varint(message, position)
        elif kind in {1, 5}:
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("a kind of field that no longer exists")
        if position + size > end:
            raise ValueError("a field longer than its message")
        yield Field(number, kind, message[position : position + size])
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise ValueError("a number without an end")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
