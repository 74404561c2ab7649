"""A row's bits never depend on the rows beside it: the arithmetic under every compiled model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairway.compilers.steps import arithmetic
from fairway.compilers.steps.scaling import Function, Normalize, Power, Quantiles, Scale, SparseScale
from fairway.compilers.steps.sparse import SparseRows, side_by_side, sparse
from fairway.compilers.steps.text import Weigh
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


def sparse_operations(features: int, outputs: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return functions of sparse rows; what comes out is a matrix or other sparse rows."""
    columns = rng.normal(size=(features, outputs))
    wide = rng.normal(size=(features, 40))
    targets = np.where(rng.random(features) < 0.3, -1, rng.permutation(features))
    dense = Scale(None, np.abs(columns[:, 0]) + 1)
    return {
        "product": lambda x: arithmetic.sparse_product(x, columns),
        "product with many": lambda x: arithmetic.sparse_product(x, wide),
        "l1 norm": Normalize("l1"),
        "l2 norm": Normalize("l2"),
        "max norm": Normalize("max"),
        "scale": SparseScale(np.abs(columns[:, 0]) + 1),
        "idf": Weigh(np.abs(columns[:, 0]), sublinear=False, norm="l2"),
        "choice": lambda x: x.chosen(targets, features),
        "neighbour": lambda x: side_by_side([x, dense(x.dense()), x]),
    }


@given(shape=SHAPES)
@settings(max_examples=60, deadline=None)
def test_bits_of_sparse_rows_do_not_depend_on_the_rows_beside(shape: tuple[int, int, int, int]) -> None:
    """Alone and among others, empty rows among them: the same bits."""
    rows, features, outputs, seed = shape
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, features)) * (rng.random((rows, features)) < rng.random((rows, 1)) * 1.2)
    matrix[rng.random(rows) < 0.2] = 0.0
    together = sparse(matrix)
    for name, operation in sparse_operations(features, outputs, rng).items():
        alone = np.concatenate([_plain(operation(sparse(matrix[n : n + 1]))) for n in range(rows)])
        assert _plain(operation(together)).tobytes() == alone.tobytes(), name


def _plain(value: Any) -> Any:
    return value.dense() if isinstance(value, SparseRows) else value


@given(shape=SHAPES)
@settings(max_examples=60, deadline=None)
def test_sparse_rows_are_the_matrix_without_its_zeros(shape: tuple[int, int, int, int]) -> None:
    """Each operation gives what it gives on the matrix."""
    rows, features, outputs, seed = shape
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, features)) * (rng.random((rows, features)) < 0.4)
    weights = rng.normal(size=(outputs, features))
    targets = rng.permutation(features)
    given_sparse = sparse(matrix)

    assert np.array_equal(matrix, given_sparse.dense())
    for norm in ("l1", "l2", "max"):
        np.testing.assert_allclose(Normalize(norm)(matrix), Normalize(norm)(given_sparse).dense(), rtol=1e-13)
    np.testing.assert_allclose(
        arithmetic.product(matrix, weights),
        arithmetic.sparse_product(given_sparse, np.ascontiguousarray(weights.T)),
        rtol=1e-10,
        atol=1e-12,
    )
    assert np.array_equal(matrix, given_sparse.chosen(targets, features).dense()[:, targets])
    beside = side_by_side([given_sparse, weights[:1].repeat(rows, axis=0), given_sparse])
    expected = np.concatenate([matrix, weights[:1].repeat(rows, axis=0), matrix], axis=1)
    assert np.array_equal(expected, beside.dense())


def test_a_large_product_of_sparse_rows_is_computed_in_parts() -> None:
    """The parts change nothing, and repeated places add up."""
    rng = np.random.default_rng(0)
    rows = [([1, 1, 2], [1.0, 2.0, float(n)]) for n in range(40_000)]
    columns = rng.normal(size=(3, 8))

    found = arithmetic.sparse_product(SparseRows.of(3, rows), columns)

    assert found[7:8].tobytes() == arithmetic.sparse_product(SparseRows.of(3, rows[7:8]), columns).tobytes()
    np.testing.assert_allclose(found, SparseRows.of(3, rows).dense() @ columns, rtol=1e-10)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    """What scikit-learn refuses is refused; large finite numbers are not."""
    arithmetic.refuse_nonfinite(np.array([[1e200, -1e300]]))

    with pytest.raises(ValueError, match="NaN or infinity"):
        arithmetic.refuse_nonfinite(np.array([[1.0, value]]))
