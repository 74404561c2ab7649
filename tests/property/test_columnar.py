"""Whole columns are judged as the reference judges rows: the same rows, equal values, the same flags."""

from __future__ import annotations

import contextlib
import datetime
import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairway.bundle.columnar import ColumnReader
from fairway.bundle.signature import Input, Signature
from fairway.bundle.validation import Validator
from fairway.errors import SignatureMismatch
from fairway.messages import ArrayColumns, Columns

INPUTS = {
    "number": Input("x", "number", minimum=-10, maximum=10.5),
    "integer": Input("x", "integer", minimum=-3, maximum=2**60 + 0.0),
    "boolean": Input("x", "boolean"),
    "category": Input("x", "category", levels=("a", "é", "")),
    "codes": Input("x", "category", levels=(1, 2, 7)),
    "text": Input("x", "text"),
    "datetime": Input("x", "datetime"),
    "category_list": Input("x", "category_list", levels=("a", "b"), minimum=1, maximum=2),
    "text_list": Input("x", "text_list", minimum=1, maximum=2),
    "vector": Input("x", "vector", width=2),
}
LIMIT = 4

edges = st.sampled_from([0.0, -0.0, 10.5, 10.500001, -10.0, 2.0**53, 2.0**53 - 1, 1e300, 5.5, 2.0])
numbers = st.one_of(edges, st.floats(-12, 12), st.integers(-12, 12).map(float))
integers = st.one_of(
    st.integers(-5, 5), st.sampled_from([2**53, 2**53 + 1, -(2**53), 2**60 + 1, 2**63 - 1, 2**63, 2**80])
)
texts = st.sampled_from(["a", "b", "é", "", "1", "12345", "2026-02-28", "2026-02-30", "日本語です"])
moments = st.datetimes(timezones=st.sampled_from([None, datetime.UTC]))
lists = st.lists(st.one_of(texts, numbers, integers), max_size=3)
values = st.one_of(st.none(), st.booleans(), numbers, integers, texts, moments, lists)
DTYPES = (np.float64, np.float32, np.int64, np.int32, np.uint8, np.uint64, np.bool_)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Signature, list[Any] | np.ndarray]:
    """Draw a signature with one input, and values for it: a list, or an array of some type."""
    entry = INPUTS[draw(st.sampled_from(sorted(INPUTS)))]
    entry = Input(**{f: getattr(entry, f) for f in entry.__slots__} | {"nullable": draw(st.booleans())})
    policy = st.sampled_from(["flag", "reject", "pass"])
    signature = Signature((entry,), (), unseen_category=draw(policy), out_of_range=draw(policy))
    one = draw(st.sampled_from([numbers, integers, texts, st.booleans(), moments, lists, values]))
    drawn = draw(st.lists(one | st.none() if draw(st.booleans()) else one, min_size=1, max_size=6))
    if draw(st.booleans()):
        with np.errstate(all="ignore"), contextlib.suppress(ValueError, TypeError, OverflowError):
            array = np.array(drawn, draw(st.sampled_from(DTYPES)))
            return signature, array if array.ndim == 1 else drawn
    return signature, drawn


def reference(signature: Signature, array: Any) -> Columns | None:
    """Return what the validator makes of the values, one record each; NaN of an array is missing."""
    plain = array if isinstance(array, list) else array.tolist()
    rows = [{"x": None if value != value else value} for value in plain]  # noqa: PLR0124 - NaN
    if any(isinstance(v, float) and math.isinf(v) for row in rows for v in row.values()):
        return None  # no request could hold it
    try:
        return Validator(signature, max_text_chars=LIMIT).check(rows, pointer=str)
    except SignatureMismatch:
        return None


def exact(rows: Any) -> list[list[str]]:
    """Return rows so that 1, 1.0 and True, 0.0 and -0.0 are told apart."""
    return [[repr(value) for value in row] for row in rows]


@settings(max_examples=1500)
@given(cases())
def test_columns_are_judged_as_rows_are(case: tuple[Signature, Any]) -> None:
    """What is accepted is what the reference accepts, with equal values and flags."""
    signature, array = case
    expected = reference(signature, array)

    found = ColumnReader(signature, max_text_chars=LIMIT).check([array])

    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert exact(found.rows) == exact(expected.rows)
        assert found.flags == expected.flags
        wanted = (expected.flags or [{} for _ in array])[1:3]
        assert (found.part(1, 3).flags or [{} for _ in wanted]) == wanted


@given(st.lists(st.tuples(numbers, st.none() | numbers, st.integers(-9, 9), st.booleans()), min_size=1))
def test_arrays_and_rows_are_one_matrix(rows: list[tuple[Any, ...]]) -> None:
    """A predictor is fed the same bits, whichever way the rows were read."""
    names = ("a", "b", "c", "d")
    arrays = [
        np.array(column, kind)
        for column, kind in zip(zip(*rows, strict=True), (float, float, int, bool), strict=True)
    ]
    by_array, by_row = ArrayColumns(names, arrays), Columns(names, rows)

    assert by_array.matrix().tobytes() == by_row.matrix().tobytes()
    assert by_array.records() == by_row.records()
    assert by_array.columns() == by_row.columns()
    assert len(by_array) == len(by_row)
