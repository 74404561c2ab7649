"""Whole files through real models: every format, rows at fault, kills, and what a stranger reads."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.cli.main import main
from fairway.errors import BatchError, OutputExists, RowRefused, RunDiffers, TableInvalid, UsageError

from .conftest import IRIS_ROW, MIXED_ROWS, iris_table, wait_until

pytest.importorskip("sklearn")
pa = pytest.importorskip("pyarrow")
import pyarrow.feather  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

HEADER = ",".join(IRIS_ROW)
FORMATS = ("csv", "tsv", "ndjson", "parquet", "arrow", "arrows")


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write records in the format that the suffix names."""
    kind = path.suffix[1:]
    if kind == "ndjson":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif kind in {"csv", "tsv"}:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="," if kind == "csv" else "\t")
            writer.writerow(rows[0])
            cells = [[json.dumps(v) if isinstance(v, list) else v for v in row.values()] for row in rows]
            writer.writerows(cells)
    else:
        table = pa.Table.from_pylist(rows)
        if kind == "parquet":
            pq.write_table(table, path, row_group_size=17)
        elif kind == "arrow":
            pyarrow.feather.write_feather(table, path, chunksize=13)
        else:
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table, max_chunksize=11)
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read what was written, whichever format it has."""
    kind = path.suffix[1:]
    if kind == "ndjson":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if kind in {"csv", "tsv"}:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter="," if kind == "csv" else "\t"))
    if kind == "parquet":
        return pq.read_table(path).to_pylist()
    if kind == "arrow":
        return pyarrow.feather.read_table(path).to_pylist()
    with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
        return stream.read_all().to_pylist()


def errors_of(output: Path) -> list[dict[str, Any]]:
    return read_rows(output.with_name(f"{output.name}.errors.ndjson"))


def served(model: str, rows: list[dict[str, Any]], home: Path) -> list[Any]:
    """Return what a server would answer to the rows, all in one call."""
    answer = fw.predict(model, rows, home=home)["predictions"]
    return [row["prediction"] for row in answer]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_as_a_request_is(zoo: Path, tmp_path: Path, kind: str) -> None:
    """Inputs of every kind, missing values, lists: the predictions are those of the server, bit by bit."""
    source = write_table(tmp_path / f"in.{kind}", [{"id": f"n{n}", **r} for n, r in enumerate(MIXED_ROWS)])
    output = tmp_path / "out.ndjson"

    summary = fw.score("mixed", source, output, keep=["id"], workers=2, home=zoo)

    found = read_rows(output)
    assert [row["prediction"] for row in found] == served("mixed", MIXED_ROWS, zoo)
    assert [row["id"] for row in found] == [f"n{n}" for n in range(60)]
    assert [row["prediction_id"] for row in found] == [f"{summary.run}.{n}" for n in range(60)]
    assert (summary.rows, summary.errors, summary.errors_file) == (60, 0, None)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_written(zoo: Path, tmp_path: Path, kind: str) -> None:
    """The columns are the same in every format, and so are the values to the last digit."""
    source = write_table(tmp_path / "in.csv", [dict(IRIS_ROW, sepal_width=3 + n / 7) for n in range(25)])
    output = tmp_path / f"out.{kind}"

    fw.score("iris", source, output, include=["probabilities"], keep=None, workers=1, home=zoo)

    found = read_rows(output)
    rows = [{name: float(row[name]) for name in IRIS_ROW} for row in read_rows(source)]
    expected = fw.predict("iris", rows, include=["probabilities"], home=zoo)["predictions"]
    new = ["prediction_id", "model", "version", "prediction"]
    assert list(found[0]) == [*IRIS_ROW, *new, "probability_0", "probability_1", "probability_2"]
    assert {(row["model"], int(row["version"])) for row in found} == {("iris", 1)}
    assert [int(row["prediction"]) for row in found] == [row["prediction"] for row in expected]
    for label in "012":
        shares = [row["probabilities"][label] for row in expected]
        assert [float(row[f"probability_{label}"]) for row in found] == pytest.approx(shares, rel=1e-12)


HOSTILE = (
    f"\ufeff{HEADER},note\r\n"
    '5.1,3.5,1.4,0.2,"two\r\nlines, and ""marks"""\r\n'
    "\r\n"
    "5.1,,1.4,0.2,empty\r\n"
    "5.1,abc,1.4,0.2,text\r\n"
    "5.1,3.5\r\n"
    "5.1,3.5,1.4,0.2,a\rlone return\r\n"
    "5.1,NaN,1.4,0.2,\r\n"
    '5.1,"1,5",1.4,0.2,\r\n'
    "5.1,1e400,+1.4,0.2,\r\n"
    '5.1,3.5,1.4,2e-1,5" wide\r\n'
    "5.1,true,1.4,0.2,café"
)


def test_a_hostile_csv_gives_each_row_its_own_error(zoo: Path, tmp_path: Path) -> None:
    """Byte order mark, quoted line ends, ragged and unreadable rows: one bad row spoils no other."""
    source, output = tmp_path / "in.csv", tmp_path / "out.ndjson"
    source.write_bytes(HOSTILE.encode() + b"\r\n5.1,3.5,1.4,0.2,\xff\r\n")

    summary = fw.score("iris", source, output, keep=["note"], workers=2, home=zoo)

    found = read_rows(output)
    assert [n for n, row in enumerate(found) if row["prediction"] == 0] == [0, 8]
    assert found[0]["note"] == 'two\r\nlines, and "marks"'
    assert found[8]["note"] == '5" wide'
    errors = errors_of(output)
    places = [(error["row"], error["line"], error["code"], error["pointer"]) for error in errors]
    assert places == [
        (1, 5, "value_missing", "/sepal_width"),
        (2, 6, "value_type", "/sepal_width"),
        (3, 7, "row_length", ""),
        (4, 8, "body_shape", ""),
        (5, 9, "json_nonfinite", "/sepal_width"),
        (6, 10, "value_type", "/sepal_width"),
        (7, 11, "json_nonfinite", "/sepal_width"),
        (9, 13, "value_type", "/sepal_width"),
        (10, 14, "encoding_invalid", ""),
    ]
    assert errors[0]["got"] == "null"
    assert all(error["hint"] and error["message"] for error in errors)
    assert (summary.rows, summary.errors) == (11, 9)


def test_json_lines_are_refused_as_bodies_are(zoo: Path, tmp_path: Path) -> None:
    """A line with two records, a repeated key or half a record is an error of its own."""
    good = json.dumps({**IRIS_ROW, "id": 1.50})
    lines = [
        good,
        good + good,
        good[:-3],
        '{"sepal_length":1,' + good[1:],
        '{"sepal_lengt\\u0068":1,' + good[1:],
        "[5.1,3.5,1.4,0.2]",
        json.dumps({**IRIS_ROW, "sepal_width": "3.5"}),
        good.replace("5.1", "NaN"),
    ]
    source, output = tmp_path / "in.jsonl", tmp_path / "out.csv"
    source.write_text("\n\n".join(lines), encoding="utf-8")

    fw.score("iris", source, output, keep=["id"], workers=1, home=zoo)

    assert [row["prediction"] for row in read_rows(output)] == ["0", "", "", "", "", "0", "", ""]
    assert read_rows(output)[0]["id"] == "1.5"
    codes = ["json_invalid"] * 2 + ["json_duplicate_key"] * 2 + ["value_type", "json_nonfinite"]
    assert [error["code"] for error in errors_of(output)] == codes
    assert [error["line"] for error in errors_of(output)] == [3, 5, 7, 9, 13, 15]


def test_arrow_types_arrive_as_the_values_they_stand_for(zoo: Path, tmp_path: Path) -> None:
    """Codes, decimals, dates with a zone, integers for numbers, NaN for nothing; an infinity is refused."""
    rows = MIXED_ROWS[:4]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    moments = pa.array([f"{moment}Z" for moment in columns["since"]]).cast(pa.timestamp("ns", "UTC"))
    table = pa.table(
        {
            "age": pa.array(columns["age"], pa.int16()),
            "income": pa.array([float("nan"), 1000.5, 2001.0, float("inf")], pa.float32()),
            "member": pa.array(columns["member"]),
            "city": pa.array(columns["city"]).dictionary_encode(),
            "since": moments.cast(pa.timestamp("ns", "Asia/Tokyo")),
            "tags": pa.array(columns["tags"], pa.large_list(pa.string())),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    output = tmp_path / "out.ndjson"

    fw.score("mixed", tmp_path / "in.parquet", output, workers=1, home=zoo)

    found = [row["prediction"] for row in read_rows(output)]
    assert found == [*served("mixed", rows, zoo)[:3], None]
    assert [(e["row"], e["code"], e["pointer"]) for e in errors_of(output)] == [
        (3, "json_nonfinite", "/income")
    ]


def test_a_row_on_which_the_model_fails_takes_no_other_with_it(zoo: Path, tmp_path: Path) -> None:
    """The model raises for one value of 15,000: that row has no prediction, and the cause is written down."""
    numbers = [float(n % 100) + 0.5 for n in range(15_000)]
    numbers[7_777] = 13.0
    pq.write_table(pa.table({"x": numbers}), tmp_path / "in.parquet")
    output = tmp_path / "out.parquet"

    summary = fw.score("moody", tmp_path / "in.parquet", output, workers=2, home=zoo)

    found = pq.read_table(output)["prediction"].to_pylist()
    assert [n for n, value in enumerate(found) if value is None] == [7_777]
    assert found[7_778] == numbers[7_778] * 2
    (error,) = errors_of(output)
    assert (error["row"], error["code"], summary.errors) == (7_777, "model_error", 1)
    assert "RuntimeError" in error["message"]


def test_policies_refuse_or_count(zoo: Path, tmp_path: Path) -> None:
    """A category that was not seen is refused by one model and counted by the other."""
    rows = [{**row, "city": "Ulm"} if n == 3 else row for n, row in enumerate(MIXED_ROWS)]
    source = write_table(tmp_path / "in.parquet", rows)

    refused = fw.score("strict", source, tmp_path / "a.csv", workers=1, home=zoo)
    flagged = fw.score("mixed", source, tmp_path / "b.csv", workers=1, home=zoo)

    assert (refused.errors, refused.flagged, flagged.errors, flagged.flagged) == (1, 0, 0, 1)
    assert errors_of(tmp_path / "a.csv")[0]["pointer"] == "/city"


def test_strict_stops_at_the_first_and_leaves_nothing(
    zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, the row is named, no half output stands anywhere."""
    source = tmp_path / "in.csv"
    source.write_text(f"{HEADER}\n5.1,3.5,1.4,0.2\n5.1,,1.4,0.2\n5.1,x,1.4,0.2\n")

    code = main(["score", "iris", str(source), str(tmp_path / "out.csv"), "--strict", "--home", str(zoo)])

    assert code == 1
    assert "row 1 (line 3): expected number, got null" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]
    with pytest.raises(RowRefused):
        fw.score("iris", source, tmp_path / "out.csv", strict=True, home=zoo)


@pytest.mark.parametrize(
    ("content", "options", "kind", "says"),
    [
        (f"{HEADER[:-5]}\n", {}, TableInvalid, "lacks 1 of the model's 4 inputs: 'petal_"),
        (f"{HEADER},sepal_length\n", {}, TableInvalid, "two columns named 'sepal_length'"),
        ("", {}, TableInvalid, "is empty"),
        ("\x1f\x8bzzz", {}, TableInvalid, "packed by gzip"),
        ("PAR1zzzz", {}, TableInvalid, "is damaged"),
        (f"{HEADER}\n", {"keep": ["id"]}, UsageError, "no column 'id' to keep"),
        (f"{HEADER},prediction\n", {"keep": None}, UsageError, "two columns named 'prediction'"),
        (f"{HEADER}\n", {"format": "xls"}, UsageError, "no format 'xls'"),
        (f"{HEADER}\n", {"include": ["moods"]}, UsageError, "include does not know 'moods'"),
        (f"{HEADER}\n", {"workers": 0}, UsageError, "at least one worker"),
    ],
)
def test_what_cannot_work_is_refused_before_it_begins(
    zoo: Path, tmp_path: Path, content: str, options: dict[str, Any], kind: type[Exception], says: str
) -> None:
    """The error says what is wrong, and nothing was written."""
    source = tmp_path / "in.csv"
    source.write_bytes(content.encode("latin-1"))

    with pytest.raises(kind, match=says):
        fw.score("iris", source, tmp_path / "out.csv", home=zoo, **options)

    assert list(tmp_path.iterdir()) == [source]


def test_an_output_is_overwritten_only_when_told(zoo: Path, tmp_path: Path) -> None:
    """Neither output nor error file are; told so, no error file of an earlier output stays."""
    source, output = write_table(tmp_path / "in.csv", [IRIS_ROW]), tmp_path / "out.csv"
    stale = tmp_path / "out.csv.errors.ndjson"
    stale.write_text("old")
    with pytest.raises(OutputExists, match="errors"):
        fw.score("iris", source, output, workers=1, home=zoo)

    fw.score("iris", source, output, overwrite=True, workers=1, home=zoo)

    assert not stale.exists()
    with pytest.raises(UsageError, match="replace the input"):
        fw.score("iris", source, source, overwrite=True, home=zoo)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_killed_again_and_again_the_output_is_the_same_to_the_byte(
    zoo: Path, tmp_path: Path, kind: str
) -> None:
    """SIGKILL after some parts, three times; the run keeps its id and never does a part twice."""
    rows = 150_000
    table = pa.table({"x": [float(n % 97) + 0.5 for n in range(rows)], "id": [str(n) for n in range(rows)]})
    pq.write_table(table, tmp_path / "in.parquet")
    output, folder = tmp_path / f"out.{kind}", tmp_path / f"out.{kind}.partial"
    command = [sys.executable, "-m", "fairway", "score", "slow", "in.parquet", output.name]
    command += ["--keep", "id", "--home", str(zoo), "--workers", "2", "--json"]
    kills = 0
    for parts in (2, 5, 9):
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(
            lambda: process.poll() is not None or len(list(folder.glob("*.part"))) >= parts,  # noqa: B023
            deadline_s=60,
        )
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills
    state = folder / "state.json"
    whole = tmp_path / "whole"
    (whole / folder.name).mkdir(parents=True)
    shutil.copy(state, whole / folder.name)
    wait_until(lambda: not _is_locked(folder))

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    fw.score("slow", tmp_path / "in.parquet", whole / output.name, keep=["id"], home=zoo)

    summary = json.loads(done.stdout)
    assert summary["rows"] == rows
    assert summary["resumed_rows"] > 0
    assert output.read_bytes() == (whole / output.name).read_bytes()
    assert not folder.exists()


def _is_locked(folder: Path) -> bool:
    """Tell whether a run, or a worker of one that was killed a moment ago, still has the folder."""
    import fcntl

    with (folder / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def test_an_interrupted_run_of_something_else_is_not_continued(zoo: Path, tmp_path: Path) -> None:
    """Another input or other options: the error names the difference; --restart begins anew."""
    source, output = write_table(tmp_path / "in.csv", [IRIS_ROW]), tmp_path / "out.csv"
    folder = tmp_path / "out.csv.partial"
    with pytest.raises(RuntimeError, match="stop here"):
        fw.score("iris", source, output, workers=1, on_progress=_StopAfter(1), home=zoo)
    assert folder.is_dir()
    assert not output.exists()

    with pytest.raises(RunDiffers, match=r"the options had keep \[\], now None"):
        fw.score("iris", source, output, keep=None, workers=1, home=zoo)
    with source.open("a") as file:
        file.write("5.1,3.5,1.4,0.2\n")
    with pytest.raises(RunDiffers, match="the input was changed since"):
        fw.score("iris", source, output, workers=1, home=zoo)

    assert fw.score("iris", source, output, restart=True, workers=1, home=zoo).rows == 2
    assert not folder.exists()


def test_what_a_loss_of_power_took_of_a_part_is_done_again(zoo: Path, tmp_path: Path) -> None:
    """The same command goes on; a part that is not what the journal says, or has no line, is not used."""
    pq.write_table(pa.table({"x": [n + 0.5 for n in range(40_000)]}), tmp_path / "in.parquet")
    source, output = tmp_path / "in.parquet", tmp_path / "out.csv"
    folder = tmp_path / "out.csv.partial"
    with pytest.raises(RuntimeError, match="stop here"):
        fw.score("moody", source, output, workers=1, on_progress=_StopAfter(3), home=zoo)
    journal = folder / "journal.ndjson"
    first, _, last = journal.read_bytes().splitlines()
    journal.write_bytes(journal.read_bytes() + last[:-5])
    (folder / "0000001.part").write_bytes(b"\0" * 100)

    summary = fw.score("moody", source, output, workers=1, home=zoo)

    assert json.loads(first)["chunk"] == 0
    assert (summary.rows, summary.resumed_rows) == (40_000, 20_000)
    assert [float(row["prediction"]) for row in read_rows(output)] == [2 * n + 1.0 for n in range(40_000)]


class _StopAfter:
    """Ends a run when so many chunks are done."""

    def __init__(self, chunks: int) -> None:
        self._left = chunks

    def __call__(self, _progress: Any) -> None:
        self._left -= 1
        if not self._left:
            raise RuntimeError("stop here")


def test_ctrl_c_leaves_a_run_that_goes_on(zoo: Path, tmp_path: Path) -> None:
    """The command ends with 130, says that the same one goes on, and leaves no process."""
    pq.write_table(pa.table({"x": [0.5] * 300_000}), tmp_path / "in.parquet")
    command = [sys.executable, "-m", "fairway", "score", "slow", "in.parquet", "out.csv", "--home", str(zoo)]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    folder = tmp_path / "out.csv.partial"
    wait_until(lambda: list(folder.glob("*.part")), deadline_s=60)
    process.send_signal(signal.SIGINT)

    _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "the same command goes on" in err
    assert not _is_locked(folder)
    assert not (tmp_path / "out.csv").exists()


def test_a_table_without_rows_has_an_output_without_rows(zoo: Path, tmp_path: Path) -> None:
    """The header alone is a table, too."""
    source = tmp_path / "in.csv"
    source.write_text(f"{HEADER}\n")

    summary = fw.score("iris", source, tmp_path / "out.csv", home=zoo)

    assert summary.rows == 0
    text = (tmp_path / "out.csv").read_text()
    assert list(csv.reader(io.StringIO(text))) == [["prediction_id", "model", "version", "prediction"]]


def test_many_chunks_come_out_in_order(zoo: Path, tmp_path: Path) -> None:
    """Quoted line ends across the borders of blocks, several workers: every row where it was."""
    columns = list(zip(*iris_table().values(), strict=True))
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*IRIS_ROW, "note"])
        for n in range(40_000):
            writer.writerow([*columns[n % 150], f"{n}\n" + '"x",' * 40])

    summary = fw.score("iris", source, output, keep=["note"], workers=3, home=zoo)

    found = read_rows(output)
    once = served("iris", [dict(zip(IRIS_ROW, row, strict=True)) for row in columns], zoo)
    assert summary.rows == len(found) == 40_000
    assert all(row["note"].startswith(f"{n}\n") for n, row in enumerate(found))
    assert [int(row["prediction"]) for row in found] == [once[n % 150] for n in range(40_000)]
    assert found[-1]["prediction_id"] == f"{summary.run}.39999"


def test_what_is_decoded_for_all_workers_is_what_one_decodes_for_itself(zoo: Path, tmp_path: Path) -> None:
    """A row group of many chunks, with categories, missing cells and rows at fault among the rows."""
    rows = 45_000
    columns = {name: [value] * rows for name, value in IRIS_ROW.items()}
    first = next(iter(IRIS_ROW))
    columns[first] = [None if n % 20_011 == 7 else 4.0 + n % 5 for n in range(rows)]
    kinds = pa.array([f"kind {n % 7}" for n in range(rows)]).dictionary_encode()
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({**columns, "kind": kinds, "n": range(rows)}), source)

    outputs = []
    for workers in (1, 3):
        output = tmp_path / f"{workers}.parquet"
        summary = fw.score("iris", source, output, keep=["kind", "n"], workers=workers, home=zoo)
        assert (summary.rows, summary.errors) == (rows, 3)
        assert [error["row"] for error in errors_of(output)] == [7, 20_018, 40_029]
        assert not output.with_name(f"{output.name}.partial").exists()
        outputs.append(pq.read_table(output).drop_columns(["prediction_id"]))

    assert outputs[0].equals(outputs[1])
    assert outputs[0]["n"].to_pylist() == list(range(rows))


def test_a_row_group_that_is_damaged_in_the_middle_ends_the_run(zoo: Path, tmp_path: Path) -> None:
    """Whichever process meets the damage says so, and nothing is left in the output's place."""
    rows = 60_000
    columns = {name: [value + n for n in range(rows)] for name, value in IRIS_ROW.items()}
    source, output = tmp_path / "in.parquet", tmp_path / "out.csv"
    pq.write_table(pa.table(columns), source, use_dictionary=False, compression="snappy")
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4096] = b"\xff" * 4096
    source.write_bytes(data)

    for workers in (1, 2):
        with pytest.raises(BatchError):
            fw.score("iris", source, output, workers=workers, restart=True, home=zoo)
        assert not output.exists()


def test_a_run_loads_neither_the_database_libraries_nor_the_server(zoo: Path, tmp_path: Path) -> None:
    """They take longer to load than a hundred thousand rows take to score."""
    (tmp_path / "in.csv").write_text(HEADER + "\n" + ",".join(map(str, IRIS_ROW.values())) + "\n")
    script = (
        "import sys; import fairway as fw; fw.score('iris', 'in.csv', 'out.csv', home=sys.argv[1]);"
        "print(*{'alembic', 'prometheus_client', 'sqlalchemy', 'starlette', 'uvicorn'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", script, str(zoo)]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
    assert len(read_rows(tmp_path / "out.csv")) == 1
