"""Which rows a model accepts: the reference validator, and the msgspec types that are its fast front.

`Validator` is the definition. It is plain Python, takes parsed rows and finds every fault of every row.
`RowTypes` builds msgspec types from the same signature; what they accept, the validator accepts with equal
values (proven by a property test), so a caller tries them first and falls back to the validator for the full
list of faults.
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from fairway.bundle.kinds import parse_datetime
from fairway.bundle.signature import LIST_KINDS, MAX_EXACT_INTEGER, Input, Signature
from fairway.errors import Fault, SignatureMismatch
from fairway.messages import Columns, Row

MAX_LISTED_FAULTS = 20
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_KIND_WORDS = {
    "category_list": "array of strings",
    "text_list": "array of strings",
    "vector": "array of numbers",
    "text": "string",
    "category": "string",
    "datetime": "date and time (ISO 8601)",
}


def json_kind(value: Any) -> str:
    """Return the JSON name of a value's kind."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Mapping) else "array"


def expected_kind(entry: Input) -> str:
    """Return what an input expects, in the words of an error message."""
    if entry.kind in {"category", "category_list"} and entry.levels and isinstance(entry.levels[0], int):
        return "integer" if entry.kind == "category" else "array of integers"
    return _KIND_WORDS.get(entry.kind, entry.kind)


def escape_pointer(token: str) -> str:
    """Escape one reference token of a JSON pointer (RFC 6901 section 3)."""
    return token.replace("~", "~0").replace("/", "~1")


_UNLISTED = Fault("", "feature_unknown", "")


class Refused(Exception):
    """A value does not fit its input.

    Args:
        code: Fault code.
        message: What is wrong.
        got: JSON kind of the value.
        expected: What was expected; the default is what the input expects.
    """

    def __init__(self, code: str, message: str, *, got: str = "", expected: str = "") -> None:
        super().__init__(message)
        self._fault = (code, message, got, expected)

    def faults(self, pointer: str, expected: str) -> list[Fault]:
        """Return the faults of the value at *pointer*; *expected* is what its input expects."""
        code, message, got, own = self._fault
        return [Fault(pointer, code, message, own or expected, got)]


class _ItemsRefused(Refused):
    """Items of a list do not fit; holds each with its place in the list."""

    def __init__(self, items: Sequence[tuple[int, Refused]]) -> None:
        super().__init__("value_type", "items of the list do not fit")
        self._items = items

    def faults(self, pointer: str, expected: str) -> list[Fault]:
        return [fault for n, item in self._items for fault in item.faults(f"{pointer}/{n}", expected)]


class Validator:
    """The reference: every rule about rows, in plain Python.

    Args:
        signature: Inputs and policies.
        max_text_chars: Longest text that is read, in code points.
    """

    def __init__(self, signature: Signature, *, max_text_chars: int = 1_000_000) -> None:
        self.signature = signature
        self._inputs = signature.inputs
        self._names = signature.names
        self._index = {entry.name: entry for entry in signature.inputs}
        self._max_text_chars = max_text_chars
        self._policies = _Policies(signature)

    def check(self, rows: Sequence[Any], *, pointer: Callable[[int], str]) -> Columns:
        """Return the rows as columns, or raise with every fault of every row.

        Args:
            rows: Parsed rows; each a record, an array in signature order, or the bare value of an only input.
            pointer: Gives the JSON pointer of row n in the body as it was sent.

        Raises:
            SignatureMismatch: The first 20 faults and the total.
        """
        faults: list[Fault] = []
        total = 0
        values: list[Row] = []
        for number, raw in enumerate(rows):
            found: list[Fault] = []
            values.append(self._row(raw, pointer(number), found))
            total += len(found)
            faults.extend(found[: MAX_LISTED_FAULTS - len(faults)])
        columns = Columns(self._names, values)
        # A value of the wrong kind stands as None among the values, which no policy refuses a second time.
        refused = self._policies.apply(columns)
        total += len(refused)
        shown = refused[: MAX_LISTED_FAULTS - len(faults)]
        faults.extend(self._policy_fault(*place, rows, pointer) for place in shown)
        if total:
            raise SignatureMismatch(faults, total=total)
        return columns

    def _row(self, raw: Any, pointer: str, faults: list[Fault]) -> Row:
        if isinstance(raw, Mapping):
            return self._record(raw, pointer, faults)
        if isinstance(raw, list | tuple) and not self.is_bare_list(raw):
            return self._array(raw, pointer, faults)
        if len(self._inputs) == 1:
            return [self._value(self._inputs[0], raw, pointer, faults)]
        got = json_kind(raw)
        message = f"expected a row (an object or an array), got {got}"
        faults.append(Fault(pointer, "value_type", message, "object or array", got))
        return []

    def is_bare_list(self, raw: Sequence[Any]) -> bool:
        """Tell a list value of a model's only input from an array row that holds it."""
        if len(self._inputs) != 1 or self._inputs[0].kind not in {"vector", "text_list", "category_list"}:
            return False
        return not (len(raw) == 1 and isinstance(raw[0], list | tuple))

    def _record(self, raw: Mapping[str, Any], pointer: str, faults: list[Fault]) -> Row:
        row = []
        for entry in self._inputs:
            place = f"{pointer}/{escape_pointer(entry.name)}"
            if entry.name in raw:
                row.append(self._value(entry, raw[entry.name], place, faults))
                continue
            row.append(None)
            if not entry.nullable:
                expected = expected_kind(entry)
                message = f"the input {entry.name!r} ({expected}) is missing"
                faults.append(Fault(place, "feature_missing", message, expected))
        if len(raw) > len(self._inputs) or any(name not in self._index for name in raw):
            self._report_unknown(raw, pointer, faults)
        return row

    def _report_unknown(self, raw: Mapping[str, Any], pointer: str, faults: list[Fault]) -> None:
        unknown = [name for name in raw if name not in self._index]
        for name in unknown:
            if len(faults) >= MAX_LISTED_FAULTS:  # counted, never shown: a body may hold a million
                faults.extend([_UNLISTED] * (len(unknown) - unknown.index(name)))
                break
            shown = name if len(name) <= 80 else name[:77] + "..."
            message = f"there is no input {shown!r}"
            # Comparing names is quadratic in their length.
            if len(name) <= 256:
                close = difflib.get_close_matches(name, self._names, n=1)
                message += f"; did you mean {close[0]!r}?" if close else ""
            faults.append(Fault(f"{pointer}/{escape_pointer(shown)}", "feature_unknown", message))

    def _array(self, raw: Sequence[Any], pointer: str, faults: list[Fault]) -> Row:
        if len(raw) != len(self._inputs):
            message = f"expected {len(self._inputs)} values in a row, got {len(raw)}"
            faults.append(Fault(pointer, "row_length", message, str(len(self._inputs)), str(len(raw))))
            return []
        return [
            self._value(entry, value, f"{pointer}/{i}", faults)
            for i, (entry, value) in enumerate(zip(self._inputs, raw, strict=True))
        ]

    def _value(self, entry: Input, value: Any, pointer: str, faults: list[Fault]) -> Any:
        expected = expected_kind(entry)
        if value is None:
            if not entry.nullable:
                message = f"expected {expected}, got null; this input takes no missing values"
                faults.append(Fault(pointer, "value_missing", message, expected, "null"))
            return None
        try:
            return convert_value(value, entry, self._max_text_chars)
        except Refused as refused:
            faults.extend(refused.faults(pointer, expected))
            return None

    def _policy_fault(
        self, row: int, name: str, code: str, rows: Sequence[Any], pointer: Callable[[int], str]
    ) -> Fault:
        place = pointer(row)
        if isinstance(rows[row], Mapping):
            place += f"/{escape_pointer(name)}"
        elif isinstance(rows[row], list | tuple) and not self.is_bare_list(rows[row]):
            place += f"/{self._names.index(name)}"
        entry = self._index[name]
        if code == "out_of_range":
            what = "number of items" if entry.kind in LIST_KINDS else "value"
            message = (
                f"the {what} lies outside {entry.minimum:g} to {entry.maximum:g}, the range seen in training"
            )
        else:
            message = "the category was not seen in training"
        return Fault(place, code, message, expected_kind(entry))


class _Policies:
    """What happens to values of the right kind that were not seen in training."""

    def __init__(self, signature: Signature) -> None:
        self.reject = {
            "category_unknown": signature.unseen_category == "reject",
            "out_of_range": signature.out_of_range == "reject",
        }
        self.levels: list[tuple[int, frozenset[Any], bool]] = []
        self.ranges: list[tuple[int, float, float]] = []
        self.lengths: list[tuple[int, float, float]] = []
        self._names = signature.names
        for i, entry in enumerate(signature.inputs):
            if entry.levels and signature.unseen_category != "pass":
                self.levels.append((i, frozenset(entry.levels), entry.kind == "category_list"))
            if entry.minimum is not None and entry.maximum is not None and signature.out_of_range != "pass":
                ranges = self.lengths if entry.kind in LIST_KINDS else self.ranges
                ranges.append((i, entry.minimum, entry.maximum))

    def apply(self, columns: Columns) -> list[tuple[int, str, str]]:
        """Write flags into *columns*; return (row, input name, code) of every value that policy refuses."""
        refused: list[tuple[int, str, str]] = []
        flags: list[dict[str, str]] | None = None
        for n, row in enumerate(columns.rows):
            for index, code in self._unseen(row) if row else ():  # a row of another length holds nothing
                name = self._names[index]
                if self.reject[code]:
                    refused.append((n, name, code))
                    continue
                if flags is None:
                    flags = [{} for _ in range(len(columns.rows))]
                flags[n][name] = code
        columns.flags = flags
        return refused

    def _unseen(self, row: Row) -> Iterable[tuple[int, str]]:
        for i, low, high in self.ranges:
            value = row[i]
            if value is not None and not low <= value <= high:
                yield i, "out_of_range"
        for i, low, high in self.lengths:
            if row[i] is not None and not low <= len(row[i]) <= high:
                yield i, "out_of_range"
        for i, levels, is_list in self.levels:
            value = row[i]
            if value is None:
                continue
            if (not levels.issuperset(value)) if is_list else value not in levels:
                yield i, "category_unknown"


def _mismatch(expected: str, value: Any) -> Refused:
    got = json_kind(value)
    message = f"expected {expected}, got {got}"
    if got == "string" and expected in {"number", "integer"} and _reads_as_number(value):
        message += "; send the number without quotes"
    if got == "string" and expected == _KIND_WORDS["text_list"]:
        message += "; put the text into a list"
    return Refused("value_type", message, got=got, expected=expected)


def _reads_as_number(text: str) -> bool:
    try:
        float(text[:64])
    except ValueError:
        return False
    return True


def _number(value: Any, _entry: Input, _max_chars: int) -> float:
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise _mismatch("number", value)
    if -MAX_EXACT_INTEGER < value < MAX_EXACT_INTEGER:
        return float(value)
    if value.bit_length() > 1023 or int(float(value)) != value:
        message = "the integer cannot be held exactly by a number (float64); the limit is 2^53"
        raise Refused("number_range", message, got="integer")
    return float(value)


def _integer(value: Any, _entry: Input, _max_chars: int) -> int:
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT_INTEGER:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        if isinstance(value, float):
            message = "expected integer, got a number with a fraction or beyond 2^53"
            raise Refused("value_type", message, got="number")
        raise _mismatch("integer", value)
    if not _INT64_MIN <= value <= _INT64_MAX:
        raise Refused("number_range", "the integer needs more than 64 bits", got="integer")
    return value


def _boolean(value: Any, _entry: Input, _max_chars: int) -> bool:
    if not isinstance(value, bool):
        raise _mismatch("boolean", value)
    return value


def _text(value: Any, entry: Input, max_chars: int) -> str:
    if not isinstance(value, str):
        raise _mismatch(expected_kind(entry), value)
    if len(value) > max_chars:
        message = f"the text has {len(value)} characters; the limit is {max_chars}"
        raise Refused("value_too_long", message, got="string")
    return value


def _category(value: Any, entry: Input, max_chars: int) -> str | int:
    if entry.levels and isinstance(entry.levels[0], int):
        return _integer(value, entry, max_chars)
    return _text(value, entry, max_chars)


def _datetime(value: Any, entry: Input, _max_chars: int) -> datetime.datetime:
    if not isinstance(value, str | datetime.datetime):
        raise _mismatch(expected_kind(entry), value)
    try:
        return parse_datetime(value)
    except (ValueError, OverflowError):
        message = "the text is no existing date and time; write it like 2026-02-28T13:45:00"
        raise Refused("value_format", message, got="string") from None


def _list_of(convert: Callable[[Any, Input, int], Any]) -> Callable[[Any, Input, int], list[Any]]:
    def convert_list(value: Any, entry: Input, max_chars: int) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise _mismatch(expected_kind(entry), value)
        items: list[Any] = []
        refused: list[tuple[int, Refused]] = []
        for n, item in enumerate(value):
            try:
                items.append(convert(item, entry, max_chars))
            except Refused as fault:
                refused.append((n, fault))
                if len(refused) == MAX_LISTED_FAULTS:  # more are never shown, and a body may hold millions
                    break
        if refused:
            raise _ItemsRefused(refused)
        return items

    return convert_list


def _item_text(value: Any, entry: Input, max_chars: int) -> str:
    if not isinstance(value, str):
        raise _mismatch("string", value)
    return _text(value, entry, max_chars)


def _item_level(value: Any, entry: Input, max_chars: int) -> str | int:
    if entry.levels and isinstance(entry.levels[0], int):
        return _integer(value, entry, max_chars)
    return _item_text(value, entry, max_chars)


def _vector(value: Any, entry: Input, max_chars: int) -> list[float]:
    numbers = _list_of(_number)(value, entry, max_chars)
    if len(numbers) != entry.width:
        message = f"expected {entry.width} numbers, got {len(numbers)}"
        raise Refused("value_type", message, got="array")
    return numbers


_CONVERTERS: dict[str, Callable[[Any, Input, int], Any]] = {
    "number": _number,
    "integer": _integer,
    "boolean": _boolean,
    "category": _category,
    "text": _text,
    "datetime": _datetime,
    "category_list": _list_of(_item_level),
    "text_list": _list_of(_item_text),
    "vector": _vector,
}


def convert_value(value: Any, entry: Input, max_text_chars: int) -> Any:
    """Return a value that is there as its input's kind takes it.

    Raises:
        Refused: It is no such value.
    """
    return _CONVERTERS[entry.kind](value, entry, max_text_chars)


class RowTypes:
    """The fast front: msgspec types of one row, and how their values become columns.

    Args:
        signature: Inputs and policies.
        max_text_chars: Longest text that is read, in code points.
        closed: Whether a record may hold the inputs only, as in a request; lines of a table hold more.

    Attributes:
        record: Struct type of a row written as an object; None when msgspec cannot take the names.
        array: Tuple type of a row written as an array in signature order.
    """

    def __init__(self, signature: Signature, *, max_text_chars: int = 1_000_000, closed: bool = True) -> None:
        self._names = signature.names
        self._inputs = signature.inputs
        self._policies = _Policies(signature)
        types = [_msgspec_type(entry, max_text_chars) for entry in signature.inputs]
        self.record = _record_type(signature.inputs, types, closed=closed)
        self.array = tuple[tuple(types)]  # type: ignore[misc]
        self._texts = [
            i for i, e in enumerate(signature.inputs) if e.kind in _STRING_KINDS and not has_int_levels(e)
        ]
        self._optional = any(entry.nullable for entry in signature.inputs)
        self._datetimes = [i for i, e in enumerate(signature.inputs) if e.kind == "datetime"]

    def columns_of_records(self, records: Sequence[Any]) -> tuple[Columns, int] | None:
        """Return the columns of decoded records and the number of quotation marks they account for."""
        rows: list[Row] = [msgspec.structs.astuple(record) for record in records]
        width, quotes = len(self._names), 0
        if self._optional:
            unset = msgspec.UNSET
            quotes = 2 * sum(value is not unset for row in rows for value in row)
            rows = [[None if value is unset else value for value in row] for row in rows]
        else:
            quotes = 2 * width * len(rows)
        columns = self._finish(rows)
        return None if columns is None else (columns, quotes + self._text_quotes(columns.rows))

    def columns_of_arrays(self, rows: Sequence[Row]) -> tuple[Columns, int] | None:
        """Return the columns of decoded arrays and the number of quotation marks they account for."""
        columns = self._finish(rows)
        return None if columns is None else (columns, self._text_quotes(rows))

    def _text_quotes(self, rows: Sequence[Row]) -> int:
        quotes = 0
        for i in self._texts:
            for row in rows:
                value = row[i]
                if value is not None:
                    quotes += 2 * len(value) if type(value) is list else 2
        return quotes

    def _finish(self, rows: Sequence[Row]) -> Columns | None:
        """Do what types cannot say; None sends the caller to the reference."""
        if self._datetimes:
            try:
                rows = [self._with_datetimes(row) for row in rows]
            except (ValueError, OverflowError):
                return None
        columns = Columns(self._names, rows)
        return None if self._policies.apply(columns) else columns

    def _with_datetimes(self, row: Row) -> Row:
        changed = list(row)
        for i in self._datetimes:
            if changed[i] is not None:
                changed[i] = parse_datetime(changed[i])
        return changed


_STRING_KINDS = frozenset({"text", "category", "datetime", "text_list", "category_list"})


def has_int_levels(entry: Input) -> bool:
    """Tell whether the levels of a category are numbers."""
    return bool(entry.levels) and isinstance(entry.levels[0], int)


# msgspec compares keys before it unescapes them, so it refuses names that JSON can only write escaped.
_ESCAPED_IN_JSON = re.compile(r'[\\"\x00-\x1f]')


def _record_type(inputs: Sequence[Input], types: Sequence[Any], *, closed: bool) -> Any:
    if any(_ESCAPED_IN_JSON.search(entry.name) for entry in inputs):
        return None
    fields = [
        (f"f{i}", kind | msgspec.UnsetType, msgspec.UNSET) if entry.nullable else (f"f{i}", kind)
        for i, (entry, kind) in enumerate(zip(inputs, types, strict=True))
    ]
    return msgspec.defstruct(
        "Record",
        fields,
        rename={f"f{i}": entry.name for i, entry in enumerate(inputs)},
        forbid_unknown_fields=closed,
        kw_only=True,
        gc=False,
    )


def _msgspec_type(entry: Input, max_text_chars: int) -> Any:
    # Beyond 2^53 msgspec would round an integer silently: leave such values to the reference.
    number: Any = Annotated[float, msgspec.Meta(gt=-MAX_EXACT_INTEGER, lt=MAX_EXACT_INTEGER)]
    integer: Any = Annotated[int, msgspec.Meta(ge=_INT64_MIN, le=_INT64_MAX)]
    text: Any = Annotated[str, msgspec.Meta(max_length=max_text_chars)]
    level: Any = integer if has_int_levels(entry) else text
    kind = {
        "number": number,
        "integer": integer,
        "boolean": bool,
        "category": level,
        "text": text,
        "datetime": str,
        "category_list": list[level],
        "text_list": list[text],
        "vector": Annotated[list[number], msgspec.Meta(min_length=entry.width, max_length=entry.width)],
    }[entry.kind]
    return kind | None if entry.nullable else kind
