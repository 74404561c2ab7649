"""Tables of examples: files and frames of many makers, read into columns of plain Python values.

Nothing is guessed about the model here. Missing values (NaN, NaT, NA, an empty CSV cell) become None.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import difflib
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fairway.errors import ExampleInvalid, MissingExtra

TEXT_COLUMN = "text"
_MISSING_CELLS = frozenset({"", "na", "n/a", "nan", "null", "none"})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_BOOLEANS = {"true": True, "false": False}


@dataclasses.dataclass(frozen=True)
class Table:
    """Named columns of equal length.

    Attributes:
        columns: Values by name; a missing value is None.
        dtypes: Data type of a column as its maker names it (`float32`, `category`), where there is one.
        categories: Levels of columns that are categorical by declaration, in their declared order.
        nones: Columns of objects whose missing values were None, not NaN: some models tell them apart.
        form: How the rows were given: `frame`, `matrix`, `records` or `texts`.
    """

    columns: dict[str, list[Any]]
    dtypes: dict[str, str] = dataclasses.field(default_factory=dict)
    categories: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    nones: frozenset[str] = frozenset()
    form: str = "frame"

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return list(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def drop(self, name: str) -> Table:
        """Return the table without one column.

        Raises:
            ExampleInvalid: There is no such column.
        """
        if name not in self.columns:
            close = difflib.get_close_matches(name, self.columns, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the columns are: {', '.join(self.columns)}"
            raise ExampleInvalid(f"the example table has no column {name!r}", hint=hint)
        return dataclasses.replace(self, columns={k: v for k, v in self.columns.items() if k != name})

    def rename(self, names: Sequence[str]) -> Table:
        """Return the table with other column names, in order."""
        new = dict(zip(self.columns, names, strict=True))
        return Table(
            columns={new[k]: v for k, v in self.columns.items()},
            dtypes={new[k]: v for k, v in self.dtypes.items()},
            categories={new[k]: v for k, v in self.categories.items()},
            nones=frozenset(new[k] for k in self.nones),
            form=self.form,
        )

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield one tuple of values per row."""
        return zip(*self.columns.values(), strict=True)

    def records(self) -> list[dict[str, Any]]:
        """Return one dict per row."""
        names = self.names
        return [dict(zip(names, row, strict=True)) for row in self.rows()]


def read_table(source: Any, *, texts: Collection[str] = ()) -> Table:
    """Read a table of examples.

    Args:
        source: Path of a `.csv`, `.parquet`, `.json` or `.ndjson` file (CSV and JSON also gzipped), a pandas,
            polars or pyarrow frame, a numpy array, a list of dicts, a list of texts, or a dict of lists.
        texts: Columns of a CSV file whose cells are texts whatever they look like.

    Raises:
        ExampleInvalid: The source is none of these, is empty, or has columns of unequal length.
        MissingExtra: Parquet without pyarrow.
    """
    table = _read(source, frozenset(texts))
    if not table.columns or len(table) == 0:
        raise ExampleInvalid(
            "the example table has no rows", hint="give some rows as they will arrive in production"
        )
    lengths = {name: len(values) for name, values in table.columns.items()}
    if len(set(lengths.values())) > 1:
        raise ExampleInvalid(f"the columns of the example table have unequal lengths: {lengths}")
    return table


def _read(source: Any, texts: frozenset[str] = frozenset()) -> Table:
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return _read_file(Path(source), texts)
    if isinstance(source, Mapping):
        return _from_mapping(source)
    for module, reader in _FRAMES.items():
        if _made_by(source, module):
            return reader(source)
    if isinstance(source, Sequence):
        return _from_sequence(source)
    raise ExampleInvalid(
        f"a table cannot be read from {type(source).__name__}",
        hint="give a CSV or Parquet file, a frame, an array, a list of dicts or a list of texts",
    )


def _made_by(value: Any, module: str) -> bool:
    # Compared as text, so that no frame library is imported to find out.
    return any(kind.__module__.split(".")[0] == module for kind in type(value).__mro__)


def plain(value: Any) -> Any:
    """Return a value as plain Python data; anything that means "missing" becomes None."""
    kind = type(value)
    if value is None or kind in {str, bool, int}:
        return value
    if kind is float:
        return None if math.isnan(value) else value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime.date):
        return _moment(value)
    if hasattr(value, "tolist"):  # numpy arrays and scalars, some of which are floats and texts, too
        return plain(_microseconds(value).tolist())
    if kind.__name__ in {"NAType", "NaTType"}:
        return None
    if kind.__name__ == "Decimal":
        return plain(float(value))
    for base in (str, int, float):
        if isinstance(value, base):  # an enumeration, or another class of a plain kind
            return base.__str__(value) if base is str else plain(base(value))
    raise ExampleInvalid(f"the example table holds a value of the type {kind.__name__}")


def _moment(value: Any) -> datetime.datetime | None:
    if not isinstance(value, datetime.datetime):
        return datetime.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a date has no zone
    if value != value:  # noqa: PLR0124 - pandas.NaT is a datetime of its own that equals nothing
        return None
    return value.to_pydatetime(warn=False) if hasattr(value, "to_pydatetime") else value


def _microseconds(value: Any) -> Any:
    """Return numpy dates in the unit of datetime; finer ones would turn into integers."""
    return value.astype("datetime64[us]") if value.dtype.kind == "M" else value


def _from_mapping(source: Mapping[Any, Any]) -> Table:
    for name, values in source.items():
        if isinstance(values, str | Mapping) or not hasattr(values, "__iter__"):
            raise ExampleInvalid(
                f"{str(name)!r} of the example holds a single {type(values).__name__}, not a list of values",
                hint="give a list of records, or a dict with one list per column",
            )
    return Table({str(k): [plain(v) for v in values] for k, values in source.items()})


def _from_sequence(source: Sequence[Any]) -> Table:
    first = source[0] if source else None
    if all(isinstance(row, str) for row in source):
        return Table({TEXT_COLUMN: list(source)}, form="texts")
    if all(isinstance(row, Mapping) for row in source):
        names = dict.fromkeys(name for row in source for name in row)
        return Table({str(n): [plain(row.get(n)) for row in source] for n in names}, form="records")
    if all(isinstance(row, list | tuple) and len(row) == len(first) for row in source if first is not None):
        columns = zip(*source, strict=True)
        return Table({f"x{i}": [plain(v) for v in c] for i, c in enumerate(columns)}, form="matrix")
    raise ExampleInvalid(
        "the rows of the example are not all of one form: texts, dicts or lists of equal length"
    )


def _from_numpy(array: Any) -> Table:
    if array.ndim == 1 and array.dtype.kind in "OUS":
        return _from_sequence([str(v) if array.dtype.kind == "U" else v for v in array.tolist()])
    if array.ndim != 2:
        raise ExampleInvalid(f"the example array has {array.ndim} dimensions; rows x columns is needed")
    names = [f"x{i}" for i in range(array.shape[1])]
    lists = {n: _microseconds(array[:, i]).tolist() for i, n in enumerate(names)}
    columns = {n: [plain(v) for v in values] for n, values in lists.items()}
    dtypes = dict.fromkeys(names, str(array.dtype))
    return Table(columns, dtypes=dtypes, nones=_with_nones(lists), form="matrix")


def _with_nones(lists: Mapping[str, Sequence[Any]]) -> frozenset[str]:
    """Return the columns that hold None and no other mark of a missing value."""
    return frozenset(
        name
        for name, values in lists.items()
        if any(v is None for v in values) and not any(v is not None and plain(v) is None for v in values)
    )


def _from_pandas(frame: Any) -> Table:
    if frame.ndim == 1:  # a Series of texts or of dicts
        return _from_sequence(frame.tolist())
    frame = frame.rename(columns=str)
    if not frame.columns.is_unique:
        raise ExampleInvalid("the example frame has two columns of one name")
    dtypes = {name: str(frame[name].dtype) for name in frame.columns}
    categories = {
        n: [plain(v) for v in frame[n].cat.categories] for n, d in dtypes.items() if d == "category"
    }
    lists = {n: _pandas_values(frame[n], dtypes[n]) for n in frame.columns}
    columns = {n: [plain(v) for v in values] for n, values in lists.items()}
    nones = _with_nones({n: values for n, values in lists.items() if dtypes[n] == "object"})
    return Table(columns, dtypes=dtypes, categories=categories, nones=nones)


def _pandas_values(series: Any, dtype: str) -> list[Any]:
    if dtype.startswith("datetime64"):
        return list(series)
    values: list[Any] = series.astype(object).tolist()
    return values


def _from_polars(frame: Any) -> Table:
    if hasattr(frame, "collect"):
        frame = frame.collect()
    if not hasattr(frame, "columns"):
        return _from_sequence(frame.to_list())
    dtypes = {name: str(dtype).split("(")[0] for name, dtype in frame.schema.items()}
    declared = [n for n, d in dtypes.items() if d in {"Categorical", "Enum"}]
    categories = {n: frame[n].drop_nulls().unique().cast(str).sort().to_list() for n in declared}
    columns = {n: [plain(v) for v in values] for n, values in frame.to_dict(as_series=False).items()}
    return Table(columns, categories=categories)


def _from_arrow(table: Any) -> Table:
    if len(set(table.column_names)) != table.num_columns:
        raise ExampleInvalid("the example table has two columns of one name")
    # What pandas wrote beside the columns is its index, which no model is fed.
    about = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
    index = {name for name in about.get("index_columns", ()) if isinstance(name, str)}
    kept = table.select([name for name in table.column_names if name not in index])
    categories = {
        field.name: kept[field.name].unify_dictionaries().chunk(0).dictionary.to_pylist()
        for field in kept.schema
        if hasattr(field.type, "index_type") and len(kept)
    }
    columns = {n: [plain(v) for v in values] for n, values in kept.to_pydict().items()}
    return Table(columns, categories=categories)


_FRAMES = {"pandas": _from_pandas, "polars": _from_polars, "pyarrow": _from_arrow, "numpy": _from_numpy}


def _read_file(path: Path, texts: frozenset[str]) -> Table:
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise ExampleInvalid(f"the example file {path} cannot be read: {cause.strerror}") from cause
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        data, suffixes = _unpacked(data, path), suffixes[:-1]
    suffix = suffixes[-1] if suffixes else ""
    if suffix in {".parquet", ".pq"}:
        return _read_parquet(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as cause:
        raise ExampleInvalid(f"the example file {path} is not UTF-8 text") from cause
    if suffix in {".csv", ".tsv"}:
        return _read_csv(text, delimiter="\t" if suffix == ".tsv" else ",", texts=texts)
    if suffix in {".ndjson", ".jsonl", ".json"}:
        return _read_json(text, path, lines=suffix != ".json")
    raise ExampleInvalid(
        f"the kind of the example file {path.name} is not known",
        hint="use a file that ends in .csv, .tsv, .parquet, .json or .ndjson",
    )


def _unpacked(data: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as cause:
        raise ExampleInvalid(f"the example file {path} is not a whole gzip file") from cause


def _read_parquet(data: bytes) -> Table:
    try:
        import pyarrow.parquet as pq
    except ImportError as cause:
        raise MissingExtra("pyarrow", "tables", purpose="reading Parquet") from cause
    try:
        return _from_arrow(pq.read_table(io.BytesIO(data)))
    except (OSError, ValueError, NotImplementedError) as cause:  # pyarrow's own errors derive from these
        raise ExampleInvalid("the example file is not a Parquet file") from cause


def _read_json(text: str, path: Path, *, lines: bool) -> Table:
    try:
        if lines:
            document: Any = [msgspec.json.decode(line) for line in text.split("\n") if line.strip()]
        else:
            document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise ExampleInvalid(f"the example file {path.name} is not valid JSON: {cause}") from cause
    if not isinstance(document, list | dict):
        raise ExampleInvalid(f"the example file {path.name} holds no table", hint="give a list of records")
    return _read(document)


def _read_csv(text: str, *, delimiter: str, texts: frozenset[str]) -> Table:
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as cause:
        raise ExampleInvalid(f"the CSV file cannot be read: {cause}") from cause
    if not rows:
        return Table({})
    header, body = rows[0], [row for row in rows[1:] if row]
    if len(set(header)) != len(header):
        raise ExampleInvalid("the CSV file's first line names a column twice")
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            raise ExampleInvalid(
                f"row {number} of the CSV file has {len(row)} cells; the header has {len(header)}"
            )
    cells = {name: [row[i] for row in body] for i, name in enumerate(header)}
    return Table({n: [c or None for c in v] if n in texts else csv_values(v) for n, v in cells.items()})


def csv_values(cells: Sequence[str]) -> list[Any]:
    """Return the cells of one CSV column as numbers, booleans or texts, whichever all of them are."""
    bare = [cell.strip() for cell in cells]
    missing = [cell.lower() in _MISSING_CELLS for cell in bare]
    filled = [cell for cell, absent in zip(bare, missing, strict=True) if not absent]
    convert: Any = None
    if filled and all(map(_INTEGER.fullmatch, filled)):
        convert = int
    elif filled and all(map(_NUMBER.fullmatch, filled)):
        convert = float
    elif filled and all(cell.lower() in _BOOLEANS for cell in filled):
        convert = lambda cell: _BOOLEANS[cell.lower()]  # noqa: E731 - one of three converters
    if convert is not None:
        return [None if absent else convert(cell) for cell, absent in zip(bare, missing, strict=True)]
    return [cell or None for cell in cells]
