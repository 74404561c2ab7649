"""The environment lock: the Python and the exact packages that a packed model needs.

It holds what the model imports, as far as its objects, its flavor and its own modules tell, and no package
that only happened to be installed. An installed package does not know the hash of the file that it came from,
so there are hashes only for those that were installed from an address of their own. What differs in another
place is told by `environment.py`.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import io
import json
import pickle
import platform
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from fairway.bundle.saved import saved_with


def lock_environment(
    modules: Iterable[str], *, framework: str = "", files: Mapping[str, bytes] | None = None
) -> dict[str, Any]:
    """Return Python, platform and the installed version of every distribution that provides *modules*.

    Args:
        modules: Module names, dotted or not. Standard-library and unknown modules are left out.
        framework: The module whose releases decide what the model answers.
        files: The model's files, which may tell under which releases they were saved.
    """
    roots = {name.split(".")[0] for name in modules}
    owners = _distributions()
    names = {owner for root in roots for owner in owners.get(root, ())} - {"fairway"}
    lock: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "packages": {name: importlib.metadata.version(name) for name in sorted(names, key=str.lower)},
    }
    found = {
        "framework": next((owner for owner in owners.get(framework, ()) if owner in names), ""),
        "saved_with": saved_with(files or {}),
        "hashes": {name: digest for name in sorted(names) if (digest := _hash_of(name))},
    }
    return lock | {key: value for key, value in found.items() if value}


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _hash_of(name: str) -> str:
    """Return the SHA-256 of the archive that a distribution was installed from, if it says so (PEP 610)."""
    try:
        origin = json.loads(importlib.metadata.distribution(name).read_text("direct_url.json") or "{}")
        digest = origin.get("archive_info", {}).get("hashes", {}).get("sha256", "")
    except (ValueError, AttributeError):
        return ""
    return str(digest)


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


def pickled_modules(model: Any) -> set[str]:
    """Return the modules of all that a pickle of *model* refers to; of what cannot be pickled, a part."""
    found: set[str] = set()

    class Reader(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            kind = obj if isinstance(obj, type) or hasattr(obj, "__qualname__") else type(obj)
            found.add(str(getattr(kind, "__module__", "")))
            return NotImplemented

    try:
        # Protocol 5 hands the arrays over instead of copying them.
        Reader(io.BytesIO(), protocol=5, buffer_callback=lambda _: None).dump(model)
    except Exception:  # noqa: BLE001 - a model with another way of being saved; its flavor names its modules
        return found
    return found


def requirements(lock: Mapping[str, Any]) -> list[str]:
    """Return the lock as requirement lines, such as `scikit-learn==1.7.2`."""
    return [f"{name}=={version}" for name, version in lock.get("packages", {}).items()]
