"""Modules that travel with a model: read from files at packing, imported from the bundle's verified bytes.

Each bundle has a space of its own, so that two versions of one model with different `features.py` live in
one process, and nothing is ever imported from the working directory. A module of the space sees its
siblings through its own `__import__`; the rest of the process does not see the space at all.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import sys
import threading
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairway.errors import ArtifactImport, UsageError

_lock = threading.RLock()


def collect_code(paths: Sequence[str | Path]) -> dict[str, bytes]:
    """Read the `.py` files and package folders that a model needs.

    Returns:
        Contents by path below the bundle's code folder.

    Raises:
        UsageError: A path is no Python file or folder, or two of them have one name.
    """
    found: dict[str, bytes] = {}
    for path in map(Path, paths):
        if path.is_dir():
            files = {f"{path.name}/{p.relative_to(path).as_posix()}": p for p in sorted(path.rglob("*.py"))}
        elif path.suffix == ".py" and path.is_file():
            files = {path.name: path}
        else:
            raise UsageError(f"{path} is no Python file or folder", hint="give .py files or package folders")
        for name, file in files.items():
            root = name.removesuffix(".py").split("/")[0]
            if root in sys.stdlib_module_names:
                raise UsageError(
                    f"{path} has the name of a module of Python itself", hint=f"rename {root} and import that"
                )
            if name in found:
                raise UsageError(f"two code files are called {name!r}")
            found[name] = file.read_bytes()
    return found


def collect_data(paths: Sequence[str | Path]) -> dict[str, bytes]:
    """Read the data files, and the folders of such, that own code reads when it is made ready.

    Returns:
        Contents by name; a file in a folder goes by the folder's name and its path in it.

    Raises:
        UsageError: A path cannot be read, or two of them have one name.
    """
    found: dict[str, bytes] = {}
    for path in map(Path, paths):
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in inside:
            name = file.relative_to(path.parent).as_posix()
            if name in found:
                raise UsageError(f"two data files are called {name!r}")
            try:
                found[name] = file.read_bytes()
            except OSError as cause:
                raise UsageError(f"the data file {file} cannot be read: {cause.strerror}") from cause
    return found


class CodeSpace:
    """The modules of one bundle.

    Args:
        files: Source by path, such as `features.py` or `tools/__init__.py`.
        label: Shown in tracebacks in place of a folder.
    """

    def __init__(self, files: Mapping[str, bytes], *, label: str) -> None:
        self._sources = {_module_name(path): (path, source) for path, source in files.items()}
        # A folder without __init__.py is a package, too.
        for name in list(self._sources):
            while "." in name:
                name = name.rpartition(".")[0]  # noqa: PLW2901 - walks up to the root
                self._sources.setdefault(name, (name.replace(".", "/") + "/__init__.py", b""))
        self._roots = {name.split(".")[0] for name in self._sources}
        self._label = label
        self._modules: dict[str, types.ModuleType] = {}

    @property
    def roots(self) -> set[str]:
        """Names of the top-level modules."""
        return self._roots

    @contextlib.contextmanager
    def active(self) -> Iterator[set[str]]:
        """Let `import` and unpickling of this block find the modules under their plain names.

        Unpickling looks names up in `sys.modules`, so for that moment, under a lock, they stand there. The
        block gets the names of the top-level ones.
        """
        with _lock:
            shadowed = {name: sys.modules.pop(name) for name in list(sys.modules) if self._owns(name)}
            try:
                for name, (path, _) in self._sources.items():
                    try:
                        sys.modules[name] = self._load(name)
                    except ImportError as cause:
                        raise missing_module(cause, needed_by=path) from cause
                    except Exception as cause:
                        raise ArtifactImport(f"{path} raised {type(cause).__name__}: {cause}") from cause
                yield self._roots
            finally:
                for name in self._sources:
                    sys.modules.pop(name, None)
                sys.modules.update(shadowed)

    def _owns(self, name: str) -> bool:
        return name.split(".", maxsplit=1)[0] in self._roots

    def _load(self, name: str) -> types.ModuleType:
        parent, _, child = name.rpartition(".")
        package = self._load(parent) if parent else None
        if name in self._modules:  # perhaps since its package was loaded, which may import it
            return self._modules[name]
        path, source = self._sources[name]
        module = types.ModuleType(name)
        module.__file__ = f"<{self._label}>/{path}"
        is_package = path.endswith("/__init__.py")
        module.__package__ = name if is_package else parent
        if is_package:
            module.__path__ = []
        # Read by CPython's import statement before the default: keeps siblings visible after loading.
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        # Dataclasses and enumerations look their module up while it runs.
        self._modules[name] = sys.modules[name] = module
        try:
            exec(compile(source, module.__file__, "exec"), module.__dict__)  # noqa: S102 - the model's own code
        except BaseException:
            del self._modules[name]
            sys.modules.pop(name, None)
            raise
        if package is not None:
            setattr(package, child, module)
        return module

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the signature of builtins.__import__
        locals: Mapping[str, Any] | None = None,  # noqa: A002
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        absolute = name
        if level:
            package = str((globals or {}).get("__package__", ""))
            absolute = importlib.util.resolve_name("." * level + name, package)
        if not self._owns(absolute):
            return builtins.__import__(name, globals, locals, fromlist, level)
        if absolute not in self._sources:
            raise ModuleNotFoundError(f"No module named {absolute!r}", name=absolute)
        module = self._load(absolute)
        for item in fromlist or ():
            if f"{absolute}.{item}" in self._sources:
                self._load(f"{absolute}.{item}")
        return module if fromlist or level else self._load(absolute.split(".")[0])


def _module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def missing_module(cause: ImportError, *, needed_by: str) -> ArtifactImport:
    """Return the error that names the module that could not be imported and says what brings it in."""
    if not isinstance(cause, ModuleNotFoundError):
        return ArtifactImport(
            f"{needed_by} cannot be imported here: {cause}", hint="is another version of it installed?"
        )
    name = (cause.name or str(cause)).split(".")[0]
    return ArtifactImport(
        f"{needed_by} needs the module {name!r}, which cannot be imported here",
        hint=f"own code travels with the model: --code {name}.py; a package is installed: pip install {name}",
    )
