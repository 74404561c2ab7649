"""The tables of `make bench`: what is measured stands in them, and what failed is said."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the benchmark's modules by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def rounds(modules: Any, **rates: list[float]) -> list[Any]:
    """Return one round per rate and system, all of model A, with one void cell for flask."""
    harness, results = modules("harness"), modules("results")
    found = []
    for system, measured in rates.items():
        for number, rate in enumerate(measured, start=1):
            loads = [
                harness.Load(rows, connections, rate, 0.5, 2.0, int(system == "flask" and rows == 100))
                for rows in (1, 100)
                for connections in (1, 8, 32)
            ]
            found.append(results.Round(system, "A", number, [1.0 * number], 100.0, loads, 0.25))
    return found


def row_of(text: str, title: str) -> list[str]:
    """Return the cells of the throughput line of a system."""
    lines = [line for line in text.partition("### A:")[2].splitlines() if line.startswith(f"| {title} |")]
    return [cell.strip() for cell in lines[0].strip("|").split("|")][1:]


def test_a_cell_is_the_median_and_a_ratio_that_of_the_same_run(modules: Any) -> None:
    """Beside FastAPI, and fairway beside each."""
    found = rounds(modules, fairway=[100.0, 300.0, 5000.0], fastapi=[10.0, 40.0, 30.0])
    text = modules("report").tables(found, seconds=2, commit="abc")
    assert row_of(text, "**fairway**") == ["300"] * 6 + ["10.0", "100", "2.00"]
    assert row_of(text, "FastAPI + uvicorn") == ["30"] * 6 + ["1.00", "100", "2.00"]
    assert "| FastAPI + uvicorn | 10.0 |" in text
    assert "at commit `abc`" in text
    assert "Medians of 3 rounds of 2 s" in text
    assert "others used 25% of the processors" in text


def test_a_cell_with_failed_calls_is_void(modules: Any) -> None:
    """It is shown as such, and counted below."""
    text = modules("report").tables(rounds(modules, flask=[50.0]), seconds=2, commit="abc")
    assert row_of(text, "Flask + gunicorn")[:6] == ["50"] * 3 + ["void"] * 3
    assert "- A, Flask + gunicorn: void with 1 failed calls at 100 row(s), 32 connections" in text


def test_a_system_that_failed_says_why(modules: Any) -> None:
    """With the line of its output that names the error."""
    problem = "RuntimeError: no answer\n  File x\nImportError: no module\nbye"
    broken = modules("results").Round("ray", "A", 1, problem=problem)
    text = modules("report").tables([broken], seconds=2, commit="abc")
    assert row_of(text, "Ray Serve")[0] == "failed"
    assert "- A, Ray Serve: failed: `ImportError: no module`" in text


def test_a_round_comes_back_from_its_file(modules: Any, tmp_path: Path) -> None:
    """Unless it failed: that one is measured again."""
    results = modules("results")
    store = results.Store(2, commit="abc")
    store.folder = tmp_path / "rounds"
    (kept,) = rounds(modules, fairway=[100.0])
    store.keep(kept)
    store.keep(results.Round("ray", "A", 1, problem="no"))
    assert store.find("fairway", "A", 1) == kept
    assert store.find("ray", "A", 1) is None
    assert {found.system for found in store.rounds()} == {"fairway", "ray"}


def test_labels_must_be_equal_and_numbers_nearly(modules: Any) -> None:
    """An answer that is no number is wrong."""
    is_same = modules("bench_serving").is_same
    assert is_same(2, 2.0)
    assert is_same(151.2, 151.2 * (1 + 1e-12))
    assert not is_same(2, 1)
    assert not is_same(151.2, 151.3)
    assert not is_same(1, "1")
    assert not is_same(1, None)


def test_every_system_has_its_turn_in_every_round(modules: Any) -> None:
    """In another order each time; a limit only with one model."""
    bench = modules("bench_serving")
    options = type("Options", (), {"models": ["A", "B"], "rivals": ["fairway", "flask", "echo"], "rounds": 2})
    turns = [(turn.letter, turn.number, turn.rival.name) for turn in bench.plan(options)]
    assert turns[:6] == [
        *(("A", 1, name) for name in ("fairway", "flask", "echo")),
        *(("A", 2, name) for name in ("flask", "echo", "fairway")),
    ]
    assert [turn[2] for turn in turns[6:]] == ["fairway", "flask", "flask", "fairway"]
