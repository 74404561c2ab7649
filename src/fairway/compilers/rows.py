"""The rows on which a compiled model is proven: where conversions go wrong, and what callers may send.

A group of rows per kind of trouble: the golden examples, rows that were given, mixtures of them, values just
below, at and above what trees ask for, ties, extremes, missing values, unknown categories, unusual texts.
Every row passes the signature, as every row that a server predicts has.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fairway.bundle.signature import Input, Signature
from fairway.bundle.validation import Validator
from fairway.compilers.program import Program, parts_of
from fairway.compilers.steps.base import Array, Chain, Part, Prepared
from fairway.compilers.steps.columns import Join
from fairway.compilers.steps.trees import Trees
from fairway.errors import SignatureMismatch
from fairway.messages import Columns, Row

MAX_GIVEN = 1000
MAX_MIXED = 500
MAX_THRESHOLDS = 400
MAX_TIES = 200
_POOL = 4000
_HALVINGS = 64
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


def proof_rows(
    signature: Signature, program: Program | None, golden: Columns, given: Columns | None = None
) -> Iterator[tuple[str, list[Row]]]:
    """Yield groups of rows by name.

    Args:
        signature: What callers may send.
        program: The compiled model, which knows what its trees ask for; None leaves out thresholds and ties.
        golden: The golden examples.
        given: Further rows, such as the example that the bundle was packed with.
    """
    rng = random.Random(0)  # noqa: S311 - the same rows each time, nothing secret
    passes = _passing(signature)
    reference: list[Row] = list(golden.rows)
    if given is not None and len(given):
        chosen = sorted(rng.sample(range(len(given)), min(MAX_GIVEN, len(given))))
        reference += [given.rows[n] for n in chosen]
    reference = passes(reference) or passes([[entry.typical for entry in signature.inputs]])
    yield "golden examples", passes(golden.rows)
    yield "given rows", reference[len(golden) :]
    if not reference:
        return
    mixed = passes(list(_mixed(signature, reference, rng, MAX_MIXED)))
    yield "mixed rows", mixed
    yield "extremes", passes(list(_extremes(signature, reference, reach_of(program))))
    yield "missing values", passes(list(_missing(signature, reference)))
    yield "categories", passes(list(_categories(signature, reference)))
    yield "texts", passes(list(_texts(signature, reference)))
    if program is None:
        return
    yield "thresholds", passes(list(_thresholds(signature, program, [*reference, *mixed], rng)))
    yield "ties", passes(list(_ties(signature, program, reference, rng)))


def _passing(signature: Signature) -> Callable[[Sequence[Row]], list[Row]]:
    """Return the function that keeps the rows that the signature accepts, as it reads them."""
    validator = Validator(signature)

    def passing(rows: Sequence[Row]) -> list[Row]:
        kept: list[Row] = []
        for row in rows:
            record = dict(zip(signature.names, row, strict=True))
            try:
                kept.extend(validator.check([record], pointer=str).rows)
            except SignatureMismatch:
                continue
        return kept

    return passing


def _mixed(signature: Signature, rows: Sequence[Row], rng: random.Random, count: int) -> Iterator[list[Any]]:
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


def _with(row: Row, place: int, value: Any) -> list[Any]:
    changed = list(row)
    changed[place] = value
    return changed


def reach_of(program: Program | None) -> float:
    """Return how far beyond the range of the examples, in its widths, the model's answers mean something."""
    return min((part.reach for part in parts_of(program.model)), default=np.inf) if program else np.inf


def _extremes(signature: Signature, rows: Sequence[Row], reach: float) -> Iterator[list[Any]]:
    base = rows[0]
    columns = [(place, entry) for place, entry in enumerate(signature.inputs) if entry.kind in _NUMERIC]
    for place, entry in columns:
        for value in _extreme_values(entry, reach):
            yield _with(base, place, value)
    for value in _NUMBERS:
        row = list(base)
        for place, entry in columns:
            row[place] = _as_kind(entry, value)
        if all(_within(entry, row[place], reach) for place, entry in columns):
            yield row
    for place, entry in enumerate(signature.inputs):
        if entry.kind == "vector" and base[place] is not None and np.isinf(reach):
            yield from (_with(base, place, [value] * len(base[place])) for value in _NUMBERS)
            yield from (_with(base, place, [v * f for v in base[place]]) for f in (1e-9, 1e3, 1e9))


_NUMERIC = frozenset({"number", "integer", "boolean"})


def _as_kind(entry: Input, value: float) -> Any:
    if entry.kind == "boolean":
        return value > 0
    return int(max(-(2**53), min(2**53, value))) if entry.kind == "integer" else value


def _extreme_values(entry: Input, reach: float) -> Iterator[Any]:
    if entry.kind == "boolean":
        yield from (True, False)
        return
    low, high, span = _range(entry)
    near = (low, high, low - span, high + span, low - 1e3 * span, high + 1e3 * span)
    for value in (*near, *entry.quantiles, *_NUMBERS):
        if _within(entry, value, reach):
            yield _as_kind(entry, value)


def _range(entry: Input) -> tuple[float, float, float]:
    """Return the ends of an input's range and its width."""
    low, high = entry.minimum or 0.0, entry.maximum or 0.0
    return low, high, high - low or 1.0


def _within(entry: Input, value: float, reach: float) -> bool:
    low, high, span = _range(entry)
    return entry.kind == "boolean" or low - reach * span <= value <= high + reach * span


def _missing(signature: Signature, rows: Sequence[Row]) -> Iterator[list[Any]]:
    places = [place for place, entry in enumerate(signature.inputs) if entry.nullable]
    for row in rows[:5]:
        yield from (_with(row, place, None) for place in places)
        yield [None if place in places else value for place, value in enumerate(row)]
    for first, second in itertools.islice(itertools.combinations(places, 2), 50):
        yield _with(_with(rows[0], first, None), second, None)


def _categories(signature: Signature, rows: Sequence[Row]) -> Iterator[list[Any]]:
    for place, entry in enumerate(signature.inputs):
        if entry.kind == "category":
            yield from (_with(rows[0], place, value) for value in _category_values(entry))
        if entry.kind in {"category_list", "text_list"}:
            yield from (_with(rows[0], place, value) for value in _list_values(entry))


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


def _texts(signature: Signature, rows: Sequence[Row]) -> Iterator[list[Any]]:
    for place, entry in enumerate(signature.inputs):
        if entry.kind != "text":
            continue
        seen = [row[place] for row in rows if row[place]]
        for text in (*_TEXTS, *_variations(seen)):
            yield _with(rows[0], place, text)


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


def tree_sites(part: Any, before: Sequence[Any] = ()) -> Iterator[tuple[list[Any], Trees]]:
    """Yield every table of trees of a program, with the steps that lead from the columns to it."""
    steps = list(before)
    if isinstance(part, Trees):
        yield steps, part
    elif isinstance(part, Prepared | Chain):
        for step in part.steps:
            yield from tree_sites(step, steps)
            steps.append(step)
        if isinstance(part, Prepared):
            yield from tree_sites(part.model, steps)
    elif isinstance(part, Join):
        for branch in part.parts:
            yield from tree_sites(branch, steps)
    elif isinstance(part, Part):
        for child in _children(part):
            yield from tree_sites(child, steps)


def _children(part: Part) -> Iterator[Part]:
    for value in vars(part).values():
        yield from (
            child for child in (value if isinstance(value, list) else [value]) if isinstance(child, Part)
        )


def _thresholds(
    signature: Signature, program: Program, rows: Sequence[Row], rng: random.Random
) -> Iterator[list[Any]]:
    for before, trees in tree_sites(program.model):
        search = _Search(signature, Chain(list(before)), rows)
        asked = np.flatnonzero(trees.left != np.arange(len(trees.left)))
        pairs = sorted({(int(trees.feature[n]), float(trees.threshold[n])) for n in asked})
        chosen = rng.sample(pairs, min(MAX_THRESHOLDS, len(pairs)))
        for row, place, value in search.crossings(chosen, rng):
            for near in _neighbours(value):
                yield _with(row, place, _as_kind(signature.inputs[place], near))


def _neighbours(value: float) -> Iterable[float]:
    """Return the numbers around a threshold in float64 and in float32, and the whole numbers around it."""
    single = np.float32(value)
    return (
        value,
        float(np.nextafter(value, -np.inf)),
        float(np.nextafter(value, np.inf)),
        float(single),
        float(np.nextafter(single, np.float32(-np.inf))),
        float(np.nextafter(single, np.float32(np.inf))),
        float(np.floor(value)),
        float(np.ceil(value)),
    )


class _Search:
    """Finds, through the steps before the trees, the values of inputs at which a tree's answer changes."""

    def __init__(self, signature: Signature, before: Chain, rows: Sequence[Row]) -> None:
        self._signature = signature
        self._before = before
        self._rows = [row for row in rows if None not in row] or list(rows)
        self._drivers = self._find_drivers()

    def _features(self, rows: Sequence[Row]) -> Array:
        with np.errstate(all="ignore"):
            found: Array = self._before(Columns(self._signature.names, rows))
        return found

    def _find_drivers(self) -> dict[int, int]:
        """Return the number input that changes each feature, for features that one input alone changes."""
        base = self._rows[0]
        places = [p for p, entry in enumerate(self._signature.inputs) if entry.kind in {"number", "integer"}]
        changed = [
            _with(base, place, _shifted(self._signature.inputs[place], base[place])) for place in places
        ]
        try:
            features = self._features([base, *changed])
        except (ValueError, TypeError):
            return {}
        moved = features[1:] != features[0]
        return {
            int(feature): places[int(moved[:, feature].argmax())]
            for feature in np.flatnonzero(moved.sum(axis=0) == 1)
        }

    def crossings(
        self, pairs: Sequence[tuple[int, float]], rng: random.Random
    ) -> Iterator[tuple[Row, int, float]]:
        """Yield a row, the place of an input, and its value at which the feature crosses the threshold."""
        known = [(f, t, self._drivers[f]) for f, t in pairs if f in self._drivers and np.isfinite(t)]
        if not known:
            return
        rows = [rng.choice(self._rows) for _ in known]
        low, high = np.empty(len(known)), np.empty(len(known))
        for n, (_, threshold, place) in enumerate(known):
            low[n], high[n] = _bounds(self._signature.inputs[place], threshold)
        features = np.array([f for f, _, _ in known])
        places = [place for _, _, place in known]
        thresholds = np.array([t for _, t, _ in known])

        def above(values: Array) -> Any:
            changed = [_with(row, p, v) for row, p, v in zip(rows, places, values.tolist(), strict=True)]
            return self._features(changed)[np.arange(len(known)), features] > thresholds

        same = self._features(
            [_with(r, p, t) for r, p, t in zip(rows, places, thresholds.tolist(), strict=True)]
        )
        given = same[np.arange(len(known)), features]
        if ((given == thresholds) | (given == thresholds.astype(np.float32))).all():
            yield from zip(rows, places, thresholds.tolist(), strict=True)
            return
        yield from self._bisect(rows, places, low, high, above)

    @staticmethod
    def _bisect(
        rows: Sequence[Row], places: Sequence[int], low: Array, high: Array, above: Callable[[Array], Any]
    ) -> Iterator[tuple[Row, int, float]]:
        at_low, at_high = above(low), above(high)
        for _ in range(_HALVINGS):
            middle = low + (high - low) / 2.0
            same = above(middle) == at_low
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        for n in np.flatnonzero(at_low != at_high).tolist():
            yield rows[n], places[n], float(low[n])
            yield rows[n], places[n], float(high[n])


def _bounds(entry: Input, threshold: float) -> tuple[float, float]:
    low, high = entry.minimum or 0.0, entry.maximum or 0.0
    span = max(high - low, 1e-6)
    return min(low - span, threshold), max(high + span, threshold)


def _shifted(entry: Input, value: Any) -> Any:
    """Return another value of a number input, well inside its range."""
    low, high = entry.minimum or 0.0, entry.maximum or 0.0
    start = float(value) if value is not None else low
    step = (high - low) * 0.37 or 1.0
    moved = start + step if start + step <= high else start - step
    return int(moved) if entry.kind == "integer" and int(moved) != start else moved


def _ties(
    signature: Signature, program: Program, rows: Sequence[Row], rng: random.Random
) -> Iterator[list[Any]]:
    """Yield the rows of a large mixture for which two classes come closest to one another."""
    if not program.labels or len(program.labels) < 2:
        return
    pool = list(_mixed(signature, rows, rng, _POOL))
    margins = _margins(program, Columns(signature.names, pool))
    if margins is not None:
        yield from (pool[n] for n in np.argsort(margins, kind="stable")[:MAX_TIES])


def _margins(program: Program, columns: Columns) -> Array | None:
    """Return how far the two likeliest classes of each row are apart; None if the model does not say."""
    from fairway.compilers.base import NotConvertible

    model = program.model
    for measure in (model.chances, model.decision):
        try:
            with np.errstate(all="ignore"):
                scores = measure(model.raw(columns))
        except (NotConvertible, ValueError, TypeError):
            continue
        if scores.ndim == 1:
            return np.abs(scores)
        largest = np.sort(scores, axis=1)
        return largest[:, -1] - largest[:, -2]
    return None
