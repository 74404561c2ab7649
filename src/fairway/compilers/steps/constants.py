"""Models that answer the same whatever they are asked."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import (
    ANY_KIND,
    Array,
    Model,
    Source,
    reads_model,
)
from fairway.compilers.steps.scaling import array


@dataclasses.dataclass
class Constant(Model):
    """The same answer to everything (dummy models)."""

    value: Array
    shares: Array | None

    def __post_init__(self) -> None:
        self.is_classifier = self.shares is not None  # type: ignore[misc]  # a fact of this instance

    def raw(self, value: Any) -> int:
        return len(value)

    def answers(self, raw: int) -> NDArray[Any]:
        if self.shares is not None:
            return np.full(raw, int(self.value[0]))
        return (
            np.repeat(self.value[None], raw, axis=0) if len(self.value) > 1 else np.full(raw, self.value[0])
        )

    def chances(self, raw: int) -> Array:
        return super().chances(raw) if self.shares is None else np.repeat(self.shares[None], raw, axis=0)


@reads_model("DummyClassifier", takes=ANY_KIND, missing="kept")
def read_dummy_classifier(est: Any, source: Source) -> Model:
    """Read a DummyClassifier that does not draw lots."""
    if est.strategy not in {"prior", "most_frequent", "constant"}:
        raise NotConvertible(f"DummyClassifier({est.strategy!r}) answers by chance")
    shares = array(est.class_prior_)
    chosen = int(shares.argmax())
    if est.strategy == "constant":
        chosen = int(np.flatnonzero(est.classes_ == np.ravel(est.constant)[0])[0])
    if est.strategy != "prior":
        shares = np.eye(len(shares))[chosen]
    return Constant(array([chosen]), shares)


@reads_model("DummyRegressor", takes=ANY_KIND, missing="kept")
def read_dummy_regressor(est: Any, source: Source) -> Model:
    """Read a DummyRegressor."""
    return Constant(array(np.ravel(est.constant_)), None)
