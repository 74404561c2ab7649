"""A model between two functions of the user's own: a record in, a record out, around any flavor.

`preprocess` turns the record that a caller sent into what the model takes; `postprocess` turns the model's
answer into the outputs. The signature is that of the record and of the outputs. What the model takes in
between is learnt once, when the model is packed, and kept in `prepared.json`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from fairway.bundle.signature import Input, Signature
from fairway.bundle.tables import plain
from fairway.errors import ArtifactCorrupt, ModelContract
from fairway.flavors.base import Predictor
from fairway.flavors.outputs import fitted, named_answers
from fairway.flavors.own_code import OwnCode, place_of
from fairway.messages import Columns, Outputs

PREPARED = "prepared.json"
"""Member of the bundle: what lies between the functions and the model."""

VECTOR = "vector"
"""Name of the only input of a model that takes vectors."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One of the two functions.

    Attributes:
        role: `preprocess` or `postprocess`, for messages.
        entry: Its name.
        function: The function, or the method of a ready object.
        vectorised: Whether it takes the whole list and returns one of the same length, or takes one by one.
    """

    role: str
    entry: str
    function: Callable[[Any], Any]
    vectorised: bool = False

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Return what becomes of every value.

        Raises:
            ModelContract: A vectorised function returned another number of values.
            Exception: Whatever the function raises, with a note that says which one it was.
        """
        try:
            if not self.vectorised:
                return [self.function(value) for value in values]
            made = list(self.function(values))
        except Exception as cause:
            cause.add_note(f"in {self.role} {self.entry}{place_of(cause)}")
            raise
        if len(made) != len(values):
            raise ModelContract(f"{self.role} {self.entry} gave {len(made)} values for {len(values)}")
        return made


@dataclasses.dataclass(frozen=True)
class Between:
    """What the model itself takes and answers, between the two functions.

    Attributes:
        form: What `preprocess` returns: `records`, `texts` or `vectors`; empty if there is none.
        signature: Inputs and outputs of the model itself.
    """

    form: str
    signature: Signature

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `prepared.json`."""
        return {"form": self.form, "signature": self.signature.to_dict()}


def read_between(read: Callable[[str], bytes]) -> Between:
    """Return what lies between the functions and the model of a bundle.

    Raises:
        ArtifactCorrupt: `prepared.json` does not say.
    """
    try:
        document = msgspec.json.decode(read(PREPARED))
        return Between(document["form"], Signature.from_dict(document["signature"]))
    except (msgspec.DecodeError, KeyError, TypeError) as cause:
        raise ArtifactCorrupt(f"{PREPARED} does not say what the model takes") from cause


@dataclasses.dataclass(frozen=True)
class Around:
    """The two functions of a bundle by name.

    Attributes:
        preprocess: `module:function` or `module:Class.method`; empty if there is none.
        postprocess: The same.
        vectorised: Whether both take whole lists.
    """

    preprocess: str = ""
    postprocess: str = ""
    vectorised: bool = False

    def __bool__(self) -> bool:
        return bool(self.preprocess or self.postprocess)

    def steps(self, own: OwnCode) -> tuple[Step | None, Step | None]:
        """Return both, ready to be called.

        Raises:
            ArtifactImport: One cannot be found or made ready.
        """
        entries = {"preprocess": self.preprocess, "postprocess": self.postprocess}
        before, after = (
            Step(role, entry, own.find(entry), vectorised=self.vectorised) if entry else None
            for role, entry in entries.items()
        )
        return before, after


class Chain:
    """A predictor that calls `preprocess`, the model and `postprocess`.

    Args:
        predictor: The model bound to *between*.
        between: What it takes and answers.
        signature: What callers send and get.
        steps: The two functions; None where there is none.
    """

    def __init__(
        self,
        predictor: Predictor,
        between: Between,
        signature: Signature,
        steps: tuple[Step | None, Step | None],
    ) -> None:
        self._predictor = predictor
        self._between = between
        self._preprocess, self._postprocess = steps
        self._signature = signature
        self._has_probabilities = bool(signature.classes)

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        """Predict every row; see `fairway.flavors.base.Predictor`."""
        given = columns
        if self._preprocess is not None:
            given = prepared_columns(self._preprocess(records_of(columns)), self._between)
        asked = probabilities and self._has_probabilities
        outputs = self._predictor.predict(given, probabilities=asked)
        if self._postprocess is None:
            return outputs
        entry = self._postprocess.entry
        named = named_answers(self._postprocess(answers_of(outputs)), rows=len(columns), source=entry)
        values = fitted(named, self._signature.outputs, source=entry)
        return Outputs(values, outputs.probabilities if asked else None)


def records_of(columns: Columns) -> list[dict[str, Any]]:
    """Return records that the function may change: no list in them is the caller's."""
    records = columns.records()
    for record in records:
        for name, value in record.items():
            if type(value) is list:
                record[name] = value.copy()
    return records


def answers_of(outputs: Outputs) -> list[Any]:
    """Return the model's answer per row: the value of its only output, or a dict of all."""
    if len(outputs.values) == 1:
        return list(next(iter(outputs.values.values())))
    rows = zip(*outputs.values.values(), strict=True)
    return [dict(zip(outputs.values, row, strict=True)) for row in rows]


def prepared_columns(made: Sequence[Any], between: Between) -> Columns:
    """Return what `preprocess` made as the columns of the model itself.

    Raises:
        ModelContract: It is of another form than when the model was packed.
    """
    inputs = between.signature.inputs
    names = between.signature.names
    take = {"records": _row_of_record, "texts": _row_of_text, "vectors": _row_of_vector}[between.form]
    try:
        return Columns(names, [take(value, inputs) for value in made])
    except (TypeError, ValueError, AttributeError) as cause:
        raise ModelContract(
            f"preprocess did not return the {between.form} that it returned when the model was packed"
        ) from cause


def _row_of_record(value: Any, inputs: Sequence[Input]) -> list[Any]:
    return [plain(value.get(entry.name)) for entry in inputs]


def _row_of_text(value: Any, inputs: Sequence[Input]) -> list[Any]:  # noqa: ARG001 - one of three
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return [value]


def _row_of_vector(value: Any, inputs: Sequence[Input]) -> list[Any]:
    vector = vector_of(value)
    if vector.shape != (inputs[0].width,):
        raise ValueError(vector.shape)
    return [vector]


def vector_of(value: Any) -> Any:
    """Return a vector as an array of floats; one row of a matrix, sparse or not, is one, too."""
    import numpy as np

    dense = np.asarray(value.toarray() if hasattr(value, "toarray") else value)
    if dense.dtype.kind not in "fiub" or dense.size != dense.shape[-1]:
        raise ValueError(dense.shape)
    return dense.reshape(-1).astype(dense.dtype if dense.dtype.kind == "f" else np.float64, copy=False)
