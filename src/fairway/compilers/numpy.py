"""The exact compiler: fitted estimators as float64 arithmetic on NumPy and the standard library.

Files of the form below `numpy/` are written; which estimators are known stands in `steps/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairway.bundle.signature import Signature
from fairway.compilers.base import Compiled, NotConvertible, Read
from fairway.compilers.program import Program, ProgramPredictor, load_program, parts_of, replace_parts
from fairway.compilers.steps.base import Model, Source, read_model
from fairway.compilers.steps.functions import model_inside, with_source
from fairway.compilers.steps.inputs import source_of
from fairway.compilers.steps.trees import Trees
from fairway.flavors.base import Predictor


class NumpyCompiler:
    """Implement `fairway.compilers.base.Compiler` on NumPy."""

    name = "numpy"

    def compile(
        self, model: Any, signature: Signature, options: Mapping[str, Any], *, code: Mapping[str, bytes]
    ) -> Compiled:
        """Read the estimator and everything in it."""
        program, precision = read_program(model, signature, options, code)
        return Compiled(program.dump(), precision)

    def load(self, read: Read, signature: Signature) -> Predictor:
        """Bind the program to its signature."""
        return ProgramPredictor(load_program(read), signature)


COMPILER = NumpyCompiler()


def read_program(
    model: Any, signature: Signature, options: Mapping[str, Any], code: Mapping[str, bytes]
) -> tuple[Program, str]:
    """Return a fitted model as a program, and the precision in which the original computes.

    Raises:
        NotConvertible: There is no equivalent.
    """
    source = source_of(signature, options)
    try:
        found = read_model(model, source)
    except (AttributeError, IndexError, TypeError, ValueError) as cause:
        # An estimator of another release, or one that was not fitted to the end: it has other attributes.
        raise NotConvertible(f"{type(model).__name__} is not as it is expected to be: {cause}") from cause
    found = replace_parts(found, lambda part: with_source(part, code))
    # A network does not know its classes; the signature does.
    known = list(signature.classes) if source.scale else []
    labels = (known or labels_of(model_inside(model))) if found.is_classifier else []
    if found.is_classifier and not labels:
        raise NotConvertible(f"{type(model).__name__} has no list of classes")
    return Program(found, labels), _precision(found, source)


def _precision(model: Model, source: Source) -> str:
    """Return the precision of the original: trees compare float32 numbers, but add up in float64."""
    parts = list(parts_of(model))
    if any(isinstance(part, Trees) and part.single for part in parts):
        return "float32"
    has_trees = any(isinstance(part, Trees) for part in parts)
    return "float32" if not has_trees and any(column.single for column in source.columns) else "float64"


def labels_of(model: Any) -> list[Any]:
    """Return the class labels of a classifier as plain values."""
    classes = model.classes_
    if not hasattr(classes, "tolist") or getattr(classes, "ndim", 1) != 1:
        raise NotConvertible(f"{type(model).__name__} for several labels at once has no compiled form")
    labels: list[Any] = classes.tolist()
    return labels
