"""PyTorch: modules with their weights, TorchScript, and exported programs.

A module is kept without a pickle: its layers as JSON (`torch_modules.py`), its weights as safetensors. What a
user brings as a file stays as it is.
"""

from __future__ import annotations

import copy
import inspect
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairway.bundle.archive import member_names
from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table
from fairway.errors import ArtifactCorrupt, FairwayError, MissingExtra
from fairway.flavors.base import Description, ModelFiles, Predictor, import_framework
from fairway.flavors.networks import Arrays, Call, NetworkPredictor, feed_attempts, learn_network
from fairway.flavors.torch_files import load_saved, with_weights
from fairway.flavors.torch_modules import read_module, write_module

ARCHITECTURE = "model/architecture.json"
WEIGHTS = "model/weights.safetensors"
SCRIPT = "model/model.ts"
PROGRAM = "model/model.pt2"
SAVED = "model/model.pt"

_UNSAVED_HINT = "save it as a program instead: torch.export.export(model, (example,), dynamic_shapes=...)"


class TorchFlavor:
    """Implement `fairway.flavors.base.Flavor` for PyTorch."""

    name = "torch"
    module = "torch"
    package = "torch"
    formats: Sequence[str] = (
        "safetensors and state dicts with --code",
        "TorchScript",
        "torch.export programs",
    )
    tolerance = 1e-5  # single precision, and other libraries of linear algebra elsewhere

    def matches(self, type_name: str) -> bool:
        """Match PyTorch's own classes, and so every module that derives from one."""
        return type_name.startswith("torch.")

    def reads(self, files: Mapping[str, bytes]) -> bool:
        """Match one file of safetensors, TorchScript, `torch.export` or `torch.save`."""
        return len(files) == 1 and bool(_format_of(next(iter(files.values()))))

    def keep(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep the file as it is."""
        (data,) = files.values()
        return {_format_of(data): data}

    def describe(self, model: Any) -> Description:
        """Read the class, and count the parameters."""
        model = _unwrapped(model)
        if _is_program(model):
            tensors = [t for t in model.state_dict.values() if hasattr(t, "numel")]
            modules = {"torch", "numpy"}
        else:
            tensors = list(model.parameters())
            modules = {"torch", "numpy", "safetensors", *(type(part).__module__ for part in model.modules())}
        return Description(
            model_type=str(getattr(model, "original_name", type(model).__name__)),
            hyperparameters={"parameters": sum(int(tensor.numel()) for tensor in tensors)},
            modules=modules,
        )

    def dump(self, model: Any) -> dict[str, bytes]:
        """Save a module as layers and weights, anything else in its own format."""
        torch = import_framework(self)
        model = _unwrapped(model)
        buffer = io.BytesIO()
        try:
            with _without_warnings():
                if _is_program(model):
                    torch.export.save(model, buffer)
                    return {PROGRAM: buffer.getvalue()}
                if isinstance(model, torch.jit.ScriptModule):
                    torch.jit.save(model, buffer)
                    return {SCRIPT: buffer.getvalue()}
            document, tensors = write_module(model)
            return {ARCHITECTURE: json.dumps(document).encode(), WEIGHTS: _safetensors().save(tensors)}
        except FairwayError:
            raise
        except Exception as cause:  # saving calls the model's own code: anything may come
            raise ArtifactCorrupt(f"the model cannot be saved: {cause}", hint=_UNSAVED_HINT) from cause

    def load(self, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:
        """Load from the verified bytes; what a file may construct is a closed list."""
        torch = import_framework(self)
        torch.set_num_threads(1)  # calls are spread over workers; threads of one call would get in their way
        try:
            model = _read(torch, read, code, trust)
        except FairwayError:
            raise
        except Exception as cause:  # a damaged file raises whatever its bytes happen to mean
            raise ArtifactCorrupt(
                f"the model file cannot be read by PyTorch {torch.__version__}: "
                f"{type(cause).__name__}: {str(cause)[:200]}",
                hint="was it cut off while copying, or written by another release?",
            ) from cause
        return model if _is_program(model) else model.eval()

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Try a matrix, or one tensor per column where the network's inputs are named like the columns."""
        dtypes = dict.fromkeys([_dtype_of(model), "float32", "int64"])
        attempts = feed_attempts(signature, _input_names(model), list(dtypes), feed)
        return learn_network(_caller(model), attempts, table, signature, output_names)

    def predictor(self, model: Any, signature: Signature, options: dict[str, Any]) -> Predictor:
        """Bind the network to the way of feeding that was found when it was packed."""
        return NetworkPredictor(_caller(model), signature, options)


FLAVOR = TorchFlavor()


def _format_of(data: bytes) -> str:
    """Return the path in the bundle for a file of a known format, or the empty text."""
    if _is_safetensors(data):
        return WEIGHTS
    # Everything lies in one folder, whose name is that of the file when it was saved.
    names = {name.partition("/")[2] for name in member_names(data)}
    if "archive_format" in names:
        return PROGRAM
    if "constants.pkl" in names:
        return SCRIPT
    return SAVED if {"data.pkl", "version"} <= names else ""


def _is_safetensors(data: bytes) -> bool:
    size = int.from_bytes(data[:8], "little")
    return len(data) >= 8 + size > 9 and data[8:9] == b"{" and b'"dtype"' in data[8 : 8 + size]


def _read(torch: Any, read: ModelFiles, code: CodeSpace, trust: Trust) -> Any:
    paths = set(read.paths)
    if ARCHITECTURE in paths:
        return read_module(json.loads(read(ARCHITECTURE)), _safetensors().load(read(WEIGHTS)), code)
    if WEIGHTS in paths:
        return with_weights(_safetensors().load(read(WEIGHTS)), code)
    if SAVED in paths:
        return load_saved(read(SAVED), code, trust)
    with _without_warnings():
        if SCRIPT in paths:
            return torch.jit.load(io.BytesIO(read(SCRIPT)), map_location="cpu")
        return torch.export.load(io.BytesIO(read(PROGRAM)))


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as cause:
        raise MissingExtra("safetensors", "torch", purpose="the weights of a network") from cause
    return safetensors.torch


def _without_warnings() -> Any:
    """Return a block in which nothing is warned of: TorchScript works, and says that it is to go."""
    return warnings.catch_warnings(action="ignore")


def _unwrapped(model: Any) -> Any:
    """Return the module inside one that `torch.compile` has wrapped."""
    return getattr(model, "_orig_mod", model)


def _is_program(model: Any) -> bool:
    return type(model).__module__.startswith("torch.export")


def _dtype_of(model: Any) -> str:
    model = _unwrapped(model)
    tensors = model.state_dict.values() if _is_program(model) else model.parameters()
    found = next((t.dtype for t in tensors if hasattr(t, "dtype") and t.dtype.is_floating_point), None)
    return "float64" if str(found) == "torch.float64" else "float32"


def _input_names(model: Any) -> list[str]:
    model = _unwrapped(model)
    if _is_program(model):
        return [str(name) for name in model.graph_signature.user_inputs]
    schema = getattr(model.forward, "schema", None)
    if schema is not None:
        return [argument.name for argument in schema.arguments[1:]]
    return [p.name for p in inspect.signature(model.forward).parameters.values() if p.kind in _POSITIONAL]


_POSITIONAL = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)


def _ready(model: Any) -> Callable[..., Any]:
    """Return the network as it serves: on the processor, not in training; the user's own does not change."""
    model = _unwrapped(model)
    if _is_program(model):
        function: Callable[..., Any] = model.module()
        return function
    tensors = [*model.parameters(), *model.buffers()]
    if any(part.training for part in model.modules()) or any(t.device.type != "cpu" for t in tensors):
        model = copy.deepcopy(model).cpu().eval()
    ready: Callable[..., Any] = model
    return ready


def _caller(model: Any) -> Call:
    import torch

    network, names = _ready(model), _input_names(model)

    def call(arrays: Arrays) -> Arrays:
        ordered = [arrays[name] for name in names if name in arrays] or list(arrays.values())
        with torch.inference_mode():
            answer = network(*map(torch.from_numpy, ordered))
        return {name: tensor.numpy() for name, tensor in _tensors_in(answer, torch)}

    return call


def _tensors_in(answer: Any, torch: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(answer, torch.Tensor):
        # NumPy knows no bfloat16; float32 holds all of it.
        yield name, (answer.float() if answer.dtype is torch.bfloat16 else answer).cpu()
    elif isinstance(answer, Mapping):
        for key, tensor in answer.items():
            yield from _tensors_in(tensor, torch, str(key))
    elif isinstance(answer, list | tuple):
        for i, tensor in enumerate(answer):
            yield from _tensors_in(tensor, torch, "" if len(answer) == 1 else f"prediction_{i}")
    else:
        raise TypeError(f"it answered with a {type(answer).__name__}, which is no tensor")
