"""The truth: which column holds it for which output, and what it is in the model's own terms."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.bundle.signature import Output, Signature
from fairway.bundle.tables import Table
from fairway.errors import TableInvalid

_MAX_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class Truth:
    """The truth for one output.

    Attributes:
        output: The output.
        column: Column of the table.
        values: One number per row of the table: that of the class, or the number itself; NaN where missing.
        classes: Names of the classes: those of the model first, then those that only the truth has; empty for
            a number.
        n_known: How many of the classes the model knows.
    """

    output: Output
    column: str
    values: NDArray[Any]
    classes: list[str]
    n_known: int

    @property
    def is_class(self) -> bool:
        """Whether the output is one of several classes."""
        return self.output.kind == "label"

    def of_answers(self, answers: Sequence[Any]) -> NDArray[Any]:
        """Return answers in the same terms; NaN where a model gave no number or a class of no name here."""
        if not self.is_class:
            return np.array([_number(value) for value in answers], dtype=np.float64)
        places = {name: n for n, name in enumerate(self.classes)}
        return np.array([places.get(class_name(value), math.nan) for value in answers], dtype=np.float64)


def find_truths(table: Table, signature: Signature, target: str = "") -> list[Truth]:
    """Return the truth for every output that the table has it for, the first output first.

    Args:
        table: The unseen data.
        signature: The model's outputs.
        target: Column that holds the truth for the output of its name, else for the first one.

    Raises:
        TableInvalid: No column holds any truth, or what it holds can be none.
    """
    if target and target not in table.columns:
        close = difflib.get_close_matches(target, table.columns, n=1)
        listed = ", ".join(table.names[:20])
        hint = f"did you mean {close[0]!r}?" if close else f"the columns are: {listed}"
        raise TableInvalid(f"the data has no column {target!r} to take the truth from", hint=hint)
    inputs = set(signature.names)
    columns = {o.name: o.name for o in signature.outputs if o.name in table.columns and o.name not in inputs}
    if target:
        named = (
            target if target in {output.name for output in signature.outputs} else signature.outputs[0].name
        )
        columns[named] = target
    if not columns:
        names = " or ".join(repr(output.name) for output in signature.outputs)
        raise TableInvalid(
            f"no column of the data holds the truth: none is called {names}",
            hint="name the column of the data with --target COLUMN",
        )
    return [
        _truth(table.columns[columns[output.name]], output, columns[output.name], signature)
        for output in signature.outputs
        if output.name in columns
    ]


def class_name(value: Any) -> str:
    """Return the name of a class, the same for `1`, `1.0`, `"1"` and for true where classes are 0 and 1."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() if value is not None else ""


def _truth(values: list[Any], output: Output, column: str, signature: Signature) -> Truth:
    if all(_is_missing(value) for value in values):
        raise TableInvalid(
            f"the column {column!r} holds no truth: every value is missing", hint="give rows with a label"
        )
    if output.kind != "label":
        return Truth(output, column, _numbers(values, output, column), [], 0)
    known = [class_name(label) for label in signature.classes]
    found = Counter(class_name(value) for value in values if not _is_missing(value))
    classes = known + sorted(name for name in found if name not in set(known))
    if len(classes) > max(_MAX_CLASSES, len(known)):
        raise TableInvalid(
            f"the column {column!r} holds {len(found):,} different values, which are no classes",
            hint="name the column that holds the classes with --target COLUMN",
        )
    places = {name: float(n) for n, name in enumerate(classes)}
    numbers = [math.nan if _is_missing(value) else places[class_name(value)] for value in values]
    # A model without a list of classes is not blamed for not knowing one.
    return Truth(output, column, np.array(numbers), classes, len(known) or len(classes))


def with_answers(truth: Truth, answers: Sequence[Any]) -> Truth:
    """Return the truth with the classes that only a model's answers have."""
    if not truth.is_class:
        return truth
    new = sorted({class_name(value) for value in answers if value is not None} - set(truth.classes))
    return dataclasses.replace(truth, classes=truth.classes + new)


def _numbers(values: list[Any], output: Output, column: str) -> NDArray[Any]:
    numbers = np.array([_number(value) for value in values])
    if not np.isfinite(numbers).any():
        shown = next(value for value in values if not _is_missing(value))
        raise TableInvalid(
            f"the output {output.name!r} is a number, but the column {column!r} holds none: "
            f"{str(shown)[:40]!a}, for example",
            hint="name the column that holds the truth with --target COLUMN",
        )
    return numbers


def _number(value: Any) -> float:
    if isinstance(value, bool) or value is None:
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and not math.isfinite(value))
