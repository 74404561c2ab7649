"""What stands around one model: searches for its parameters, and targets that were transformed."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import (
    ANY_KIND,
    Array,
    Chain,
    Model,
    Source,
    Step,
    read_model,
    read_transformer,
    reads_model,
    reads_transformer,
)
from fairway.compilers.steps.scaling import Function, Scale, Stretch, array, name_of_ufunc


@dataclasses.dataclass
class Changed(Model):
    """A regressor whose answers go through steps, such as the inverse of a transformed target."""

    model: Model
    steps: list[Step]

    def raw(self, value: Any) -> Array:
        found = self.model.answers(self.model.raw(value))
        single = found.ndim == 1
        matrix = np.ascontiguousarray(found[:, None] if single else found, np.float64)
        for step in self.steps:
            matrix = step(matrix)
        return matrix[:, 0] if single else matrix

    def answers(self, raw: Array) -> NDArray[Any]:
        return raw


@reads_model(
    "GridSearchCV",
    "RandomizedSearchCV",
    "HalvingGridSearchCV",
    "HalvingRandomSearchCV",
    takes=ANY_KIND,
    missing="kept",
)
def read_search(est: Any, source: Source) -> Model:
    """Read the best estimator of a search."""
    return read_model(est.best_estimator_, source)


@reads_transformer("GridSearchCV", "RandomizedSearchCV", takes=ANY_KIND, missing="kept")
def read_search_of_transformers(est: Any, source: Source) -> tuple[Step, Source]:
    """Read the best transformer of a search."""
    steps, result = read_transformer(est.best_estimator_, source)
    return Chain(steps), result


@reads_model("TransformedTargetRegressor", takes=ANY_KIND, missing="kept")
def read_transformed_target(est: Any, source: Source) -> Model:
    """Read a TransformedTargetRegressor whose inverse is a scaler's or a function of NumPy."""
    return Changed(read_model(est.regressor_, source), _inverse(est.transformer_))


def _inverse(transformer: Any) -> list[Step]:
    kind = type(transformer).__name__
    if kind == "FunctionTransformer":
        if transformer.inverse_func is None:
            return []
        return [Function(name_of_ufunc(transformer.inverse_func))]
    if kind == "StandardScaler":
        scale = np.ones(1) if transformer.scale_ is None else array(transformer.scale_)
        return [Stretch(scale, array(transformer.mean_) if transformer.with_mean else np.zeros(1), None)]
    if kind == "MinMaxScaler":
        return [Scale(array(transformer.min_), array(transformer.scale_))]
    raise NotConvertible(f"the inverse of a {kind} has no compiled form")
