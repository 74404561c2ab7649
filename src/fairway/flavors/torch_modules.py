"""A module of PyTorch without a pickle: its layers as JSON, its tensors apart.

What the JSON can name is a closed vocabulary: plain values, tensors, modules of `torch.nn` and of the code
that travels with the model, and functions of `torch` and `torch.nn.functional`. Reading it constructs nothing
else.
"""

from __future__ import annotations

import collections
import importlib
import math
import types
from collections.abc import Mapping
from typing import Any

from fairway.bundle.code import CodeSpace
from fairway.errors import ArtifactCorrupt, ArtifactImport

FORMAT = 1

_HINT = (
    "keep numbers, texts, lists, tensors and modules in a module's attributes; or save it as a program: "
    "torch.export.export(model, (example,), dynamic_shapes=...)"
)
_PLACES = ("torch.nn.functional", "torch")  # where functions of PyTorch are looked for


def write_module(module: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a module's layers as a document for JSON, and its tensors by the names that it uses.

    Raises:
        ArtifactCorrupt: An attribute holds something that has no place in the document; says which.
    """
    writer = _Writer()
    root = writer.module(module, "")
    return {"format": FORMAT, "root": root, "modules": writer.modules}, writer.tensors


class _Writer:
    """Writes each module and each tensor once, however many hold it."""

    def __init__(self) -> None:
        self.modules: list[dict[str, Any]] = []
        self.tensors: dict[str, Any] = {}
        self._places: dict[int, int] = {}
        self._keys: dict[int, str] = {}
        self._alive: list[Any] = []  # an id is another object's once its own is gone

    def module(self, module: Any, path: str) -> int:
        place = self._places.get(id(module))
        if place is not None:
            return place
        place = self._places[id(module)] = len(self.modules)
        kind = type(module)
        entry: dict[str, Any] = {"type": f"{kind.__module__}:{kind.__qualname__}"}
        if not is_module_type(kind) or kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
            raise ArtifactCorrupt(
                f"the class {kind.__module__}.{kind.__qualname__} cannot be found where the model is loaded",
                hint="move it to a .py file, import it from there, and give that file with --code",
            )
        self.modules.append(entry)
        state = module.__getstate__()
        self._alive.append(state)
        entry["state"] = {key: self.value(held, f"{path}.{key}".lstrip(".")) for key, held in state.items()}
        return place

    def value(self, value: Any, path: str) -> Any:
        import torch

        if value is None or isinstance(value, bool | str) or type(value) is int:
            return value
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, torch.Tensor):
            return {"tensor": self._tensor(value, path), "parameter": isinstance(value, torch.nn.Parameter)}
        if isinstance(value, torch.nn.Module):
            return {"module": self.module(value, path.replace("._modules", "").removeprefix("_modules."))}
        if isinstance(value, torch.dtype | torch.device):
            return {type(value).__name__: str(value).removeprefix("torch.")}
        if isinstance(value, tuple | list | set | frozenset) and type(value) in _SEQUENCES.values():
            items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
            return {type(value).__name__: [self.value(item, f"{path}.{i}") for i, item in enumerate(items)]}
        if isinstance(value, torch.Size):
            return {"tuple": list(value)}
        if isinstance(value, dict) and type(value) in _MAPPINGS.values():
            pairs = [[self.value(k, path), self.value(v, f"{path}.{k}")] for k, v in value.items()]
            return {type(value).__name__: pairs}
        if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a scalar of NumPy
            return self.value(value.item(), path)
        return {"function": self._function(value, path)}

    def _tensor(self, tensor: Any, path: str) -> str:
        if id(tensor) not in self._keys:
            key = path.replace("_parameters.", "").replace("_buffers.", "")
            key = f"{key}.{len(self.tensors)}" if key in self.tensors else key
            self._keys[id(tensor)] = key
            self.tensors[key] = tensor.detach().cpu().contiguous().clone()
            self._alive.append(tensor)
        return self._keys[id(tensor)]

    def _function(self, value: Any, path: str) -> str:
        name = getattr(value, "__name__", "")
        for place in _PLACES:
            if is_function(value, place, name) and _attribute(place, name) is value:
                return f"{place}:{name}"
        raise ArtifactCorrupt(
            f"the attribute {path!r} of the model holds a {type(value).__name__}, which cannot be saved "
            "without a pickle",
            hint=_HINT,
        )


_SEQUENCES: dict[str, Any] = {"tuple": tuple, "list": list, "set": set, "frozenset": frozenset}
_MAPPINGS: dict[str, Any] = {"dict": dict, "OrderedDict": collections.OrderedDict}


def read_module(document: Any, tensors: Mapping[str, Any], code: CodeSpace) -> Any:
    """Return the module that `write_module` has described.

    Args:
        document: The document.
        tensors: Tensors by name.
        code: Modules that travel with the model.

    Raises:
        ArtifactCorrupt: The document is none that `write_module` writes.
        ArtifactImport: A class is not there.
    """
    if document.get("format") != FORMAT:
        raise ArtifactCorrupt("the layers of the model are in a format that this release does not read")
    with code.active():
        return _Reader(document["modules"], tensors, code.roots).module(document["root"])


class _Reader:
    """Reads each module and each tensor once, so that what was shared is shared again."""

    def __init__(self, entries: list[Any], tensors: Mapping[str, Any], roots: set[str]) -> None:
        self._entries = entries
        self._tensors = tensors
        self._roots = roots
        self._modules: dict[int, Any] = {}
        self._read: dict[str, Any] = {}

    def module(self, place: int) -> Any:
        if place not in self._modules:
            entry = self._entries[place]
            kind = self._type(entry["type"])
            self._modules[place] = module = kind.__new__(kind)
            state = {key: self.value(value) for key, value in entry["state"].items()}
            module.__setstate__(state)
        return self._modules[place]

    def value(self, value: Any) -> Any:
        import torch

        if not isinstance(value, dict):
            return value
        (kind, content), *more = value.items()
        if kind == "tensor":
            return self._tensor(content, is_parameter=dict(more)["parameter"])
        if kind == "module":
            return self.module(content)
        if kind == "float":
            return float(content)
        if kind == "dtype":
            dtype = getattr(torch, content)
            return dtype if isinstance(dtype, torch.dtype) else None
        if kind == "device":
            return torch.device("cpu")  # whatever it was trained on
        if kind in _SEQUENCES:
            return _SEQUENCES[kind](self.value(item) for item in content)
        if kind in _MAPPINGS:
            return _MAPPINGS[kind]((self.value(k), self.value(v)) for k, v in content)
        return _function(kind, content)

    def _tensor(self, key: str, *, is_parameter: bool) -> Any:
        import torch

        if key not in self._read:
            tensor = self._tensors[key]
            self._read[key] = torch.nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor
        return self._read[key]

    def _type(self, name: str) -> Any:
        module, _, qualname = name.partition(":")
        root = module.split(".")[0]
        if root not in self._roots and not module.startswith("torch.nn.modules."):
            raise ArtifactImport(
                f"the model needs the class {module}.{qualname}, which does not travel with it",
                hint=f"own code travels with the model: --code {root}.py",
            )
        try:
            kind: Any = importlib.import_module(module)
            for part in qualname.split("."):
                kind = getattr(kind, part)
        except (ImportError, AttributeError) as cause:
            raise ArtifactImport(f"the model needs the class {module}.{qualname}: {cause}") from cause
        if not is_module_type(kind):
            raise ArtifactCorrupt(f"{module}.{qualname} is no module of PyTorch")
        return kind


def _function(kind: str, content: str) -> Any:
    place, _, name = content.partition(":") if kind == "function" else ("", "", "")
    found = _attribute(place, name) if place in _PLACES else None
    if not is_function(found, place, name):
        raise ArtifactCorrupt(f"the layers of the model name {content!a}, which is no function of a layer")
    return found


def _attribute(place: str, name: str) -> Any:
    return getattr(importlib.import_module(place), name, None)


def is_function(value: Any, place: str, name: str) -> bool:
    """Tell whether a value is a function of tensors; some of `torch` that are Python read files."""
    is_native = isinstance(value, types.BuiltinFunctionType)
    is_ours = isinstance(value, types.FunctionType) and place == "torch.nn.functional"
    return (is_native or is_ours) and not name.startswith("_")


def is_module_type(kind: Any) -> bool:
    """Tell whether something is a class of modules."""
    import torch

    return isinstance(kind, type) and issubclass(kind, torch.nn.Module)
