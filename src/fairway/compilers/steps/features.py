"""New features from old ones: polynomials, projections."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import product, refuse_nonfinite, sparse_product
from fairway.compilers.steps.base import Array, Chain, Indexes, Source, Step, reads_transformer
from fairway.compilers.steps.scaling import Scale, array
from fairway.compilers.steps.sparse import SparseRows


@dataclasses.dataclass
class Products(Step):
    """Products of features; a row of `factors` names the features of one product (the width stands for 1)."""

    factors: Indexes

    def __call__(self, value: Array) -> Array:
        extended = np.concatenate([value, np.ones((len(value), 1))], axis=1)
        found: Array = extended.take(self.factors[:, 0], axis=1)
        for place in range(1, self.factors.shape[1]):
            found = found * extended.take(self.factors[:, place], axis=1)
        return found


@dataclasses.dataclass
class Project(Step):
    """Products with directions, (directions, features)."""

    directions: Array
    offset: Array | None
    sparse: bool

    def __post_init__(self) -> None:
        self._columns = np.ascontiguousarray(self.directions.T) if self.sparse else self.directions

    def __call__(self, value: Any) -> Array:
        if isinstance(value, SparseRows):
            found = sparse_product(value, self._columns)
        else:
            refuse_nonfinite(value)
            found = product(value, self.directions)
        return found if self.offset is None else found - self.offset


@reads_transformer("PolynomialFeatures")
def read_polynomials(est: Any, source: Source) -> tuple[Step, Source]:
    """Read PolynomialFeatures."""
    powers = np.asarray(est.powers_)
    most = max(1, int(powers.sum(axis=1).max()))
    factors = np.full((len(powers), most), source.width, np.intp)
    for row, exponents in zip(factors, powers, strict=True):
        names = np.repeat(np.arange(source.width), exponents)
        row[: len(names)] = names
    return Products(factors), source.dense(len(powers))


@reads_transformer("PCA", "IncrementalPCA", "TruncatedSVD", takes=("dense", "sparse"))
def read_projection(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a PCA or TruncatedSVD."""
    directions = array(est.components_)
    sparse = source.kind == "sparse"
    steps: list[Step] = []
    mean = getattr(est, "mean_", None)
    offset = None
    if mean is not None and sparse:
        raise NotConvertible("PCA takes no sparse values")
    if mean is not None:
        # The mean is taken off the product, as scikit-learn does: the rounding stays alike.
        offset = product(array(mean)[None], directions)[0]
    steps.append(Project(directions, offset, sparse))
    if getattr(est, "whiten", False):
        deviation = np.sqrt(np.asarray(est.explained_variance_))
        least = np.finfo(deviation.dtype).eps
        steps.append(Scale(None, array(np.where(deviation < least, least, deviation))))
    return Chain(steps), source.dense(len(directions))
