"""A row's bits never depend on the rows beside it: the arithmetic under every compiled model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairway.compilers.steps import arithmetic
from fairway.compilers.steps.base import SparseRows
from fairway.compilers.steps.scaling import Function, Normalize, Power, Quantiles, Scale
from fairway.compilers.steps.trees import OneTree, plant

SHAPES = st.tuples(st.integers(1, 70), st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**32 - 1))


def operations(features: int, outputs: int, rng: np.random.Generator) -> dict[str, Callable[[Any], Any]]:
    """Return functions of a matrix, each with fitted values of its own."""
    weights = rng.normal(size=(outputs, features))
    grid = np.linspace(-2, 2, 50)
    return {
        "product": lambda x: arithmetic.product(x, weights),
        "dot": lambda x: arithmetic.dot(x, weights[0]),
        "softmax": arithmetic.softmax,
        "log of sums": arithmetic.log_sum_exp,
        "logistic": arithmetic.expit,
        "distances": lambda x: arithmetic.squared_distances(x, weights),
        "scale": Scale(weights[0], np.abs(weights[0]) + 1),
        "l2 norm": Normalize("l2"),
        "l1 norm": Normalize("l1"),
        "power": Power("yeo-johnson", rng.normal(size=features).tolist()),
        "quantiles": Quantiles(
            np.repeat(grid[:, None], features, axis=1), np.linspace(0, 1, 50), normal=True
        ),
        "exp": lambda x: Function("exp")(np.clip(x, -600, 600)),
        "log1p": lambda x: Function("log1p")(np.abs(x)),
        "trees": _trees(features, outputs, rng),
    }


def _trees(features: int, outputs: int, rng: np.random.Generator) -> Any:
    trees = [
        OneTree(
            [int(rng.integers(features)), 0, 0],
            [float(rng.normal()), 0.0, 0.0],
            [1, -1, -1],
            [2, -1, -1],
            rng.normal(size=(3, outputs)),
        )
        for _ in range(25)
    ]
    return plant(trees, rounded=True, missing=True)


@given(shape=SHAPES)
@settings(max_examples=60, deadline=None)
def test_bits_do_not_depend_on_the_rows_beside(shape: tuple[int, int, int, int]) -> None:
    """Alone, in any batch and in any order: the same bits."""
    rows, features, outputs, seed = shape
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, features)) * 10.0 ** rng.integers(-3, 4)
    order = rng.permutation(rows)
    for name, operation in operations(features, outputs, rng).items():
        together = operation(matrix)
        shuffled = operation(np.ascontiguousarray(matrix[order]))
        alone = np.concatenate([operation(matrix[n : n + 1]) for n in range(rows)])
        assert together.tobytes() == alone.tobytes(), name
        assert np.ascontiguousarray(together[order]).tobytes() == shuffled.tobytes(), name


@given(shape=SHAPES)
@settings(max_examples=30, deadline=None)
def test_sparse_rows_are_computed_one_by_one(shape: tuple[int, int, int, int]) -> None:
    """A sparse row's product has the same bits alone and among others."""
    rows, features, outputs, seed = shape
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(features, outputs))
    sparse = []
    for _ in range(rows):
        places = np.flatnonzero(rng.random(features) < 0.4)
        sparse.append((places, rng.normal(size=len(places))))
    together = arithmetic.sparse_product(SparseRows(features, sparse), columns)
    alone = np.concatenate(
        [arithmetic.sparse_product(SparseRows(features, [row]), columns) for row in sparse]
    )

    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    """What scikit-learn refuses is refused; large finite numbers are not."""
    arithmetic.refuse_nonfinite(np.array([[1e200, -1e300]]))

    with pytest.raises(ValueError, match="NaN or infinity"):
        arithmetic.refuse_nonfinite(np.array([[1.0, value]]))
