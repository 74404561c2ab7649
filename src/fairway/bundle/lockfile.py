"""The environment lock: the Python and the exact packages of a packed model, and what differs here."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import platform
import sys
from collections.abc import Iterable, Mapping
from typing import Any


def lock_environment(modules: Iterable[str]) -> dict[str, Any]:
    """Return Python, platform and the installed version of every distribution that provides *modules*.

    Args:
        modules: Module names, dotted or not. Standard-library and unknown modules are left out.
    """
    roots = {name.split(".")[0] for name in modules}
    owners = _distributions()
    names = {owner for root in roots for owner in owners.get(root, ())}
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "packages": {name: importlib.metadata.version(name) for name in sorted(names, key=str.lower)},
    }


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def imported_modules(source: bytes) -> set[str]:
    """Return the names of the modules that a Python file imports, without running it."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def compare_environment(lock: Mapping[str, Any]) -> list[str]:
    """Return one sentence per difference between the lock and this process; empty when there is none."""
    found = []
    here = platform.python_version()
    if lock.get("python") != here:
        found.append(f"Python {lock.get('python')} was recorded, {here} is running")
    for name, recorded in lock.get("packages", {}).items():
        try:
            present = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} {recorded} was recorded, but is not installed")
            continue
        if present != recorded:
            found.append(f"{name} {recorded} was recorded, {present} is installed")
    return found


def requirements(lock: Mapping[str, Any]) -> list[str]:
    """Return the lock as requirement lines, such as `scikit-learn==1.7.2`."""
    return [f"{name}=={version}" for name, version in lock.get("packages", {}).items()]
