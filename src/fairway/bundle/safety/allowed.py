"""The list of names that a pickle may use, and how each of them: `allowed.toml`, read once.

A name is allowed by module and name together; nothing is allowed by its beginning. What is not on the list is
refused, and the words of the refusal say which of three things it is: a name that is never right in a model,
a function of a known library, or a type that nobody has looked at yet and that the user may trust by name.
"""

from __future__ import annotations

import functools
import sys
import tomllib
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any

KINDS = ("empty", "class", "function", "value")
"""How a name may be used.

`empty`: a class of which an object is made without arguments, to get its state afterwards.
`class`: a class that may be called with anything that the pickle can hold.
`function`: a function that may be called so.
`value`: may be held, never called.
"""


@functools.cache
def _list() -> dict[str, Any]:
    text = resources.files("fairway.bundle.safety").joinpath("allowed.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@functools.cache
def allowed_names() -> Mapping[tuple[str, str], str]:
    """Return the kind of use by module and name."""
    found: dict[tuple[str, str], str] = {}
    for group in _list()["allow"]:
        for module, names in group["names"].items():
            found.update(dict.fromkeys(((module, name) for name in names.split()), group["kind"]))
    return MappingProxyType(found)


@functools.cache
def known_libraries() -> frozenset[str]:
    """Return the libraries of which all that a model needs stands on the list."""
    return frozenset(module.split(".")[0] for module, _ in allowed_names())


def is_never_right(module: str, name: str) -> bool:
    """Tell whether no model needs this name and nobody may trust it."""
    modules, names = _never()
    return module.split(".", maxsplit=1)[0] in modules or f"{module}.{name}" in names


@functools.cache
def _never() -> tuple[frozenset[str], frozenset[str]]:
    never = _list()["never"]
    return frozenset(never["modules"].split()), frozenset(never["names"].split())


def may_be_trusted(module: str, name: str) -> bool:
    """Tell whether a refusal should offer to trust this name.

    The standard library and the known libraries are offered by their classes only: what is named like a
    function there is the usual way to build an attack. An own module's function is as good as its class.
    """
    if is_never_right(module, name):
        return False
    root = module.split(".", maxsplit=1)[0]
    if root in sys.stdlib_module_names or root in known_libraries():
        return name.lstrip("_")[:1].isupper()
    return True
