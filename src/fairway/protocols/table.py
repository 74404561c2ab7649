"""Rows of a request as CSV, with or without a line of names, and answers as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from fairway.bundle.columnar import ColumnReader
from fairway.bundle.signature import Input, Signature
from fairway.bundle.validation import MAX_LISTED_FAULTS, Validator, escape_pointer
from fairway.errors import Fault, MalformedRequest, SignatureMismatch, TooManyRows
from fairway.messages import Columns, Prediction
from fairway.protocols.cells import cell_value, cells_of, text_of

PRESENT, ABSENT = "present", "absent"
_BOM = b"\xef\xbb\xbf"
_LONGEST_CELL = 2**31 - 1


class TableReader:
    """One model's reader of CSV.

    Args:
        signature: Its inputs.
        max_rows: Most rows in one call.
        max_depth: Deepest nesting of a list in a cell.
        max_text_chars: Longest text in one cell.
    """

    def __init__(self, signature: Signature, *, max_rows: int, max_depth: int, max_text_chars: int) -> None:
        self._names = signature.names
        self._inputs = signature.inputs
        self._max_rows = max_rows
        self._max_depth = max_depth
        self._cells = [cells_of(entry) for entry in signature.inputs]
        self._columns = ColumnReader(signature, max_text_chars=max_text_chars)
        self._validator = Validator(signature, max_text_chars=max_text_chars)

    def read(self, body: bytes, header: str = "") -> Columns:
        """Return the rows of a body.

        Args:
            body: CSV in UTF-8; empty lines are no rows.
            header: `present` or `absent` says whether the first line holds names. Without a word it does if
                every cell of it is the name of an input of its own.

        Raises:
            RequestError: The body cannot be read; holds every fault of every row.
        """
        rows = self._parse(body)
        names: Sequence[str] = self._names
        if rows and (header == PRESENT or (not header and self._are_names(rows[0]))):
            names = rows.pop(0)
            _check_names(names)
        if len(rows) > self._max_rows:
            raise TooManyRows(len(rows), self._max_rows)
        columns = self._at_once(names, rows)
        return self._one_by_one(names, rows) if columns is None else columns

    def _parse(self, body: bytes) -> list[list[str]]:
        if not body.strip():
            raise MalformedRequest("body_empty", "the body is empty", hint="send one line per row")
        if b'"' not in body and body.count(b"\n") > 2 * self._max_rows:
            raise TooManyRows(body.count(b"\n"), self._max_rows)
        try:
            text = body.removeprefix(_BOM).decode()
        except UnicodeDecodeError as cause:
            detail = f"the body is not valid UTF-8: byte {cause.start} cannot be read"
            raise MalformedRequest("encoding_invalid", detail) from None
        if csv.field_size_limit() < _LONGEST_CELL:  # the whole process has one; ours is the validator's
            csv.field_size_limit(_LONGEST_CELL)
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            rows = list(itertools.islice(filter(None, reader), self._max_rows + 2))
            more = sum(1 for row in reader if row)
        except csv.Error as cause:
            raise MalformedRequest(
                "csv_invalid",
                f"line {reader.line_num} cannot be read as CSV: {cause}",
                hint="put a cell that holds a quotation mark or a line's end into quotation marks",
            ) from None
        if more:
            raise TooManyRows(len(rows) + more, self._max_rows)
        return rows

    def _are_names(self, cells: Sequence[str]) -> bool:
        return len(set(cells)) == len(cells) and set(cells) <= set(self._names)

    def _at_once(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Columns | None:
        """Return the columns if nothing at all is wrong with them."""
        if set(names) - set(self._names) or {len(row) for row in rows} - {len(names)} or not rows:
            return None
        cells = dict(zip(names, zip(*rows, strict=True), strict=True))
        missing = [None] * len(rows)
        try:
            arrays = [
                read(cells[entry.name]) if entry.name in cells else missing
                for read, entry in zip(self._cells, self._inputs, strict=True)
            ]
        except (ValueError, KeyError, msgspec.DecodeError, RecursionError):
            return None
        return self._columns.check(arrays)

    def _one_by_one(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Columns:
        """Return the columns, or raise with every fault."""
        known = {entry.name: entry for entry in self._inputs}
        records: list[dict[str, Any]] = []
        faults: list[Fault] = []
        for n, row in enumerate(rows):
            if len(row) != len(names):
                message = f"expected {len(names)} cells in a row, got {len(row)}"
                faults.append(Fault(f"/{n}", "row_length", message, str(len(names)), str(len(row))))
                continue
            records.append(self._record(known, zip(names, row, strict=True), f"/{n}", faults))
        if faults:
            raise SignatureMismatch(
                faults[:MAX_LISTED_FAULTS],
                total=len(faults),
                hint="if the first line holds names, say so: text/csv; header=present",
            )
        return self._validator.check(records, pointer=lambda n: f"/{n}")

    def _record(
        self, known: dict[str, Input], cells: Iterator[tuple[str, str]], pointer: str, faults: list[Fault]
    ) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for name, cell in cells:
            entry = known.get(name)
            try:
                value = cell if entry is None else cell_value(entry, cell, self._max_depth)
            except MalformedRequest as error:  # NaN, 1e400: JSON's own faults name no column
                place = f"{pointer}/{escape_pointer(name)}"
                faults.append(dataclasses.replace(error.faults[0], pointer=place))
            else:
                record[name] = value
        return record


def _check_names(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise MalformedRequest("csv_invalid", f"the column {name[:80]!a} stands twice in the first line")
        seen.add(name)


def encode_table(prediction: Prediction, *, probabilities: bool) -> bytes:
    """Return the answers as CSV: one line per row, outputs in the order of the signature, no names.

    Args:
        prediction: What was answered.
        probabilities: Whether the probabilities follow, in the order of the classes.
    """
    outputs = prediction.outputs
    columns: list[Sequence[Any]] = list(outputs.values.values())
    if probabilities and outputs.probabilities is not None:
        columns.extend(zip(*outputs.probabilities, strict=True))
    buffer = io.StringIO(newline="")
    rows = zip(*(map(text_of, column) for column in columns), strict=True)
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode()
