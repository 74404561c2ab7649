"""Rows of a proof that are made from the signature and from rows that are known: mixtures and oddities."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fairway.bundle.signature import Input, Signature
from fairway.messages import Row

_MAX_LEVELS = 50
_MAX_RUN = 2000

_NUMBERS = (
    *(0.0, -0.0, 1.0, -1.0, 0.1, 1e-300, 1e6 + 0.5, -1e6),
    *(1732147200.25, 1732147200250.0, 2.0**53 - 1, 1e15, 1e30, -1e30),
)
"""Among them seconds and milliseconds since 1970: float32 cannot tell them from their neighbours."""

_TEXTS = (
    "",
    " ",
    "\t\n  \r\n",
    "...!?;:-()[]{}\"'",
    "a",
    "I",
    "Crème brûlée à la façon de Zürich, jalapeño",
    "CAFÉ café cafe\u0301",
    "\u0130stanbul \u0131ss\u0131z STRASSE straße \ufb01ancée \u1e9e",
    "\u0130\u0131\u017f\u212a",
    "日本語のテキスト 中文 한국어",
    "مرحبا بالعالم שלום",
    "👩\u200d🍳 🇫🇷 ½ ² ⅷ",
    "zero\u200bwidth\u00a0space\u2028line",
    "under_score snake_case_word 3.14 1,000 x2",
    "word\x00null \x1b[31m",
    "don't won't it's e-mail co-operate",
)

_NUMERIC = frozenset({"number", "integer", "boolean"})


def mixed_rows(
    signature: Signature, rows: Sequence[Row], rng: random.Random, count: int
) -> Iterator[list[Any]]:
    """Yield rows that take each input from a row of its own, numbers also from between two rows."""
    for _ in range(count):
        yield [_drawn(entry, place, rows, rng) for place, entry in enumerate(signature.inputs)]


def _drawn(entry: Input, place: int, rows: Sequence[Row], rng: random.Random) -> Any:
    value, other = rng.choice(rows)[place], rng.choice(rows)[place]
    if entry.levels and rng.random() < 0.3:
        return rng.choice(entry.levels) if entry.kind == "category" else value
    if entry.kind == "number" and None not in (value, other) and rng.random() < 0.5:
        return value + (other - value) * rng.random()
    if entry.quantiles and entry.kind == "number" and rng.random() < 0.2:
        return rng.choice(entry.quantiles)
    return value


def with_value(row: Row, place: int, value: Any) -> list[Any]:
    """Return a copy of a row with another value in one place."""
    changed = list(row)
    changed[place] = value
    return changed


def as_kind(entry: Input, value: float) -> Any:
    """Return a number as the kind of value that an input takes."""
    if entry.kind == "boolean":
        return value > 0
    return int(max(-(2**53), min(2**53, value))) if entry.kind == "integer" else value


def extremes(signature: Signature, rows: Sequence[Row], reach: float) -> Iterator[list[Any]]:
    """Yield rows with numbers at the ends of their ranges and far beyond, one by one and all together."""
    base = rows[0]
    columns = [(place, entry) for place, entry in enumerate(signature.inputs) if entry.kind in _NUMERIC]
    for place, entry in columns:
        for value in _extreme_values(entry, reach):
            yield with_value(base, place, value)
    for value in _NUMBERS:
        row = list(base)
        for place, entry in columns:
            row[place] = as_kind(entry, value)
        if all(_within(entry, row[place], reach) for place, entry in columns):
            yield row
    for place, entry in enumerate(signature.inputs):
        if entry.kind == "vector" and base[place] is not None and np.isinf(reach):
            yield from (with_value(base, place, [value] * len(base[place])) for value in _NUMBERS)
            yield from (with_value(base, place, [v * f for v in base[place]]) for f in (1e-9, 1e3, 1e9))


def _extreme_values(entry: Input, reach: float) -> Iterator[Any]:
    if entry.kind == "boolean":
        yield from (True, False)
        return
    low, high, span = _range(entry)
    near = (low, high, low - span, high + span, low - 1e3 * span, high + 1e3 * span)
    for value in (*near, *entry.quantiles, *_NUMBERS):
        if _within(entry, value, reach):
            yield as_kind(entry, value)


def _range(entry: Input) -> tuple[float, float, float]:
    """Return the ends of an input's range and its width."""
    low, high = entry.minimum or 0.0, entry.maximum or 0.0
    return low, high, high - low or 1.0


def _within(entry: Input, value: float, reach: float) -> bool:
    low, high, span = _range(entry)
    return entry.kind == "boolean" or low - reach * span <= value <= high + reach * span


def missing_values(signature: Signature, rows: Sequence[Row]) -> Iterator[list[Any]]:
    """Yield rows in which what may be missing is, one by one and all together."""
    places = [place for place, entry in enumerate(signature.inputs) if entry.nullable]
    for row in rows[:5]:
        yield from (with_value(row, place, None) for place in places)
        yield [None if place in places else value for place, value in enumerate(row)]
    for first, second in itertools.islice(itertools.combinations(places, 2), 50):
        yield with_value(with_value(rows[0], first, None), second, None)


def categories(signature: Signature, rows: Sequence[Row]) -> Iterator[list[Any]]:
    """Yield rows with every level, and with some that nobody has seen."""
    for place, entry in enumerate(signature.inputs):
        if entry.kind == "category":
            yield from (with_value(rows[0], place, value) for value in _category_values(entry))
        if entry.kind in {"category_list", "text_list"}:
            yield from (with_value(rows[0], place, value) for value in _list_values(entry))


def _category_values(entry: Input) -> Iterator[Any]:
    levels = list(entry.levels[:_MAX_LEVELS])
    yield from levels
    numbers = [level for level in levels if isinstance(level, int)]
    if numbers:
        yield from (max(numbers) + 1, min(numbers) - 1, 0, -1, 10**9)
        return
    yield from ("", " ", "an unseen category", "é", "日本", "nan", "None", "x" * 200)
    for level in map(str, levels[:5]):
        yield from (f" {level}", f"{level} ", level.upper(), level.lower(), level[:-1])


def _list_values(entry: Input) -> Iterator[list[Any]]:
    levels = list(entry.levels[:_MAX_LEVELS]) or ["word"]
    yield from ([], levels[:1], levels[:2], levels[::-1], [levels[0], levels[0]])
    if isinstance(levels[0], str):
        yield from (["an unseen category"], [levels[0], "é", ""])


def odd_texts(signature: Signature, rows: Sequence[Row]) -> Iterator[list[Any]]:
    """Yield rows with unusual texts, and with variations of those that were seen."""
    for place, entry in enumerate(signature.inputs):
        if entry.kind != "text":
            continue
        seen = [row[place] for row in rows if row[place]]
        for text in (*_TEXTS, *_variations(seen)):
            yield with_value(rows[0], place, text)


def _variations(seen: Sequence[str]) -> Iterator[str]:
    for text in seen[:20]:
        words = text.split()
        yield from (text.upper(), text.title(), "  ".join(words), " ".join(reversed(words)))
        yield from (
            text.replace("e", "é").replace("a", "à"),
            text.replace(" ", "\u00a0"),
            text[: len(text) // 2],
        )
    for text in seen[:2]:
        yield " ".join(itertools.islice(itertools.cycle(text.split() or [""]), _MAX_RUN))
