"""How networks are fed with tensors, and how what they answer becomes outputs; shared by their frameworks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fairway.bundle.signature import Output, Signature
from fairway.bundle.tables import Table
from fairway.bundle.validation import Validator
from fairway.errors import ExampleInvalid, FairwayError, ModelContract, UsageError
from fairway.messages import Columns, Outputs

FEEDS = ("matrix", "tensors")
DEFAULT_OUTPUT = "prediction"

Arrays = Mapping[str, Any]
"""NumPy arrays by name. One that has no name of its own goes by the empty text."""
Call = Callable[[Arrays], Arrays]
"""A network: arrays by the name of its inputs in, arrays by the name of its outputs out."""

_PROBE_ROWS = 10_000
_NUMBERS = frozenset({"number", "integer", "boolean", "vector"})
_ALONE = 1e-3  # a row may differ this much from the same row among others; more means that rows mix
_SUM = 1e-3  # single precision: what sums to one


def feed_attempts(
    signature: Signature, inputs: Sequence[str], dtypes: Sequence[str], feed: str | None
) -> list[dict[str, Any]]:
    """Return the ways to feed a network, the likeliest first.

    Args:
        signature: Inputs as learnt from the example.
        inputs: Names of the network's own inputs, in its order; empty if it does not tell.
        dtypes: Data types of numbers to try.
        feed: The way that the user states, or None.

    Raises:
        UsageError: There is no such way, or its inputs have other names than the columns.
        ExampleInvalid: A column holds no numbers.
    """
    if feed is not None and feed not in FEEDS:
        raise UsageError(f"{feed!r} is no way to feed a network", hint=f"use one of: {', '.join(FEEDS)}")
    for entry in signature.inputs:
        if entry.kind not in _NUMBERS:
            raise ExampleInvalid(
                f"column {entry.name!r} is a {entry.kind}; a network takes numbers",
                hint="give the columns as the network takes them, or leave out what it does not: --target",
            )
    named = [name for name in inputs if name in signature.names]
    if feed == "tensors" or (feed is None and len(signature.names) > 1 and _are_columns(inputs, signature)):
        if not _are_columns(inputs, signature):
            raise UsageError(
                f"the network's inputs are {', '.join(inputs) or 'not named'}; the columns of the example "
                f"are {', '.join(signature.names)}",
                hint="name the columns like the inputs, or use --feed matrix",
            )
        return [
            {"feed": "tensors", "inputs": named, "dtype": dtype, "width": width}
            for dtype in dtypes
            for width in (0, 1)
        ]
    if len(signature.names) > 1 and any(entry.kind == "vector" for entry in signature.inputs):
        raise ExampleInvalid(
            "a vector beside other columns makes no matrix",
            hint="name the columns like the inputs of the network, which is then fed one tensor for each",
        )
    return [{"feed": "matrix", "dtype": dtype} for dtype in dtypes]


def _are_columns(inputs: Sequence[str], signature: Signature) -> bool:
    return bool(inputs) and set(signature.names) <= set(inputs)


def feeder(options: Mapping[str, Any], signature: Signature) -> Callable[[Columns], Arrays]:
    """Return the function that turns columns into the arrays that a network takes."""
    import numpy as np

    dtype = np.dtype(options["dtype"])
    if options["feed"] == "tensors":
        places = {name: signature.names.index(name) for name in options["inputs"]}
        kinds = [entry.kind for entry in signature.inputs]
        types = {n: np.dtype(np.int64) if kinds[p] == "integer" else dtype for n, p in places.items()}
        width = options["width"]

        def tensors(columns: Columns) -> Arrays:
            arrays = {n: _numbers(columns.column(p), types[n]) for n, p in places.items()}
            return {n: a.reshape(-1, 1) if width and a.ndim == 1 else a for n, a in arrays.items()}

        return tensors
    if signature.inputs[0].kind == "vector":
        return lambda columns: {"": _numbers(columns.column(0), dtype)}
    return lambda columns: {"": columns.matrix().astype(dtype)}


def _numbers(values: Sequence[Any], dtype: Any) -> Any:
    import numpy as np

    return np.array(values, dtype=np.float64 if dtype.kind == "f" else dtype).astype(dtype)


def learn_network(
    call: Call,
    attempts: Sequence[dict[str, Any]],
    table: Table,
    signature: Signature,
    output_names: Sequence[str],
) -> tuple[Signature, dict[str, Any]]:
    """Find out by trying how a network is fed and what it answers; see `Flavor.learn`."""
    rows = [dict(zip(signature.names, row, strict=True)) for row in table.rows()][:_PROBE_ROWS]
    columns = Validator(signature).check(rows, pointer=str)
    problems = []
    for options in attempts:
        feed = feeder(options, signature)
        try:
            answers = _checked(call(feed(columns)), len(columns))
            _check_alone(answers, _checked(call(feed(columns.part(0, 1))), 1))
        except FairwayError as cause:
            problems.append(f"{_shown(options)}: {cause.detail}")
            continue
        except Exception as cause:  # noqa: BLE001 - the network's own words, whatever they are
            problems.append(f"{_shown(options)}: {type(cause).__name__}: {str(cause)[:200]}")
            continue
        return _with_outputs(signature, answers, output_names, options)
    raise ExampleInvalid(
        "the network does not take the example rows: " + "; ".join(dict.fromkeys(problems)),
        hint="give the columns that it takes, in its order; it must take any number of rows at once",
    )


def _shown(options: Mapping[str, Any]) -> str:
    return (
        f"as {'one tensor per column' if options['feed'] == 'tensors' else 'a matrix'} of {options['dtype']}"
    )


def _checked(answers: Arrays, rows: int) -> dict[str, Any]:
    """Return answers that have one row per row of the call, each a number or a list of numbers."""
    found = {}
    for name, array in answers.items():
        if array.ndim == 0 or len(array) != rows:
            raise ModelContract(f"the network gave an answer of shape {array.shape} for {rows} rows")
        if array.ndim > 2:
            raise ModelContract(
                f"the network gave {array.shape[1:]} numbers a row; a number, or a list of numbers, is known"
            )
        found[name] = array.reshape(rows, -1)
    return found


def _check_alone(together: Arrays, alone: Arrays) -> None:
    import numpy as np

    for name, array in together.items():
        first, only = np.asarray(array[:1], np.float64), np.asarray(alone[name], np.float64)
        same = first.shape == only.shape
        if not (same and np.allclose(first, only, rtol=_ALONE, atol=_ALONE, equal_nan=True)):
            raise ModelContract("a row alone is answered otherwise than among others")


def _with_outputs(
    signature: Signature, answers: dict[str, Any], names: Sequence[str], options: dict[str, Any]
) -> tuple[Signature, dict[str, Any]]:
    if signature.classes:
        return _with_classes(signature, answers, names, options)
    arrays = dict(_flat(answers))
    chosen = _named(list(arrays), names)
    kinds = {"f": ("score", "number"), "b": ("label", "boolean"), "i": ("label", "integer")}
    try:
        outputs = tuple(
            Output(name, *kinds[array.dtype.kind])  # type: ignore[arg-type]  # pairs of the table above
            for name, array in zip(chosen, arrays.values(), strict=True)
        )
    except KeyError as cause:
        raise ExampleInvalid("the network answers with something that is no number") from cause
    return dataclasses.replace(signature, outputs=outputs), options


def _with_classes(
    signature: Signature, answers: Arrays, names: Sequence[str], options: dict[str, Any]
) -> tuple[Signature, dict[str, Any]]:
    count = len(signature.classes)
    widths = {name: array.shape[1] for name, array in answers.items()}
    if len(widths) != 1 or not (count in widths.values() or (count == 2 and 1 in widths.values())):
        said = " and ".join(f"{width} numbers" for width in widths.values())
        raise UsageError(f"{count} classes were named; the network answers with {said} a row")
    types: dict[type, Any] = {bool: "boolean", int: "integer", float: "number", str: "text"}
    kinds = {type(label) for label in signature.classes}
    if len(kinds) != 1 or len(set(signature.classes)) != count or next(iter(kinds)) not in types:
        raise UsageError("the classes must differ from each other and be of one kind: texts or whole numbers")
    (name,) = _named([DEFAULT_OUTPUT], names)
    output = Output(name, "label", types[kinds.pop()])
    (array,) = answers.values()
    return dataclasses.replace(signature, outputs=(output,)), {**options, "scale": _scale_of(array)}


def _named(found: Sequence[str], names: Sequence[str]) -> Sequence[str]:
    if names and len(names) != len(found):
        raise UsageError(
            f"{len(names)} output names were given; the model has {len(found)} outputs",
            hint="--output takes one name per output, separated by commas",
        )
    if len(set(names)) != len(names):
        raise UsageError("two outputs have the same name")
    return names or found


def _scale_of(array: Any) -> str:
    """Return what the numbers for the classes are, as far as those for the example tell."""
    import numpy as np

    values = np.asarray(array, np.float64)
    if values.shape[1] == 1:
        return "probabilities" if (values >= 0).all() and (values <= 1).all() else "logits"
    if (values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=_SUM):
        return "probabilities"
    is_log = (values <= 0).all() and np.allclose(np.exp(values).sum(axis=1), 1, atol=_SUM)
    return "log probabilities" if is_log else "logits"


def _flat(answers: Arrays) -> Iterator[tuple[str, Any]]:
    """Yield one array of single values per output."""
    for name, array in answers.items():
        base = name or DEFAULT_OUTPUT
        if array.ndim == 1 or array.shape[1] == 1:
            yield base, array.reshape(-1)
        else:
            yield from ((f"{base}_{i}", array[:, i]) for i in range(array.shape[1]))


class NetworkPredictor:
    """A network bound to its signature."""

    def __init__(self, call: Call, signature: Signature, options: Mapping[str, Any]) -> None:
        self._call = call
        self._feed = feeder(options, signature)
        self._names = [output.name for output in signature.outputs]
        self._classes = signature.classes
        self._scale = options.get("scale", "")

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        """Predict every row; labels are the likeliest classes."""
        answers = self._call(self._feed(columns))
        if self._classes:
            return self._classified(answers, len(columns), probabilities=probabilities)
        arrays = [array for _, array in _flat(answers)]
        if len(arrays) != len(self._names) or any(len(array) != len(columns) for array in arrays):
            raise ModelContract(
                f"the network gave {len(arrays)} outputs for {len(columns)} rows, its signature has "
                f"{len(self._names)}"
            )
        return Outputs({name: array.tolist() for name, array in zip(self._names, arrays, strict=True)})

    def _classified(self, answers: Arrays, rows: int, *, probabilities: bool) -> Outputs:
        import numpy as np

        (array,) = answers.values()
        if len(array) != rows:
            raise ModelContract(f"the network gave {len(array)} answers for {rows} rows")
        shares = shares_of(np.asarray(array, np.float64).reshape(rows, -1), self._scale)
        if shares.shape[1] != len(self._classes):
            raise ModelContract(
                f"the network gave {shares.shape[1]} numbers for {len(self._classes)} classes"
            )
        sound = np.isfinite(shares).all(axis=1)
        best = shares.argmax(axis=1)
        # No class is the likeliest among numbers that are none.
        labels = [self._classes[i] if ok else None for i, ok in zip(best, sound, strict=True)]
        return Outputs({self._names[0]: labels}, shares.tolist() if probabilities else None)


def shares_of(values: Any, scale: str) -> Any:
    """Return a probability per class for what a network said of a row; one number speaks of the second class.

    Args:
        values: Float64 matrix, one row per row.
        scale: `probabilities`, `log probabilities`, or `logits`.
    """
    import numpy as np

    if scale == "logits" and values.shape[1] == 1:
        values = 0.5 * (1 + np.tanh(0.5 * values))  # the logistic function without overflow
    elif scale == "logits":
        raised = np.exp(values - values.max(axis=1, keepdims=True))
        values = raised / raised.sum(axis=1, keepdims=True)
    elif scale == "log probabilities":
        values = np.exp(values)
    return np.concatenate([1 - values, values], axis=1) if values.shape[1] == 1 else values
