"""What is explained: one number per row, made of whatever the model answers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from fairway.errors import ExplanationFailed, MalformedRequest
from fairway.messages import Outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairway.bundle.signature import Signature

EACH = "each"
"""In place of a name: every class and every output."""

Scale = Literal["probability", "output", "agreement", "log-odds", "log", "score"]

_SHOWN_NAMES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """A number that an explanation is about.

    Attributes:
        output: Name of the output.
        label: Class whose probability it is, or label that is compared with; None for a number.
        scale: `probability` of a class, the `output` itself, or the `agreement` (1 or 0) with the label that
            was predicted, for models that give labels only.
        place: Place of the class among the probabilities; -1 where there are none.
    """

    output: str
    label: Any
    scale: Scale
    place: int = -1


def quantities_of(signature: Signature, outputs: Outputs, row: int, *, of: str) -> list[Quantity]:
    """Return what to explain of one answered row.

    Args:
        signature: Outputs and classes.
        outputs: The model's answers, with probabilities where it gives them.
        row: Place of the row among them.
        of: Name of a class or an output, `each`, or the empty string: the predicted class, and every output
            of a model without probabilities.

    Raises:
        MalformedRequest: *of* is none of these.
    """
    known = _known(signature, outputs, row)
    if not of:
        return [quantity for quantity in known if _is_predicted(quantity, signature, outputs, row)]
    if of == EACH:
        return known
    chosen = [quantity for quantity in known if of in {str(quantity.label), quantity.output}]
    if not chosen:
        _refuse(of, [str(q.label) if q.place >= 0 else q.output for q in known])
    return chosen


def _known(signature: Signature, outputs: Outputs, row: int) -> list[Quantity]:
    if signature.classes and outputs.probabilities is not None:
        name = signature.outputs[0].name
        return [Quantity(name, label, "probability", place) for place, label in enumerate(signature.classes)]
    found = []
    for output in signature.outputs:
        value = outputs.values[output.name][row]
        is_number = output.kind == "score" and isinstance(value, int | float) and not isinstance(value, bool)
        quantity = Quantity(output.name, None, "output") if is_number else None
        found.append(quantity or Quantity(output.name, value, "agreement"))
    return found


def _is_predicted(quantity: Quantity, signature: Signature, outputs: Outputs, row: int) -> bool:
    if quantity.place < 0 or outputs.probabilities is None:
        return True
    predicted = str(outputs.values[quantity.output][row])
    names = [str(label) for label in signature.classes]
    if predicted in names:
        return quantity.place == names.index(predicted)
    # A label that the model words in its own way: the most probable class is meant.
    shares = outputs.probabilities[row]
    return quantity.place == shares.index(max(shares))


def _refuse(of: str, known: Sequence[str]) -> None:
    names = ", ".join([*known[:_SHOWN_NAMES], EACH])
    raise MalformedRequest(
        "query_invalid", f"of names {of[:80]!a}, which is no class and no output", hint=f"known: {names}"
    )


def measured(outputs: Outputs, quantities: Sequence[Quantity]) -> NDArray[np.float64]:
    """Return the quantities of every row of *outputs* (rows x quantities).

    Raises:
        ExplanationFailed: The model answered with what is no finite number.
    """
    import numpy as np

    found = np.empty((len(outputs), len(quantities)))
    shares = outputs.probabilities
    for place, quantity in enumerate(quantities):
        if quantity.scale == "probability":
            if shares is None:
                raise ExplanationFailed("the model gave no probabilities when it was asked for them again")
            found[:, place] = [share[quantity.place] for share in shares]
        elif quantity.scale == "agreement":
            found[:, place] = [value == quantity.label for value in outputs.values[quantity.output]]
        else:
            values = outputs.values[quantity.output]
            found[:, place] = [math.nan if value is None else value for value in values]
    if not np.isfinite(found).all():
        raise ExplanationFailed(
            "the model's answer to a changed row is no finite number, so there is no difference to share out"
        )
    return found
