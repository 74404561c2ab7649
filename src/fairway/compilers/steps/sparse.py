"""Rows of which most values are zero, in three flat arrays: what is done to them is done to all rows at once.

Whatever adds up a row's values adds up that row alone and in its own order, so that its bits do not depend
on the rows beside it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from itertools import chain

import numpy as np

from fairway.compilers.steps.base import Array, Indexes

ONE_ROW = np.zeros(1, np.intp)
"""Where the rows begin if there is just one."""


class SparseRows:
    """The values that are not zero and their columns, row after row.

    Args:
        width: Number of columns.
        starts: Where each row begins in the other two; an empty row begins where the next one does.
        places: Columns (ascending is not required, repeats add up).
        values: What stands there.
    """

    __slots__ = ("__dict__", "places", "starts", "values", "width")

    def __init__(self, width: int, starts: Indexes, places: Indexes, values: Array) -> None:
        self.width = width
        self.starts = starts
        self.places = places
        self.values = values

    @classmethod
    def of(cls, width: int, rows: Sequence[tuple[Collection[int], Collection[float]]]) -> SparseRows:
        """Return rows that are given one by one, each as its columns and its values."""
        starts = starts_of([len(places) for places, _ in rows])
        places = np.fromiter(chain.from_iterable(places for places, _ in rows), np.intp)
        values = np.fromiter(chain.from_iterable(values for _, values in rows), np.float64)
        return cls(width, starts, places, values)

    def __len__(self) -> int:
        return len(self.starts)

    def with_values(self, values: Array) -> SparseRows:
        """Return other values in the same places."""
        return SparseRows(self.width, self.starts, self.places, values)

    @functools.cached_property
    def lengths(self) -> Indexes:
        """How many values each row has."""
        return np.diff(self.starts, append=len(self.places))

    @functools.cached_property
    def numbers(self) -> Indexes:
        """The row of each value."""
        return np.repeat(np.arange(len(self.starts)), self.lengths)

    def sums(self, terms: Array) -> Array:
        """Return the sum of each row's terms, of which there is one (or one list) per value."""
        return self._reduce(np.add.reduceat, terms)

    def largest(self, terms: Array) -> Array:
        """Return the largest of each row's terms, none of which is negative; an empty row has 0."""
        return self._reduce(np.maximum.reduceat, terms)

    def _reduce(self, reduce: Callable[..., Array], terms: Array) -> Array:
        if len(self.starts) == 1 and len(terms):
            return reduce(terms, ONE_ROW, axis=0)
        filled = self.lengths > 0
        if filled.all():
            return reduce(terms, self.starts, axis=0)
        found = np.zeros((len(self.starts), *terms.shape[1:]))
        if len(terms):
            found[filled] = reduce(terms, self.starts[filled], axis=0)
        return found

    def divided(self, sizes: Array) -> SparseRows:
        """Return each row divided by its size; a row of the size 0 stays."""
        if len(sizes) == 1:
            return self.with_values(self.values / (sizes.item() or 1.0))
        sizes[sizes == 0.0] = 1.0
        return self.with_values(self.values / np.repeat(sizes, self.lengths))

    def part(self, start: int, stop: int) -> SparseRows:
        """Return some of the rows, from *start* up to but without *stop*."""
        first = self.starts[start]
        last = self.starts[stop] if stop < len(self.starts) else len(self.places)
        starts = self.starts[start:stop] - first
        return SparseRows(self.width, starts, self.places[first:last], self.values[first:last])

    def chosen(self, targets: Indexes, width: int) -> SparseRows:
        """Return the rows with other columns: *targets* has the new one of each, -1 leaves it out."""
        places = targets[self.places]
        kept = places >= 0
        before = np.concatenate([ONE_ROW, np.cumsum(kept)])
        return SparseRows(width, before[self.starts], places[kept], self.values[kept])

    def dense(self) -> Array:
        """Return the rows as a matrix."""
        matrix = np.zeros((len(self.starts), self.width))
        np.add.at(matrix.reshape(-1), self.numbers * self.width + self.places, self.values)
        return matrix


def starts_of(lengths: Sequence[int] | Indexes) -> Indexes:
    """Return where rows of these lengths begin."""
    if len(lengths) == 1:
        return ONE_ROW
    starts = np.zeros(len(lengths), np.intp)
    np.cumsum(lengths[:-1], out=starts[1:])
    return starts


def sparse(matrix: Array) -> SparseRows:
    """Return the rows of a matrix without their zeros."""
    numbers, places = matrix.nonzero()
    starts = np.searchsorted(numbers, np.arange(len(matrix)))
    return SparseRows(matrix.shape[1], starts, places, matrix[numbers, places])


def side_by_side(results: Sequence[SparseRows | Array]) -> SparseRows:
    """Return rows that begin with those of the first result and go on with those of the next ones."""
    parts = [part if isinstance(part, SparseRows) else _every_place(part) for part in results]
    offsets = starts_of([part.width for part in parts])
    places = [part.places + offset for part, offset in zip(parts, offsets, strict=True)]
    width, starts = sum(part.width for part in parts), parts[0].starts
    values = np.concatenate([part.values for part in parts])
    if len(starts) == 1:
        return SparseRows(width, starts, np.concatenate(places), values)
    starts = starts_of(np.sum([part.lengths for part in parts], axis=0))
    targets, begins = [], starts
    for part in parts:
        targets.append(np.arange(len(part.places)) + (begins - part.starts)[part.numbers])
        begins = begins + part.lengths
    order = np.empty(len(values), np.intp)
    order[np.concatenate(targets)] = np.arange(len(values))
    return SparseRows(width, starts, np.concatenate(places)[order], values[order])


def _every_place(matrix: Array) -> SparseRows:
    rows, width = matrix.shape
    return SparseRows(width, np.arange(rows) * width, np.tile(np.arange(width), rows), matrix.reshape(-1))
