"""Golden examples: which rows they are, and what counts as the same answer."""

from __future__ import annotations

import datetime
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.bundle.golden import MAX_EXAMPLES, GoldenExamples, choose_rows, is_close
from fairway.bundle.signature import Input, Signature
from fairway.bundle.validation import Validator
from fairway.errors import ArtifactCorrupt
from fairway.messages import Outputs

NAN, INF = float("nan"), float("inf")
GOLDEN = GoldenExamples(
    inputs=({"size": 1.5, "sold": datetime.datetime(2026, 2, 28)}, {"size": 2.0}),  # noqa: DTZ001
    expected={"rating": [1.5, NAN], "grade": ["a", "b"]},
    probabilities=[[0.25, 0.75], [NAN, 1.0]],
    tolerance=1e-9,
)


@pytest.mark.parametrize(
    ("expected", "actual", "same"),
    [
        (1.0, 1.0 + 1e-10, True),
        (1.0, 1.0 + 1e-8, False),
        (1e6, 1e6 + 1e-4, True),
        (1e6, 1e6 + 1e-2, False),
        (0.0, 1e-10, True),
        (-1.0, 1.0, False),
        (NAN, NAN, True),
        (None, NAN, True),
        (INF, None, True),
        (NAN, 1.0, False),
        (1.0, None, False),
        (10**12, 10**12 + 1, False),
        (3, 3, True),
        (1, True, False),
        (1, 1.0, False),
        (True, True, True),
        ("a", "a", True),
        ("a", "b", False),
        ("1", 1, False),
    ],
)
def test_two_answers_are_the_same(expected: Any, actual: Any, same: bool) -> None:
    """Floats within the tolerance, everything else exactly; what JSON writes as null is one."""
    assert is_close(expected, actual, 1e-9) is same


def read_back(golden: GoldenExamples) -> GoldenExamples:
    """Return the examples as a bundle keeps them."""
    return GoldenExamples.from_dict(json.loads(msgspec.json.encode(golden.to_dict())))


def test_examples_read_back_expect_the_same() -> None:
    """A NaN becomes null and still stands for NaN; a moment becomes a text and is one again."""
    outputs = Outputs(GOLDEN.expected, GOLDEN.probabilities)
    assert read_back(GOLDEN).differences(outputs) == []
    signature = Signature((Input("size", "number"), Input("sold", "datetime", nullable=True)), ())
    columns = read_back(GOLDEN).columns(Validator(signature))
    assert columns.rows == [[1.5, datetime.datetime(2026, 2, 28)], [2.0, None]]  # noqa: DTZ001


@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_any_float_is_still_the_same_after_writing(values: list[float]) -> None:
    """Nothing is lost on the way through JSON but what JSON does not have."""
    golden = GoldenExamples(({},) * len(values), {"y": values}, None, 0.0)
    assert read_back(golden).differences(Outputs({"y": values})) == []


@pytest.mark.parametrize(
    ("values", "probabilities", "message"),
    [
        ({"rating": [1.5, NAN], "grade": ["a", "c"]}, None, "golden example 1: grade is 'c', expected 'b'"),
        ({"rating": [1.6, NAN], "grade": ["a", "b"]}, None, "rating is 1.6, expected 1.5 (tolerance 1e-09)"),
        ({"grade": ["a", "b"]}, None, "the output 'rating' is missing or has another number of rows"),
        (
            {"rating": [1.5], "grade": ["a", "b"]},
            None,
            "the output 'rating' is missing or has another number",
        ),
        (GOLDEN.expected, None, "the probabilities differ"),
        (GOLDEN.expected, [[0.25, 0.75]], "the probabilities differ"),
        (GOLDEN.expected, [[0.25, 0.75], [1.0]], "the probabilities differ"),
        (GOLDEN.expected, [[0.25, 0.75], [0.5, 1.0]], "the probabilities differ"),
    ],
)
def test_a_difference_is_said_in_a_sentence(values: dict[str, Any], probabilities: Any, message: str) -> None:
    """Which example, which output, what came and what was expected."""
    shares = probabilities if probabilities or values is GOLDEN.expected else GOLDEN.probabilities
    assert message in "; ".join(GOLDEN.differences(Outputs(values, shares)))


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"inputs": 3, "expected": {}, "probabilities": None, "tolerance": 0},
        GOLDEN.to_dict() | {"tolerance": "x"},
    ],
)
def test_what_holds_no_examples_is_refused(document: dict[str, Any]) -> None:
    """In words of ours."""
    with pytest.raises(ArtifactCorrupt, match=r"golden\.json does not hold golden examples"):
        GoldenExamples.from_dict(document)


@given(st.lists(st.lists(st.sampled_from([None, 1]), min_size=2, max_size=2), min_size=1, max_size=60))
def test_chosen_rows_are_spread_and_hold_the_sparsest(rows: list[list[Any]]) -> None:
    """At most ten, the first and the last, and one with the most missing values; all of a small table."""
    chosen = choose_rows(rows)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == len(rows) if len(rows) <= MAX_EXAMPLES else len(chosen) <= MAX_EXAMPLES
    assert {0, len(rows) - 1} <= set(chosen)
    most = max(row.count(None) for row in rows)
    assert any(rows[n].count(None) == most for n in chosen)
