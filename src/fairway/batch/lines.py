"""NDJSON (JSON Lines): one record per line, read as a request with one record is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from fairway.batch.base import Chunk, Field, Reading
from fairway.batch.blocks import BOM, read_block, text_chunks
from fairway.batch.delimited import Concatenation
from fairway.batch.values import as_list
from fairway.bundle.validation import RowTypes
from fairway.errors import MalformedRequest, TableInvalid, UsageError
from fairway.messages import Columns
from fairway.protocols.json_body import parse_json

_HEAD_BYTES = 16 * 2**20
_ESCAPED_KEY = re.compile(rb'\\[^"\n]*"\s*:')


class LinesFormat:
    """Implement `fairway.batch.base.Format` for JSON records on lines."""

    name = "ndjson"
    suffixes = (".ndjson", ".jsonl")

    def open(self, path: Path, reading: Reading) -> LinesTable:
        """Read the first record."""
        return LinesTable(path, reading)

    def writer(self, fields: Sequence[Field]) -> LinesWriter:
        """Return the writer."""
        return LinesWriter(fields)


FORMATS = {"ndjson": LinesFormat()}


class LinesTable:
    """An input of records. What a record holds beside the inputs is not looked at."""

    rows = None

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path = path
        self.names = reading.signature.names
        self.max_depth = reading.max_depth
        self.types = RowTypes(reading.signature, max_text_chars=reading.max_text_chars, closed=False)
        self.decode = None if self.types.record is None else msgspec.json.Decoder(self.types.record).decode
        self.quoted_names = [b'"' + name.encode() + b'"' for name in self.names]
        first = self._first_record()
        names = list(first) if reading.keep is None else list(reading.keep)
        if unknown := next((name for name in names if name not in first), None):
            hint = f"the keys are: {', '.join(list(first)[:20])}"
            raise UsageError(f"the first record of {path.name} has no {unknown!r} to keep", hint=hint)
        self.kept = [Field(name, "json") for name in names]

    def _first_record(self) -> dict[str, Any]:
        with self.path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        self._offset = len(BOM) if head.startswith(BOM) else 0
        line = head[self._offset :].lstrip().partition(b"\n")[0]
        try:
            first = parse_json(line, max_depth=self.max_depth)
        except MalformedRequest as cause:
            detail = f"{self.path.name} does not begin with a record: {cause.detail}"
            raise TableInvalid(detail, hint="NDJSON has one JSON object per line") from cause
        if isinstance(first, dict):
            absent = [name for name in self.names if name not in first]
            if len(absent) == len(self.names):
                found = ", ".join(list(first)[:20])
                raise TableInvalid(
                    f"the first record of {self.path.name} has none of the model's inputs",
                    hint=f"it has the keys {found}; the inputs are {', '.join(self.names[:20])}",
                )
            return first
        raise TableInvalid(f"{self.path.name} does not begin with a record", hint="one JSON object per line")

    def chunks(self) -> Iterator[Chunk]:
        """Yield blocks of whole lines."""
        return text_chunks(self.path, self._offset, 1, split=_last_end, count=lambda d: len(_rows(d)))

    def hand_over(self, chunk: Chunk, path: Path) -> bool:  # noqa: ARG002 - a chunk is found at once
        """Leave the reading to the workers."""
        return False

    def read(self, chunk: Chunk, handed: Path | None = None) -> _LineBlock:  # noqa: ARG002 - it never is
        """Split a block into lines."""
        return _LineBlock(self, chunk, read_block(self.path, chunk))


def _last_end(data: bytes) -> list[int]:
    end = data.rfind(b"\n") + 1
    return [end] if end else []


def _rows(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\n") if line and not line.isspace()]


class _LineBlock:
    """The rows of a chunk as lines."""

    def __init__(self, table: LinesTable, chunk: Chunk, data: bytes) -> None:
        self._table = table
        self._data = data
        self._first_line = chunk.place[2]
        self._lines = _rows(data)

    def columns(self, start: int, stop: int) -> Columns | None:
        decode = self._table.decode
        lines = self._lines[start:stop]
        if decode is None:
            return None
        try:
            records = [decode(line) for line in lines]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if self._may_repeat_a_key(b"\n".join(lines), records):
            return None
        made = self._table.types.columns_of_records(records)
        return made and made[0]

    def _may_repeat_a_key(self, data: bytes, records: Sequence[Any]) -> bool:
        """Tell whether the names of the inputs stand there more often than the records hold them."""
        if _ESCAPED_KEY.search(data):
            return True
        unset = msgspec.UNSET
        return any(
            data.count(name) != sum(getattr(record, field) is not unset for record in records)
            for name, field in zip(self._table.quoted_names, records[0].__struct_fields__, strict=True)
        )

    def record(self, row: int) -> Any:
        document = parse_json(self._lines[row], max_depth=self._table.max_depth)
        if not isinstance(document, dict):
            return document
        return {name: document[name] for name in self._table.names if name in document}

    def line(self, row: int) -> int | None:
        lines = enumerate(self._data.split(b"\n"), start=self._first_line)
        filled = (number for number, line in lines if line and not line.isspace())
        return next((number for n, number in enumerate(filled) if n == row), None)

    def kept(self) -> list[Any]:
        fields = [field.name for field in self._table.kept]
        if not fields:
            return []
        # Copied as they are written, to the last digit.
        decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        records = [_record_or_nothing(decode, line) for line in self._lines]
        return [[_copied(record, name) for record in records] for name in fields]


def _record_or_nothing(decode: Any, line: bytes) -> dict[str, msgspec.Raw]:
    try:
        record: dict[str, msgspec.Raw] = decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return record


def _copied(record: dict[str, msgspec.Raw], name: str) -> msgspec.Raw | None:
    value = record.get(name)
    return None if value is None else value.copy()


class LinesWriter:
    """Writes one object per row; NaN and infinities become null, as in a reply."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._names = [field.name for field in fields]

    def part(self, columns: Sequence[Any], rows: int) -> bytes:  # noqa: ARG002 - the columns have it
        """Return the rows as lines."""
        values = zip(*map(as_list, columns), strict=True)
        records = [dict(zip(self._names, row, strict=True)) for row in values]
        return msgspec.json.Encoder(enc_hook=str).encode_lines(records)

    def assemble(self, target: BinaryIO) -> Concatenation:
        """Begin with nothing."""
        return Concatenation(target)
