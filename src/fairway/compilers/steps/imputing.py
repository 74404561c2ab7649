"""Fill missing values, and say where they were."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import Array, Chain, Indexes, Source, Step, reads_transformer
from fairway.compilers.steps.columns import Join, Take
from fairway.compilers.steps.scaling import array


@dataclasses.dataclass
class Fill(Step):
    """Put a value per feature where one is missing.

    Attributes:
        values: One per feature.
        marker: Number that stands for missing; None for NaN.
    """

    values: Array
    marker: float | None

    def __call__(self, value: Array) -> Array:
        missing = np.isnan(value) if self.marker is None else value == self.marker
        return np.where(missing, self.values, value)


@dataclasses.dataclass
class FillObjects(Step):
    """Put a value per column where one is missing."""

    values: list[Any]

    def __call__(self, value: list[list[Any]]) -> list[list[Any]]:
        return [
            [fill if entry is None else entry for entry in column]
            for column, fill in zip(value, self.values, strict=True)
        ]


@dataclasses.dataclass
class WhereMissing(Step):
    """1 where a value of these features is missing, else 0."""

    places: Indexes
    marker: float | None

    def __call__(self, value: Array) -> Array:
        chosen = value.take(self.places, axis=1)
        missing = np.isnan(chosen) if self.marker is None else chosen == self.marker
        return missing.astype(np.float64)


def _marker(missing: Any) -> float | None:
    if missing is None or missing != missing or type(missing).__name__ == "NAType":  # noqa: PLR0124 - NaN
        return None
    if isinstance(missing, bool) or not isinstance(missing, int | float | np.number):
        raise NotConvertible(f"missing values marked as {missing!r} have no compiled form")
    return float(missing)


@reads_transformer("SimpleImputer", takes=("dense", "objects"), missing="filled")
def read_simple_imputer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a SimpleImputer, with its indicator columns if it has any."""
    if source.kind == "objects":
        return _read_for_objects(est, source)
    marker = _marker(est.missing_values)
    statistics = np.array(est.statistics_, np.float64)
    known = np.arange(source.width) if est.keep_empty_features else np.flatnonzero(~np.isnan(statistics))
    steps: list[Step] = [Fill(array(statistics[known]), marker)]
    if len(known) < source.width:
        steps.insert(0, Take(known, source.width))
    if est.indicator_ is None:
        return Chain(steps), source.dense(len(known), nullable=False)
    places = np.asarray(est.indicator_.features_, np.intp)
    joined = Join([Chain(steps), WhereMissing(places, marker)], None)
    return joined, source.dense(len(known) + len(places), nullable=False)


def _read_for_objects(est: Any, source: Source) -> tuple[Step, Source]:
    if est.indicator_ is not None:
        raise NotConvertible("SimpleImputer(add_indicator=True) on texts has no compiled form")
    if _marker(est.missing_values) is not None:
        raise NotConvertible("SimpleImputer on texts with a marker for missing has no compiled form")
    sees = {column.missing for column in source.columns if column.nullable}
    looks_for = "none" if est.missing_values is None else "nan"
    if sees - {looks_for}:
        return Chain([]), source
    values = [value.item() if hasattr(value, "item") else value for value in est.statistics_]
    if any(value is None or value != value for value in values):  # noqa: PLR0124 - NaN
        raise NotConvertible("SimpleImputer with an empty column of texts has no compiled form")
    columns = tuple(dataclasses.replace(column, nullable=False) for column in source.columns)
    return FillObjects(values), dataclasses.replace(source, columns=columns, nullable=False)


@reads_transformer("MissingIndicator", missing="filled")
def read_missing_indicator(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a MissingIndicator."""
    places = np.asarray(est.features_, np.intp)
    return WhereMissing(places, _marker(est.missing_values)), source.dense(len(places), nullable=False)
