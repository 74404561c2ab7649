"""Rows of a proof that are found in the trees of a model: around what they ask for, and where classes tie."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from fairway.bundle.signature import Input, Signature
from fairway.compilers.made_rows import as_kind, mixed_rows, with_value
from fairway.compilers.program import Program
from fairway.compilers.steps.base import Array, Chain, Part, Prepared
from fairway.compilers.steps.columns import Join
from fairway.compilers.steps.trees import Trees
from fairway.messages import Columns, Row

MAX_THRESHOLDS = 400
MAX_TIES = 200
_POOL = 4000
_HALVINGS = 64


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


def thresholds(
    signature: Signature, program: Program, rows: Sequence[Row], rng: random.Random
) -> Iterator[list[Any]]:
    """Yield rows with values just below, at and above what the trees of a program ask for."""
    for before, trees in tree_sites(program.model):
        search = _Search(signature, Chain(list(before)), rows)
        asked = np.flatnonzero(trees.left != np.arange(len(trees.left)))
        pairs = sorted({(int(trees.feature[n]), float(trees.threshold[n])) for n in asked})
        chosen = rng.sample(pairs, min(MAX_THRESHOLDS, len(pairs)))
        for row, place, value in search.crossings(chosen, rng):
            for near in _neighbours(value):
                yield with_value(row, place, as_kind(signature.inputs[place], near))


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
            with_value(base, place, _shifted(self._signature.inputs[place], base[place])) for place in places
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
            changed = [with_value(row, p, v) for row, p, v in zip(rows, places, values.tolist(), strict=True)]
            return self._features(changed)[np.arange(len(known)), features] > thresholds

        same = self._features(
            [with_value(r, p, t) for r, p, t in zip(rows, places, thresholds.tolist(), strict=True)]
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


def ties(
    signature: Signature, program: Program, rows: Sequence[Row], rng: random.Random
) -> Iterator[list[Any]]:
    """Yield the rows of a large mixture for which two classes come closest to one another."""
    if not program.labels or len(program.labels) < 2:
        return
    pool = list(mixed_rows(signature, rows, rng, _POOL))
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
