"""Files that `torch.save` and safetensors have written: weights that need a module, and whole modules."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairway.bundle.code import CodeSpace, missing_module
from fairway.bundle.safety import Trust
from fairway.errors import ArtifactCorrupt, ArtifactImport, ArtifactUnsafe
from fairway.flavors.torch_modules import is_function, is_module_type

BUILD = "build"
"""Name of the function of the user's code that returns the module for the weights."""

_LAYERS = ("torch.nn.modules.", "torch.nn.functional.", "torch._C._nn.")
_NESTED = ("state_dict", "model_state_dict", "model")  # where the checkpoints of training loops have them
_NO_CODE = (
    "save the whole model with torch.export, or give the file of its class: --code net.py; "
    f"with arguments, a function {BUILD}() in that file returns the module to fill"
)


def load_saved(data: bytes, code: CodeSpace, trust: Trust) -> Any:
    """Return the module that a file of `torch.save` holds, or that its weights fill.

    Raises:
        ArtifactUnsafe: The file would construct something that is not trusted.
        ArtifactImport: The weights fit no module of the user's code.
    """
    import torch

    strange = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data))
    _check_trusted(strange, trust)
    with code.active():
        allowed = [(_resolved(name, trusted=_is_trusted(name, trust)), name) for name in strange]
        with torch.serialization.safe_globals(allowed):
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if isinstance(found, torch.nn.Module):
        return found
    return with_weights(_weights_in(found), code)


def _check_trusted(names: Sequence[str], trust: Trust) -> None:
    """Refuse a file that names anything but layers of PyTorch and what is trusted."""
    refused = [n for n in names if not (_is_trusted(n, trust) or n.startswith(_LAYERS))]
    if refused:
        options = " ".join(f"--trust {name}" for name in sorted(refused))
        raise ArtifactUnsafe(
            f"the model file is a pickle that constructs {min(refused)}",
            hint=f"save the model with torch.export, or its state dict; if you know the file: {options}",
        )


def _is_trusted(name: str, trust: Trust) -> bool:
    return name in trust.types or trust.policy == "trusted"


def _resolved(name: str, *, trusted: bool) -> Any:
    """Return what a global of the file stands for."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as cause:
        raise missing_module(cause, needed_by="the model file") from cause
    except (ImportError, AttributeError) as cause:
        raise ArtifactImport(f"the model file needs {name}: {cause}") from cause
    if trusted or is_module_type(found) or is_function(found, module, attribute):
        return found
    raise ArtifactUnsafe(
        f"the model file is a pickle that constructs {name}", hint=f"if you know the file: --trust {name}"
    )


def _weights_in(found: Any) -> Mapping[str, Any]:
    nested = [found.get(key) for key in _NESTED] if isinstance(found, Mapping) else []
    for candidate in (found, *nested):
        if _is_state(candidate):
            weights: Mapping[str, Any] = candidate
            return weights
    raise ArtifactCorrupt(
        f"the file of torch.save holds a {type(found).__name__}, which is neither a module nor its weights",
        hint="save the weights: torch.save(model.state_dict(), path)",
    )


def _is_state(candidate: Any) -> bool:
    return (
        isinstance(candidate, Mapping)
        and bool(candidate)
        and all(isinstance(key, str) and hasattr(value, "numel") for key, value in candidate.items())
    )


def with_weights(weights: Mapping[str, Any], code: CodeSpace) -> Any:
    """Return the module of the user's code that these weights fill, strictly.

    Its function `build()` decides; without one, it is the only class that can be made without arguments and
    has exactly these weights.

    Raises:
        ArtifactImport: There is no such module, or more than one.
    """
    with code.active():
        makers = list(_makers(code))
        fitting, problems = [], []
        for name, make in makers:
            try:
                module = make()
                module.load_state_dict(weights, strict=True, assign=True)
            except Exception as cause:  # noqa: BLE001 - the user's own code, whatever it raises
                problems.append(f"{name}: {' '.join(str(cause).split())[:200]}")
                continue
            fitting.append((name, module))
    if len(fitting) == 1:
        return fitting[0][1]
    if fitting:
        names = " and ".join(name for name, _ in fitting)
        raise ArtifactImport(
            f"the weights fit {names}",
            hint=f"a function {BUILD}() in your code says which: it returns the module",
        )
    what = "; ".join(problems) or "no code of yours has a module for them"
    raise ArtifactImport(f"the file holds weights, and {what}", hint=_NO_CODE)


def _makers(code: CodeSpace) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what may return the module: every `build`, or else every class of a module."""
    names = [name for name in sys.modules if name.split(".")[0] in code.roots]
    modules = [sys.modules[name] for name in sorted(names)]
    builders = [
        (f"{module.__name__}.{BUILD}", function)
        for module in modules
        if callable(function := vars(module).get(BUILD)) and function.__module__ == module.__name__
    ]
    if builders:
        yield from builders
        return
    for module in modules:
        for name, kind in vars(module).items():
            if is_module_type(kind) and kind.__module__ == module.__name__:
                yield f"{module.__name__}.{name}", kind
