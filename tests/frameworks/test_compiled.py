"""Small networks as arithmetic on NumPy: proven equal, and served where their framework is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import keras
import nets
import numpy as np
import pytest
import small_net
import torch
from torch import nn

from fairway.bundle.bundle import Bundle
from fairway.bundle.kinds import infer_inputs
from fairway.bundle.signature import Output, Signature
from fairway.bundle.tables import read_table
from fairway.compilers.base import NotConvertible
from fairway.compilers.compilation import CompilationResult, compile_bundle
from fairway.compilers.numpy import read_program
from fairway.inference.loaded import load_model
from fairway.inference.predictors import load_native
from fairway.lifecycle.compiling import prove_and_compile
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.messages import Columns

X = np.random.default_rng(7).normal(size=(60, 4)).astype(np.float32)

pytestmark = pytest.mark.filterwarnings("ignore")


def packed(model: Any, **wishes: Any) -> Bundle:
    """Pack a network with the code of its class."""
    code = [sys.modules[name].__file__ for name in ("nets", "small_net")]
    return make_bundle(model, name="net", example=X, code=code, facts=Facts(), wishes=Wishes(**wishes))


def compiled(bundle: Bundle) -> CompilationResult:
    """Compile a bundle in this process."""
    rows = Columns(bundle.signature.names, X.astype(np.float64).tolist())
    return compile_bundle(bundle, *load_native(bundle), rows=rows, compilers=["numpy"])


def of_torch(*layers: nn.Module) -> nn.Module:
    """Return layers in a row, after a look at some rows."""
    torch.manual_seed(0)
    for layer in layers:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    model = nn.Sequential(*layers)
    model(torch.from_numpy(X))
    return model


def of_keras(*layers: Any) -> Any:
    """Return layers of Keras in a row."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), *layers])


REGRESSORS: dict[str, Callable[[], Any]] = {
    "class_of_the_user": small_net.SmallNet,
    "functions_and_shared_weights": nets.Tied,
    "activations": lambda: of_torch(
        *(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.LeakyReLU(0.2), nn.Linear(4, 4), nn.ELU()),
        *(nn.Linear(4, 4), nn.SiLU(), nn.Linear(4, 4), nn.Softplus(), nn.Linear(4, 2, bias=False)),
        *(nn.Tanh(), nn.ReLU6(), nn.Sigmoid()),
    ),
    "normalisation": lambda: of_torch(
        nn.BatchNorm1d(4), nn.Linear(4, 6), nn.BatchNorm1d(6, affine=False), nn.Dropout(), nn.Linear(6, 1)
    ),
    "keras": lambda: of_keras(
        keras.layers.Dense(6, activation="tanh", use_bias=False),
        keras.layers.BatchNormalization(),
        keras.layers.LeakyReLU(0.1),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(2, activation="softplus"),
        keras.layers.Activation("relu"),
    ),
}

CLASSIFIERS: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "logits": (lambda: of_torch(nn.Linear(4, 3)), ["a", "b", "c"]),
    "probabilities": (lambda: of_torch(nn.Linear(4, 3), nn.Softmax(dim=1)), [1, 2, 3]),
    "log_probabilities": (lambda: of_torch(nn.Linear(4, 2), nn.LogSoftmax(dim=-1)), ["a", "b"]),
    "one_logit": (lambda: of_torch(nn.Linear(4, 1)), ["no", "yes"]),
    "one_probability": (lambda: of_keras(keras.layers.Dense(1, activation="sigmoid")), [0, 1]),
    "keras": (lambda: of_keras(keras.layers.Dense(3), keras.layers.Softmax()), ["a", "b", "c"]),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_layers_in_a_row_are_proven_equal(name: str) -> None:
    """Dense layers, normalisation and activations give the network's numbers, in single precision."""
    entry = compiled(packed(REGRESSORS[name]())).report["compilers"]["numpy"]

    assert (entry["verdict"], entry["precision"]) == ("equal", "float32"), entry["reason"]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classes_are_proven_equal(name: str) -> None:
    """Labels and probabilities follow from the last numbers as in the original."""
    make, classes = CLASSIFIERS[name]
    entry = compiled(packed(make(), classes=classes)).report["compilers"]["numpy"]

    assert entry["verdict"] == "equal", entry["reason"]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: nets.Classifier(4), "its layers are no chain"),
        (nets.Recurrent, "Recurrent has no compiled form"),
        (lambda: of_torch(nn.Linear(4, 2), nn.GELU()), "the layer torch.GELU has no compiled form"),
        (
            lambda: of_torch(nn.Linear(4, 2), nn.Softmax(dim=0)),
            "the layer torch.Softmax has no compiled form",
        ),
        (lambda: of_keras(keras.layers.Dense(2, activation="gelu")), "the activation 'gelu' of Keras"),
        (lambda: of_keras(keras.layers.Reshape((2, 2)), keras.layers.Flatten()), "the layer keras.Reshape"),
    ],
)
def test_what_is_not_known_serves_as_it_is(make: Callable[[], Any], reason: str) -> None:
    """A network with anything else keeps its framework, and the report says why."""
    signature = Signature(inputs=infer_inputs(read_table(X)), outputs=(Output("y", "score", "number"),))
    model = make()

    with pytest.raises(NotConvertible, match=reason):
        read_program(
            model.eval() if isinstance(model, nn.Module) and not isinstance(model, keras.Model) else model,
            signature,
            {"feed": "matrix", "dtype": "float32"},
            {},
        )


def test_a_compiled_network_needs_no_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was proven in the process of a push answers where PyTorch is not installed."""
    model = of_torch(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with torch.inference_mode():
        expected = model(torch.from_numpy(X)).argmax(1).tolist()
    bundle = prove_and_compile(packed(model, classes=[0, 1, 2]))
    for name in ("torch", "safetensors", "safetensors.torch", "keras"):
        monkeypatch.setitem(sys.modules, name, None)

    loaded = load_model(bundle)
    outputs = loaded.predict(Columns(loaded.signature.names, X.astype(np.float64).tolist()))

    assert loaded.predictor_name == "numpy"
    assert outputs.values["prediction"] == expected
