"""The parts of a compiled model: steps that turn values into values, and a model that ends them.

A part is a dataclass of plain values, arrays and other parts; it is written down as such (`program.py`) and
runs on NumPy alone. The function that reads a fitted estimator stands beside the part that it makes. It
knows the estimator by its attributes only: nothing here imports a framework.

What flows between steps is one of these (`Source.kind`):

    columns   the rows of a call, as `fairway.messages.Columns`
    records   a list of dicts, from `Columns` when the model is fed records
    texts     a list of texts
    objects   a list of columns, each a list of plain values; a missing value is None
    dense     a float64 matrix; a missing value is NaN
    sparse    `sparse.SparseRows`
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fairway.compilers.base import NotConvertible

Array: TypeAlias = NDArray[np.float64]
Indexes: TypeAlias = NDArray[np.intp]
Kind: TypeAlias = Literal["columns", "records", "texts", "objects", "dense", "sparse"]
ANY_KIND: tuple[Kind, ...] = ("columns", "records", "texts", "objects", "dense", "sparse")
Missing: TypeAlias = Literal["refused", "kept", "filled"]

PARTS: dict[str, type[Part]] = {}
"""Every part by the name under which it is written down: module and class."""


@dataclasses.dataclass
class Part:
    """Something that is written down and loaded again; see the module.

    Attributes:
        reach: How far beyond the range of the examples, in widths of that range, an answer means something.
            Farther out the original's answer hangs on rounding alone (all training rows are equally far
            away), and so the proof does not ask there.
    """

    reach: ClassVar[float] = np.inf

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        PARTS[f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"] = cls


class Step(Part):
    """A transformer: a value in, a value out. Row n of the result depends on row n alone, bit for bit."""

    def __call__(self, value: Any) -> Any:
        """Return the transformed value."""
        raise NotImplementedError


class Model(Part):
    """The end of a compiled model.

    `raw` does the work once; everything else follows from what it returned. A model without decision values
    or without probabilities says so by its class attributes.
    """

    is_classifier: ClassVar[bool] = False

    def raw(self, value: Any) -> Any:
        """Return what the model computes for the rows of *value*."""
        raise NotImplementedError

    def answers(self, raw: Any) -> NDArray[Any]:
        """Return a class's number per row (classifiers), or the estimate (n) or estimates (n, outputs)."""
        raise NotImplementedError

    def chances(self, raw: Any) -> Array:
        """Return the probability of each class per row, (n, classes)."""
        raise NotConvertible(f"{type(self).__name__} has no probabilities for {type(raw).__name__}")

    def decision(self, raw: Any) -> Array:
        """Return decision values as scikit-learn does: (n) for two classes, else (n, classes)."""
        raise NotConvertible(f"{type(self).__name__} has no decision values for {type(raw).__name__}")


@dataclasses.dataclass
class Chain(Step):
    """Steps one after the other; none leaves the value as it is."""

    steps: list[Step]

    def __call__(self, value: Any) -> Any:
        for step in self.steps:
            value = step(value)
        return value


@dataclasses.dataclass
class Prepared(Model):
    """A model with the steps that lead to it."""

    steps: list[Step]
    model: Model

    def __post_init__(self) -> None:
        self.is_classifier = self.model.is_classifier  # type: ignore[misc]  # a fact of this instance

    def raw(self, value: Any) -> Any:
        for step in self.steps:
            value = step(value)
        return self.model.raw(value)

    def answers(self, raw: Any) -> NDArray[Any]:
        return self.model.answers(raw)

    def chances(self, raw: Any) -> Array:
        return self.model.chances(raw)

    def decision(self, raw: Any) -> Array:
        return self.model.decision(raw)


@dataclasses.dataclass(frozen=True)
class Column:
    """One input as the model is fed it.

    Attributes:
        index: Place in the signature.
        name: Its name.
        kind: Kind of the signature.
        nullable: Whether it may be missing.
        missing: What the estimator sees where it is missing: `nan` or `none`.
        single: Whether the estimator sees float32.
        width: Number of values, for a vector.
    """

    index: int
    name: str
    kind: str
    nullable: bool = False
    missing: Literal["nan", "none"] = "nan"
    single: bool = False
    width: int = 1


@dataclasses.dataclass(frozen=True)
class Source:
    """What a step will be given, as far as it is known before any row is seen.

    Attributes:
        kind: See the module.
        width: Number of columns or features.
        nullable: Whether values may be missing.
        columns: The inputs behind `columns`, `records` and `objects`.
        single: Whether the original computes in single precision from here on.
        feed: How the original is fed, for `columns`: as a frame, a matrix, records or texts.
        made: Whether a function of the user's made it, which may have turned records into texts.
        scale: What the numbers of a network for its classes are; empty for all others.
    """

    kind: Kind
    width: int
    nullable: bool = False
    columns: tuple[Column, ...] = ()
    single: bool = False
    feed: str = ""
    made: bool = False
    scale: str = ""

    def dense(self, width: int | None = None, *, nullable: bool | None = None) -> Source:
        """Return the source that a step with a matrix for its result is for the next one."""
        return Source(
            "dense",
            self.width if width is None else width,
            nullable=self.nullable if nullable is None else nullable,
            single=self.single,
            scale=self.scale,
        )

    def like(self, width: int) -> Source:
        """Return a source of this kind with another width."""
        return dataclasses.replace(self, width=width, columns=())


@dataclasses.dataclass(frozen=True)
class Reader:
    """How one class of estimators is read.

    Attributes:
        read: Gives the part for a fitted estimator; for a transformer also what comes out of it.
        takes: Kinds that the part takes, the preferred ones first.
        missing: What the estimator does with missing values: refuse the row, keep or fill them.
    """

    read: Callable[[Any, Source], Any]
    takes: tuple[Kind, ...]
    missing: Missing


TRANSFORMERS: dict[str, Reader] = {}
MODELS: dict[str, Reader] = {}
"""Readers by package and class, such as `sklearn.StandardScaler`. Classes must match exactly: a class that
somebody derived from one of these may do anything."""

DERIVED: dict[str, Reader] = {}
"""Readers that look into what a class does, and so are asked for those derived from it, too."""


def reads_transformer(
    *names: str, takes: tuple[Kind, ...] = ("dense",), missing: Missing = "refused"
) -> Callable[[Callable[[Any, Source], tuple[Step, Source]]], Callable[[Any, Source], tuple[Step, Source]]]:
    """Register the function that reads transformers of these classes."""

    def register(
        read: Callable[[Any, Source], tuple[Step, Source]],
    ) -> Callable[[Any, Source], tuple[Step, Source]]:
        TRANSFORMERS.update(dict.fromkeys(map(_qualified, names), Reader(read, takes, missing)))
        return read

    return register


def reads_model(
    *names: str, takes: tuple[Kind, ...] = ("dense",), missing: Missing = "refused"
) -> Callable[[Callable[[Any, Source], Model]], Callable[[Any, Source], Model]]:
    """Register the function that reads models of these classes."""

    def register(read: Callable[[Any, Source], Model]) -> Callable[[Any, Source], Model]:
        MODELS.update(dict.fromkeys(map(_qualified, names), Reader(read, takes, missing)))
        return read

    return register


def reads_derived(
    *names: str, takes: tuple[Kind, ...] = ("dense",), missing: Missing = "refused"
) -> Callable[[Callable[[Any, Source], Model]], Callable[[Any, Source], Model]]:
    """Register the function that reads models of these classes and of all that derive from them."""

    def register(read: Callable[[Any, Source], Model]) -> Callable[[Any, Source], Model]:
        DERIVED.update(dict.fromkeys(names, Reader(read, takes, missing)))
        return read

    return register


def _qualified(name: str) -> str:
    return name if "." in name else f"sklearn.{name}"


def class_name(estimator: Any) -> str:
    """Return package and class of an estimator, the key of the readers."""
    kind = type(estimator)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def read_transformer(estimator: Any, source: Source) -> tuple[list[Step], Source]:
    """Return the steps for a fitted transformer and what comes out of them.

    Raises:
        NotConvertible: There is no equivalent.
    """
    reader = _reader(TRANSFORMERS, estimator)
    if reader is None:
        from fairway.compilers.steps.functions import read_own_transformer

        return read_own_transformer(estimator, source)
    steps, source = fit_source(source, reader, estimator)
    step, result = reader.read(estimator, source)
    if reader.missing != "kept":
        result = dataclasses.replace(result, nullable=False) if result.kind != "objects" else result
    return [*steps, *(step.steps if isinstance(step, Chain) else [step])], result


def read_model(estimator: Any, source: Source) -> Model:
    """Return the model for a fitted classifier or regressor.

    Raises:
        NotConvertible: There is no equivalent.
    """
    reader = _reader(MODELS, estimator)
    if reader is None:
        from fairway.compilers.steps.functions import read_own_model

        return read_own_model(estimator, source)
    steps, source = fit_source(source, reader, estimator)
    model: Model = reader.read(estimator, source)
    return prepared(steps, model)


def prepared(steps: Sequence[Step], model: Model) -> Model:
    """Return a model with steps before it, without nesting one such model in another."""
    if isinstance(model, Prepared):
        return Prepared([*steps, *model.steps], model.model) if steps else model
    return Prepared(list(steps), model) if steps else model


def _reader(readers: dict[str, Reader], estimator: Any) -> Reader | None:
    """Return the reader for an estimator; None for a class that says itself what it is made of."""
    load_all()
    name = class_name(estimator)
    if name in readers:
        return readers[name]
    if callable(getattr(estimator, "as_steps", None)):
        return None
    if readers is MODELS:
        for kind in type(estimator).__mro__:
            root = kind.__module__.partition(".")[0]
            if root == "keras":
                break  # what Keras computes with PyTorch is no less Keras'
            if f"{root}.{kind.__qualname__}" in DERIVED:
                return DERIVED[f"{root}.{kind.__qualname__}"]
    raise NotConvertible(f"{name} has no compiled form")


def fit_source(source: Source, reader: Reader, estimator: Any) -> tuple[list[Step], Source]:
    """Return the steps that bring *source* into a kind that the reader takes."""
    from fairway.compilers.steps.inputs import convert, require_present

    steps, source = convert(source, reader.takes, type(estimator).__name__)
    if reader.missing == "refused" and source.nullable and source.kind in {"dense", "sparse"}:
        steps = [*steps, *require_present()]
        source = dataclasses.replace(source, nullable=False)
    return steps, source


def load_all() -> None:
    """Import every file of this folder, so that all readers are registered."""
    package = importlib.import_module(__package__ or "")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")


def part_named(name: str) -> type[Part]:
    """Return a part's class by the name under which it is written down.

    Raises:
        KeyError: There is none of this name.
    """
    module = name.partition(".")[0]
    if name not in PARTS and module.isidentifier():
        package = importlib.import_module(__package__ or "")
        if module in {entry.name for entry in pkgutil.iter_modules(package.__path__)}:
            importlib.import_module(f"{__package__}.{module}")
    return PARTS[name]
