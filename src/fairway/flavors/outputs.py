"""What code of the user's own answers, as named outputs: read into columns, and described by a signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairway.bundle.signature import Output
from fairway.bundle.tables import plain
from fairway.errors import ExampleInvalid, ModelContract, UsageError

DEFAULT_OUTPUT = "prediction"

_KINDS: dict[type, Any] = {bool: "boolean", int: "integer", str: "text"}
_TYPES: dict[str, type] = {"number": float, "boolean": bool, "integer": int, "text": str}


def named_answers(answers: Any, *, rows: int, source: str) -> dict[str, list[Any]]:
    """Return answers as one list per output; a bare value is the output `prediction`.

    Args:
        answers: One answer per row, each a value or a dict of outputs; or a dict of one list per output.
        rows: How many rows there are.
        source: What gave the answers, for messages.

    Raises:
        ModelContract: They are neither, or not as many as the rows.
    """
    if isinstance(answers, Mapping):
        named = {str(name): _listed(values, source) for name, values in answers.items()}
    else:
        named = _unnamed(_listed(answers, source), source)
    for name, values in named.items():
        if len(values) != rows:
            raise ModelContract(f"{source} gave {len(values)} values of {name!r} for {rows} rows")
    if not named:
        raise ModelContract(f"{source} gave no outputs")
    return {name: [_plain(value) for value in values] for name, values in named.items()}


def fitted(named: Mapping[str, list[Any]], outputs: Sequence[Output], *, source: str) -> dict[str, list[Any]]:
    """Return answers under the names of a signature, if they are what it promises.

    Args:
        named: What `named_answers` returned.
        outputs: The signature's.
        source: What gave the answers, for messages.

    Raises:
        ModelContract: Another number of outputs, or a value of another type.
    """
    if len(named) != len(outputs):
        raise ModelContract(f"{source} gave {len(named)} outputs; the signature has {len(outputs)}")
    values: dict[str, list[Any]] = {}
    for output, answers in zip(outputs, named.values(), strict=True):
        if output.type == "number":
            answers = [float(answer) if type(answer) is int else answer for answer in answers]  # noqa: PLW2901
        wrong = {type(answer) for answer in answers} - {_TYPES[output.type], type(None)}
        if wrong:
            raise ModelContract(
                f"{source} gave a value of the type {wrong.pop().__name__} for {output.name!r}, "
                f"whose type is {output.type}"
            )
        values[output.name] = answers
    return values


def _listed(answers: Any, source: str) -> list[Any]:
    if hasattr(answers, "tolist"):
        answers = answers.tolist()
    if isinstance(answers, str | bytes | Mapping) or not hasattr(answers, "__iter__"):
        raise ModelContract(
            f"{source} returned an object of the type {type(answers).__name__}, "
            "not a list of one answer per row"
        )
    return list(answers)


def _unnamed(answers: list[Any], source: str) -> dict[str, list[Any]]:
    first = answers[0] if answers else None
    if not isinstance(first, Mapping):
        return {DEFAULT_OUTPUT: answers}
    names = list(first)
    if any(not isinstance(answer, Mapping) or answer.keys() != first.keys() for answer in answers):
        raise ModelContract(f"{source} did not give the same outputs for every row")
    return {str(name): [answer[name] for answer in answers] for name in names}


def _plain(value: Any) -> Any:
    # A float stays as it is: a NaN is an answer, not a missing value.
    if type(value) is float:
        return value
    try:
        return plain(value)
    except ExampleInvalid as cause:
        raise ModelContract(
            f"an output is of the type {type(value).__name__}, which no reply can hold"
        ) from cause


def describe_outputs(
    named: Mapping[str, Sequence[Any]], *, names: Sequence[str], has_classes: bool
) -> tuple[Output, ...]:
    """Return the outputs of a signature.

    Args:
        named: Answers to the example, one list per output.
        names: What the author calls the outputs; empty keeps their names.
        has_classes: Whether numbers among them are labels.

    Raises:
        UsageError: *names* are not as many as the outputs, or two are the same.
        ExampleInvalid: An output holds values that have no single kind.
    """
    if names and len(names) != len(named):
        raise UsageError(
            f"{len(names)} output names were given; the model has {len(named)} outputs",
            hint="--output takes one name per output, separated by commas",
        )
    if len(set(names)) != len(names):
        raise UsageError("two outputs have the same name")
    chosen = names or tuple(named)
    return tuple(
        _output(name, values, has_classes=has_classes)
        for name, values in zip(chosen, named.values(), strict=True)
    )


def _output(name: str, values: Sequence[Any], *, has_classes: bool) -> Output:
    types = {type(value) for value in values if value is not None}
    if types <= {float} or types == {int, float}:
        return Output(name, "label" if has_classes else "score", "number")
    if len(types) != 1 or next(iter(types)) not in _KINDS:
        kinds = ", ".join(sorted(kind.__name__ for kind in types))
        raise ExampleInvalid(
            f"the output {name!r} holds values that JSON has no single kind for: {kinds}",
            hint="an output is a text, a number or a truth value, the same for every row",
        )
    return Output(name, "label", _KINDS[next(iter(types))])
