"""Every converted model answers as the original does: scikit-learn's estimators and pipelines on real data.

The cases stand in `benchmarks/parity_cases.py`; the table of the docs is made of the same ones.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("pandas")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MOST_ROWS_ALONE = 40


def _benchmark(name: str) -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(BENCHMARKS))


cases = _benchmark("parity_cases")
table = _benchmark("parity_table")


@pytest.fixture
def folder(request: pytest.FixtureRequest, case: Any, service: Callable[[str], Path]) -> Path:
    """Give the folder of data sets; only cases that read from it need it."""
    return Path() if case.data in cases.SHIPPED else service("data")


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_what_converts_is_proven_equal(case: Any, folder: Path) -> None:
    """Each compiler that is expected to convert a model gives one that passes the proof; no other does."""
    result = table.compile_case(case, folder)
    entries = result.report["compilers"]

    equal = tuple(sorted(name for name, entry in entries.items() if entry["verdict"] == "equal"))

    assert tuple(case.compilers) == equal, {name: entry["reason"] for name, entry in entries.items()}
    assert all(entries[name]["rows_total"] > MOST_ROWS_ALONE for name in equal)
    if not equal:
        assert result.predictor == "native"
        assert result.files.keys() == {"report.json"}


def test_the_suite_covers_at_least_forty_estimators_and_pipelines() -> None:
    """The promise is about many models, most of which convert."""
    converted = [case for case in cases.CASES if case.compilers]

    assert len({case.name for case in cases.CASES}) == len(cases.CASES)
    assert len(converted) >= 40
