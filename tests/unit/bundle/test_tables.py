"""Tables of examples: every maker's values come out as the same plain Python values."""

from __future__ import annotations

import csv
import datetime
import decimal
import enum
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairway.bundle.tables import Table, csv_values, plain, read_table
from fairway.errors import ExampleInvalid

CSV = "size,city,new,n\n1.5,Rome,true,1\n,Oslo,FALSE,2\n-3e2,,true,NA\n"
WANTED: dict[str, list[Any]] = {
    "size": [1.5, None, -300.0],
    "city": ["Rome", "Oslo", None],
    "new": [True, False, True],
    "n": [1, 2, None],
}
RECORDS = [dict(zip(WANTED, row, strict=True)) for row in zip(*WANTED.values(), strict=True)]
NOON = datetime.datetime(2026, 2, 28, 12)  # noqa: DTZ001 - what models get has no zone


def assert_plain(table: Table, wanted: dict[str, list[Any]]) -> None:
    """Compare values and exact types."""
    assert wanted == table.columns
    types = {name: [type(v) for v in values] for name, values in wanted.items()}
    assert types == {name: [type(v) for v in values] for name, values in table.columns.items()}


# -- files --


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("t.csv", CSV.encode()),
        ("t.CSV", CSV.encode()),
        ("t.v1.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("t.csv", CSV.replace("\n", "\r\n").encode()),
        ("t.tsv", CSV.replace(",", "\t").encode()),
        ("t.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("t.ndjson", "\n\n".join(map(json.dumps, RECORDS)).encode()),
        ("t.jsonl", "\r\n".join(map(json.dumps, RECORDS)).encode()),
        ("t.json", json.dumps(RECORDS).encode()),
        ("t.json", json.dumps(WANTED).encode()),
        ("t.json.gz", gzip.compress(json.dumps(RECORDS).encode(), mtime=0)),
    ],
)
def test_every_text_format_gives_the_same_values(tmp_path: Path, name: str, data: bytes) -> None:
    """CSV and TSV tell numbers, booleans and texts apart; JSON says itself what is what."""
    (tmp_path / name).write_bytes(data)
    assert_plain(read_table(tmp_path / name), WANTED)
    assert_plain(read_table(str(tmp_path / name)), WANTED)


@pytest.mark.parametrize("name", ["t.parquet", "t.pq"])
def test_parquet_gives_the_same_values(tmp_path: Path, name: str) -> None:
    """A null of Parquet is a missing value."""
    pq.write_table(pa.table(WANTED), tmp_path / name)
    assert_plain(read_table(tmp_path / name), WANTED)


def test_the_index_of_a_saved_frame_is_no_column(tmp_path: Path) -> None:
    """A frame that lost rows is saved with its index, which the model was never fed."""
    frame = pd.DataFrame({"a": [1, 2, 3]})
    frame[frame["a"] > 1].to_parquet(tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").columns == {"a": [2, 3]}


def test_a_text_with_a_line_break_stays_whole(tmp_path: Path) -> None:
    """A quoted cell may span lines, and an ndjson text may hold an unescaped line separator."""
    (tmp_path / "t.csv").write_text('note,n\n"two\nlines",1\n')
    assert read_table(tmp_path / "t.csv").columns == {"note": ["two\nlines"], "n": [1]}
    (tmp_path / "t.ndjson").write_text('{"note": "a\u2028b"}\n', encoding="utf-8")
    assert read_table(tmp_path / "t.ndjson").columns == {"note": ["a\u2028b"]}


@pytest.fixture
def usual_cells() -> Iterator[None]:
    """Give the csv module's own limit of a cell, of which a process has one: a server raises it."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"", "the example table has no rows"),
        ("t.csv", b"a,b\n", "the example table has no rows"),
        ("t.csv", b"a,a\n1,2\n", "the CSV file's first line names a column twice"),
        ("t.csv", b"a,b\n1,2\n3\n", "row 3 of the CSV file has 1 cells; the header has 2"),
        ("t.csv", b"a\n" + b"x" * 200_000, "the CSV file cannot be read: field larger"),
        ("t.csv", b"\xff\xfe", "t.csv is not UTF-8 text"),
        ("t.csv.gz", b"no gzip", "t.csv.gz is not a whole gzip file"),
        ("t.csv.gz", gzip.compress(CSV.encode(), mtime=0)[:-9], "t.csv.gz is not a whole gzip file"),
        ("t.parquet", b"PAR1", "the example file is not a Parquet file"),
        ("t.json", b"{", "t.json is not valid JSON"),
        ("t.json", b"[" * 100_000, "t.json is not valid JSON"),
        ("t.json", b'"/etc/passwd"', "t.json holds no table"),
        ("t.json", b"3", "t.json holds no table"),
        ("t.json", b'{"a": 1}', "'a' of the example holds a single int"),
        ("t.json", b'{"a": "xyz"}', "'a' of the example holds a single str"),
        ("t.json", b'[{"a": {"b": 1}}]', "holds a value of the type dict"),
        ("t.ndjson", b'{"a": 1}\n{', "t.ndjson is not valid JSON"),
        ("t.xlsx", b"PK", "the kind of the example file t.xlsx is not known"),
        ("t", b"a\n1\n", "the kind of the example file t is not known"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    usual_cells: None, tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    """Whatever is in the file, the error is ours and names it."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ExampleInvalid, match=message):
        read_table(tmp_path / name)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    """The path and the system's reason are in the message."""
    with pytest.raises(ExampleInvalid, match=r"gone\.csv cannot be read: No such file or directory"):
        read_table(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "+2", "-3"], [1, 2, -3]),
        (["1", "2.5", " 3 "], [1.0, 2.5, 3.0]),
        ([".5", "5.", "1e3"], [0.5, 5.0, 1000.0]),
        (["1", "", "n/a", "NaN", "null", "None"], [1, None, None, None, None, None]),
        (["True", "FALSE", ""], [True, False, None]),
        (["true", "1"], ["true", "1"]),
        (["1", "x"], ["1", "x"]),
        (["inf", "1"], ["inf", "1"]),
        (["NA", "x"], ["NA", "x"]),
        (["1_000"], ["1_000"]),
        (["0x10"], ["0x10"]),
        (["9" * 19], [float("9" * 19)]),
        (["", ""], [None, None]),
    ],
)
def test_a_csv_column_is_what_all_of_its_cells_are(cells: list[str], values: list[Any]) -> None:
    """One cell that is no number makes the column a text; an empty cell is missing."""
    assert values == csv_values(cells)
    assert [type(v) for v in values] == [type(v) for v in csv_values(cells)]


# -- objects --


@pytest.mark.parametrize(
    "source",
    [
        WANTED,
        RECORDS,
        pd.DataFrame(WANTED).astype({"n": "Int64"}),
        pd.DataFrame(WANTED).astype({"n": "Int64", "new": "boolean", "city": "string", "size": "Float64"}),
        pd.DataFrame(WANTED, dtype=object),
        pl.DataFrame(WANTED),
        pl.LazyFrame(WANTED),
        pa.table(WANTED),
        {name: np.array(values, dtype=object) for name, values in WANTED.items()},
        {name: pd.Series(values, dtype=object) for name, values in WANTED.items()},
    ],
    ids=["dict", "records", "pandas", "nullable", "objects", "polars", "lazy", "arrow", "arrays", "series"],
)
def test_every_maker_gives_the_same_values(source: Any) -> None:
    """NaN, None, NA and null are None; numpy's scalars are Python's."""
    assert_plain(read_table(source), WANTED)


def test_a_table_is_read_as_it_is() -> None:
    """What was read once is not read again."""
    table = Table({"a": [1]})
    assert read_table(table) is table
    assert len(table) == 1
    assert table.names == ["a"]
    assert table.records() == [{"a": 1}]


def test_pandas_keeps_types_and_declared_categories() -> None:
    """The data types are those of the frame; levels that no row has are kept, in their order."""
    frame = pd.DataFrame(
        {
            "f": np.array([1.5, np.nan], dtype=np.float32),
            "c": pd.Categorical(["b", None], categories=["b", "a"]),
            "i": pd.Categorical([3, None], categories=[3, 1]),
            "d": [pd.Timestamp(NOON), pd.NaT],
            "z": [pd.Timestamp(NOON, tz="Europe/Berlin"), pd.NaT],
            "day": [datetime.date(2026, 2, 28), None],
            0: [decimal.Decimal("1.5"), None],
        }
    )
    table = read_table(frame)
    assert table.dtypes["f"] == "float32"
    assert table.dtypes["c"] == "category"
    assert table.categories == {"c": ["b", "a"], "i": [3, 1]}
    assert table.columns["i"] == [3, None]
    assert table.columns["d"] == [NOON, None]
    assert type(table.columns["d"][0]) is datetime.datetime
    assert str(table.columns["z"][0]) == "2026-02-28 12:00:00+01:00"
    assert table.columns["day"] == [NOON.replace(hour=0), None]
    assert table.columns["0"] == [1.5, None]


def test_a_categorical_column_of_polars_and_arrow_has_its_levels() -> None:
    """Polars' Enum and Categorical and Arrow's dictionaries declare their levels."""
    polars = pl.DataFrame({"c": ["b", None, "a"]}, schema={"c": pl.Categorical})
    assert read_table(polars).categories == {"c": ["a", "b"]}
    arrow = pa.table({"c": pa.array(["b", None, "a"]).dictionary_encode()})
    assert read_table(arrow).categories == {"c": ["b", "a"]}
    assert read_table(arrow).columns == {"c": ["b", None, "a"]}


def test_polars_and_pandas_series_of_texts_are_texts() -> None:
    """A column alone is what a text model is fed."""
    for series in (pl.Series(["a", "b"]), pd.Series(["a", "b"]), np.array(["a", "b"]), ["a", "b"]):
        table = read_table(series)
        assert table.form == "texts"
        assert table.columns == {"text": ["a", "b"]}


@pytest.mark.parametrize("dtype", ["float64", "float32", "int8", "bool", "object", "<U3"])
def test_a_matrix_has_numbered_columns_of_its_type(dtype: str) -> None:
    """Values are Python's own; the type is remembered."""
    table = read_table(np.array([[1, 0], [1, 1]]).astype(dtype))
    assert table.form == "matrix"
    assert table.names == ["x0", "x1"]
    assert set(table.dtypes.values()) == {dtype}
    kinds = {"f": float, "i": int, "b": bool, "O": int, "U": str}
    assert type(table.columns["x0"][0]) is kinds[np.dtype(dtype).kind]


def test_none_and_nan_of_objects_are_told_apart() -> None:
    """Both are missing; which of them it was matters to encoders."""
    matrix = np.array([["a", "a", None], [None, np.nan, np.nan]], dtype=object)
    assert read_table(matrix).nones == {"x0"}
    assert read_table(pd.DataFrame(matrix, dtype=object)).nones == {"0"}
    assert read_table(matrix).rename(["p", "q", "r"]).nones == {"p"}


def test_numpy_dates_stay_dates() -> None:
    """Nanoseconds, which numpy gives out as integers, become microseconds."""
    array = np.array([["2026-02-28T12:00", "NaT"]], dtype="datetime64[ns]")
    assert read_table(array).columns == {"x0": [NOON], "x1": [None]}
    assert plain(array[0, 0]) == NOON


def test_lists_are_a_matrix() -> None:
    """Rows of equal length have numbered columns."""
    assert read_table([[1, 2.5], [3, None]]).columns == {"x0": [1, 3], "x1": [2.5, None]}
    assert read_table([(1, "a")]).form == "matrix"


def test_records_may_lack_keys() -> None:
    """An absent key is a missing value; keys are texts."""
    table = read_table([{"a": 1, 2: "x"}, {"b": 2.5}])
    assert table.columns == {"a": [1, None], "2": ["x", None], "b": [None, 2.5]}


class Color(str, enum.Enum):  # noqa: UP042 - the older form that prints itself otherwise
    RED = "red"


class Size(enum.IntEnum):
    BIG = 9


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (np.float64(1.5), 1.5),
        (np.float64("nan"), None),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([1.0, np.nan]), [1.0, None]),
        (np.array(3), 3),
        ((1, np.int8(2)), [1, 2]),
        (float("inf"), float("inf")),
        (decimal.Decimal("0.1"), 0.1),
        (decimal.Decimal("NaN"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (pd.Timestamp(NOON), NOON),
        (pd.Timestamp(NOON) + pd.Timedelta(1, "ns"), NOON),
        (datetime.date(2026, 2, 28), NOON.replace(hour=0)),
        (Color.RED, "red"),
        (Size.BIG, 9),
    ],
)
def test_values_become_plain(value: Any, wanted: Any) -> None:
    """Exactly str, bool, int, float, datetime, list or None: what JSON and the kinds know."""
    assert wanted == plain(value)
    assert type(wanted) is type(plain(value))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "the example table has no rows"),
        ({}, "the example table has no rows"),
        (pd.DataFrame({"a": []}), "the example table has no rows"),
        (np.empty((0, 3)), "the example table has no rows"),
        ([[]], "the example table has no rows"),
        ({"a": [1], "b": [1, 2]}, "unequal lengths: {'a': 1, 'b': 2}"),
        ({"a": 3}, "'a' of the example holds a single int, not a list of values"),
        ({"a": {"b": 1}}, "'a' of the example holds a single dict"),
        ([1, 2], "not all of one form"),
        ([{"a": 1}, [1]], "not all of one form"),
        ([[1], [1, 2]], "not all of one form"),
        (["a", None], "not all of one form"),
        (3, "a table cannot be read from int"),
        (None, "a table cannot be read from NoneType"),
        ({"a": [object()]}, "a value of the type object"),
        ({"a": [b"x"]}, "a value of the type bytes"),
        ({"a": [datetime.timedelta(1)]}, "a value of the type timedelta"),
        (np.zeros(3), "the example array has 1 dimensions; rows x columns is needed"),
        (np.zeros((2, 2, 2)), "the example array has 3 dimensions"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the example frame has two columns of one name"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "the example frame has two columns of one name"),
        (pa.table([[1], [2]], names=["a", "a"]), "the example table has two columns of one name"),
    ],
)
def test_what_is_no_table_says_why(source: Any, message: str) -> None:
    """No input raises anything but ExampleInvalid."""
    with pytest.raises(ExampleInvalid, match=message):
        read_table(source)


def test_a_column_is_dropped_by_name() -> None:
    """A misspelt one is answered with the nearest, or all of them."""
    table = Table({"rating": [1], "size": [2]})
    assert table.drop("rating").columns == {"size": [2]}
    with pytest.raises(ExampleInvalid, match="no column 'ratin'") as caught:
        table.drop("ratin")
    assert caught.value.hint == "did you mean 'rating'?"
    with pytest.raises(ExampleInvalid) as caught:
        table.drop("zzz")
    assert caught.value.hint == "the columns are: rating, size"
