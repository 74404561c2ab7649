"""Learn the inputs of a signature from a table: kind, nullability, range, levels and a typical value."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fairway.bundle.signature import KINDS, QUANTILE_POINTS, Input, Kind
from fairway.bundle.tables import Table
from fairway.errors import ExampleInvalid, UsageError

_MAX_LEVELS = 1000
_MAX_LEVEL_CHARS = 128
_FEW_LEVELS = 20
_SHORT_WORDS = 3
_LONG_WORDS = 6
_WORD = re.compile(r"[^\W\d_]{3,}")
_TYPICAL_WORDS = 8
_MIN_WORD_ROWS = 3
_TYPICAL_LEVELS = 2
_TYPICAL_TEXTS = 3
_MIN_TEXT_SHARE = 0.01  # a whole text may tell more about somebody than a word does


def infer_inputs(table: Table, *, kinds: Mapping[str, str] | None = None) -> tuple[Input, ...]:
    """Learn one input per column.

    Args:
        table: Examples without the target column.
        kinds: Kinds by column name that are stated rather than learnt.

    Raises:
        ExampleInvalid: A column mixes kinds of values, or holds none at all.
        UsageError: *kinds* names an unknown column or kind.
    """
    stated = dict(kinds or {})
    for name, kind in stated.items():
        if name not in table.columns:
            raise UsageError(
                f"there is no input {name!r} to state a kind for", hint=f"inputs: {', '.join(table.columns)}"
            )
        if kind not in KINDS:
            raise UsageError(f"{kind!r} is not a kind", hint=f"kinds: {', '.join(KINDS)}")
    return tuple(
        _infer_input(name, values, table, stated.get(name)) for name, values in table.columns.items()
    )


def _infer_input(name: str, values: Sequence[Any], table: Table, stated: str | None) -> Input:
    if not name:
        raise ExampleInvalid(
            "a column of the example table has no name",
            hint="a frame's index that was saved with it? leave it out: to_csv(path, index=False)",
        )
    present = [v for v in values if v is not None]
    if not present:
        raise ExampleInvalid(
            f"column {name!r} holds no value, so its kind cannot be learnt",
            hint="give an example in which every column has at least one value",
        )
    if any(isinstance(v, float) and math.isinf(v) for v in present):
        raise ExampleInvalid(f"column {name!r} holds an infinite number, which no request can hold")
    declared = table.categories.get(name)
    learnt = _kind_of(name, present, declared=declared is not None, form=table.form) if not stated else None
    kind: Any = learnt or _checked_kind(name, stated, present)
    nullable = len(present) < len(values)
    if kind in {"number", "integer"}:
        return _numeric(name, kind, nullable=nullable, values=_converted(name, kind, present))
    if kind == "vector":
        return _vector(name, nullable=nullable, values=present)
    if kind == "datetime":
        moments = sorted(_converted(name, kind, present))
        return Input(name, kind, nullable, typical=moments[len(moments) // 2].isoformat())
    if kind == "boolean":
        return Input(name, kind, nullable, typical=collections.Counter(present).most_common(1)[0][0])
    return _textual(name, kind, nullable=nullable, values=present, declared=declared or ())


def _kind_of(name: str, values: Sequence[Any], *, declared: bool, form: str) -> Kind:
    types = {type(v) for v in values}
    if declared and types in ({str}, {int}):  # a declared category of floats is sent as a number
        return "category"
    if types == {bool}:
        return "boolean"
    if types == {int}:
        return "integer"
    if types <= {int, float}:
        return "number"
    if types == {datetime.datetime}:
        return "datetime"
    if types == {str}:
        return "category" if form != "texts" and _are_levels(values) else "text"
    if types == {list}:
        return _list_kind(name, values)
    names = " and ".join(sorted(kind.__name__ for kind in types))
    raise ExampleInvalid(f"column {name!r} of the example table mixes {names}")


_STATED_TYPES: dict[str, tuple[set[type], ...]] = {
    "number": ({int, float},),
    "integer": ({int, float},),
    "boolean": ({bool},),
    "category": ({str}, {int}),
    "text": ({str},),
    "datetime": ({str, datetime.datetime},),
    "category_list": ({list},),
    "text_list": ({list},),
    "vector": ({list},),
}


def _checked_kind(name: str, stated: Any, values: Sequence[Any]) -> Kind:
    """Return a stated kind if the values can be of it."""
    types = {type(v) for v in values}
    fits = any(types <= allowed for allowed in _STATED_TYPES[stated])
    if fits and types == {list}:
        fits = (_list_kind(name, values) == "vector") == (stated == "vector")
    if not fits:
        raise ExampleInvalid(f"column {name!r} holds values that are no {stated}")
    kind: Kind = stated
    return kind


def _are_levels(values: Sequence[str]) -> bool:
    distinct = set(values)
    if len(distinct) > _MAX_LEVELS or max(map(len, distinct)) > _MAX_LEVEL_CHARS:
        return False
    words = sum(len(v.split()) for v in distinct) / len(distinct)
    repeated = len(distinct) <= len(values) / 2
    return (repeated and words <= _LONG_WORDS) or (len(distinct) <= _FEW_LEVELS and words <= _SHORT_WORDS)


def _list_kind(name: str, values: Sequence[list[Any]]) -> Kind:
    items = [item for value in values for item in value]
    if all(isinstance(item, str) for item in items):
        return "category_list" if not items or _are_levels(items) else "text_list"
    if all(isinstance(item, int | float) and not isinstance(item, bool) for item in items):
        if len({len(value) for value in values}) == 1:
            return "vector"
        raise ExampleInvalid(f"the lists of numbers in column {name!r} have unequal lengths")
    raise ExampleInvalid(f"the lists in column {name!r} hold neither only texts nor only numbers")


def _converted(name: str, kind: Kind, values: Sequence[Any]) -> list[Any]:
    convert: Any = {"number": float, "integer": _whole, "datetime": parse_datetime}[kind]
    try:
        return [convert(v) for v in values]
    except (TypeError, ValueError) as cause:
        raise ExampleInvalid(f"column {name!r} holds values that are no {kind}") from cause


def _whole(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)


def _numeric(name: str, kind: Kind, *, nullable: bool, values: Sequence[float]) -> Input:
    import numpy as np

    points = np.quantile(np.asarray(values, dtype=np.float64), QUANTILE_POINTS).tolist()
    ordered = sorted(values)
    typical = ordered[(len(ordered) - 1) // 2]
    return Input(
        name,
        kind,
        nullable,
        minimum=ordered[0],
        maximum=ordered[-1],
        quantiles=tuple(points),
        typical=typical,
    )


def _vector(name: str, *, nullable: bool, values: Sequence[Sequence[float]]) -> Input:
    import numpy as np

    typical = np.median(np.asarray(values, dtype=np.float64), axis=0).tolist()
    return Input(name, "vector", nullable, typical=typical, width=len(typical))


def _textual(
    name: str, kind: Kind, *, nullable: bool, values: Sequence[Any], declared: Sequence[Any]
) -> Input:
    is_list = kind in {"category_list", "text_list"}
    items = [item for value in values for item in value] if is_list else list(values)
    longest = max((len(item) for item in items if isinstance(item, str)), default=0)
    if kind == "text":
        return Input(name, kind, nullable, typical=_typical_words(items), max_chars=longest)
    if kind == "text_list":
        found = Input(name, kind, nullable, typical=_typical_texts(values), max_chars=longest)
        return _with_items(found, values)
    counts = collections.Counter(items)
    seen = sorted(counts, key=lambda level: (-counts[level], str(level)))
    levels = (*seen, *(level for level in declared if level not in counts))
    if kind == "category_list":
        return _with_items(Input(name, kind, nullable, levels=levels, typical=seen[:_TYPICAL_LEVELS]), values)
    return Input(name, kind, nullable, levels=levels, typical=seen[0])


def _with_items(entry: Input, lists: Sequence[Sequence[Any]]) -> Input:
    """Return a list input with the fewest and most items seen, and with a typical list of such a length."""
    fewest, most = min(map(len, lists)), max(map(len, lists))
    length = min(most, max(fewest, len(entry.typical)))
    typical = list(itertools.islice(itertools.cycle(entry.typical), length))
    return dataclasses.replace(entry, minimum=fewest, maximum=most, typical=typical)


def _typical_texts(lists: Sequence[Sequence[str]]) -> list[str]:
    """Return the texts that stand in many lists, most frequent first, or else what `_typical_words` finds."""
    rows = collections.Counter(text for texts in lists for text in set(texts) if text.strip())
    needed = max(_MIN_WORD_ROWS, math.ceil(_MIN_TEXT_SHARE * len(lists)))
    common = [t for t, n in sorted(rows.items(), key=lambda item: (-item[1], item[0])) if n >= needed]
    return common[:_TYPICAL_TEXTS] or [_typical_words([text for texts in lists for text in texts])]


def _typical_words(texts: Sequence[str]) -> str:
    """Return the words that most texts share: a form needs something to show, and no real text may leak."""
    rows = collections.Counter(word for text in texts for word in set(_WORD.findall(text.lower())))
    common = [w for w, n in sorted(rows.items(), key=lambda item: (-item[1], item[0])) if n >= _MIN_WORD_ROWS]
    return " ".join(common[:_TYPICAL_WORDS]) or "some text"


_DATETIME = re.compile(
    r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII
)


def parse_datetime(value: str | datetime.datetime) -> datetime.datetime:
    """Return a moment without a time zone; one that states its offset from UTC is converted to UTC first.

    Raises:
        ValueError: The text is not an ISO 8601 date, or date and time.
    """
    moment = value if isinstance(value, datetime.datetime) else None
    if moment is None:
        if not _DATETIME.fullmatch(value):  # type: ignore[arg-type]
            raise ValueError(value)
        moment = datetime.datetime.fromisoformat(value)  # type: ignore[arg-type]
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return moment
