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

KINDS = ("empty", "class", "function", "value")
"""How a name may be used.

`empty`: a class of which an object is made without arguments, to get its state afterwards.
`class`: a class that may be called with anything that the pickle can hold.
`function`: a function that may be called so.
`value`: may be held, never called.
"""

# Never loaded, whoever trusts them: their only use in a pickle is to run something, or to reach further.
NEVER_MODULES = frozenset(
    "os posix nt posixpath ntpath subprocess _posixsubprocess pty sys _sys shutil socket _socket ssl signal ctypes _ctypes "
    "importlib _frozen_importlib _frozen_importlib_external imp runpy pkgutil zipimport code codeop pdb bdb "
    "trace timeit cProfile profile doctest idlelib pydoc webbrowser multiprocessing threading _thread "
    "concurrent asyncio pickle _pickle cPickle marshal shelve dill cloudpickle linecache inspect types ast "
    "compileall py_compile pip ensurepip venv sqlite3 http urllib ftplib smtplib poplib imaplib telnetlib "
    "xmlrpc socketserver tempfile glob fileinput io _io mmap gc weakref atexit faulthandler resource commands "
    "antigravity turtle tkinter operator _operator logging unittest test distutils setuptools".split()
)
NEVER_NAMES = frozenset(
    [
        *(f"builtins.{name}" for name in (
            "eval exec compile open input getattr setattr delattr hasattr globals locals vars dir __import__ "
            "breakpoint exit quit type super print memoryview map filter apply execfile file help"
        ).split()),
        "functools.reduce", "joblib.load", "joblib.numpy_pickle.load", "pandas.read_pickle",
        "pandas.io.pickle.read_pickle", "pandas.eval", "pandas.core.computation.eval.eval", "numpy.load",
        "numpy.lib.npyio.load", "numpy.lib._npyio_impl.load", "numpy.fromfile", "numpy.f2py.crackfortran.param_eval",
        "numpy.testing._private.utils.runstring", "numpy.testing.runstring", "torch.load", "torch.serialization.load",
        "torch.hub.load", "torch.jit.load", "joblib.memory.Memory", "numpy._core._multiarray_umath._ufunc_reconstruct",
        "numpy._core._ufunc_reconstruct", "copyreg.__newobj__", "copyreg.__newobj_ex__",
    ]
)  # fmt: skip


@functools.cache
def allowed_names() -> Mapping[tuple[str, str], str]:
    """Return the kind of use by module and name."""
    text = resources.files("fairway.bundle.safety").joinpath("allowed.toml").read_text(encoding="utf-8")
    found: dict[tuple[str, str], str] = {}
    for group in tomllib.loads(text)["allow"]:
        for module, names in group["names"].items():
            found.update(dict.fromkeys(((module, name) for name in names.split()), group["kind"]))
    return MappingProxyType(found)


@functools.cache
def known_libraries() -> frozenset[str]:
    """Return the first parts of the modules on the list: libraries of which all that is needed stands there."""
    return frozenset(module.split(".")[0] for module, _ in allowed_names())


def is_never_right(module: str, name: str) -> bool:
    """Tell whether no model needs this name and nobody may trust it."""
    root = module.split(".")[0]
    return root in NEVER_MODULES or f"{module}.{name}" in NEVER_NAMES


def may_be_trusted(module: str, name: str) -> bool:
    """Tell whether a refusal should offer to trust this name.

    The standard library and the known libraries are offered by their classes only: what is named like a
    function there is the usual way to build an attack. An own module's function is as good as its class.
    """
    if is_never_right(module, name):
        return False
    root = module.split(".")[0]
    if root in sys.stdlib_module_names or root in known_libraries():
        return name.lstrip("_")[:1].isupper()
    return True
