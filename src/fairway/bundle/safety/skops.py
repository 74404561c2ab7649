"""skops files: a zip whose `schema.json` names every type and function that would be made."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fairway.bundle.safety.judge import Verdict, judge
from fairway.bundle.safety.machine import Global, Trace, Use
from fairway.bundle.safety.names import modern_name
from fairway.bundle.safety.policy import Trust
from fairway.errors import ArtifactCorrupt

_MAX_DEPTH = 500
# How skops names a function or a type that is held, beside the type of the object itself.
_HELD = (
    ("module_path", "function"),
    ("module_path", "type"),
    ("module", "name"),
    ("class_module", "class_name"),
)
# What skops itself calls what it keeps in its own ways.
_OWN_NAMES = frozenset({
    "builtins.list", "builtins.dict", "builtins.tuple", "builtins.set", "builtins.str", "builtins.type",
    "builtins.slice", "builtins.bytes", "builtins.bytearray", "builtins.NoneType", "builtins.function",
    "builtins.method", "builtins.builtin_function_or_method", "types.FunctionType", "types.MethodType",
    "types.BuiltinFunctionType", "numpy.ufunc",
})  # fmt: skip


def judge_skops(members: Mapping[str, bytes], path: str, trust: Trust, own: Collection[str]) -> list[Verdict]:
    """Return the verdict on every name of a skops file.

    Raises:
        ArtifactCorrupt: Its schema cannot be read.
    """
    try:
        schema = json.loads(members["schema.json"])
    except (ValueError, KeyError, RecursionError) as cause:
        raise ArtifactCorrupt(f"the schema of {path} cannot be read") from cause
    uses = [Use(name, "value", None, 0) for name in dict.fromkeys(_names(schema, 0, path))]
    trace = Trace(uses, {}, persistent=False, streams=1)
    return judge(trace, trust, own, extra=_OWN_NAMES)


def _names(value: Any, depth: int, path: str) -> Iterator[Global]:
    if depth > _MAX_DEPTH:
        raise ArtifactCorrupt(f"the schema of {path} is nested too deeply")
    if isinstance(value, dict):
        if isinstance(value.get("__class__"), str):
            yield Global(*modern_name(str(value.get("__module__")), value["__class__"]))
        if value.get("__loader__") == "MethodNode":  # any method of what lies inside: a name with a dot
            yield Global(str(value.get("__module__")), f"{value.get('__class__')}.method")
        for module, name in _HELD:
            if isinstance(value.get(module), str) and isinstance(value.get(name), str):
                yield Global(*modern_name(value[module], value[name]))
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _names(item, depth + 1, path)
