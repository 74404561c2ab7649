"""Multilayer perceptrons."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import expit, product, refuse_nonfinite, softmax
from fairway.compilers.steps.base import Array, Model, Source, reads_model
from fairway.compilers.steps.scaling import array


@dataclasses.dataclass
class Network(Model):
    """Layers of products, sums and an activation; the last layer has its own.

    Attributes:
        weights: Of each layer, (outputs, inputs).
        biases: Of each layer.
        activation: Of the hidden layers.
        end: Of the last layer: `identity`, `logistic`, `softmax` or `exp`.
        classifies: Whether the outputs are probabilities of classes.
    """

    weights: list[Array]
    biases: list[Array]
    activation: str
    end: str
    classifies: bool

    def __post_init__(self) -> None:
        self.is_classifier = self.classifies  # type: ignore[misc]  # a fact of this instance

    def raw(self, value: Array) -> Array:
        refuse_nonfinite(value)
        last = len(self.weights) - 1
        for place, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            value = _ACTIVATIONS[self.end if place == last else self.activation](
                product(value, weights) + biases
            )
        return value

    def answers(self, raw: Array) -> NDArray[Any]:
        if not self.classifies:
            return raw[:, 0] if raw.shape[1] == 1 else raw
        return (raw[:, 0] > 0.5).astype(np.intp) if raw.shape[1] == 1 else raw.argmax(axis=1)

    def chances(self, raw: Array) -> Array:
        if not self.classifies:
            return super().chances(raw)
        return np.stack([1.0 - raw[:, 0], raw[:, 0]], axis=1) if raw.shape[1] == 1 else raw


def _relu(values: Array) -> Array:
    return np.maximum(values, 0.0)


def _identity(values: Array) -> Array:
    return values


_ACTIVATIONS: dict[str, Any] = {
    "identity": _identity,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": _relu,
    "softmax": softmax,
    "exp": np.exp,
}


def _network(est: Any, *, classifies: bool) -> Network:
    if est.out_activation_ not in _ACTIVATIONS or est.activation not in _ACTIVATIONS:
        raise NotConvertible(f"the activation {est.out_activation_!r} has no compiled form")
    weights = [array(np.asarray(layer).T) for layer in est.coefs_]
    return Network(
        weights, [array(b) for b in est.intercepts_], est.activation, est.out_activation_, classifies
    )


@reads_model("MLPClassifier")
def read_network_classifier(est: Any, source: Source) -> Model:
    """Read an MLPClassifier."""
    if est.out_activation_ == "logistic" and est.n_outputs_ > 1:
        raise NotConvertible("MLPClassifier for several labels at once has no compiled form")
    return _network(est, classifies=True)


@reads_model("MLPRegressor")
def read_network_regressor(est: Any, source: Source) -> Model:
    """Read an MLPRegressor."""
    return _network(est, classifies=False)
