"""CSV and TSV, by the standard library.

An empty cell is a missing value. A cell of a number, an integer or a list is read as JSON is (`5.1`, `1e3`;
not `+5`, `NaN` or `1,5`), a boolean is `true` or `false` in any case, everything else is text as it stands.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from fairway.batch.base import Chunk, Field, Reading, check_columns, kept_names
from fairway.batch.blocks import BOM, read_block, text_chunks
from fairway.batch.values import as_text
from fairway.bundle.columnar import ColumnReader
from fairway.bundle.validation import escape_pointer
from fairway.errors import BodyShape, Fault, MalformedRequest, RequestError, SignatureMismatch, TableInvalid
from fairway.messages import Columns
from fairway.protocols.cells import cell_value, cells_of

_HEADER_BYTES = 16 * 2**20


class DelimitedFormat:
    """Implement `fairway.batch.base.Format` for cells between delimiters."""

    def __init__(self, name: str, delimiter: str) -> None:
        self.name = name
        self.suffixes = (f".{name}",)
        self._delimiter = delimiter

    def open(self, path: Path, reading: Reading) -> DelimitedTable:
        """Read the header."""
        return DelimitedTable(path, reading, self._delimiter)

    def writer(self, fields: Sequence[Field]) -> DelimitedWriter:
        """Return the writer."""
        return DelimitedWriter(fields, self._delimiter)


FORMATS = {"csv": DelimitedFormat("csv", ","), "tsv": DelimitedFormat("tsv", "\t")}


class DelimitedTable:
    """An input whose first line names the columns."""

    rows = None

    def __init__(self, path: Path, reading: Reading, delimiter: str) -> None:
        self.path = path
        self.delimiter = delimiter
        self._record = _record_pattern(delimiter)
        names = self._read_header()
        check_columns(path, names, reading.signature)
        self.width = len(names)
        self.inputs = [(entry, names.index(entry.name)) for entry in reading.signature.inputs]
        self.max_depth = reading.max_depth
        self.cells = [cells_of(entry) for entry, _ in self.inputs]
        self.reader = ColumnReader(reading.signature, max_text_chars=reading.max_text_chars)
        kept = kept_names(path, names, reading.keep)
        self.kept = [Field(name, "text") for name in kept]
        self.kept_places = [names.index(name) for name in kept]

    def _read_header(self) -> list[str]:
        with self.path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
        begin = len(BOM) if head.startswith(BOM) else 0
        blank = re.compile(rb"(?:\r?\n)*").match(head, begin)
        begin = blank.end() if blank else begin
        end = next(self._ends(head, begin), len(head))
        self._offset, self._line = end, head[:end].count(b"\n") + 1
        try:
            rows = self.parse(head[begin:end].decode())
        except UnicodeDecodeError as cause:
            raise TableInvalid(f"{self.path.name} is not UTF-8 text", hint="save it as UTF-8") from cause
        except csv.Error as cause:
            raise TableInvalid(f"the first line of {self.path.name} cannot be read: {cause}") from cause
        return rows[0] if rows else []

    def parse(self, text: str) -> list[list[str]]:
        """Return the rows of a text; empty lines are none."""
        # A lone carriage return ends no line here, so that rows are counted as they are cut.
        reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=self.delimiter)
        # A text may be longer than the limit that the process has; ours is checked by the validator.
        limit = csv.field_size_limit(2**31 - 1)
        try:
            return [row for row in reader if row]
        finally:
            csv.field_size_limit(limit)

    def ends(self, data: bytes) -> list[int]:
        """Return where whole records end: a line's end inside a quoted cell is none."""
        if b'"' not in data:
            last = data.rfind(b"\n") + 1
            return [last] if last else []
        return list(self._ends(data, 0))

    def _ends(self, data: bytes, start: int) -> Iterator[int]:
        # Each where the last one ended: a search would find an end inside a record that is cut off.
        while found := self._record.match(data, start):
            start = found.end()
            yield start

    def records(self, data: bytes) -> list[bytes]:
        """Return every record with its line's end; the last may lack it."""
        if b'"' not in data:
            return _lines(data)
        ends = [0, *self.ends(data)]
        found = [data[start:end] for start, end in itertools.pairwise(ends)]
        return [*found, data[ends[-1] :]] if ends[-1] < len(data) else found

    def count(self, data: bytes) -> int:
        """Return the number of rows in whole records."""
        if b'"' not in data:
            lines = data.split(b"\n")
            return len(lines) - lines.count(b"") - lines.count(b"\r")
        return sum(not _is_blank(record) for record in self.records(data))

    def chunks(self) -> Iterator[Chunk]:
        """Yield blocks of whole records."""
        return text_chunks(self.path, self._offset, self._line, split=self.ends, count=self.count)

    def hand_over(self, chunk: Chunk, path: Path) -> bool:  # noqa: ARG002 - a chunk is found at once
        """Leave the reading to the workers."""
        return False

    def read(self, chunk: Chunk, handed: Path | None = None) -> _CellBlock:  # noqa: ARG002 - it never is
        """Parse a block."""
        return _CellBlock(self, chunk, read_block(self.path, chunk))


def _lines(data: bytes) -> list[bytes]:
    """Split after line feeds."""
    lines = [line + b"\n" for line in data.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _is_blank(record: bytes) -> bool:
    return record in {b"\n", b"\r\n", b"\r"}


def _record_pattern(delimiter: str) -> re.Pattern[bytes]:
    """Return the pattern of one record with its line's end, as the module `csv` reads it.

    Possessive throughout: a quoted cell that goes on beyond the bytes at hand must not be read otherwise.
    """
    d = re.escape(delimiter).encode()
    cell = rb'(?:"(?:[^"]++|"")*+"[^' + d + rb"\n]*+|(?![\"])[^" + d + rb"\n]*+)"
    return re.compile(cell + rb"(?:" + d + cell + rb")*+\n")


class _CellBlock:
    """The rows of a chunk as cells; a row that is none is the error that says why."""

    def __init__(self, table: DelimitedTable, chunk: Chunk, data: bytes) -> None:
        self._table = table
        self._data = data
        self._first_line = chunk.place[2]
        self._rows: list[Any] = self._parse(chunk.rows)
        self._is_whole = {len(row) if type(row) is list else -1 for row in self._rows} <= {table.width}

    def _parse(self, expected: int) -> list[Any]:
        try:
            rows = self._table.parse(self._data.decode())
        except (UnicodeDecodeError, csv.Error):
            rows = []
        # Each record by itself where the whole cannot be read: one bad line spoils no other.
        return rows if len(rows) == expected else [self._row(record) for _, record in self._records()]

    def _records(self) -> Iterator[tuple[int, bytes]]:
        """Yield every record that is a row, with the line it begins on."""
        line = self._first_line
        for record in self._table.records(self._data):
            if not _is_blank(record):
                yield line, record
            line += record.count(b"\n")

    def _row(self, record: bytes) -> list[str] | RequestError:
        try:
            rows = self._table.parse(record.decode())
        except UnicodeDecodeError:
            return MalformedRequest("encoding_invalid", "the row is not UTF-8 text")
        except csv.Error as cause:
            return _shape_error(f"the row is not valid CSV: {cause}")
        return rows[0] if len(rows) == 1 else _shape_error("the row is not valid CSV: a line ends inside it")

    def columns(self, start: int, stop: int) -> Columns | None:
        rows = self._rows[start:stop]
        if not self._is_whole and {len(r) if type(r) is list else -1 for r in rows} != {self._table.width}:
            return None
        cells = list(zip(*rows, strict=True))
        try:
            arrays = [
                read(cells[place])
                for read, (_, place) in zip(self._table.cells, self._table.inputs, strict=True)
            ]
        except (ValueError, KeyError, msgspec.DecodeError, RecursionError):
            return None
        return self._table.reader.check(arrays)

    def record(self, row: int) -> Any:
        cells = self._rows[row]
        if not isinstance(cells, list):
            raise cells
        width = self._table.width
        if len(cells) != width:
            message = f"expected {width} cells in a row, got {len(cells)}"
            raise SignatureMismatch([Fault("", "row_length", message, str(width), str(len(cells)))])
        record, faults = {}, []
        for entry, place in self._table.inputs:
            try:
                record[entry.name] = cell_value(entry, cells[place], self._table.max_depth)
            except MalformedRequest as error:  # NaN, 1e400: JSON's own faults name no column
                pointer = f"/{escape_pointer(entry.name)}"
                faults.append(dataclasses.replace(error.faults[0], pointer=pointer))
        if faults:
            raise SignatureMismatch(faults)
        return record

    def line(self, row: int) -> int | None:
        return next((line for n, (line, _) in enumerate(self._records()) if n == row), None)

    def kept(self) -> list[Any]:
        width = self._table.width
        fitting = [row if type(row) is list and len(row) == width else None for row in self._rows]
        return [[row and (row[place] or None) for row in fitting] for place in self._table.kept_places]


def _shape_error(detail: str) -> RequestError:
    return BodyShape(
        detail, hint="put a cell that holds a quotation mark or a line's end into quotation marks"
    )


class DelimitedWriter:
    """Writes rows as the module `csv` does, lines ending with a line feed."""

    def __init__(self, fields: Sequence[Field], delimiter: str) -> None:
        self._names = [field.name for field in fields]
        self._delimiter = delimiter

    def part(self, columns: Sequence[Any], rows: int) -> bytes:  # noqa: ARG002 - the columns have it
        """Return the rows as text."""
        return self._text(zip(*map(as_text, columns), strict=True))

    def assemble(self, target: BinaryIO) -> Concatenation:
        """Begin with the names."""
        target.write(self._text([self._names]))
        return Concatenation(target)

    def _text(self, rows: Any) -> bytes:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=self._delimiter, lineterminator="\n").writerows(rows)
        return buffer.getvalue().encode()


class Concatenation:
    """An output that is its parts, one after the other."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target

    def add(self, part: Path) -> None:
        """Append the part."""
        self._target.write(part.read_bytes())

    def close(self) -> None:
        """Nothing stands at the end."""
