r"""Large bodies in slices: whoever decodes or encodes megabytes at once lets no other thread run meanwhile.

A list of rows is cut where two rows may meet (`},{` or `],[`). Nothing is known there of what the bytes
mean: the border may stand inside a text, or inside a row. It does not matter. If every slice, put between
brackets, is a JSON array that is not empty, then the slices joined by their commas are one, too, with the
same rows in the same order: the grammar of such an array is `[` value (`,` value)* `]`, and JSON has one way
only to read a text. A slice that is no array is tried again up to the next borders; if it is none then, the
whole body is left to the reference.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

_BORDERS = {
    b"{": re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*\{"),
    b"[": re.compile(rb"\][ \t\n\r]*,[ \t\n\r]*\["),
}
_END = re.compile(rb"\][ \t\n\r]*\Z")
_ENVELOPE_END = re.compile(rb"\][ \t\n\r]*\}[ \t\n\r]*\Z")
_END_BYTES = 256


def end_of_rows(body: bytes, *, enveloped: bool) -> int:
    """Return where the bracket stands that ends the list of rows, or -1 if there is none near the end."""
    found = (_ENVELOPE_END if enveloped else _END).search(body, max(0, len(body) - _END_BYTES))
    return found.start() if found else -1


def decode_slices(
    body: bytes, start: int, end: int, *, size: int, decode: Callable[[bytes], list[Any]], tries: int
) -> Iterator[tuple[bytes, list[Any]]]:
    """Yield slices of a list of rows and what is decoded from each.

    Args:
        body: The body.
        start: Where the first row begins.
        end: Where the last row ends.
        size: Bytes after which the next border ends a slice.
        decode: Decodes a JSON array of rows.
        tries: At how many borders, one after the other, a slice may end.

    Raises:
        msgspec.DecodeError: A slice is no array of rows.
        UnicodeDecodeError: A slice is not UTF-8.
        RecursionError: It is nested too deeply.
    """
    border = _BORDERS[body[start : start + 1]]
    while start < end:
        reach = start + size
        for left in reversed(range(tries)):
            found = border.search(body, reach, end) if reach < end else None
            stop, following = (found.start() + 1, found.end() - 1) if found else (end, end)
            part = b"[%b]" % body[start:stop]
            try:
                rows = decode(part)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                if not left or found is None:
                    raise
                reach = stop
            else:
                break
        yield part, rows
        start = following
        time.sleep(0)  # lets the others run


def encode_slices(bodies: Iterable[dict[str, list[Any]]]) -> bytes:
    """Return the JSON object whose keys hold the lists that they have in *bodies*, joined."""
    parts: dict[str, list[bytes]] = {}
    for body in bodies:
        for key, values in body.items():
            parts.setdefault(key, []).append(msgspec.json.encode(values)[1:-1])
        time.sleep(0)  # lets the others run
    pieces: list[bytes] = []
    for key, found in parts.items():
        pieces += (b",", msgspec.json.encode(key), b":")
        for number, text in enumerate(found):
            pieces += (b"," if number else b"[", text)
        pieces.append(b"]")
    return b"".join([b"{", *pieces[1:], b"}"])
