"""The reference reader of JSON bodies: strict (RFC 8259), bounded, and exact about what is wrong and where.

It refuses what other readers let pass in silence: NaN tokens, duplicate keys, half surrogate pairs, numbers
that no float can hold, nesting beyond the limit.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from fairway.bundle.validation import MAX_LISTED_FAULTS, escape_pointer
from fairway.errors import Fault, MalformedRequest

MAX_DEPTH = 32
_MAX_INTEGER_DIGITS = 4300


class _Token:
    """Stands in the parsed tree where a token was that must not be; holds the code and the message."""

    __slots__ = ("code", "message")

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message


class _Object(dict[str, Any]):
    """An object in which a key stood twice; remembers which."""

    __slots__ = ("repeated",)

    repeated: str


def parse_json(body: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Parse a body.

    Raises:
        MalformedRequest: With the code and the place of the first thing that is wrong.
    """
    if not body.strip():
        raise MalformedRequest("body_empty", "the body is empty", hint="send one record as a JSON object")
    try:
        text = body.decode()
    except UnicodeDecodeError as cause:
        detail = f"the body is not valid UTF-8: byte {cause.start} cannot be read"
        raise MalformedRequest("encoding_invalid", detail) from None
    try:
        document = _decoder.decode(text)
    except json.JSONDecodeError as cause:
        offset = len(text[: cause.pos].encode("utf-8", "surrogatepass"))
        detail = f"the body is not valid JSON: {_lower_first(cause.msg)} at byte {offset}"
        raise MalformedRequest("json_invalid", detail) from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    # Half a surrogate pair can only come from an escape: without any, no text needs a visit.
    plain = _PLAIN if _ESCAPED_SURROGATE.search(body) else _PLAIN | {str}
    _refuse_tokens(document, max_depth, plain)
    return document


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _too_deep(limit: int) -> MalformedRequest:
    return MalformedRequest("json_too_deep", f"the JSON is nested more than {limit} levels deep")


def _refuse_tokens(document: Any, max_depth: int, plain: frozenset[type]) -> None:
    faults: list[Fault] = []
    for pointer, found in _tokens(document, max_depth, plain):
        faults.append(Fault(pointer, found.code, found.message))
        if len(faults) == MAX_LISTED_FAULTS:
            break
    if faults:
        first = faults[0]
        raise MalformedRequest(first.code, f"{first.message} - at {first.pointer or '/'}", faults=faults)


def _tokens(document: Any, max_depth: int, plain: frozenset[type]) -> Iterator[tuple[str, _Token]]:
    """Yield every refused token with its pointer. Iterative: a hostile body must not exhaust the stack."""
    stack: list[tuple[Any, str, int]] = [(document, "", 0)]
    while stack:
        value, pointer, depth = stack.pop()
        kind = type(value)
        if kind is _Token:
            yield pointer, value
        elif kind is str:
            if not value.isascii() and _has_lone_surrogate(value):
                yield pointer, _Token("encoding_invalid", "the text holds half of a surrogate pair")
        elif kind is list:
            _check_depth(depth, max_depth)
            # Numbers need no visit; large arrays of them are common.
            nested = [(v, f"{pointer}/{i}", depth + 1) for i, v in enumerate(value) if type(v) not in plain]
            stack.extend(reversed(nested))
        elif isinstance(value, dict):
            _check_depth(depth, max_depth)
            # First of all: a pointer through such a key could not be written down.
            if any(not key.isascii() and _has_lone_surrogate(key) for key in value):
                yield pointer, _Token("encoding_invalid", "a key holds half of a surrogate pair")
                continue
            if isinstance(value, _Object):
                name = value.repeated
                message = f"the key {name[:80]!r} stands twice in one object"
                yield f"{pointer}/{escape_pointer(name[:80])}", _Token("json_duplicate_key", message)
            nested = [
                (v, f"{pointer}/{escape_pointer(k)}", depth + 1)
                for k, v in value.items()
                if type(v) not in plain
            ]
            stack.extend(reversed(nested))


_PLAIN: frozenset[type] = frozenset({int, float, bool, type(None)})
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _check_depth(depth: int, limit: int) -> None:
    if depth >= limit:
        raise _too_deep(limit)


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _read_integer(text: str) -> Any:
    if len(text) > _MAX_INTEGER_DIGITS:
        return _Token("json_number_range", f"an integer of {len(text)} digits cannot be read")
    return int(text)


def _read_float(text: str) -> Any:
    value = float(text)
    if math.isinf(value):
        return _Token("json_nonfinite", "the number is too large for a float64")
    return value


def _read_constant(name: str) -> _Token:
    return _Token("json_nonfinite", f"{name} is not JSON; send null where a value is missing")


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    marked = _Object(found)
    marked.repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return marked


_decoder = json.JSONDecoder(
    parse_int=_read_integer,
    parse_float=_read_float,
    parse_constant=_read_constant,
    object_pairs_hook=_read_object,
)
