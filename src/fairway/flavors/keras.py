"""Keras 3: `.keras` and HDF5 files, on whichever backend is installed."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairway.bundle.archive import member_names
from fairway.bundle.code import CodeSpace, missing_module
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table
from fairway.errors import ArtifactCorrupt, ArtifactUnsafe, FairwayError, MissingExtra
from fairway.flavors.base import Description, ModelFiles, Predictor, import_framework
from fairway.flavors.networks import (
    DEFAULT_OUTPUT,
    Arrays,
    Call,
    NetworkPredictor,
    feed_attempts,
    learn_network,
)
from fairway.settings import handed_on, prefer

ARCHIVE = "model/model.keras"
HDF5 = "model/model.h5"

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# PyTorch first: TensorFlow and JAX do not survive the fork that makes workers.
_BACKENDS = ("torch", "tensorflow", "jax")


class KerasFlavor:
    """Implement `fairway.flavors.base.Flavor` for Keras."""

    name = "keras"
    module = "keras"
    package = "keras"
    formats: Sequence[str] = ("Keras archives (.keras) and HDF5",)
    tolerance = 1e-5  # single precision, and other backends elsewhere

    def matches(self, type_name: str) -> bool:
        """Match Keras' own classes, and so every model that derives from one."""
        return type_name.startswith("keras.")

    def reads(self, files: Mapping[str, bytes]) -> bool:
        """Match one Keras archive, or one HDF5 file that holds a whole model."""
        return len(files) == 1 and bool(_format_of(next(iter(files.values()))))

    def keep(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep the file as it is."""
        (data,) = files.values()
        return {_format_of(data): data}

    def describe(self, model: Any) -> Description:
        """Read the class, the layers and the number of parameters."""
        layers = [type(layer) for layer in model.layers]
        return Description(
            model_type=type(model).__name__,
            hyperparameters={
                "parameters": int(model.count_params()),
                "layers": ", ".join(layer.__name__ for layer in layers)[:1000],
            },
            modules={"keras", "h5py", "numpy", _backend(), *(layer.__module__ for layer in layers)},
        )

    def dump(self, model: Any) -> dict[str, bytes]:
        """Save as a Keras archive."""
        with tempfile.TemporaryDirectory(prefix="fairway-keras-") as folder:
            path = Path(folder) / "model.keras"
            try:
                with _without_warnings():
                    model.save(path)
            except Exception as cause:  # saving calls the layers' own code: anything may come
                raise ArtifactCorrupt(
                    f"the model cannot be saved: {cause}",
                    hint="layers of yours need get_config() with everything that their constructor takes",
                ) from cause
            return {ARCHIVE: path.read_bytes()}

    def load(self, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:
        """Load from a private copy of the verified bytes, in safe mode, with the user's classes in sight."""
        keras = _import_keras()
        safe_mode = trust.policy != "trusted"
        path = ARCHIVE if ARCHIVE in read.paths else HDF5
        with tempfile.TemporaryDirectory(prefix="fairway-keras-") as folder, _without_warnings():
            copy = Path(folder) / Path(path).name
            copy.write_bytes(read(path))
            try:
                with code.active():
                    return keras.saving.load_model(
                        copy, compile=False, safe_mode=safe_mode, custom_objects=_own_objects(keras, code)
                    )
            except FairwayError:
                raise
            except ImportError as cause:
                raise missing_module(cause, needed_by="the model file") from cause
            except Exception as cause:  # a damaged file raises whatever its bytes happen to mean
                raise _unreadable(keras, cause) from cause

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Try a matrix, or one tensor per column for a model of several inputs."""
        inputs = list(getattr(model, "inputs", None) or ())
        names = _input_names(model) if len(inputs) > 1 else []
        dtype = str(getattr(inputs[0], "dtype", "float32")) if inputs else "float32"
        dtypes = dict.fromkeys([dtype if dtype in {"float64", "int32", "int64"} else "float32", "float32"])
        attempts = feed_attempts(signature, names, list(dtypes), feed)
        return learn_network(_caller(model), attempts, table, signature, output_names)

    def predictor(self, model: Any, signature: Signature, options: dict[str, Any]) -> Predictor:
        """Bind the network to the way of feeding that was found when it was packed."""
        return NetworkPredictor(_caller(model), signature, options)


FLAVOR = KerasFlavor()


def _format_of(data: bytes) -> str:
    """Return the path in the bundle for a file of a known format, or the empty text."""
    if data.startswith(_HDF5_MAGIC):
        return HDF5 if b"model_config" in data else ""  # weights alone are no model
    return ARCHIVE if {"config.json", "metadata.json"} <= member_names(data) else ""


def _import_keras() -> Any:
    """Return Keras on a backend that is installed; a choice that was made before stands.

    Raises:
        MissingExtra: Keras is not installed, or no backend is.
    """
    if "keras" not in sys.modules and not handed_on(["KERAS_BACKEND"]):
        found = next((name for name in _BACKENDS if importlib.util.find_spec(name)), None)
        if importlib.util.find_spec("keras") and found is None:
            raise MissingExtra("torch", "keras,torch", purpose="Keras, which computes with a backend,")
        if found:
            prefer("KERAS_BACKEND", found)
    keras = import_framework(FLAVOR)
    if _backend() == "torch":
        import torch

        torch.set_num_threads(1)  # calls are spread over workers; threads of one call would get in their way
    return keras


def _backend() -> str:
    import keras

    return str(keras.backend.backend())


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Open a block in which nothing is warned of; the environment check tells of versions, in words."""
    with warnings.catch_warnings(action="ignore"):
        yield


def _own_objects(keras: Any, code: CodeSpace) -> dict[str, Any]:
    """Return the classes and functions of the user's code by the names that a file may call them by."""
    found: dict[str, Any] = {}
    for name in [name for name in sys.modules if name.split(".")[0] in code.roots]:
        for value in vars(sys.modules[name]).values():
            if callable(value) and getattr(value, "__module__", "") == name:
                found[value.__name__] = value
                found[keras.saving.get_registered_name(value)] = value
    return found


def _unreadable(keras: Any, cause: Exception) -> FairwayError:
    said = " ".join(str(cause).split())[:300]
    if "safe_mode" in said or "unsafe" in said:
        return ArtifactUnsafe(
            f"the model holds code of its own, which Keras does not run: {said}",
            hint="replace a Lambda by a layer of Keras, or by a class of yours that travels with --code",
        )
    return ArtifactCorrupt(
        f"the model file cannot be read by Keras {keras.__version__}: {type(cause).__name__}: {said}",
        hint="classes of yours travel with --code; was it cut off, or written by a newer Keras?",
    )


def _input_names(model: Any) -> list[str]:
    struct = getattr(model, "_inputs_struct", None)
    return list(struct) if isinstance(struct, dict) else [str(entry.name) for entry in model.inputs]


def _caller(model: Any) -> Call:
    import keras

    several = len(getattr(model, "inputs", None) or ()) > 1
    names = _input_names(model) if several else []
    by_name = isinstance(getattr(model, "_inputs_struct", None), dict)
    output_names = list(getattr(model, "output_names", None) or ())

    def call(arrays: Arrays) -> Arrays:
        fed: Any = next(iter(arrays.values()))
        if several and "" not in arrays:
            fed = {name: arrays[name] for name in names} if by_name else [arrays[name] for name in names]
        with _no_gradients():
            answer = model(fed, training=False)
        return {name: keras.ops.convert_to_numpy(tensor) for name, tensor in _named(answer, output_names)}

    return call


def _no_gradients() -> contextlib.AbstractContextManager[Any]:
    if _backend() != "torch":
        return contextlib.nullcontext()
    import torch

    found: contextlib.AbstractContextManager[Any] = torch.no_grad()
    return found


def _named(answer: Any, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(answer, Mapping):
        yield from ((str(name), tensor) for name, tensor in answer.items())
    elif isinstance(answer, list | tuple) and len(answer) > 1:
        known = names if len(names) == len(answer) else [f"{DEFAULT_OUTPUT}_{i}" for i in range(len(answer))]
        yield from zip(known, answer, strict=True)
    else:
        yield "", (answer[0] if isinstance(answer, list | tuple) else answer)
