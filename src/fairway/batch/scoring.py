"""From a chunk of the input to a part of the output, by the model's own validator and predictor."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fairway.batch.base import Block, Chunk, Field, Table, Writer
from fairway.batch.values import Numbered, Repeated
from fairway.bundle.signature import Signature
from fairway.bundle.validation import Validator
from fairway.errors import Fault, ModelFailed, RequestError, UsageError
from fairway.inference.loaded import LoadedModel
from fairway.messages import ArrayColumns, Columns, Outputs

_FEW_ROWS = 64
PREDICTION_ID = "prediction_id"

_HINTS = {
    "feature_missing": "give the row this input",
    "value_type": "write the value as the kind that is expected",
    "value_missing": "fill it, or push the model with an example in which it is missing",
    "value_format": "write dates like 2026-02-28T13:45:00",
    "value_too_long": "cut the text, or raise limits.max_text_chars",
    "number_range": "send a number that a float64 holds exactly",
    "row_length": "check the delimiter and the quotation marks of the row",
    "category_unknown": "correct the category, or push the model with --unseen-category flag",
    "out_of_range": "correct the number, or push the model with --out-of-range flag",
    "json_nonfinite": "leave the value out where there is none",
    "json_number_range": "send a number that a float64 holds exactly",
    "json_invalid": "write one JSON object on each line",
    "json_duplicate_key": "leave out one of the two",
    "encoding_invalid": "save the file as UTF-8",
    "model_error": "look at the row's values: the model itself failed on them",
}


def output_fields(signature: Signature, kept: Sequence[Field], *, probabilities: bool) -> list[Field]:
    """Return the columns of the output: those that are kept, then what is new.

    Raises:
        UsageError: A kept column has the name of a new one.
    """
    new = [Field(PREDICTION_ID, "text"), Field("model", "text"), Field("version", "integer")]
    new += [Field(output.name, output.type) for output in signature.outputs]
    if probabilities:
        new += [Field(f"probability_{label}", "number") for label in signature.classes]
    names = [field.name for field in new]
    for name in names:
        if name in {field.name for field in kept} or names.count(name) > 1:
            raise UsageError(
                f"the output would have two columns named {name!r}",
                hint="keep other columns by name (--keep COLUMN), or rename the one of the input",
            )
    return [*kept, *new]


@dataclasses.dataclass(frozen=True)
class Scored:
    """One chunk, scored.

    Attributes:
        part: Its part of the output.
        errors: Its part of the error file.
        failed: Rows without a prediction.
        flagged: Rows with a value that a policy let through.
    """

    part: bytes
    errors: bytes
    failed: int
    flagged: int


class Scorer:
    """Scores chunks of one table with one model.

    Args:
        model: The model, loaded and proven.
        table: The input.
        writer: Writes the parts.
        run: Id of the run: the prediction id of row n is `<run>.<n>`.
        probabilities: Whether to write the probability of every class.
        max_text_chars: Longest text in one value.
    """

    def __init__(
        self,
        model: LoadedModel,
        table: Table,
        writer: Writer,
        *,
        run: str,
        probabilities: bool,
        max_text_chars: int,
    ) -> None:
        self.model = model
        self.table = table
        self.writer = writer
        self.run = run
        self.probabilities = probabilities and bool(model.classes)
        self.validator = Validator(model.signature, max_text_chars=max_text_chars)

    def score(self, chunk: Chunk, handed: Path | None = None) -> Scored:
        """Read, validate and predict the rows of a chunk; *handed* is the file in which they lie, if any."""
        block = self.table.read(chunk, handed)
        answers = _Answers(self, chunk, block)
        for rows, columns in answers.readable(0, chunk.rows):
            answers.predict(rows, columns)
        model = self.model
        written = [
            *block.kept(),
            Numbered(self.run, range(chunk.start, chunk.start + chunk.rows)),
            Repeated(model.name, chunk.rows),
            Repeated(model.version, chunk.rows),
            *answers.values,
        ]
        return Scored(
            self.writer.part(written, chunk.rows),
            b"".join(answers.errors[row] for row in sorted(answers.errors)),
            failed=len(answers.errors),
            flagged=answers.flagged,
        )


class _Answers:
    """What becomes of the rows of a chunk.

    Attributes:
        values: One list per new column that the model fills; None where a row has no prediction.
        errors: Lines of the error file by row.
        flagged: Rows with a value that a policy let through.
    """

    def __init__(self, scorer: Scorer, chunk: Chunk, block: Block) -> None:
        self._scorer = scorer
        self._chunk = chunk
        self._block = block
        shares = len(scorer.model.classes) if scorer.probabilities else 0
        width = len(scorer.model.signature.outputs) + shares
        self.values: list[list[Any]] = [[None] * chunk.rows for _ in range(width)]
        self.errors: dict[int, bytes] = {}
        self.flagged = 0

    def readable(self, start: int, stop: int) -> Iterator[tuple[Sequence[int], Columns]]:
        """Yield the rows that the model can be given, with their numbers in the chunk.

        Where some rows are at fault the rest is found by halves, and the reference validator says what is
        wrong with each of the last few.
        """
        columns = self._block.columns(start, stop)
        if columns is not None:
            yield range(start, stop), columns
        elif stop - start <= _FEW_ROWS:
            yield from self._one_by_one(start, stop)
        else:
            middle = (start + stop) // 2
            yield from self.readable(start, middle)
            yield from self.readable(middle, stop)

    def _one_by_one(self, start: int, stop: int) -> Iterator[tuple[Sequence[int], Columns]]:
        read: list[Columns] = []
        numbers: list[int] = []
        for row in range(start, stop):
            try:
                record = self._block.record(row)
                read.append(self._scorer.validator.check([record], pointer=lambda _: ""))
                numbers.append(row)
            except RequestError as error:
                faults = error.faults or [Fault("", error.code, error.detail)]
                self._note(row, faults, hint=error.hint)
        if numbers:
            flags = [columns.flags[0] if columns.flags else {} for columns in read]
            rows = [columns.rows[0] for columns in read]
            yield numbers, Columns(read[0].names, rows, flags if any(flags) else None)

    def predict(self, rows: Sequence[int], columns: Columns) -> None:
        """Fill in what the model answers; a row on which it fails is found by halves."""
        try:
            outputs = self._scorer.model.predict(columns, probabilities=self._scorer.probabilities)
        except ModelFailed as error:
            if len(rows) == 1:
                cause = error.__cause__
                message = f"{error.detail}: {type(cause).__name__}: {str(cause)[:500]}"
                self._note(rows[0], [Fault("", error.code, message)])
                return
            middle = len(rows) // 2
            self.predict(rows[:middle], columns.part(0, middle))
            self.predict(rows[middle:], columns.part(middle, len(rows)))
            return
        self.flagged += _count_flagged(columns)
        for values, answered in zip(self.values, _columns_of(outputs), strict=True):
            if isinstance(rows, range):
                values[rows.start : rows.stop] = answered
            else:
                for row, answer in zip(rows, answered, strict=True):
                    values[row] = answer

    def _note(self, row: int, faults: Sequence[Fault], *, hint: str = "") -> None:
        number = self._chunk.start + row
        place: dict[str, Any] = {"row": number, PREDICTION_ID: f"{self._scorer.run}.{number}"}
        if (line := self._block.line(row)) is not None:
            place["line"] = line
        documents = [{**place, **fault.as_dict(), "hint": _HINTS.get(fault.code, hint)} for fault in faults]
        self.errors[row] = msgspec.json.Encoder().encode_lines(documents)


def _columns_of(outputs: Outputs) -> list[Sequence[Any]]:
    columns: list[Sequence[Any]] = list(outputs.values.values())
    if outputs.probabilities is not None:
        columns += zip(*outputs.probabilities, strict=True)
    return columns


def _count_flagged(columns: Columns) -> int:
    if isinstance(columns, ArrayColumns):
        if not columns.unseen:
            return 0
        concerned = columns.unseen[0][2]
        for _, _, more in columns.unseen[1:]:
            concerned = concerned | more
        return int(concerned.sum())
    return sum(map(bool, columns.flags or ()))
