"""Parquet and Arrow IPC (files, which feather is, and streams), by pyarrow.

NaN in a column of floats is a missing value, as pandas means it; an infinity is refused, as in a request.
"""

from __future__ import annotations

import functools
import io
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fairway.batch.base import CHUNK_ROWS, Chunk, Field, Reading, check_columns, kept_names
from fairway.batch.values import Numbered, Repeated, as_text
from fairway.bundle.columnar import ColumnReader
from fairway.bundle.validation import escape_pointer
from fairway.errors import Fault, MissingExtra, SignatureMismatch, TableInvalid
from fairway.messages import Columns

if TYPE_CHECKING:
    from collections.abc import Callable

_ROW_GROUP_ROWS = 131_072
_BUFFER_BYTES = 2**20


class ArrowFormat:
    """Implement `fairway.batch.base.Format` on pyarrow."""

    def __init__(self, name: str, suffixes: tuple[str, ...], source: Callable[[Path], Any]) -> None:
        self.name = name
        self.suffixes = suffixes
        self._source = source

    def open(self, path: Path, reading: Reading) -> ArrowTable:
        """Read the schema and where the rows lie."""
        pa = import_arrow()
        try:
            return ArrowTable(path, reading, self._source)
        except (pa.ArrowException, OSError) as cause:
            raise TableInvalid(f"{path.name} is damaged: {_first_line(cause)}") from cause

    def writer(self, fields: Sequence[Field]) -> ArrowWriter:
        """Return the writer."""
        import_arrow()
        return ArrowWriter(fields, self.name)


def import_arrow() -> Any:
    """Return pyarrow.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError as cause:
        raise MissingExtra(
            "pyarrow", "tables", purpose="reading or writing Parquet and Arrow files"
        ) from cause
    return pa


def _first_line(cause: BaseException) -> str:
    return str(cause).partition("\n")[0][:200]


class _ParquetSource:
    """Row groups: whoever reads one decodes it from its beginning, and goes on where it was."""

    is_decoded = True

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as file:
            self.schema = file.schema_arrow
            meta = file.metadata
            self.rows = [meta.row_group(n).num_rows for n in range(meta.num_row_groups)]

    def _open(self) -> Any:
        import pyarrow.parquet as pq

        # Buffered, so that a column of a large row group is read page by page and never held whole.
        return pq.ParquetFile(self._path, buffer_size=_BUFFER_BYTES, pre_buffer=False)

    def batches(self, group: int, columns: list[str]) -> Iterator[Any]:
        """Yield one row group in pieces of `CHUNK_ROWS`."""
        with self._open() as file:
            yield from file.iter_batches(CHUNK_ROWS, row_groups=[group], columns=columns, use_threads=False)


class _IpcFileSource:
    """Record batches that can be read in any order."""

    is_decoded = False

    def __init__(self, path: Path) -> None:
        self._path = path
        pa = import_arrow()
        with pa.OSFile(str(path)) as file:
            reader = pa.ipc.open_file(file)
            self.schema = reader.schema
            self.rows = [reader.get_batch(n).num_rows for n in range(reader.num_record_batches)]

    def batches(self, group: int, columns: list[str]) -> Iterator[Any]:
        """Yield one record batch in pieces."""
        pa = import_arrow()
        with pa.OSFile(str(self._path)) as file:
            yield from _slices(pa.ipc.open_file(file).get_batch(group).select(columns))


class _IpcStreamSource:
    """Record batches one after the other: a single group, which is read from the beginning."""

    is_decoded = False

    def __init__(self, path: Path) -> None:
        self._path = path
        pa = import_arrow()
        self._counts = []
        with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as reader:
            self.schema = reader.schema
            self._counts = [batch.num_rows for batch in reader]
        self.rows = [count for count in self._counts if count]

    def batches(self, group: int, columns: list[str]) -> Iterator[Any]:
        """Yield one record batch in pieces, having gone through those before it."""
        pa = import_arrow()
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as reader:
            filled = (batch for batch in reader if batch.num_rows)
            for number, batch in enumerate(filled):
                if number == group:
                    yield from _slices(batch.select(columns))
                    return


def _slices(batch: Any) -> Iterator[Any]:
    for start in range(0, batch.num_rows, CHUNK_ROWS):
        yield batch.slice(start, CHUNK_ROWS)


class ArrowTable:
    """An input of typed columns."""

    def __init__(self, path: Path, reading: Reading, source: Callable[[Path], Any]) -> None:
        self._source = source(path)
        schema = self._source.schema
        check_columns(path, schema.names, reading.signature)
        self.names = list(reading.signature.names)
        for name in self.names:
            _check_type(path, schema.field(name))
        kept = kept_names(path, schema.names, reading.keep)
        self.kept = [_kept_field(schema.field(name)) for name in kept]
        self.columns = list(dict.fromkeys([*self.names, *kept]))
        self.reader = ColumnReader(reading.signature, max_text_chars=reading.max_text_chars)
        self.rows = sum(self._source.rows)
        self._open: tuple[int, int, Iterator[Any]] | None = None

    def chunks(self) -> Iterator[Chunk]:
        """Yield slices of every group."""
        number = start = 0
        for group, total in enumerate(self._source.rows):
            for piece in range(math.ceil(total / CHUNK_ROWS)):
                rows = min(CHUNK_ROWS, total - piece * CHUNK_ROWS)
                yield Chunk(number, start, rows, (group, piece), (start + rows) / self.rows)
                number, start = number + 1, start + rows

    def hand_over(self, chunk: Chunk, path: Path) -> bool:
        """Decode here what each worker would else decode for itself: a group, from its beginning."""
        group, _ = chunk.place
        if not self._source.is_decoded or self._source.rows[group] <= CHUNK_ROWS:
            return False
        batch = self._decoded(chunk)
        pa = import_arrow()
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as file:
            file.write_batch(batch)
        return True

    def read(self, chunk: Chunk, handed: Path | None = None) -> _ArrowBlock:
        """Take what was handed over, or go to the slice."""
        if handed is None:
            return _ArrowBlock(self, self._decoded(chunk))
        pa = import_arrow()
        with pa.memory_map(str(handed)) as file:  # the arrays keep what they need of it
            return _ArrowBlock(self, pa.ipc.open_file(file).get_batch(0))

    def _decoded(self, chunk: Chunk) -> Any:
        """Go to the slice; this process' next one usually lies a little further on in the same group."""
        pa = import_arrow()
        group, piece = chunk.place
        try:
            batch = self._batch(group, piece)
        except (pa.ArrowException, OSError) as cause:
            raise TableInvalid(f"the rows from {chunk.start} on are damaged: {_first_line(cause)}") from cause
        if batch is None or batch.num_rows != chunk.rows:
            raise TableInvalid(f"the rows from {chunk.start} on are not there any more")
        return batch

    def _batch(self, group: int, piece: int) -> Any:
        at = self._open
        if at is None or at[0] != group or at[1] > piece:
            self._open = at = None  # lets go of the last group's buffers before there are new ones
            at = (group, 0, iter(self._source.batches(group, self.columns)))
        _, passed, batches = at
        batch = None
        while passed <= piece:
            batch, passed = next(batches, None), passed + 1
        self._open = (group, passed, batches)
        return batch


def _check_type(path: Path, field: Any) -> None:
    types = import_arrow().types
    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    is_date = types.is_date(kind) or types.is_timestamp(kind)
    if not (is_text or is_list or is_number or is_date or types.is_boolean(kind) or types.is_null(kind)):
        raise TableInvalid(
            f"the column {field.name!r} of {path.name} is of Arrow's type {field.type}, which no input takes",
            hint="write it as a number, a text, a date or a list of these",
        )


def leave_pandas_out() -> None:
    """Keep pyarrow from loading pandas in this process, a worker of ours.

    It would do so at the first list that it is given, to see whether that is a series: 0.4 seconds for
    nothing. It asks once, so whoever needs pandas later still gets it.
    """
    if "pyarrow" not in sys.modules or "pandas" in sys.modules:
        return
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        import_arrow().array([0])
    finally:
        sys.meta_path.remove(absent)


class _Absent:
    """A finder of modules for which there is no pandas."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("pandas is left out here", name=name)


def _kept_field(field: Any) -> Field:
    is_dictionary = import_arrow().types.is_dictionary(field.type)
    return Field(field.name, "json", field.type.value_type if is_dictionary else field.type)


class _ArrowBlock:
    """The rows of a chunk as Arrow arrays."""

    def __init__(self, table: ArrowTable, batch: Any) -> None:
        self._table = table
        self._batch = batch

    @functools.cached_property
    def _arrays(self) -> list[Any]:
        return [_plain_array(self._batch.column(name)) for name in self._table.names]

    def columns(self, start: int, stop: int) -> Columns | None:
        arrays = [_values(array.slice(start, stop - start)) for array in self._arrays]
        return self._table.reader.check(arrays)

    def record(self, row: int) -> Any:
        values = {n: array[row].as_py() for n, array in zip(self._table.names, self._arrays, strict=True)}
        values = {n: None if value != value else value for n, value in values.items()}  # noqa: PLR0124 - NaN
        faults = [_nonfinite(name) for name, value in values.items() if not _is_finite(value)]
        if faults:
            raise SignatureMismatch(faults)
        return values

    def line(self, row: int) -> int | None:  # noqa: ARG002 - these files have no lines
        return None

    def kept(self) -> list[Any]:
        arrays = [self._batch.column(field.name) for field in self._table.kept]
        return [a.dictionary_decode() if hasattr(a, "dictionary_decode") else a for a in arrays]


def _nonfinite(name: str) -> Fault:
    message = "NaN and infinities are no numbers that a request could hold; leave the value out"
    return Fault(f"/{escape_pointer(name)}", "json_nonfinite", message, "number", "number")


def _is_finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _plain_array(array: Any) -> Any:
    """Return an array of a type that JSON's kinds have: dates with a time, no decimals, no codes."""
    pa = import_arrow()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_decimal(array.type):
        return array.cast(pa.float64())
    if pa.types.is_date(array.type):
        return array.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(array.type):  # with a zone it counts in UTC, finer units are cut off
        return array.cast(pa.timestamp("us", array.type.tz), safe=False).cast(pa.timestamp("us"))
    return array


def _values(array: Any) -> Any:
    """Return an array as `ColumnReader` takes it."""
    types = import_arrow().types
    if types.is_floating(array.type):
        return array.to_numpy(zero_copy_only=False)  # null becomes NaN
    if array.null_count or not (types.is_integer(array.type) or types.is_boolean(array.type)):
        return array.to_pylist()
    return array.to_numpy(zero_copy_only=False)


class ArrowWriter:
    """Writes record batches; a part is an IPC stream of one."""

    def __init__(self, fields: Sequence[Field], name: str) -> None:
        pa = import_arrow()
        types = {
            "number": pa.float64(),
            "integer": pa.int64(),
            "boolean": pa.bool_(),
            "datetime": pa.timestamp("us"),
        }
        self._name = name
        self._schema = pa.schema(
            [
                pa.field(f.name, types.get(f.type, pa.string()) if f.native is None else f.native)
                for f in fields
            ]
        )

    def part(self, columns: Sequence[Any], rows: int) -> bytes:  # noqa: ARG002 - the columns have it
        """Return the rows as a stream of one record batch."""
        pa = import_arrow()
        arrays = [_array(c, field.type) for c, field in zip(columns, self._schema, strict=True)]
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, self._schema) as stream:
            stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        return sink.getvalue()

    def assemble(self, target: BinaryIO) -> _ArrowAssembly:
        """Begin the file."""
        pa = import_arrow()
        if self._name == "parquet":
            import pyarrow.parquet as pq

            return _ArrowAssembly(pq.ParquetWriter(target, self._schema), _ROW_GROUP_ROWS)
        new = pa.ipc.new_file if self._name == "arrow" else pa.ipc.new_stream
        return _ArrowAssembly(new(target, self._schema), CHUNK_ROWS)


def _array(column: Any, kind: Any) -> Any:
    pa = import_arrow()
    if isinstance(column, Repeated):
        return pa.repeat(pa.scalar(column.value, kind), len(column))
    if isinstance(column, Numbered):
        numbers = pa.array(np.arange(column.numbers.start, column.numbers.stop)).cast(pa.string())
        return pa.compute.binary_join_element_wise(column.prefix, numbers, ".")
    if hasattr(column, "type"):
        return column
    if pa.types.is_string(kind):
        column = as_text(column)
    return pa.array(column, kind)


class _ArrowAssembly:
    """Collects parts to groups of rows, which a writer of pyarrow's takes."""

    def __init__(self, writer: Any, group_rows: int) -> None:
        self._writer = writer
        self._group_rows = group_rows
        self._waiting: list[Any] = []

    def add(self, part: Path) -> None:
        """Read the part; write when there are enough rows for a group."""
        pa = import_arrow()
        with pa.ipc.open_stream(part.read_bytes()) as stream:
            self._waiting.extend(stream)
        if sum(batch.num_rows for batch in self._waiting) >= self._group_rows:
            self._flush()

    def close(self) -> None:
        """Write the rest and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(import_arrow().Table.from_batches(self._waiting))
        self._waiting = []


FORMATS = {
    "parquet": ArrowFormat("parquet", (".parquet", ".pq"), _ParquetSource),
    "arrow": ArrowFormat("arrow", (".arrow", ".feather"), _IpcFileSource),
    "arrows": ArrowFormat("arrows", (".arrows",), _IpcStreamSource),
}
