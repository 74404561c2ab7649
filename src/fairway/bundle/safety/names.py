"""Names as pickles write them: old spellings of modules, and what a name can be at all."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")

# Pickles of Python 2 spellings and of protocol 2 and lower, which keep them.
_OLD_MODULES = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_OLD_NAMES = {
    ("builtins", "xrange"): ("builtins", "range"),
    ("builtins", "unicode"): ("builtins", "str"),
    ("builtins", "long"): ("builtins", "int"),
}
# NumPy 2 moved its insides; a pickle of either must load in the other.
_NUMPY_OLD = "numpy.core."
_NUMPY_NEW = "numpy._core."


def modern_name(module: str, name: str) -> tuple[str, str]:
    """Return a name as today's list has it: what Python 2 and NumPy 1 called it is read as what it is now."""
    module = _OLD_MODULES.get(module, module)
    if module.startswith(_NUMPY_OLD) or module == "numpy.core":
        module = _NUMPY_NEW.removesuffix(".") + module.removeprefix(_NUMPY_OLD.removesuffix("."))
    return _OLD_NAMES.get((module, name), (module, name))


def is_name(module: str, name: str) -> bool:
    """Tell whether the two can be a module and a name in it; a name with a dot reaches into objects."""
    return bool(_MODULE.fullmatch(module) and _NAME.fullmatch(name))
