"""Arithmetic in which a row's bits do not depend on the rows beside it.

Matrix products of BLAS pick another kernel, and so another order of the sum, by the number of rows. Here
every number of the result is a sum of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fairway.compilers.steps.base import Array
from fairway.compilers.steps.sparse import SparseRows

_BLOCK = 1 << 18
_FEW_OUTPUTS = 32

if hasattr(np, "vecdot"):

    def product(rows: Array, weights: Array) -> Array:
        """Return the (rows, outputs) products of (rows, features) and (outputs, features)."""
        return np.vecdot(rows[:, None, :], weights)

    def dot(rows: Array, weights: Array) -> Array:
        """Return the (rows) products of (rows, features) and (features)."""
        return np.vecdot(rows, weights)

else:  # NumPy 1.26

    def product(rows: Array, weights: Array) -> Array:
        """Return the (rows, outputs) products of (rows, features) and (outputs, features)."""
        return np.einsum("ij,kj->ik", rows, weights)

    def dot(rows: Array, weights: Array) -> Array:
        """Return the (rows) products of (rows, features) and (features)."""
        return np.einsum("ij,j->i", rows, weights)


def sparse_product(rows: SparseRows, columns: Array) -> Array:
    """Return the (rows, outputs) products of sparse rows and (features, outputs), each row by itself."""
    outputs = columns.shape[1]
    if outputs > _FEW_OUTPUTS:
        return _product_by_row(rows, columns)
    if len(rows.places) * outputs > _BLOCK and len(rows) > 1:
        middle = len(rows) // 2
        halves = [rows.part(0, middle), rows.part(middle, len(rows))]
        return np.concatenate([sparse_product(half, columns) for half in halves])
    terms = columns.take(rows.places, axis=0)
    terms *= rows.values[:, None]
    return rows.sums(terms)


def _product_by_row(rows: SparseRows, columns: Array) -> Array:
    """Many numbers at a time are what BLAS is good at; it is always given one row."""
    found = np.empty((len(rows), columns.shape[1]))
    ends = [*rows.starts[1:].tolist(), len(rows.places)]
    for target, start, end in zip(found, rows.starts.tolist(), ends, strict=True):
        np.dot(rows.values[start:end], columns.take(rows.places[start:end], axis=0), out=target)
    return found


def expit(values: Array) -> Array:
    """Return 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(values))
    return np.where(values >= 0, 1.0, small) / (1.0 + small)


def softmax(scores: Array) -> Array:
    """Return exp(x) / sum(exp(x)) of each row, shifted by its largest value."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def log_sum_exp(scores: Array) -> Array:
    """Return log(sum(exp(x))) of each row, shifted by its largest value, as (n, 1)."""
    largest = scores.max(axis=1, keepdims=True)
    return largest + np.log(np.exp(scores - largest).sum(axis=1, keepdims=True))


def refuse_nonfinite(values: Any) -> None:
    """Raise where scikit-learn does: the input of an estimator holds infinity or NaN.

    The sum of squares is the cheapest test that notices any; only when it is not finite is each value looked
    at (large finite values overflow it, too).

    Raises:
        ValueError: A value is not finite.
    """
    if not np.vdot(values, values) < np.inf and not np.isfinite(values).all():
        raise ValueError("the model's input contains NaN or infinity after its preprocessing")


def squared_distances(rows: Array, points: Array) -> Array:
    """Return the (rows, points) sums of squared differences, block by block to bound the memory."""
    block = max(1, _BLOCK // max(1, points.size))
    found = []
    for start in range(0, len(rows), block):
        differences = rows[start : start + block, None, :] - points
        differences *= differences
        found.append(differences.sum(axis=2))
    return found[0] if len(found) == 1 else np.concatenate(found)
