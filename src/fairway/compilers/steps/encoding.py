"""Categories and bins to numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import Array, Indexes, Source, Step, reads_transformer
from fairway.compilers.steps.scaling import array
from fairway.messages import ArrayColumns, Columns

_REFUSED = -2
_NOTHING = -1


@dataclasses.dataclass
class OneHot(Step):
    """A 1 in the column of the value's category, else zeros.

    Attributes:
        indexes: Places of the inputs in the signature when rows come straight from the call, else None.
        levels: Known values of each column; None stands for missing.
        places: Output column of each known value; -1 sets none.
        unknown: Output column of an unknown value for each column; -1 sets none, -2 refuses the row.
        width: Number of output columns.
    """

    indexes: list[int] | None
    levels: list[list[Any]]
    places: list[list[int]]
    unknown: list[int]
    width: int

    def __post_init__(self) -> None:
        self._tables = [
            dict(zip(levels, places, strict=True))
            for levels, places in zip(self.levels, self.places, strict=True)
        ]
        self._plan = list(
            zip(self.indexes or range(len(self._tables)), self._tables, self.unknown, strict=True)
        )

    def __call__(self, value: Any) -> Array:
        out = np.zeros((len(value) if isinstance(value, Columns) else len(value[0]), self.width))
        if type(value) is ArrayColumns:
            value = {index: value.column(index) for index, _, _ in self._plan}
        if isinstance(value, Columns):
            for target, row in zip(out, value.rows, strict=True):
                for index, table, unknown in self._plan:
                    place = table.get(row[index], unknown)
                    if place >= 0:
                        target[place] = 1.0
                    elif place == _REFUSED:
                        raise ValueError(f"the model was not trained on the category {row[index]!r}")
            return out
        for index, table, unknown in self._plan:
            codes = _codes(value[index], table, unknown)
            set_rows = np.flatnonzero(codes >= 0)
            out[set_rows, codes[set_rows]] = 1.0
        return out


@dataclasses.dataclass
class Ordinal(Step):
    """The number of the value's category.

    Attributes:
        levels: Known values of each column; None stands for missing.
        codes: Number of each known value.
        unknown: Number of unknown values; None refuses the row.
    """

    levels: list[list[Any]]
    codes: list[Array]
    unknown: Array | None

    def __post_init__(self) -> None:
        self._tables = [{level: place for place, level in enumerate(levels)} for levels in self.levels]
        ending = np.nan if self.unknown is None else float(self.unknown[0])
        self._codes = [np.append(codes, ending) for codes in self.codes]

    def __call__(self, value: list[list[Any]]) -> Array:
        unknown = _REFUSED if self.unknown is None else _NOTHING
        columns = [
            codes[_codes(column, table, unknown)]
            for column, table, codes in zip(value, self._tables, self._codes, strict=True)
        ]
        return np.stack(columns, axis=1)


def _codes(values: Sequence[Any], table: dict[Any, int], unknown: int) -> Indexes:
    get = table.get
    codes = np.array([get(value, unknown) for value in values], np.intp)
    if unknown == _REFUSED and (codes == _REFUSED).any():
        wrong = values[int((codes == _REFUSED).argmax())]
        raise ValueError(f"the model was not trained on the category {wrong!r}")
    return codes


@dataclasses.dataclass
class Bins(Step):
    """The number of the bin that a value falls into."""

    edges: list[Array]

    def __call__(self, value: Array) -> Array:
        columns = [
            np.searchsorted(edges, value[:, place], side="right") for place, edges in enumerate(self.edges)
        ]
        return np.stack(columns, axis=1).astype(np.float64)


@dataclasses.dataclass
class OneHotCodes(Step):
    """A 1 in the column of the value's number, which is always known."""

    counts: list[int]

    def __post_init__(self) -> None:
        self._starts = np.cumsum([0, *self.counts[:-1]])

    def __call__(self, value: Array) -> Array:
        out = np.zeros((len(value), sum(self.counts)))
        out[np.arange(len(value))[:, None], value.astype(np.intp) + self._starts] = 1.0
        return out


def plain_levels(categories: Any, source: Source) -> list[Any]:
    """Return fitted categories as plain values, with None for the one that stands for missing.

    Raises:
        NotConvertible: Both None and NaN are categories of their own.
    """
    values = categories.tolist() if hasattr(categories, "tolist") else list(categories)
    levels = [None if value is None or value != value else value for value in values]  # noqa: PLR0124 - NaN
    if levels.count(None) > 1:
        raise NotConvertible("an encoder that tells None from NaN has no compiled form")
    if None in levels and source.kind == "objects":
        stands_for = "none" if any(value is None for value in values) else "nan"
        if any(column.missing != stands_for for column in source.columns if column.nullable):
            raise NotConvertible(
                "an encoder that was fitted on another sort of missing value has no compiled form"
            )
    return levels


def _check_levels(levels: list[list[Any]]) -> None:
    for values in levels:
        for value in values:
            if not isinstance(value, str | int | float | bool | None):
                raise NotConvertible(f"categories of the type {type(value).__name__} have no compiled form")


def _infrequent(est: Any, column: int) -> Any:
    """Return the mapping from category to output number, if rare categories share one."""
    if not getattr(est, "_infrequent_enabled", False):
        return None
    return est._default_to_infrequent_mappings[column]


@reads_transformer("OneHotEncoder", takes=("columns", "objects"), missing="filled")
def read_one_hot_encoder(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a OneHotEncoder with what it drops, groups and does about unknown categories."""
    if any(column.kind in {"vector", "datetime", "text_list", "category_list"} for column in source.columns):
        raise NotConvertible("OneHotEncoder takes single values, no lists or times")
    as_objects = dataclasses.replace(source, kind="objects")
    levels, places, unknown, start = [], [], [], 0
    for column, categories in enumerate(est.categories_):
        known = plain_levels(categories, as_objects)
        numbers, other, count = _layout(est, column, len(known))
        levels.append(known)
        places.append([start + n if n >= 0 else n for n in numbers])
        unknown.append(start + other if other >= 0 else other)
        start += count
    _check_levels(levels)
    indexes = [column.index for column in source.columns] if source.kind == "columns" else None
    return OneHot(indexes, levels, places, unknown, start), Source("dense", start, single=source.single)


def _layout(est: Any, column: int, count: int) -> tuple[list[int], int, int]:
    """Return output numbers of the known categories, that of unknown ones, and how many there are."""
    mapping = _infrequent(est, column)
    numbers = list(range(count)) if mapping is None else [int(number) for number in mapping]
    total = max(numbers) + 1
    other = {"error": _REFUSED, "ignore": _NOTHING}.get(est.handle_unknown, _NOTHING)
    if mapping is not None and est.handle_unknown in {"infrequent_if_exist", "warn"}:
        other = total - 1
    dropped = est._drop_idx_after_grouping
    drop = None if dropped is None else dropped[column]
    if drop is None:
        return numbers, other, total
    numbers = [_NOTHING if n == drop else n - (n > drop) for n in numbers]
    if other >= 0:
        other = _NOTHING if other == drop else other - (other > drop)
    return numbers, other, total - 1


@reads_transformer("OrdinalEncoder", takes=("objects",), missing="kept")
def read_ordinal_encoder(est: Any, source: Source) -> tuple[Step, Source]:
    """Read an OrdinalEncoder."""
    levels = [plain_levels(categories, source) for categories in est.categories_]
    _check_levels(levels)
    codes = []
    for column, known in enumerate(levels):
        mapping = _infrequent(est, column)
        numbers = np.arange(len(known), dtype=np.float64) if mapping is None else array(mapping)
        if None in known:
            numbers[known.index(None)] = est.encoded_missing_value
        codes.append(numbers)
    if any(_infrequent(est, column) is not None for column in range(len(levels))):
        raise NotConvertible("OrdinalEncoder with infrequent categories has no compiled form")
    unknown = np.array([est.unknown_value], np.float64) if est.handle_unknown == "use_encoded_value" else None
    may_be_nan = any(np.isnan(c).any() for c in codes) or (unknown is not None and bool(np.isnan(unknown[0])))
    return Ordinal(levels, codes, unknown), Source("dense", len(levels), nullable=may_be_nan)


@reads_transformer("KBinsDiscretizer")
def read_bins(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a KBinsDiscretizer."""
    from fairway.compilers.steps.base import Chain

    bins = Bins([array(edges[1:-1]) for edges in est.bin_edges_])
    if est.encode == "ordinal":
        return bins, source.dense()
    counts = [int(count) for count in est.n_bins_]
    return Chain([bins, OneHotCodes(counts)]), source.dense(sum(counts))
