"""The fields of a form: the control that fits each input, filled, described and marked with what is wrong."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fairway.bundle.signature import Input, Signature
from fairway.server.web.forms import Texts, field_name, level_text, parse_number, texts_of
from fairway.server.web.text import number_text, shown

NO_VALUE = "(no value)"

_MANY_ROWS = 8
_FEW_LEVELS = 12  # a short list is nearly always all there is; a long one is what was seen so far
_CHARS_PER_LINE = 60

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


def fields_of(
    signature: Signature, texts: Texts, messages: Mapping[str, Sequence[Message]] | None = None
) -> list[Field]:
    """Return the fields of a signature, filled with *texts* and marked with the *messages* by input name."""
    found = messages or {}
    return [
        dataclasses.replace(
            _field(entry, place, texts_of(entry, place, texts), found.get(entry.name, ())),
            open=len(entry.levels) > _FEW_LEVELS and signature.unseen_category != "reject",
        )
        for place, entry in enumerate(signature.inputs)
    ]


def only_text(signature: Signature, place: int) -> Field | None:
    """Return the empty field of a model that takes one text and nothing else, or None.

    Args:
        signature: The model's.
        place: Of the model on the page, which keeps the ids of several such fields apart.
    """
    if [entry.kind for entry in signature.inputs] != ["text"]:
        return None
    return dataclasses.replace(_field(signature.inputs[0], 0, (), ()), id=f"card-{place}")


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
    known = [(level_text(level), shown(str(level)) or '""') for level in entry.levels]
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
        wrapped = sum(1 + len(line) // _CHARS_PER_LINE for line in text.split("\n"))
        return min(_MANY_ROWS, 1 + max(3, wrapped))
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
    if entry.kind == "text_list" and entry.minimum is not None:
        return f"one per line, seen {entry.minimum:g} to {entry.maximum:g}"
    return {"text_list": "one per line", "category_list": "one value"}.get(entry.kind, "")
