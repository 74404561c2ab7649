"""Rows as CSV: names or none, and cells."""

from __future__ import annotations

from typing import Any

import pytest

from fairway.bundle.signature import Input, Output, Signature
from fairway.errors import FairwayError, TooManyRows
from fairway.protocols.table import TableReader

SIGNATURE = Signature(
    inputs=(Input("a", "number", nullable=True), Input("b", "text", nullable=True), Input("c", "boolean")),
    outputs=(Output("y", "score", "number"),),
)
ONE_TEXT = Signature((Input("text", "text", nullable=True),), SIGNATURE.outputs)
READER = TableReader(SIGNATURE, max_rows=5, max_depth=32, max_text_chars=100)


def rows(text: str, header: str = "", reader: TableReader = READER) -> list[list[Any]]:
    return [list(row) for row in reader.read(text.encode(), header).rows]


@pytest.mark.parametrize(
    ("text", "header", "expected"),
    [
        ("1,x,true", "", [[1.0, "x", True]]),
        ("1,x,TRUE\r\n2,y,False\r\n", "", [[1.0, "x", True], [2.0, "y", False]]),
        ("\n1,x,true\n\n", "", [[1.0, "x", True]]),
        ("\ufeff1,x,true", "", [[1.0, "x", True]]),
        ("a,b,c\n1,x,true", "", [[1.0, "x", True]]),
        ("c,a\ntrue,1", "", [[1.0, None, True]]),
        ("c\ntrue\nfalse", "present", [[None, None, True], [None, None, False]]),
        (",,true", "", [[None, None, True]]),
        ('"1","a ""b""\nc",true', "", [[1.0, 'a "b"\nc', True]]),
        ("1e3,1e3,true", "", [[1000.0, "1e3", True]]),
        ("1, x ,true", "", [[1.0, " x ", True]]),
        ("a,b,c", "present", []),
    ],
)
def test_rows_are_read(text: str, header: str, expected: list[list[Any]]) -> None:
    """With names and without, line ends of both kinds, quotation marks, missing cells."""
    assert rows(text, header) == expected


def test_a_text_that_is_a_name_is_no_header_if_it_says_so() -> None:
    """Of a model that takes one text called text, the row "text" can be told from the names."""
    reader = TableReader(ONE_TEXT, max_rows=5, max_depth=32, max_text_chars=100)
    assert rows("text\nhello", "", reader) == [["hello"]]
    assert rows("text\nhello", "absent", reader) == [["text"], ["hello"]]
    assert rows('""\nhello', "absent", reader) == [[None], ["hello"]]


def test_a_row_in_which_only_some_cells_are_names_is_a_row() -> None:
    """A category or a text may be called as an input is; a row must never be lost for that."""
    assert rows("1,a,true") == [[1.0, "a", True]]
    with pytest.raises(FairwayError, match="expected number"):
        rows("b,a,true")


def test_equal_rows_come_out_of_both_ways_of_reading() -> None:
    """The slow way is taken for what the fast one does not judge: both give equal values."""
    columns = READER._one_by_one(SIGNATURE.names, [["0.1", "x", "true"], ["", "", "false"]])
    assert [list(row) for row in columns.rows] == rows("0.1,x,true\n,,false")


def test_the_number_of_rows_is_bounded_without_names_too() -> None:
    """The line of names is no row."""
    assert len(rows("a,b,c\n" + "1,x,true\n" * 5)) == 5
    for text in ("1,x,true\n" * 6, "a,b,c\n" + "1,x,true\n" * 6, '"1",x,true\n' * 100):
        with pytest.raises(TooManyRows):
            rows(text)


def test_faults_are_counted_and_the_first_are_listed() -> None:
    """As of JSON: at most twenty, and the total."""
    reader = TableReader(SIGNATURE, max_rows=100, max_depth=32, max_text_chars=100)
    with pytest.raises(FairwayError) as caught:
        rows("x,y,z\n" * 30, "absent", reader)
    assert len(caught.value.faults) == 20
    assert caught.value.total == 60  # type: ignore[attr-defined]
