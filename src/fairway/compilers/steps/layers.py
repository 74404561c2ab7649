"""Small networks of PyTorch and Keras: dense layers and activations in a row.

What a module of PyTorch does with its layers stands in its code; `torch.fx` runs that code once with a
stand-in for the rows and writes down what it calls. Only a chain of known layers has a compiled form.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.arithmetic import expit, log_sum_exp, product, softmax
from fairway.compilers.steps.base import Array, Model, Source, Step, reads_derived, reads_model
from fairway.compilers.steps.scaling import array


@dataclasses.dataclass
class Dense(Step):
    """A layer of products and sums.

    Attributes:
        weights: (outputs, inputs).
        biases: Of each output.
    """

    weights: Array
    biases: Array

    def __call__(self, value: Array) -> Array:
        return product(value, self.weights) + self.biases


@dataclasses.dataclass
class Affine(Step):
    """A factor and a term for each column: normalisation, when nothing is learnt any more."""

    factors: Array
    terms: Array

    def __call__(self, value: Array) -> Array:
        return value * self.factors + self.terms


@dataclasses.dataclass
class Activation(Step):
    """A function of each number, or of each row.

    Attributes:
        name: One of `ACTIVATIONS`.
        slope: Of the negative part, where the function has one.
    """

    name: str
    slope: float = 0.0

    def __call__(self, value: Array) -> Array:
        return ACTIVATIONS[self.name](value, self.slope)


ACTIVATIONS: dict[str, Callable[[Array, float], Array]] = {
    "relu": lambda x, _: np.maximum(x, 0.0),
    "relu6": lambda x, _: np.clip(x, 0.0, 6.0),
    "leaky_relu": lambda x, slope: np.where(x >= 0, x, slope * x),
    "elu": lambda x, slope: np.where(x >= 0, x, slope * np.expm1(np.minimum(x, 0.0))),
    "tanh": lambda x, _: np.tanh(x),
    "sigmoid": lambda x, _: expit(x),
    "silu": lambda x, _: x * expit(x),
    "softplus": lambda x, _: np.logaddexp(x, 0.0),
    "softmax": lambda x, _: softmax(x),
    "log_softmax": lambda x, _: x - log_sum_exp(x),
}


@dataclasses.dataclass
class Layers(Model):
    """Layers one after the other, and what their last numbers stand for.

    Attributes:
        layers: In order.
        scale: `logits`, `probabilities` or `log probabilities` of classes; empty where there are none.
    """

    # Far out the logits are large, and their difference is what single precision leaves of it.
    reach: ClassVar[float] = 3.0

    layers: list[Step]
    scale: str

    def __post_init__(self) -> None:
        self.is_classifier = bool(self.scale)  # type: ignore[misc]  # a fact of this instance

    def raw(self, value: Array) -> Array:
        for layer in self.layers:
            value = layer(value)
        if self.scale == "logits":
            value = expit(value) if value.shape[1] == 1 else softmax(value)
        elif self.scale == "log probabilities":
            value = np.exp(value)
        if self.scale and value.shape[1] == 1:
            value = np.concatenate([1.0 - value, value], axis=1)
        return value

    def answers(self, raw: Array) -> NDArray[Any]:
        if self.scale:
            return raw.argmax(axis=1)
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def chances(self, raw: Array) -> Array:
        return raw


def _layers(steps: Iterator[Step], source: Source, name: str) -> Model:
    if source.nullable:
        raise NotConvertible(f"{name} takes missing values, for which it has no compiled form")
    found = list(steps)
    width = source.width
    for step in found:
        needed = {Dense: "weights", Affine: "factors"}.get(type(step))
        if needed is not None and getattr(step, needed).shape[-1] != width:
            raise NotConvertible(f"a layer of {name} takes another number of values than it would be given")
        width = step.weights.shape[0] if isinstance(step, Dense) else width
    return Layers(found, source.scale)


@reads_derived("torch.Module", missing="kept")
def read_module(est: Any, source: Source) -> Model:
    """Read a module of PyTorch whose code is a chain of known layers."""
    from torch import fx

    name = type(est).__name__
    try:
        traced = fx.symbolic_trace(est)
    except Exception as cause:  # the user's own code, with a stand-in that it was not written for
        said = " ".join(str(cause).split())[:120]
        raise NotConvertible(f"{name} has no compiled form: its layers cannot be told ({said})") from cause
    return _layers(_traced_steps(traced, name), source, name)


def _traced_steps(traced: Any, name: str) -> Iterator[Step]:
    """Yield a step for each call of a chain."""
    before: Any = None
    for node in traced.graph.nodes:
        if node.op == "placeholder" and before is None:
            before = node
            continue
        is_chain = bool(node.args) and node.args[0] is before and len(before.users) == 1
        if not is_chain or [entry for entry in node.all_input_nodes if entry is not before]:
            raise NotConvertible(f"{name} has no compiled form: its layers are no chain")
        before = node
        if node.op == "output":
            return
        if node.op == "call_module":
            yield from _torch_steps(traced.get_submodule(node.target))
        elif not _leaves_rows_alone(node):
            yield _function_step(node, name)


def _leaves_rows_alone(node: Any) -> bool:
    """Tell whether a call drops the dimension of a single output, or does what only training sees."""
    called = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if called == "squeeze":
        last = (*node.args[1:], *node.kwargs.values()) in {(1,), (-1,)}
        return last and next(iter(node.users), node).op == "output"
    return called == "dropout" and node.kwargs.get("training") is False


def _function_step(node: Any, name: str) -> Step:
    called = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    arguments = [*node.args[1:], *(v for k, v in node.kwargs.items() if k not in {"inplace", "_stacklevel"})]
    arguments = [argument for argument in arguments if argument is not None]
    plain = {"relu", "relu6", "tanh", "sigmoid", "silu", "softplus"}
    if called in plain and not [argument for argument in arguments if argument is not False]:
        return Activation(called)
    if called in {"softmax", "log_softmax"} and node.kwargs.get("dim", (*node.args, None)[1]) in {1, -1}:
        return Activation(called)
    raise NotConvertible(f"{name} has no compiled form: it calls {called}")


def _torch_steps(layer: Any) -> list[Step]:
    """Return the steps for one of PyTorch's own layers."""
    kind = type(layer)
    known = kind.__name__ if kind.__module__.startswith("torch.nn.modules.") else ""
    if known in {"Identity", "Dropout"} or (known == "Flatten" and layer.start_dim == 1):
        return []
    if known == "Linear":
        biases = np.zeros(layer.out_features) if layer.bias is None else _numpy(layer.bias)
        return [Dense(_numpy(layer.weight), biases)]
    if known == "BatchNorm1d" and layer.running_mean is not None:
        return [_normal(layer.running_mean, layer.running_var, layer.weight, layer.bias, layer.eps)]
    named = {"ReLU": "relu", "ReLU6": "relu6", "Tanh": "tanh", "Sigmoid": "sigmoid", "SiLU": "silu"}
    if known in named:
        return [Activation(named[known])]
    if known == "LeakyReLU":
        return [Activation("leaky_relu", float(layer.negative_slope))]
    if known == "ELU":
        return [Activation("elu", float(layer.alpha))]
    if known == "Softplus" and layer.beta == 1:
        return [Activation("softplus")]
    if known in {"Softmax", "LogSoftmax"} and layer.dim in {1, -1}:
        return [Activation("softmax" if known == "Softmax" else "log_softmax")]
    raise NotConvertible(
        f"the layer {kind.__module__.partition('.')[0]}.{kind.__name__} has no compiled form"
    )


def _normal(mean: Any, variance: Any, weight: Any, bias: Any, epsilon: float) -> Affine:
    factors = 1.0 / np.sqrt(_numpy(variance) + epsilon)
    if weight is not None:
        factors = factors * _numpy(weight)
    terms = -_numpy(mean) * factors
    return Affine(array(factors), array(terms if bias is None else terms + _numpy(bias)))


def _numpy(tensor: Any) -> Array:
    return array(tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else np.asarray(tensor))


@reads_model("keras.Sequential", missing="kept")
def read_sequential(est: Any, source: Source) -> Model:
    """Read a Sequential of Keras that consists of known layers."""
    steps = (step for layer in est.layers for step in _keras_steps(layer))
    return _layers(steps, source, "Sequential")


def _keras_steps(layer: Any) -> list[Step]:
    """Return the steps for one of Keras' own layers."""
    kind = type(layer)
    known = kind.__name__ if kind.__module__.startswith("keras.src.layers.") else ""
    weights = [_numpy(entry) for entry in layer.get_weights()]
    if known in {"InputLayer", "Dropout", "GaussianNoise"}:
        return []
    if known == "Dense" and len(weights) in {1, 2}:
        kernel, biases = (*weights, np.zeros(layer.units))[:2]
        return [Dense(array(kernel.T), biases), *_keras_activation(layer.activation)]
    if known == "Activation":
        return _keras_activation(layer.activation)
    if known == "BatchNormalization" and len(weights) == 4:
        gamma, beta, mean, variance = weights
        return [_normal(mean, variance, gamma, beta, float(layer.epsilon))]
    if known == "Softmax" and layer.axis in {1, -1}:
        return [Activation("softmax")]
    if known == "LeakyReLU":
        return [Activation("leaky_relu", float(layer.negative_slope))]
    raise NotConvertible(f"the layer keras.{kind.__name__} has no compiled form")


def _keras_activation(function: Any) -> list[Step]:
    name = getattr(function, "__name__", "")
    own = getattr(function, "__module__", "").startswith("keras.src.activations")
    if own and name == "linear":
        return []
    if own and name in {"relu", "relu6", "tanh", "sigmoid", "silu", "softplus", "softmax", "log_softmax"}:
        return [Activation(name)]
    raise NotConvertible(f"the activation {name!r} of Keras has no compiled form")
