"""The reference profile: counts of what the example held, never a row of it."""

from __future__ import annotations

import datetime
import json
from typing import Any

import msgspec
import pytest

from fairway.bundle.profile import make_profile
from fairway.bundle.signature import Input, Output, Signature
from fairway.messages import Columns, Outputs


def profile(entry: Input, values: list[Any], answers: list[Any] | None = None) -> dict[str, Any]:
    """Return the profile of one input as a bundle keeps it."""
    signature = Signature((entry,), (Output("y", "score", "number"),))
    outputs = Outputs({"y": answers or [0.5] * len(values)})
    made = make_profile(signature, Columns(("a",), [[v] for v in values]), outputs)
    read: dict[str, Any] = json.loads(msgspec.json.encode(made))
    return read


def test_numbers_are_counted_between_deciles() -> None:
    """Counts sum up to what was there; missing values are counted apart."""
    found = profile(Input("a", "number", nullable=True), [*map(float, range(100)), None])
    assert found["rows"] == 101
    assert found["inputs"]["a"] | {"std": 0} == {
        "kind": "number",
        "missing": 1,
        "count": 100,
        "mean": 49.5,
        "std": 0,
        "edges": pytest.approx([n * 9.9 for n in range(11)]),
        "counts": [10] * 10,
    }


@pytest.mark.parametrize("values", [[1.0, 1.0], [1.0] * 50 + [2.0], [1.0]])
def test_ties_lose_no_row(values: list[float]) -> None:
    """Equal deciles are one edge."""
    assert sum(profile(Input("a", "number"), values)["inputs"]["a"]["counts"]) == len(values)


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        ("category", ["x", "x", None], {"missing": 1, "count": 2, "levels": {"x": 2}, "other": 0}),
        ("boolean", [True, False], {"missing": 0, "count": 2, "levels": {"True": 1, "False": 1}, "other": 0}),
        (
            "category_list",
            [["x", "y"], []],
            {"missing": 0, "count": 2, "levels": {"x": 1, "y": 1}, "other": 0},
        ),
        ("vector", [[1.0]], {"missing": 0}),
        ("number", [None], {"missing": 1, "count": 0}),
        ("datetime", [None], {"missing": 1}),
        (
            "datetime",
            [datetime.datetime(2026, 1, 2), None, datetime.datetime(2025, 1, 2)],  # noqa: DTZ001
            {"missing": 1, "first": "2025-01-02T00:00:00", "last": "2026-01-02T00:00:00"},
        ),
    ],
)
def test_other_kinds_are_counted_too(kind: Any, values: list[Any], wanted: dict[str, Any]) -> None:
    """Levels by name, moments by the first and the last; a column may be all missing."""
    assert {"kind": kind} | wanted == profile(Input("a", kind), values)["inputs"]["a"]


def test_of_many_levels_the_rest_is_one_number() -> None:
    """A profile holds no list of everybody."""
    found = profile(Input("a", "category"), [f"id-{n}" for n in range(150)])["inputs"]["a"]
    assert (len(found["levels"]), found["other"]) == (100, 50)


def test_texts_are_measured_not_kept() -> None:
    """Lengths say enough."""
    found = profile(Input("a", "text"), ["secret", "x"])
    assert found["inputs"]["a"]["chars"]["mean"] == 3.5
    assert "secret" not in json.dumps(found)
    assert profile(Input("a", "text_list"), [["secret"], []])["inputs"]["a"]["items"]["mean"] == 0.5


def test_outputs_are_profiled_by_their_type() -> None:
    """Scores as numbers, labels by count; what is no number is left out."""
    assert profile(Input("a", "number"), [1.0, 2.0], [0.5, float("nan")])["outputs"]["y"]["count"] == 1
    assert profile(Input("a", "number"), [1.0, 2.0], ["yes", "no"])["outputs"]["y"]["levels"] == {
        "yes": 1,
        "no": 1,
    }
