"""Steps of the user's own: plain functions that stand for a class, and need no framework.

A class that is no estimator of a known framework converts if it has a method `as_steps`. It returns what the
class is made of, in order: fitted estimators, and functions or `functools.partial` objects with plain keyword
arguments. A function lives at the top of a module that travels with the model (`--code`) and imports nothing
but the standard library and NumPy. It takes what the class is given (records, texts or a matrix; after a
regressor its answers) and returns what the class returns: the same kind, or texts made of records.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.bundle.code import CodeSpace
from fairway.bundle.lockfile import imported_modules
from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import (
    Kind,
    Model,
    Part,
    Source,
    Step,
    prepared,
    read_model,
    read_transformer,
)
from fairway.compilers.steps.inputs import convert

_KINDS: tuple[Kind, ...] = ("records", "texts", "dense")


@dataclasses.dataclass
class Call(Step):
    """A function of a module that travels with the compiled model.

    Attributes:
        module: Name of the module.
        function: Name of the function.
        names: Names of its keyword arguments.
        values: Their values.
        source: The module's source; empty until the bundle's code is at hand.
    """

    module: str
    function: str
    names: list[str]
    values: list[Any]
    source: bytes = b""

    def __post_init__(self) -> None:
        self._call: Callable[[Any], Any] | None = None
        if not self.source:
            return
        path = self.module.replace(".", "/") + ".py"
        with CodeSpace({path: self.source}, label=f"compiled {self.module}").active():
            function = getattr(sys.modules[self.module], self.function)
        self._call = functools.partial(function, **dict(zip(self.names, self.values, strict=True)))

    def __call__(self, value: Any) -> Any:
        if self._call is None:
            raise NotConvertible(f"the module {self.module} does not travel with the model")
        return self._call(value)


@dataclasses.dataclass
class Answered(Model):
    """A regressor whose answers go through functions of the user's."""

    model: Model
    calls: list[Call]

    def raw(self, value: Any) -> NDArray[Any]:
        found: Any = self.model.answers(self.model.raw(value))
        for call in self.calls:
            found = call(found)
        return np.asarray(found)

    def answers(self, raw: NDArray[Any]) -> NDArray[Any]:
        return raw


def read_own_transformer(estimator: Any, source: Source) -> tuple[list[Step], Source]:
    """Return the steps for a transformer class of the user's own."""
    steps: list[Step] = []
    for entry in estimator.as_steps():
        more, source = _read_entry(entry, source)
        steps.extend(more)
    return steps, source


def read_own_model(estimator: Any, source: Source) -> Model:
    """Return the model for a class of the user's own that predicts."""
    entries: Sequence[Any] = list(estimator.as_steps())
    last = max((n for n, entry in enumerate(entries) if hasattr(entry, "predict")), default=None)
    if last is None:
        raise NotConvertible(f"{type(estimator).__name__}.as_steps() names no model")
    steps: list[Step] = []
    for entry in entries[:last]:
        more, source = _read_entry(entry, source)
        steps.extend(more)
    model = read_model(entries[last], source)
    calls = [_call_of(entry) for entry in entries[last + 1 :]]
    if calls and model.is_classifier:
        raise NotConvertible("functions after a classifier have no compiled form")
    return prepared(steps, Answered(model, calls) if calls else model)


def model_inside(estimator: Any) -> Any:
    """Return the model that a class of the user's own is made of, or the estimator itself."""
    if not hasattr(estimator, "as_steps"):
        return estimator
    return next((e for e in reversed(list(estimator.as_steps())) if hasattr(e, "predict")), estimator)


def _read_entry(entry: Any, source: Source) -> tuple[list[Step], Source]:
    if hasattr(entry, "transform"):
        return read_transformer(entry, source)
    call = _call_of(entry)
    steps, source = convert(source, _KINDS, call.function)
    return [*steps, call], dataclasses.replace(source, made=True)


def _call_of(entry: Any) -> Call:
    function, arguments = (
        (entry.func, entry.keywords) if isinstance(entry, functools.partial) else (entry, {})
    )
    name = getattr(function, "__qualname__", "")
    if (
        not callable(function)
        or not name.isidentifier()
        or (isinstance(entry, functools.partial) and entry.args)
    ):
        raise NotConvertible(f"{entry!r} is no function at the top of a module with keyword arguments only")
    for key, value in arguments.items():
        if not _is_plain(value):
            raise NotConvertible(
                f"the argument {key!r} of {name} is a {type(value).__name__}, not plain data"
            )
    return Call(function.__module__, name, list(arguments), [_as_plain(v) for v in arguments.values()])


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | np.generic)


def _as_plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


def with_source(part: Part, code: Mapping[str, bytes]) -> Part:
    """Return a call with the source of its module, any other part as it is.

    Raises:
        NotConvertible: The module is not in *code*, or imports what a slim server does not have.
    """
    if not isinstance(part, Call) or part.source:
        return part
    source = code.get(part.module.replace(".", "/") + ".py")
    if source is None:
        raise NotConvertible(
            f"the module {part.module} of the function {part.function} does not travel with the model"
        )
    foreign = sorted(
        {name.split(".")[0] for name in imported_modules(source)} - sys.stdlib_module_names - {"numpy"}
    )
    if foreign:
        raise NotConvertible(
            f"the module {part.module} imports {foreign[0]}; "
            "a compiled step imports NumPy and the standard library only"
        )
    return dataclasses.replace(part, source=source)
