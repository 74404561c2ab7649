"""The form of a signature: its fields, and the way from submitted text back to a JSON record.

A form never judges a value. What looks like a number becomes a JSON number and everything else stays the text
that was typed, so that the reader that answers every other caller finds the fault and words it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from fairway.bundle.signature import Input, Signature
from fairway.errors import BodyShape, MalformedRequest
from fairway.server.web.text import number_text, shown

Texts = Mapping[str, Sequence[str]]
"""Submitted or typical texts by input name; a list input has one text per chosen value."""

NO_VALUE = "(no value)"

_EMPTY_LEVEL = '""'  # an empty text is no choice in a form, so a level that is empty is written as JSON
_SPARE_FIELDS = 64
_MAX_NUMBER_CHARS = 400  # the longest float64 in plain digits has fewer
_MANY_ROWS = 8
_FEW_LEVELS = 12  # a short list is nearly always all there is; a long one is what was seen so far
_CHARS_PER_LINE = 60

# Python reads more than this (underscores, other scripts' digits, "nan"); a form reads plain numbers.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LOCAL_DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,3})?)?"
)
_LOCAL_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One choice of a select box or checkbox group.

    Attributes:
        value: Text that is submitted.
        label: Text that is shown.
        chosen: Whether it is selected.
    """

    value: str
    label: str
    chosen: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """What is wrong with a field, in words, with the code that the HTTP interface gives for it."""

    text: str
    code: str


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One input as the form template needs it.

    Attributes:
        id: Element id, unique on the page and free of the model's own text.
        name: Submitted name.
        label: Shown name.
        widget: `input`, `textarea`, `select`, `checkbox` or `choices`.
        type: Type of an `input`: `text`, `date` or `datetime-local`.
        keyboard: Keyboard that a phone shows for an `input`.
        value: Text of an `input` or `textarea`.
        checked: State of a `checkbox`.
        options: Choices of `select` and `choices`.
        open: Whether a value beside the choices may be entered.
        rows: Height of a `textarea`.
        hint: What to enter, or the empty string.
        optional: Whether it may stay empty.
        messages: What is wrong with it; empty when nothing is.
    """

    id: str
    name: str
    label: str
    widget: str
    type: str = "text"
    keyboard: str = "text"
    value: str = ""
    checked: bool = False
    options: tuple[Option, ...] = ()
    open: bool = False
    rows: int = 1
    hint: str = ""
    optional: bool = False
    messages: tuple[Message, ...] = ()

    @property
    def described_by(self) -> str:
        """Ids of the hint and the messages, for `aria-describedby`."""
        parts = [f"{self.id}-hint"] if self.hint else []
        return " ".join([*parts, f"{self.id}-error"] if self.messages else parts)

    @property
    def target(self) -> str:
        """Id of the element that takes the focus when the field is named."""
        return f"{self.id}-0" if self.widget == "choices" and self.options else self.id


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


def fields_of(
    signature: Signature, texts: Texts, messages: Mapping[str, Sequence[Message]] | None = None
) -> list[Field]:
    """Return the fields of a signature, filled with *texts* and marked with the *messages* by input name."""
    found = messages or {}
    return [
        dataclasses.replace(
            _field(entry, place, texts.get(_unix(field_name(entry, place)), ()), found.get(entry.name, ())),
            open=len(entry.levels) > _FEW_LEVELS and signature.unseen_category != "reject",
        )
        for place, entry in enumerate(signature.inputs)
    ]


def field_name(entry: Input, place: int) -> str:
    """Return the name that the field of an input is submitted under: its own, where HTML allows that."""
    # A nameless field is not submitted, and a browser fills a hidden `_charset_` by itself.
    return f"input:{place}" if entry.name in {"", "_charset_"} else entry.name


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
        return [_level(entry, text) for text in texts if text] or (None if entry.nullable else [])
    if entry.kind == "category":
        # The select box comes first; what was entered beside it is meant instead.
        text = next((text for text in reversed(texts) if text.strip()), "")
        return _level(entry, text) if text else None
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


def _level(entry: Input, text: str) -> Any:
    for level in entry.levels:
        if _level_text(level) == text:
            return level
    if entry.levels and all(isinstance(level, int) for level in entry.levels):
        return parse_number(text)
    return text


def _level_text(level: object) -> str:
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
        return [_level_text(level) for level in value]
    if entry.kind == "text_list":
        return ["\n".join(value)]
    if entry.kind == "vector":
        return [", ".join(map(number_text, value))]
    if entry.kind == "boolean":
        return ["true" if value else "false"]
    if entry.kind in {"number", "integer"}:
        return [number_text(value)]
    return [_level_text(value) if entry.kind == "category" else _unix(str(value))]


def _field(entry: Input, place: int, texts: Sequence[str], messages: Sequence[Message]) -> Field:
    text = texts[-1] if texts else ""
    if entry.kind == "category":
        texts = [text for text in texts if text.strip()][-1:]
        text = texts[0] if texts else ""
    common = Field(
        id=f"field-{place}",
        name=field_name(entry, place),
        label=shown(entry.name) or "(no name)",
        widget="input",
        value=text,
        hint=_hint(entry),
        optional=entry.nullable,
        messages=tuple(messages),
    )
    return dataclasses.replace(common, **_widget(entry, texts, text))


def _widget(entry: Input, texts: Sequence[str], text: str) -> dict[str, Any]:
    if entry.kind in {"number", "integer"}:
        # Not type="number": that one drops what it cannot read, and then nobody can say what was wrong.
        return {"keyboard": _keyboard(entry)}
    if entry.kind == "boolean":
        if entry.nullable:
            return {"widget": "select", "options": _booleans(text)}
        return {"widget": "checkbox", "checked": text == "true"}
    if entry.kind == "category" and entry.levels:
        return {"widget": "select", "options": _choices(entry, texts, empty=entry.nullable or not text)}
    if entry.kind == "category_list" and (entry.levels or any(texts)):
        return {"widget": "choices", "options": _choices(entry, [t for t in texts if t], empty=False)}
    if entry.kind == "datetime":
        return {"type": _datetime_type(entry, text)}
    if entry.kind == "category":
        return {}
    return {"widget": "textarea", "rows": _height(entry, text)}


def _keyboard(entry: Input) -> str:
    # The number pad of some phones has no minus sign.
    if entry.minimum is None or entry.minimum < 0:
        return "text"
    return "numeric" if entry.kind == "integer" else "decimal"


def _booleans(text: str) -> tuple[Option, ...]:
    choices = [("", NO_VALUE), ("true", "Yes"), ("false", "No")]
    return tuple(Option(value, label, chosen=value == text) for value, label in choices)


def _choices(entry: Input, texts: Sequence[str], *, empty: bool) -> tuple[Option, ...]:
    known = [(_level_text(level), shown(str(level)) or '""') for level in entry.levels]
    values = {value for value, _ in known}
    unseen = [
        (text, f"{shown(text)} (not seen in training)") for text in texts if text and text not in values
    ]
    blank = [("", NO_VALUE if entry.nullable else "Choose")] if empty else []
    chosen = set(texts)
    return tuple(
        Option(value, label, chosen=value in chosen) for value, label in [*blank, *_sorted(known), *unseen]
    )


def _sorted(levels: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return levels in the order in which a person looks for them: by number if all are, else by letter."""
    numbers = [parse_number(value) for value, _ in levels]
    if any(isinstance(number, str) for number in numbers):
        return sorted(levels, key=lambda level: level[1].casefold())
    return [level for _, level in sorted(zip(numbers, levels, strict=True), key=lambda pair: float(pair[0]))]


def _datetime_type(entry: Input, text: str) -> str:
    # A browser empties its date control when the text does not fit; then a plain one keeps what was typed.
    for pattern, kind in ((_LOCAL_DATETIME, "datetime-local"), (_LOCAL_DATE, "date")):
        if all(pattern.fullmatch(sample) for sample in (text, str(entry.typical or "")) if sample):
            return kind
    return "text"


def _height(entry: Input, text: str) -> int:
    if entry.kind == "text_list":
        return min(_MANY_ROWS, 1 + max(3, text.count("\n") + 1))
    longest = max(entry.max_chars or 0, len(text))
    return max(2, min(_MANY_ROWS, round(longest / _CHARS_PER_LINE / 2)))


def _hint(entry: Input) -> str:
    if entry.kind in {"number", "integer"}:
        whole = "whole number" if entry.kind == "integer" else ""
        seen = (
            ""
            if entry.minimum is None or entry.maximum is None
            else f"seen {number_text(entry.minimum, digits=6)} to {number_text(entry.maximum, digits=6)}"
        )
        return ", ".join(part for part in (whole, seen) if part)
    if entry.kind == "vector":
        return f"{entry.width or 'several'} numbers, separated by commas"
    if entry.kind == "category_list" and entry.levels:
        return f"any number of {len(entry.levels)} values"
    return {"text_list": "one per line", "category_list": "one value"}.get(entry.kind, "")
