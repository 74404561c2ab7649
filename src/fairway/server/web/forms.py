"""The way of a form: from a typical row to texts, and from submitted texts back to a JSON record.

A form never judges a value. What looks like a number becomes a JSON number and everything else stays the text
that was typed, so that the reader that answers every other caller finds the fault and words it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from fairway.bundle.signature import Input, Signature
from fairway.errors import BodyShape, MalformedRequest
from fairway.server.web.text import number_text

Texts = Mapping[str, Sequence[str]]
"""Submitted or typical texts by input name; a list input has one text per chosen value."""

TOKEN = "form-token"  # noqa: S105 - the name of a field
"""Name of the hidden field of a session's forms."""

_EMPTY_LEVEL = '""'  # an empty text is no choice in a form, so a level that is empty is written as JSON
_SPARE_FIELDS = 64
_MAX_NUMBER_CHARS = 400  # the longest float64 in plain digits has fewer

# Python reads more than this (underscores, other scripts' digits, "nan"); a form reads plain numbers.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def split_token(body: bytes) -> tuple[str, bytes]:
    """Return the token that a form of a session begins with, or the empty string, and the rest of the form.

    It stands first, so that an input of the same name is not taken for it.
    """
    name, equals, rest = body.partition(b"=")
    if name != TOKEN.encode() or not equals:
        return "", body
    token, _, rest = rest.partition(b"&")
    return token.decode("latin-1"), rest


def read_form(body: bytes, signature: Signature) -> dict[str, list[str]]:
    """Return the texts of a submitted form by field name.

    Line ends become LF, as in every text that reaches a model.

    Raises:
        BodyShape: More fields than the form of this signature can have.
        MalformedRequest: The texts are not UTF-8.
    """
    limit = _SPARE_FIELDS + sum(2 + len(entry.levels) for entry in signature.inputs)
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=limit,
        )
    except UnicodeDecodeError:
        raise MalformedRequest("encoding_invalid", "the form's text is not valid UTF-8") from None
    except ValueError:
        raise BodyShape(
            f"the form has more than {limit} fields", hint="open the form again and submit it from there"
        ) from None
    texts: dict[str, list[str]] = {}
    for name, text in pairs:
        texts.setdefault(_unix(name), []).append(_unix(text))
    return texts


def record_of(texts: Texts, signature: Signature) -> dict[str, Any]:
    """Return the JSON record that submitted *texts* stand for.

    An input without any text is left out and a name that the signature does not have stays in, so that the
    reader reports both.
    """
    names = {_unix(field_name(entry, place)): entry for place, entry in enumerate(signature.inputs)}
    record = {entry.name: _value(entry, texts[name]) for name, entry in names.items() if name in texts}
    return record | {name: texts[name][-1] for name in texts if name not in names}


def typical_texts(signature: Signature) -> dict[str, list[str]]:
    """Return the typical row as the texts that its form shows."""
    return {
        _unix(field_name(entry, place)): _texts(entry, entry.typical)
        for place, entry in enumerate(signature.inputs)
    }


def field_name(entry: Input, place: int) -> str:
    """Return the name that the field of an input is submitted under: its own, where HTML allows that."""
    # A nameless field is not submitted, and a browser fills a hidden `_charset_` by itself.
    return f"input:{place}" if entry.name in {"", "_charset_"} else entry.name


def texts_of(entry: Input, place: int, texts: Texts) -> Sequence[str]:
    """Return the texts of one input."""
    return texts.get(_unix(field_name(entry, place)), ())


def parse_number(text: str) -> int | float | str:
    """Return the number that *text* writes, or *text* itself if it writes none that JSON can hold."""
    stripped = text.strip()
    if len(stripped) > _MAX_NUMBER_CHARS or not _NUMBER.fullmatch(stripped):
        return text
    if stripped.lstrip("+-").isdigit():
        return int(stripped)
    number = float(stripped)
    return number if abs(number) != float("inf") else text


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _value(entry: Input, texts: Sequence[str]) -> Any:
    if entry.kind == "category_list":
        return _levels(entry, [text for text in texts if text]) or (None if entry.nullable else [])
    if entry.kind == "category":
        # The select box comes first; what was entered beside it is meant instead.
        text = next((text for text in reversed(texts) if text.strip()), "")
        return _levels(entry, [text])[0] if text else None
    if len(texts) > 1 and entry.kind != "boolean":
        return list(texts)  # no form of ours sends this; the reader says what it is
    text = texts[-1]
    if entry.kind in {"text_list", "vector"}:
        items = _lines(text) if entry.kind == "text_list" else _numbers(text)
        return items or (None if entry.nullable else [])
    if not text.strip():
        return None
    if entry.kind in {"number", "integer"}:
        return parse_number(text)
    if entry.kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


def _levels(entry: Input, texts: Sequence[str]) -> list[Any]:
    """Return the categories that *texts* stand for; those that were numbers in training are numbers again."""
    known = {level_text(level): level for level in entry.levels}
    are_numbers = bool(known) and all(isinstance(level, int) for level in entry.levels)
    return [known.get(text, parse_number(text) if are_numbers else text) for text in texts]


def level_text(level: object) -> str:
    """Return the text that a category is submitted as."""
    return _unix(str(level)) or _EMPTY_LEVEL


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _numbers(text: str) -> list[int | float | str]:
    inside = text.strip().removeprefix("[").removesuffix("]")
    return [parse_number(part) for part in re.split(r"[,;\s]+", inside) if part]


def _texts(entry: Input, value: Any) -> list[str]:
    if value is None:
        return [""]
    if entry.kind == "category_list":
        return [level_text(level) for level in value]
    if entry.kind == "text_list":
        return ["\n".join(value)]
    if entry.kind == "vector":
        return [", ".join(map(number_text, value))]
    if entry.kind == "boolean":
        return ["true" if value else "false"]
    if entry.kind in {"number", "integer"}:
        return [number_text(value)]
    return [level_text(value) if entry.kind == "category" else _unix(str(value))]
