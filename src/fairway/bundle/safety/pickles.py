"""Loading a pickle or joblib file: the bytes that were traced, by an unpickler that holds the same list.

A joblib file is read without joblib: its headers of arrays are taken for what they are by a class of our own,
and an array is copied from the place that the trace found, which must be the one that the header stands for.
"""

from __future__ import annotations

import importlib
import io
import math
import pickle
import sys
import types
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any

from fairway.bundle.safety.allowed import allowed_names, is_never_right
from fairway.bundle.safety.arrays import HEADER, ArrayPlace
from fairway.bundle.safety.containers import decompress
from fairway.bundle.safety.judge import judge, refuse, untrusted
from fairway.bundle.safety.machine import Trace
from fairway.bundle.safety.names import is_name, modern_name
from fairway.bundle.safety.opcodes import trace_pickles
from fairway.bundle.safety.policy import Trust
from fairway.errors import ArtifactCorrupt, ArtifactUnsafe

Modules = Callable[[], AbstractContextManager[Collection[str]]]


def load_pickle(data: bytes, trust: Trust, *, modules: Modules) -> Any:
    """Do what `fairway.bundle.safety.load_pickle` promises."""
    if trust.policy == "safe-only":
        raise ArtifactUnsafe(
            "the file is a pickle, and the policy safe-only loads none",
            hint="save the model in a format that runs no code: fairway convert MODEL OUT",
        )
    plain = decompress(data)
    trace = trace_pickles(plain)
    if trace.streams != 1 or trace.persistent:
        raise ArtifactUnsafe("the file holds more than one pickle, or parts that lie elsewhere")
    with modules() as own:
        refuse(judge(trace, trust, own), "the model file")
        names = _Names(trust, own)
        if trace.arrays:
            return _ArrayUnpickler(plain, trace, names).load()
        return _PlainUnpickler(io.BytesIO(plain), names).load()


class _Names:
    """The list, enforced once more when a name is looked up."""

    def __init__(self, trust: Trust, own: Collection[str]) -> None:
        self._trust = trust
        self._own = frozenset(own)

    def find(self, module: str, name: str) -> Any:
        """Return what a name stands for.

        Raises:
            ArtifactUnsafe: It is not allowed, or is something else than the list takes it for.
        """
        module, name = modern_name(module, name)
        if (module, name) == HEADER:
            return _Header
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        kind = allowed_names().get((module, name))
        if kind is None and not is_name(module, name):
            raise ArtifactUnsafe(f"the model file uses {module}.{name}, which reaches into an object")
        kind = "own" if module.split(".")[0] in self._own else kind
        if kind is None and f"{module}.{name}" in self._trust.types and not is_never_right(module, name):
            kind = "trusted"
        if kind is None:
            raise untrusted([f"{module}.{name}"], "the model file")
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        _check_found(found, kind, module, name, self._own)
        return found


def _check_found(found: Any, kind: str, module: str, name: str, own: Collection[str]) -> None:
    """Refuse what a name stands for if it is not what the list says."""
    is_right = True
    if kind in {"empty", "class"}:
        is_right = isinstance(found, type)
    elif kind == "own":  # what the user's module defines, not what it happens to import
        root = str(getattr(found, "__module__", "") or "").split(".")[0]
        is_right = not isinstance(found, types.ModuleType) and (root in own or not callable(found))
    elif kind == "trusted":
        is_right = not isinstance(found, types.ModuleType)
    if not is_right:
        raise ArtifactUnsafe(f"the model file uses {module}.{name}, which is no class or function of a model")


def _latin1(text: str, encoding: str) -> bytes:
    """Stand for `_codecs.encode`, by which protocols 0 to 2 write bytes; others would be imported."""
    if encoding != "latin1":
        raise ArtifactUnsafe(f"the model file encodes text as {encoding!a}, which no pickle does")
    return text.encode("latin-1")


class _PlainUnpickler(pickle.Unpickler):
    """The unpickler for files without joblib's arrays."""

    def __init__(self, file: io.BytesIO, names: _Names) -> None:
        super().__init__(file)
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        sys.audit("pickle.find_class", module, name)  # as the unpickler that this one replaces
        return self._names.find(module, name)


class _Header:
    """Stands for joblib's header of an array until the array takes its place."""


class _ArrayUnpickler(pickle._Unpickler):  # noqa: SLF001 - the one whose BUILD can be told about arrays
    """The unpickler for joblib's files: an array stands in the file behind its header."""

    dispatch = pickle._Unpickler.dispatch.copy()  # noqa: SLF001

    def __init__(self, data: bytes, trace: Trace, names: _Names) -> None:
        self._file = io.BytesIO(data)
        super().__init__(self._file)
        self._data = data
        self._places = trace.arrays
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        sys.audit("pickle.find_class", module, name)  # as the unpickler that this one replaces
        return self._names.find(module, name)

    def load_build(self) -> None:
        """Set the state of an object; a header is replaced by its array."""
        super().load_build()  # type: ignore[misc]
        if isinstance(self.stack[-1], _Header):  # type: ignore[attr-defined]
            self.stack[-1] = self._array(vars(self.stack[-1]))  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build  # type: ignore[assignment]

    def _array(self, header: dict[str, Any]) -> Any:
        place = self._places.get(self._file.tell())
        dtype, shape = header["dtype"], header["shape"]
        if place is None or place.nested != dtype.hasobject:
            raise _two_readings()
        if place.nested:
            array = _PlainUnpickler(self._file, self._names).load()
            return _native(array)
        return _native(self._numbers(place, dtype, shape, header["order"]))

    def _numbers(self, place: ArrayPlace, dtype: Any, shape: tuple[int, ...], order: str) -> Any:
        import numpy as np

        count = math.prod(shape)
        if place.end - place.data != count * dtype.itemsize:
            raise _two_readings()
        array = np.empty(count, dtype=dtype)
        if count:
            array[:] = np.frombuffer(self._data, dtype=dtype, count=count, offset=place.data)
        self._file.seek(place.end)
        return array.reshape(shape[::-1]).transpose() if order == "F" else array.reshape(shape)


def _native(array: Any) -> Any:
    """Return the array in this machine's byte order, as joblib does."""
    dtype = array.dtype
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _two_readings() -> ArtifactCorrupt:
    return ArtifactCorrupt(
        "the header of an array can be read in two ways; the file is not what joblib writes"
    )
