"""Arithmetic in which a row's bits do not depend on the rows beside it.

Matrix products of BLAS pick another kernel, and so another order of the sum, by the number of rows. Here
every number of the result is a sum of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fairway.compilers.steps.base import Array, SparseRows

_BLOCK = 1 << 18

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
    if len(rows.rows) == 1:
        places, values = rows.rows[0]
        return values.dot(columns[places])[None]
    return np.array([values.dot(columns[places]) for places, values in rows.rows])


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
