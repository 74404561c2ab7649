"""From the rows of a call to what estimators are fed: matrices, plain columns, texts and records."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from fairway.bundle.signature import Signature
from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import Array, Chain, Column, Kind, Source, Step
from fairway.compilers.steps.sparse import SparseRows, sparse
from fairway.messages import ArrayColumns, Columns

_NUMERIC = frozenset({"number", "integer", "boolean"})


@dataclasses.dataclass
class Numbers(Step):
    """Inputs as a float64 matrix; a missing value is NaN.

    Attributes:
        indexes: Places of the inputs in the signature; None takes all, in order.
        single: Numbers (from 0) of those that the estimator sees as float32.
    """

    indexes: list[int] | None
    single: list[int]

    def __post_init__(self) -> None:
        self._get: Any = None
        if self.indexes is not None:
            first = self.indexes[0]
            one = len(self.indexes) == 1
            self._get = (lambda row: (row[first],)) if one else operator.itemgetter(*self.indexes)

    def __call__(self, value: Columns) -> Array:
        if type(value) is ArrayColumns:
            matrix = value.matrix(self.indexes)
        elif self._get is None:
            # Columns of another kind may hold their numbers as a matrix already.
            matrix = np.array(value.rows, np.float64) if type(value) is Columns else value.matrix()
        else:
            matrix = np.array(list(map(self._get, value.rows)), np.float64)
        if self.single:
            matrix[:, self.single] = matrix[:, self.single].astype(np.float32)
        return matrix


@dataclasses.dataclass
class Vector(Step):
    """An input that holds a vector per row, as a float64 matrix."""

    index: int

    def __call__(self, value: Columns) -> Array:
        return np.array(value.column(self.index), np.float64)


@dataclasses.dataclass
class Values(Step):
    """Inputs as columns of plain values."""

    indexes: list[int]

    def __call__(self, value: Columns) -> list[list[Any]]:
        if type(value) is ArrayColumns:
            return [value.column(index) for index in self.indexes]
        rows = value.rows
        return [[row[index] for row in rows] for index in self.indexes]


@dataclasses.dataclass
class Texts(Step):
    """One input as a list of texts."""

    index: int

    def __call__(self, value: Columns) -> list[Any]:
        return value.column(self.index)


@dataclasses.dataclass
class Records(Step):
    """Rows as dicts."""

    def __call__(self, value: Columns) -> list[dict[str, Any]]:
        return value.records()


@dataclasses.dataclass
class ObjectsToDense(Step):
    """Columns of numbers as a matrix."""

    def __call__(self, value: list[list[Any]]) -> Array:
        return np.ascontiguousarray(np.array(value, np.float64).T)


@dataclasses.dataclass
class DenseToObjects(Step):
    """A matrix as columns of plain values; NaN becomes None."""

    def __call__(self, value: Array) -> list[list[Any]]:
        return [
            [None if number != number else number for number in column]  # noqa: PLR0124 - NaN
            for column in value.T.tolist()
        ]


@dataclasses.dataclass
class SparseToDense(Step):
    """Sparse rows as a matrix."""

    def __call__(self, value: SparseRows) -> Array:
        return value.dense()


@dataclasses.dataclass
class DenseToSparse(Step):
    """A matrix as sparse rows; zeros are left out."""

    def __call__(self, value: Array) -> SparseRows:
        return sparse(value)


@dataclasses.dataclass
class Present(Step):
    """Refuse missing values where the estimator does."""

    def __call__(self, value: Any) -> Any:
        if np.isnan(value.values if isinstance(value, SparseRows) else value).any():
            raise ValueError("the model takes no missing values here")
        return value


def require_present() -> list[Step]:
    """Return the step that refuses missing values."""
    return [Present()]


def source_of(signature: Signature, options: Mapping[str, Any]) -> Source:
    """Return what the first step is given: the columns of a call, fed as the bundle's options say.

    Raises:
        NotConvertible: The way of feeding is unknown.
    """
    feed = options.get("feed")
    if feed not in {"frame", "matrix", "records", "texts"}:
        raise NotConvertible(f"a model that is fed as {feed!r} has no compiled form")
    dtypes = options.get("dtypes", {})
    columns = tuple(
        Column(
            index=index,
            name=entry.name,
            kind=entry.kind,
            nullable=entry.nullable,
            missing="none" if feed == "matrix" and options.get("dtype") == "object" else "nan",
            single=dtypes.get(entry.name) == "float32" or options.get("dtype") == "float32",
            width=entry.width or 1,
        )
        for index, entry in enumerate(signature.inputs)
    )
    nullable = any(column.nullable for column in columns)
    scale = options.get("scale", "")
    return Source("columns", len(columns), nullable=nullable, columns=columns, feed=feed, scale=scale)


def convert(source: Source, takes: tuple[Kind, ...], needed_by: str) -> tuple[list[Step], Source]:
    """Return the steps that bring a source into one of the kinds that a part takes.

    Raises:
        NotConvertible: There is no such way; names the estimator that would need it.
    """
    if source.kind in takes:
        return [], source
    if source.kind == "records" and source.made and "texts" in takes:
        # What a function returns is not known before it runs; the proof finds out if it is no text.
        return [], dataclasses.replace(source, kind="texts", columns=())
    if source.kind == "columns":
        for kind in takes:
            if (found := _from_columns(source, kind)) is not None:
                return found
    if source.kind == "sparse" and "dense" in takes:
        return [SparseToDense()], source.dense()
    if source.kind == "dense" and "sparse" in takes:
        return [DenseToSparse()], _sparse(source)
    if source.kind == "dense" and "objects" in takes:
        return [DenseToObjects()], dataclasses.replace(source, kind="objects")
    if source.kind == "objects" and "dense" in takes and all(c.kind in _NUMERIC for c in source.columns):
        return [ObjectsToDense()], source.dense()
    raise NotConvertible(f"{needed_by} takes {' or '.join(takes)} values and would be given {source.kind}")


def _sparse(source: Source) -> Source:
    return Source("sparse", source.width, nullable=source.nullable, single=source.single)


def _from_columns(source: Source, kind: Kind) -> tuple[list[Step], Source] | None:
    one_by_one = source.feed in {"frame", "matrix"}
    if kind == "dense" and one_by_one:
        return _numbers(source)
    if kind == "objects" and one_by_one and all(c.kind != "vector" for c in source.columns):
        return [Values([c.index for c in source.columns])], dataclasses.replace(source, kind="objects")
    if kind == "texts" and len(source.columns) == 1 and source.feed != "records":
        return [Texts(source.columns[0].index)], dataclasses.replace(source, kind="texts")
    if kind == "records" and source.feed == "records":
        return [Records()], dataclasses.replace(source, kind="records")
    return None


def _numbers(source: Source) -> tuple[list[Step], Source] | None:
    columns = source.columns
    if len(columns) == 1 and columns[0].kind == "vector":
        return [Vector(columns[0].index)], Source("dense", columns[0].width, scale=source.scale)
    if not columns or any(column.kind not in _NUMERIC for column in columns):
        return None
    indexes = [column.index for column in columns]
    single = [place for place, column in enumerate(columns) if column.single]
    step = Numbers(indexes, single)
    all_single = len(single) == len(columns)
    return [step], Source(
        "dense", len(columns), nullable=source.nullable, single=all_single, scale=source.scale
    )


def take_all(step: Step, count: int) -> Step:
    """Return a step that reads the rows whole where it would pick every input in order: picking costs."""
    if isinstance(step, Chain):
        return Chain([take_all(entry, count) for entry in step.steps])
    if isinstance(step, Numbers) and step.indexes == list(range(count)):
        return Numbers(None, step.single)
    return step
