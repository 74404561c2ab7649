"""JSON Lines and wrappers around rows."""

from __future__ import annotations

import pytest

from fairway.errors import MalformedRequest, TooManyRows
from fairway.protocols.lines import Unwrapper, split_lines


def test_lines_come_as_they_were_written() -> None:
    """Empty lines and line ends of both kinds are no rows."""
    found = split_lines(b'{"a": 1.50}\r\n\n[2]\n "x" \n', max_rows=5, max_depth=32)
    assert [line.strip() for line in found] == [b'{"a": 1.50}', b"[2]", b'"x"']


@pytest.mark.parametrize(
    "line", [b"1,2", b"1],[2", b"[1][2]", b"{", b"nul", b"\xff", b'{"a":1}}', b"1 2", b"'a'"]
)
def test_a_line_is_one_whole_value(line: bytes) -> None:
    """Two values on a line, or brackets that only the neighbours close, would make other rows."""
    with pytest.raises(MalformedRequest, match="line 2: "):
        split_lines(b"[0]\n" + line + b"\n[3]", max_rows=5, max_depth=32)


def test_the_number_of_lines_is_bounded() -> None:
    """Before any is read; of empty ones there may be as many again."""
    for body in (b"{\n" * 6, b"\n" * 1000):
        with pytest.raises(TooManyRows):
            split_lines(body, max_rows=5, max_depth=32)
    assert len(split_lines(b"1\n\n" * 5, max_rows=5, max_depth=32)) == 5


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([b'{"features":[1,2]}', b' { "features" : [3] } '], (b"features", [b"[1,2]", b"[3]"])),
        ([b'{"data":{"x":"}"}}'], (b"data", [b'{"x":"}"}'])),
        ([b'{"features":[1]}', b'{"data":[1]}'], None),
        ([b'{"features":[1],"x":1}'], None),
        ([b'{"features":[1],"features":[2]}'], None),
        ([b'{"features":[1]'], None),
        ([b'{"x":1}'], None),
        ([b"[1]"], None),
        ([], None),
    ],
)
def test_rows_leave_their_wrappers_together_or_not_at_all(
    rows: list[bytes], found: tuple[bytes, list[bytes]] | None
) -> None:
    """Whatever is not exactly a wrapper is left to the reader of rows, which says what is wrong."""
    assert Unwrapper(["x"]).rows_of(rows) == found


def test_a_key_that_is_an_input_wraps_nothing() -> None:
    """A model may take an input called features."""
    assert Unwrapper(["features"]).rows_of([b'{"features":[1]}']) is None
    assert not Unwrapper(["features"]).begins(b'{"features":')
    assert Unwrapper(["features"]).begins(b'{"data":')
