"""Unseen data: a table is read as the signature has it, and every row goes through the model's own validator.

What a server would refuse is refused here, and counted; the rest is predicted as the server would.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fairway.bundle.columnar import ColumnReader
from fairway.bundle.signature import LIST_KINDS, Input, Signature
from fairway.bundle.tables import Table, read_table
from fairway.bundle.validation import Validator, has_int_levels
from fairway.errors import ExampleInvalid, ModelFailed, RequestError, TableInvalid
from fairway.inference.loaded import LoadedModel
from fairway.messages import ArrayColumns, Columns

MAX_CELLS = 20_000_000
MAX_FILE_BYTES = 2 * 2**30
"""More than this is no check but a load test: a random sample of the rows tells as much."""

CHUNK_ROWS = 10_000
_FEW_ROWS = 16
_MAX_FAULTS = 10
_NUMBER = re.compile(r"\s*-?(?:0|[1-9]\d*)(\.\d+)?(?:[eE][+-]?\d+)?\s*")
_BOOLEANS = {"true": True, "false": False}


@dataclasses.dataclass(frozen=True)
class Unseen:
    """A table of unseen rows.

    Attributes:
        table: The values.
        name: What to call it.
        sha256: Hash of the file, or of the values where there was none.
    """

    table: Table
    name: str
    sha256: str


def read_unseen(source: Any, signature: Signature, *, name: str = "") -> Unseen:
    """Read the table that a version is checked with.

    Args:
        source: A path, or whatever `read_table` takes.
        signature: Says which cells of a CSV file are texts although they look like numbers.
        name: What to call it; a file has its own name.

    Raises:
        TableInvalid: It cannot be read, has no row, or is too large to be held in memory.
        MissingExtra: Parquet without pyarrow.
    """
    texts = {entry.name for entry in signature.inputs if _is_text(entry)}
    path = Path(source) if isinstance(source, str | Path) else None
    if path is not None:
        _check_size(path)
    try:
        table = read_table(source, texts=texts)
    except ExampleInvalid as error:
        detail = re.sub(r"the example( table)?", "the data", error.detail)
        raise TableInvalid(detail, hint=error.hint) from error
    cells = len(table) * len(table.names)
    if cells > MAX_CELLS:
        raise _too_large(f"{len(table):,} rows x {len(table.names):,} columns")
    if path is not None:
        return Unseen(table, name or path.name, _hash_of(path))
    digest = hashlib.sha256()
    for column, values in table.columns.items():
        digest.update(msgspec.json.encode([column, values], enc_hook=repr))
    return Unseen(table, name or "table", digest.hexdigest())


def _check_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError:
        return  # whoever reads it says what is wrong
    if size > MAX_FILE_BYTES:
        raise _too_large(f"{size / 1e9:.1f} GB")


def _too_large(what: str) -> TableInvalid:
    return TableInvalid(
        f"the data has {what}; a check takes up to {MAX_CELLS:,} cells",
        hint="give a random sample of the rows: a fifth of them makes intervals about twice as wide",
    )


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclasses.dataclass
class Answered:
    """What a model answered to a table.

    Attributes:
        numbers: Rows that have an answer, rising.
        outputs: Values by output, one per entry of *numbers*.
        probabilities: One row per entry of *numbers*; None where the model gives none.
        refused: How many rows the validator refused.
        failed: On how many rows the model itself failed.
        faults: Some of what was wrong, one sentence each.
        refused_by: Rows by input whose value was refused.
        flagged: Rows by input and fault code that a policy let through.
        sample: Some rows as calls would have them.
    """

    numbers: list[int] = dataclasses.field(default_factory=list)
    outputs: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    probabilities: NDArray[Any] | None = None
    refused: int = 0
    failed: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)
    refused_by: Counter[str] = dataclasses.field(default_factory=Counter)
    flagged: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)


def missing_inputs(table: Table, signature: Signature) -> list[str]:
    """Return the inputs that have to be there and are not."""
    return [
        entry.name for entry in signature.inputs if not entry.nullable and entry.name not in table.columns
    ]


def aligned(table: Table, signature: Signature) -> dict[str, list[Any]]:
    """Return the values of every input, cells of text read as its kind has them; an absent one is missing."""
    absent: list[Any] = [None] * len(table)
    return {
        entry.name: _aligned(entry, table.columns[entry.name]) if entry.name in table.columns else absent
        for entry in signature.inputs
    }


def answer(model: LoadedModel, table: Table) -> Answered:
    """Predict every row that the model takes."""
    return _Asking(model, aligned(table, model.signature), len(table)).run()


class _Asking:
    """One table through one model, chunk by chunk."""

    def __init__(self, model: LoadedModel, values: dict[str, list[Any]], rows: int) -> None:
        self._model = model
        self._values = values
        self._rows = rows
        self._reader = ColumnReader(model.signature)
        self._validator = Validator(model.signature)
        self._answered = Answered(outputs={output.name: [] for output in model.signature.outputs})
        self._shares: list[NDArray[Any]] = []

    def run(self) -> Answered:
        """Go through the whole table."""
        for start in range(0, self._rows, CHUNK_ROWS):
            for numbers, columns in self._readable(start, min(start + CHUNK_ROWS, self._rows)):
                self._predict(numbers, columns)
        if self._shares:
            self._answered.probabilities = np.concatenate(self._shares)
        return self._answered

    def _readable(self, start: int, stop: int) -> Iterator[tuple[Sequence[int], Columns]]:
        """Yield rows that the model takes; those at fault are found by halves."""
        columns = self._reader.check([values[start:stop] for values in self._values.values()])
        if columns is not None:
            self._count_flags(columns)
            yield range(start, stop), columns
        elif stop - start > _FEW_ROWS:
            middle = (start + stop) // 2
            yield from self._readable(start, middle)
            yield from self._readable(middle, stop)
        else:
            for row in range(start, stop):
                yield from self._one(row)

    def _one(self, row: int) -> Iterator[tuple[Sequence[int], Columns]]:
        record = {name: values[row] for name, values in self._values.items()}
        try:
            columns = self._validator.check([record], pointer=lambda _: "")
        except RequestError as error:
            self._answered.refused += 1
            for fault in error.faults:
                self._answered.refused_by[fault.pointer.split("/")[1] if fault.pointer else ""] += 1
                self._note(f"row {row}: {fault.pointer.lstrip('/')}: {fault.message}")
            return
        for name, code in (columns.flags[0] if columns.flags else {}).items():
            self._answered.flagged[name, code] += 1
        yield [row], columns

    def _count_flags(self, columns: ArrayColumns) -> None:
        for name, code, concerned in columns.unseen:
            self._answered.flagged[name, code] += int(concerned.sum())

    def _predict(self, numbers: Sequence[int], columns: Columns) -> None:
        """Note what the model answers; a row on which it fails is found by halves."""
        try:
            outputs = self._model.predict(columns, probabilities=bool(self._model.classes))
        except ModelFailed as error:
            if len(numbers) == 1:
                cause = error.__cause__
                self._answered.failed += 1
                self._note(f"row {numbers[0]}: the model failed: {type(cause).__name__}: {str(cause)[:200]}")
                return
            middle = len(numbers) // 2
            self._predict(numbers[:middle], columns.part(0, middle))
            self._predict(numbers[middle:], columns.part(middle, len(numbers)))
            return
        self._answered.numbers.extend(numbers)
        for name, values in outputs.values.items():
            self._answered.outputs[name].extend(values)
        if outputs.probabilities is not None:
            self._shares.append(np.array(outputs.probabilities, dtype=np.float64))

    def _note(self, sentence: str) -> None:
        if len(self._answered.faults) < _MAX_FAULTS:
            self._answered.faults.append(sentence)


def _is_text(entry: Input) -> bool:
    if entry.kind == "category":
        return not has_int_levels(entry)
    return entry.kind in {"text", "datetime"} | LIST_KINDS


def _aligned(entry: Input, values: list[Any]) -> list[Any]:
    """Return the values of a column; a text that reads as what the input takes is taken for that.

    A CSV file whose column holds one cell that is no number has texts in all others, too.
    """
    if entry.kind in {"vector"} | LIST_KINDS:
        return [_list_of(value) if isinstance(value, str) else value for value in values]
    if _is_text(entry):
        is_number = entry.kind == "category" and any(type(value) in {int, float} for value in values)
        return [str(v) if type(v) in {int, float} else v for v in values] if is_number else values
    if not any(isinstance(value, str) for value in values):
        return values
    return [_cell(entry, value) if isinstance(value, str) else value for value in values]


def _cell(entry: Input, text: str) -> Any:
    if not text.strip():
        return None
    if entry.kind == "boolean":
        return _BOOLEANS.get(text.strip().lower(), text)
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    return float(text) if match[1] or "e" in text.lower() else int(text)


def _list_of(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
