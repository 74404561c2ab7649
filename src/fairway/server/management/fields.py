"""What a management request may hold: strictly read, every fault at once, and described for OpenAPI.

A field that nobody asked for is refused: it is a slip, or a wish that would be passed over in silence.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fairway.bundle.validation import escape_pointer
from fairway.errors import BodyShape, Fault, FieldsInvalid, MalformedRequest
from fairway.protocols.json_body import parse_json

MAX_TEXT_CHARS = 2_000
MAX_DIGESTS = 4_096
MAX_INTEGER = 2**53

_DIGEST = re.compile(r"[0-9a-f]{64}")
_INTEGER = re.compile(r"-?[0-9]{1,16}", re.ASCII)
_SHOWN_CHARS = 80


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One named value of a body or a query.

    Attributes:
        name: Its name.
        kind: `text`, `integer`, `boolean`, `digest`, `digests` or `texts`.
        doc: What it decides, in a sentence.
        required: Whether it must be there.
        nullable: Whether it may be null.
        default: What stands for it when it is absent.
        choices: The texts that it may be; empty for any.
        least: Smallest integer.
        most: Largest integer.
    """

    name: str
    kind: str
    doc: str
    required: bool = False
    nullable: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = MAX_INTEGER

    def schema(self) -> dict[str, Any]:
        """Return the field as JSON Schema."""
        found: dict[str, Any] = {"description": self.doc, **_SCHEMAS[self.kind]}
        if self.kind == "integer":
            found |= {"minimum": self.least, "maximum": self.most}
        if self.choices:
            found["enum"] = list(self.choices)
        if self.nullable:
            found["type"] = [found["type"], "null"]
        return found


_DIGEST_SCHEMA = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "text": {"type": "string", "maxLength": MAX_TEXT_CHARS},
    "texts": {"type": "array", "items": {"type": "string", "maxLength": MAX_TEXT_CHARS}, "maxItems": 100},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "digest": _DIGEST_SCHEMA,
    "digests": {"type": "array", "items": _DIGEST_SCHEMA, "maxItems": MAX_DIGESTS},
}


def read_body(body: bytes, fields: Sequence[Field]) -> dict[str, Any]:
    """Return the values of a JSON body by name; an absent field has its default.

    Raises:
        MalformedRequest: It is not JSON.
        BodyShape: It is JSON, but no object.
        FieldsInvalid: Fields are absent, unknown or of the wrong kind; all of them are listed.
    """
    document = parse_json(body) if body.strip() or any(field.required for field in fields) else {}
    if not isinstance(document, dict):
        raise BodyShape("the body is no JSON object", hint="send an object with the fields of this route")
    known = {field.name: field for field in fields}
    faults = [_unknown(name, known) for name in document if name not in known]
    values = {}
    for name, field in known.items():
        if name not in document:
            values[name] = field.default
            if field.required:
                faults.append(Fault(f"/{name}", "field_missing", f"{name} is required", field.kind))
            continue
        faults.extend(_faults_of(document[name], field))
        values[name] = document[name]
    if faults:
        raise FieldsInvalid(faults)
    return values


def read_query(pairs: Iterable[tuple[str, str]], fields: Sequence[Field]) -> dict[str, Any]:
    """Return the values of a query by name; an absent one has its default.

    Raises:
        MalformedRequest: A parameter is unknown, stands twice, is absent though required, or has a value
            that it cannot have.
    """
    known = {field.name: field for field in fields}
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name not in known:
            names = ", ".join(known) or "none"
            raise _bad_query(f"there is no parameter {name[:_SHOWN_CHARS]!a}", f"this route takes {names}")
        if name in values:
            raise _bad_query(f"the parameter {name} stands twice", "send it once")
        field = known[name]
        value = _from_text(text, field)
        if faults := list(_faults_of(value, field)):
            raise _bad_query(f"the parameter {name}: {faults[0].message}", field.doc)
        values[name] = value
    for name, field in known.items():
        if name not in values and field.required:
            raise _bad_query(f"the parameter {name} is required", field.doc)
    return {name: values.get(name, field.default) for name, field in known.items()}


def pointer_to(place: str) -> str:
    """Return the pointer to a field of a body, or to an entry of one: `chunks/3`."""
    return f"/{place}"


def is_digest(text: str) -> bool:
    """Tell whether a text is a SHA-256 as it is written everywhere here: 64 lower-case hex digits."""
    return _DIGEST.fullmatch(text) is not None


def _bad_query(detail: str, hint: str) -> MalformedRequest:
    return MalformedRequest("query_invalid", detail, hint=hint)


def _from_text(text: str, field: Field) -> Any:
    if field.kind == "integer":
        return int(text) if _INTEGER.fullmatch(text) else text
    if field.kind == "boolean":
        return {"true": True, "1": True, "false": False, "0": False}.get(text, text)
    return text


def _unknown(name: str, known: Mapping[str, Field]) -> Fault:
    shown = name[:_SHOWN_CHARS]
    near = difflib.get_close_matches(shown, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return Fault(f"/{escape_pointer(shown)}", "field_unknown", f"there is no field {shown!a} here{hint}")


def _faults_of(value: Any, field: Field) -> Iterable[Fault]:
    """Yield what is wrong with a value that was given."""
    if value is None and field.nullable:
        return
    pointer = f"/{field.name}"
    problem = _CHECKS[field.kind](value, field)
    if problem:
        code = "value_type" if problem.startswith("expected") else "value_format"
        yield Fault(pointer, code, problem, field.kind, type_word(value))
        return
    items = value if field.kind in {"digests", "texts"} else ()
    for place, item in enumerate(items):
        kind = field.kind.removesuffix("s")
        if wrong := _CHECKS[kind](item, field):
            yield Fault(f"{pointer}/{place}", "value_format", wrong, kind, type_word(item))


def type_word(value: Any) -> str:
    """Return what JSON calls the type of a value."""
    words = {bool: "boolean", int: "integer", float: "number", str: "text", list: "list", dict: "object"}
    return "null" if value is None else words.get(type(value), "object")


def _check_text(value: Any, field: Field) -> str:
    if not isinstance(value, str):
        return f"expected text, got {type_word(value)}"
    if len(value) > MAX_TEXT_CHARS:
        return f"the text has {len(value)} characters; the limit is {MAX_TEXT_CHARS}"
    if "\0" in value:
        return "the text holds a NUL character"
    if field.choices and value not in field.choices:
        return f"{value[:_SHOWN_CHARS]!a} is none of {', '.join(field.choices)}"
    return ""


def _check_integer(value: Any, field: Field) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"expected an integer, got {type_word(value)}"
    if not field.least <= value <= field.most:
        return f"the number must be from {field.least} to {field.most}"
    return ""


def _check_boolean(value: Any, _: Field) -> str:
    return "" if isinstance(value, bool) else f"expected true or false, got {type_word(value)}"


def _check_digest(value: Any, _: Field) -> str:
    if not isinstance(value, str):
        return f"expected a SHA-256 as text, got {type_word(value)}"
    return "" if is_digest(value) else "a SHA-256 is written as 64 hex digits in lower case"


def _check_list(value: Any, _: Field) -> str:
    if not isinstance(value, list):
        return f"expected a list, got {type_word(value)}"
    return "" if len(value) <= MAX_DIGESTS else f"the list has more than {MAX_DIGESTS} entries"


_CHECKS: Mapping[str, Callable[[Any, Field], str]] = {
    "text": _check_text,
    "texts": _check_list,
    "integer": _check_integer,
    "boolean": _check_boolean,
    "digest": _check_digest,
    "digests": _check_list,
}
