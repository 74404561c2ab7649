"""Find implementations: the files of a folder, and what other packages register as entry points."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import pkgutil
from typing import Any


@functools.cache
def find_implementations(package: str, attribute: str) -> dict[str, Any]:
    """Return implementations by name: of each module in *package* that has *attribute*, and of entry points.

    Args:
        package: Dotted name such as `fairway.flavors`; also the group of the entry points.
        attribute: Name that a module binds to its implementation, such as `FLAVOR`.
    """
    found: dict[str, Any] = {}
    folder = importlib.import_module(package)
    for module in pkgutil.iter_modules(folder.__path__):
        implementation = getattr(importlib.import_module(f"{package}.{module.name}"), attribute, None)
        if implementation is not None:
            found[module.name] = implementation
    for entry_point in importlib.metadata.entry_points(group=package):
        found.setdefault(entry_point.name, entry_point.load())
    return found


@functools.cache
def find_implementation(package: str, attribute: str, name: str) -> Any:
    """Return one implementation by its name, or None; the other files of the folder are not imported.

    Args:
        package: See `find_implementations`.
        attribute: The same.
        name: Name of the implementation.
    """
    if name.isidentifier() and importlib.util.find_spec(f"{package}.{name}") is not None:
        found = getattr(importlib.import_module(f"{package}.{name}"), attribute, None)
        if found is not None:
            return found
    return find_implementations(package, attribute).get(name)
