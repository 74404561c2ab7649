"""Rows of a request as JSON Lines, and the wrappers that some clients put around each row.

Both are brought into the list of rows that the native reader takes, row by row and byte for byte, so that one
reader decides what a row is. Each line is one whole value: two on a line are not two rows.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from fairway.errors import FairwayError, MalformedRequest, TooManyRows
from fairway.protocols.json_body import parse_json

WRAPPERS = ("features", "data")
"""Keys under which clients of built-in algorithms put a row: `{"features": [5.1, 3.5]}`."""

_WRAPPED = re.compile(rb'[ \t\n\r]*\{[ \t\n\r]*"(' + "|".join(WRAPPERS).encode() + rb')"[ \t\n\r]*:')
_ROW = re.compile(r"/([0-9]+)(?=/|$)")
_raw = msgspec.json.Decoder(msgspec.Raw).decode
_unwrap: dict[str, Any] = {
    key: msgspec.json.Decoder(
        msgspec.defstruct("Wrapped", [("row", msgspec.Raw)], rename={"row": key}, forbid_unknown_fields=True)
    ).decode
    for key in WRAPPERS
}


def split_lines(body: bytes, *, max_rows: int, max_depth: int) -> list[bytes]:
    """Return the values of JSON Lines, each as it was written; empty lines are none.

    Raises:
        MalformedRequest: A line is not one whole JSON value; the message names the line.
        TooManyRows: There are more than *max_rows*.
    """
    found = body.count(b"\n")
    if found > 2 * max_rows + 1:  # whether they are empty need not be found out
        raise TooManyRows(found, max_rows)
    if not is_utf8(body):
        for number, line in enumerate(body.split(b"\n"), 1):
            _refuse_line(number, line or b"0", max_depth)
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise MalformedRequest("body_empty", "the body is empty", hint="send one JSON value per line")
    if len(lines) > max_rows:
        raise TooManyRows(len(lines), max_rows)
    for number, line in lines:
        try:
            _raw(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            _refuse_line(number, line, max_depth)
    return [line for _, line in lines]


def is_utf8(body: bytes) -> bool:
    """Tell whether a body is text; what has been cut out of it would name another place where it is not."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refuse_line(number: int, line: bytes, max_depth: int) -> None:
    """Raise what is wrong with a line, unless the reference takes it after all."""
    try:
        parse_json(line, max_depth=max_depth)
    except MalformedRequest as error:
        error.detail = f"line {number}: {error.detail}"
        raise


class Unwrapper:
    """Takes rows out of their wrappers.

    Args:
        names: Names of the model's inputs; a key that is one of them wraps nothing.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._keys = frozenset(key.encode() for key in WRAPPERS if key not in names)

    def begins(self, beginning: bytes) -> bool:
        """Tell whether a row that begins so may stand in a wrapper."""
        found = _WRAPPED.match(beginning)
        return found is not None and found[1] in self._keys

    def rows_of(self, rows: Sequence[bytes]) -> tuple[bytes, list[bytes]] | None:
        """Return the key of the wrappers and the rows inside, or None unless every row has that one."""
        found = _WRAPPED.match(rows[0]) if rows else None
        if found is None or found[1] not in self._keys:
            return None
        unwrap = _unwrap[found[1].decode()]
        inside = []
        for row in rows:
            try:
                raw = bytes(unwrap(row).row)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return None
            # A wrapper that stands twice has more quotation marks than the row and its one key.
            if row.count(b'"') != raw.count(b'"') + 2:
                return None
            inside.append(raw)
        return found[1], inside


def wrapped(error: FairwayError, key: str) -> FairwayError:
    """Let the places in an error name the wrapper, too: they point into the body as it was sent."""
    return moved(error, lambda pointer: _ROW.sub(rf"/\1/{key}", pointer, count=1))


def moved(error: FairwayError, move: Callable[[str], str]) -> FairwayError:
    """Let the places in an error be those of the body as it was sent, which another one was made of."""
    faults = [dataclasses.replace(fault, pointer=move(fault.pointer)) for fault in error.faults]
    if faults:
        before, after = error.faults[0].pointer, faults[0].pointer
        error.detail = error.detail.replace(f" - at {before}", f" - at {after}", 1)
    error.faults = faults
    if error.example is not None:  # it corrects the other body
        error.example, error.hint = None, ""
    return error


def listed(rows: Sequence[Any]) -> bytes:
    """Return rows as one JSON list."""
    return b"[" + b",".join(rows) + b"]"
