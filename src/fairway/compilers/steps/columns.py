"""Put transformers side by side and in a row: pipelines, column transformers, unions, choices of columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import (
    Chain,
    Indexes,
    Kind,
    Model,
    Source,
    Step,
    prepared,
    read_model,
    read_transformer,
    reads_model,
    reads_transformer,
)
from fairway.compilers.steps.inputs import convert
from fairway.compilers.steps.sparse import SparseRows, side_by_side


@dataclasses.dataclass
class Join(Step):
    """Results of several steps for the same value, side by side; each times its weight."""

    parts: list[Step]
    weights: list[float] | None

    def __call__(self, value: Any) -> Any:
        results = [part(value) for part in self.parts]
        if self.weights is not None:
            results = [_times(result, weight) for result, weight in zip(results, self.weights, strict=True)]
        if any(isinstance(result, SparseRows) for result in results):
            return side_by_side(results)
        return np.concatenate(results, axis=1)


def _times(value: Any, weight: float) -> Any:
    if isinstance(value, SparseRows):
        return value.with_values(value.values * weight)
    return value * weight


@dataclasses.dataclass
class Take(Step):
    """Some of the features, in the order given."""

    places: Indexes
    width: int

    def __post_init__(self) -> None:
        self._target = np.full(self.width, -1, np.intp)
        self._target[self.places] = np.arange(len(self.places))

    def __call__(self, value: Any) -> Any:
        if isinstance(value, SparseRows):
            return value.chosen(self._target, len(self.places))
        if isinstance(value, list):
            return [value[place] for place in self.places]
        return value.take(self.places, axis=1)


def select(source: Source, places: Sequence[int]) -> tuple[list[Step], Source]:
    """Return the steps that pick columns of a source, and what is left."""
    columns = tuple(source.columns[place] for place in places) if source.columns else ()
    nullable = any(column.nullable for column in columns) if columns else source.nullable
    picked = dataclasses.replace(source, width=len(places), columns=columns, nullable=nullable)
    if source.kind == "columns":
        return [], picked
    return [Take(np.array(places, np.intp), source.width)], picked


def places_of(columns: Any, source: Source) -> list[int]:
    """Return the numbers of the columns that a ColumnTransformer was told to take.

    Raises:
        NotConvertible: They are named by something that is not known here.
    """
    if isinstance(columns, slice) and all(isinstance(e, int | None) for e in (columns.start, columns.stop)):
        return list(range(source.width))[columns]
    chosen = [columns] if isinstance(columns, str | int) else list(columns)
    if chosen and all(isinstance(entry, bool | np.bool_) for entry in chosen):
        return [place for place, taken in enumerate(chosen) if taken]
    names = {column.name: place for place, column in enumerate(source.columns)}
    try:
        return [
            names[entry] if isinstance(entry, str) else range(source.width)[int(entry)] for entry in chosen
        ]
    except (KeyError, IndexError, TypeError, ValueError):
        raise NotConvertible(f"the columns {chosen!r} of a ColumnTransformer are not inputs") from None


@reads_transformer("ColumnTransformer", takes=("columns", "objects", "dense"), missing="kept")
def read_column_transformer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a ColumnTransformer: each part from its own columns, side by side."""
    parts, sources, weights = [], [], []
    for name, transformer, columns in est.transformers_:
        places = places_of(columns, source)
        if not places or _is(transformer, "drop"):
            continue
        steps, picked = select(source, places)
        if isinstance(columns, str | int):
            more, picked = convert(picked, ("texts",), name)
            steps = [*steps, *more]
        more, result = _read_part(transformer, picked)
        parts.append(Chain([*steps, *more]))
        sources.append(result)
        weights.append(float((est.transformer_weights or {}).get(name, 1.0)))
    return _join(parts, sources, weights)


def _read_part(transformer: Any, source: Source) -> tuple[list[Step], Source]:
    if _is(transformer, "passthrough") or transformer is None:
        return convert(source, ("dense",), "the model")
    steps, result = read_transformer(transformer, source)
    if result.kind in {"dense", "sparse"}:
        return steps, result
    more, result = convert(result, ("dense",), "the model")
    return [*steps, *more], result


def _is(transformer: Any, word: str) -> bool:
    return isinstance(transformer, str) and transformer == word


def _join(parts: list[Chain], sources: list[Source], weights: list[float]) -> tuple[Step, Source]:
    if not parts:
        raise NotConvertible("a ColumnTransformer or FeatureUnion without any part has no compiled form")
    width = sum(source.width for source in sources)
    nullable = any(source.nullable for source in sources)
    kind: Kind = "sparse" if any(source.kind == "sparse" for source in sources) else "dense"
    result = Source(kind, width, nullable=nullable, single=any(source.single for source in sources))
    plain = all(weight == 1.0 for weight in weights)
    if len(parts) == 1 and plain:
        return parts[0], result
    return Join(list(parts), None if plain else weights), result


@reads_transformer(
    "FeatureUnion", takes=("columns", "records", "texts", "objects", "dense", "sparse"), missing="kept"
)
def read_feature_union(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a FeatureUnion: every part from the same value."""
    parts, sources, weights = [], [], []
    for name, transformer in est.transformer_list:
        if _is(transformer, "drop"):
            continue
        steps, result = _read_part(transformer, source)
        parts.append(Chain(steps))
        sources.append(result)
        weights.append(float((est.transformer_weights or {}).get(name, 1.0)))
    return _join(parts, sources, weights)


@reads_transformer(
    "Pipeline", takes=("columns", "records", "texts", "objects", "dense", "sparse"), missing="kept"
)
def read_pipeline_of_transformers(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a Pipeline that ends with a transformer."""
    steps, source = _read_steps([step for _, step in est.steps], source)
    return Chain(steps), source


@reads_model("Pipeline", takes=("columns", "records", "texts", "objects", "dense", "sparse"), missing="kept")
def read_pipeline(est: Any, source: Source) -> Model:
    """Read a Pipeline that ends with a model."""
    *transformers, last = [step for _, step in est.steps]
    steps, source = _read_steps(transformers, source)
    return prepared(steps, read_model(last, source))


def _read_steps(transformers: Sequence[Any], source: Source) -> tuple[list[Step], Source]:
    steps: list[Step] = []
    for transformer in transformers:
        if transformer is None or _is(transformer, "passthrough"):
            continue
        more, source = read_transformer(transformer, source)
        steps.extend(more)
    return steps, source


@reads_transformer(
    "SelectKBest",
    "SelectPercentile",
    "SelectFpr",
    "SelectFdr",
    "SelectFwe",
    "GenericUnivariateSelect",
    "SelectFromModel",
    "RFE",
    "RFECV",
    "SequentialFeatureSelector",
    "VarianceThreshold",
    takes=("dense", "sparse"),
    missing="kept",
)
def read_selector(est: Any, source: Source) -> tuple[Step, Source]:
    """Read any selector of features: which it keeps is a mask."""
    from fairway.compilers.steps.inputs import require_present

    places = np.flatnonzero(est.get_support())
    refuses = source.nullable and type(est).__name__ != "VarianceThreshold"
    steps = [*(require_present() if refuses else []), Take(places, source.width)]
    result = dataclasses.replace(source, width=len(places), columns=())
    return Chain(steps), dataclasses.replace(result, nullable=source.nullable and not refuses)
