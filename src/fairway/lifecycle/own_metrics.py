"""Metric functions of the user's own: found beside `fairway.toml`, and run for that user alone."""

from __future__ import annotations

import importlib
import importlib.util
import sys

from fairway.errors import UsageError
from fairway.gates import GateRules
from fairway.lifecycle.measuring import Function


def load_functions(rules: GateRules) -> dict[str, Function]:
    """Return the metric functions that rules name, from the files beside `fairway.toml` or the environment.

    This runs the user's own code: only for rules of the user who calls.

    Raises:
        UsageError: A module or function is not there, or the module fails.
    """
    return {name: _load_function(name, where, rules) for name, where in rules.metric.items()}


def _load_function(name: str, where: str, rules: GateRules) -> Function:
    module_name, _, attribute = where.partition(":")
    path = None if rules.folder is None else rules.folder / (module_name.replace(".", "/") + ".py")
    try:
        if path is not None and path.is_file():
            spec = importlib.util.spec_from_file_location(f"_fairway_metrics_{module_name}", path)
            module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]  # a file has one
            sys.modules[module.__name__] = module
            spec.loader.exec_module(module)  # type: ignore[union-attr]
        else:
            module = importlib.import_module(module_name)
        function: Function = getattr(module, attribute)
    except Exception as cause:
        raise UsageError(
            f"the metric function {name!r} ({where}) cannot be loaded: {type(cause).__name__}: {cause}",
            hint=f"put {module_name}.py beside fairway.toml, with a function {attribute}(truth, predicted)",
        ) from cause
    return function
