"""`fairway bench`: the server's own way for a call, measured without a server."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

import fairway as fw
from fairway.cli.main import main
from fairway.errors import FairwayError, UsageError
from fairway.inference.stopwatch import STAGES

SECONDS = 0.1


@pytest.mark.parametrize("name", ["iris", "recipes", "mixed"])
def test_every_stage_of_a_call_is_measured(zoo: Path, name: str) -> None:
    """For one row and for many, with the model's own examples."""
    one, many = fw.bench(name, seconds=SECONDS, home=zoo)
    assert (one.reference, one.rows, many.rows) == (f"{name}:1", 1, 100)
    assert one.body_bytes < many.body_bytes
    for path in (one, many):
        assert list(path.stages_us) == list(STAGES)
        measured = {stage for stage, microseconds in path.stages_us.items() if microseconds > 0}
        assert measured | {"queue"} == STAGES.keys()
        assert path.call_us > 0
        assert path.calls_per_s > 0


def test_a_large_body_takes_the_long_way(zoo: Path) -> None:
    """A body that the connection does not answer in the parser's callback is measured to its end, too."""
    (path,) = fw.bench("mixed", rows=(1000,), seconds=SECONDS, home=zoo)
    assert path.body_bytes > 64 * 1024
    assert path.stages_us["encode"] > 0


def test_a_bundle_needs_no_registry(zoo: Path, tmp_path: Path) -> None:
    """As with `serve`."""
    fw.pull("iris", tmp_path / "iris.fairway", home=zoo)
    (path,) = fw.bench(tmp_path / "iris.fairway", rows=(1,), seconds=SECONDS, home=zoo)
    assert path.reference == "iris"


def test_it_runs_where_a_loop_runs_already(zoo: Path) -> None:
    """In a notebook."""

    async def cell() -> int:
        return fw.bench("iris", rows=(1,), seconds=SECONDS, home=zoo)[0].rows

    assert asyncio.run(cell()) == 1


@pytest.mark.parametrize("rows", [51, 2000])
def test_a_call_that_the_server_refuses_is_its_refusal(
    zoo: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """The limits are those of the server, on the short way and on the long one."""
    monkeypatch.setenv("FAIRWAY_LIMITS_MAX_ROWS", "50")
    with pytest.raises(FairwayError, match=f"{rows} rows"):
        fw.bench("iris", rows=(rows,), seconds=SECONDS, home=zoo)


@pytest.mark.parametrize("rows", ["0", "-1", "x", "", "1.5"])
def test_what_is_no_number_of_rows_is_said(zoo: Path, rows: str) -> None:
    """Before anything is loaded."""
    with pytest.raises(UsageError, match=f"{rows!r} is not a number of rows"):
        fw.bench("iris", rows=(rows,), home=zoo)


def test_people_and_programs_can_read_it(zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with every stage, or JSON."""
    arguments = ["bench", "iris", "--rows", "1,5", "--seconds", str(SECONDS), "--home", str(zoo)]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert re.match(r"iris:1, \w+ predictor: microseconds per call", text)
    assert all(f"\n{stage} " in text for stage in (*STAGES, "whole call", "calls/s", "rows/s"))
    assert main([*arguments, "--json"]) == 0
    assert [path["rows"] for path in json.loads(capsys.readouterr().out)] == [1, 5]
