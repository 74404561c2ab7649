"""Code of the user's own that a bundle calls by name: functions and methods, ready with their data files.

A name is `module:function` or `module:Class.method`. A class is made once, without arguments; its
`load(files)`, if it has one, is called first, with the path of a copy of every data file by name.
"""

from __future__ import annotations

import importlib
import re
import tempfile
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairway.bundle.code import CodeSpace, missing_module
from fairway.bundle.safety import Trust
from fairway.errors import ArtifactImport, ArtifactUnsafe, FairwayError, UsageError

_NAME = r"[^\W\d]\w*"
_ENTRY = re.compile(rf"{_NAME}(\.{_NAME})*:{_NAME}(\.{_NAME})?")
_MOVE_HINT = "move it to a .py file, import it from there, and name that: code=['model.py'], --code model.py"


def entry_of(given: Any) -> str:
    """Return the name of a function, a method of a class, or a class; a text is checked and returned.

    Raises:
        ArtifactImport: It has no name under which another process could find it.
        UsageError: A text is no such name.
    """
    if isinstance(given, str):
        if _ENTRY.fullmatch(given):
            return given
        raise UsageError(
            f"{given!r} names no function", hint="name it as MODULE:FUNCTION, such as news:clean"
        )
    module, name = getattr(given, "__module__", None), getattr(given, "__qualname__", None)
    if not callable(given) or not isinstance(module, str) or not isinstance(name, str):
        raise ArtifactImport(
            f"a {type(given).__name__} object cannot be packed as code: its state lies in no file",
            hint="give a function, or a class whose load(files) reads the state from data files",
        )
    if module == "__main__":
        raise ArtifactImport(
            f"{name} is defined in a script or notebook (__main__), where no server can find it",
            hint=_MOVE_HINT,
        )
    if not _ENTRY.fullmatch(f"{module}:{name}"):
        raise ArtifactImport(
            f"{name} of {module} is a lambda or is defined inside of a function, where no server can find it",
            hint="define it at the top of its module with def or class",
        )
    owner = getattr(given, "__self__", None)
    if owner is not None and not isinstance(owner, type):
        raise ArtifactImport(
            f"{name} is the method of an object, whose state lies in no file",
            hint=f"give {name} of the class itself; what it needs is read by load(files)",
        )
    return f"{module}:{name}"


def check_code_allowed(entry: str, trust: Trust) -> None:
    """Refuse code where nothing may run that a file brings.

    Raises:
        ArtifactUnsafe: The policy is `safe-only`.
    """
    if trust.policy == "safe-only":
        raise ArtifactUnsafe(
            f"{entry} is code that travels in the bundle, and the policy safe-only runs none",
            hint="serve it under the policy allowlist, if you trust who packed it",
        )


class OwnCode:
    """The functions and classes that a bundle calls by name; each class is made once.

    Args:
        code: Modules that travel with the model.
        files: Data files by name.
    """

    def __init__(self, code: CodeSpace, files: Mapping[str, bytes]) -> None:
        self._code = code
        self._files = files
        self._made: dict[type, Any] = {}

    def find(self, entry: str) -> Any:
        """Return the function, the method of its ready object, or for a class the ready object.

        Raises:
            ArtifactImport: There is none of this name, or it cannot be made ready.
        """
        module_name, _, name = entry.partition(":")
        first, _, method = name.partition(".")
        with self._code.active():
            try:
                module = importlib.import_module(module_name)
            except ImportError as cause:
                raise missing_module(cause, needed_by=entry) from cause
            except Exception as cause:  # whatever a module does while it is imported
                raise ArtifactImport(f"{module_name} {_raised(cause)}") from cause
            found = _member(module, first, entry)
            if isinstance(found, type):
                found = self._ready(found, entry)
            return _member(found, method, entry) if method else found

    def _ready(self, kind: type, entry: str) -> Any:
        """Return the object of a class; its own words are heard if it cannot be made."""
        if kind not in self._made:
            try:
                made = kind()
                if callable(getattr(made, "load", None)):
                    self._load(made)
            except FairwayError:
                raise
            except Exception as cause:
                raise ArtifactImport(
                    f"{entry} cannot be made ready: {kind.__name__} {_raised(cause)}",
                    hint="a class is made without arguments; load(files) gets the files given with --file",
                ) from cause
            self._made[kind] = made
        return self._made[kind]

    def _load(self, made: Any) -> None:
        with tempfile.TemporaryDirectory(prefix="fairway-files-") as temporary:
            paths = _Paths()
            for name, data in self._files.items():
                paths[name] = Path(temporary, name)
                paths[name].parent.mkdir(parents=True, exist_ok=True)
                paths[name].write_bytes(data)
            made.load(paths)


class _Paths(dict[str, Path]):
    """Paths by name, which say what to do when one is missing."""

    def __missing__(self, name: str) -> Path:
        there = f"there are: {', '.join(self)}" if self else "none was given"
        raise ArtifactImport(
            f"load asks for the file {name!r}, which does not travel with the model ({there})",
            hint=f"give it when the model is packed: --file {name}",
        )


def _member(owner: Any, name: str, entry: str) -> Any:
    found = getattr(owner, name, None)
    if not callable(found) and not isinstance(found, type):
        raise ArtifactImport(
            f"{entry}: there is no function or class {name!r}", hint="is it spelt as in the file?"
        )
    return found


def _raised(cause: BaseException) -> str:
    """Return what was raised, and the line of the user's own code where."""
    return f"raised {type(cause).__name__}: {str(cause)[:200]}{place_of(cause)}"


def place_of(cause: BaseException) -> str:
    """Return the innermost line of the bundle's own code that an exception went through, in brackets."""
    frames = traceback.extract_tb(cause.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith("<") and ">/" in frame.filename]
    return f" ({own[-1].filename.partition('>/')[2]}, line {own[-1].lineno})" if own else ""
