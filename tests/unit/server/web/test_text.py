"""Text and numbers on a page: nothing invisible, nothing misleading."""

from __future__ import annotations

import json

import pytest

from fairway.server.web.text import json_text, number_text, percent_text, shown, shown_lines


def test_control_characters_are_gone_and_direction_marks_visible() -> None:
    """Text cannot reorder or hide what stands beside it."""
    assert shown("a\x00b\x1b[31mc\x85d\u202etxt.exe\u200b") == "ab[31mc d\\u202etxt.exe\\u200b"
    assert shown("one\n two\tthree") == "one two three"


def test_long_text_is_capped() -> None:
    """A name of a megabyte is no page of a megabyte."""
    assert len(shown("x" * 10_000)) == 256
    assert shown("x" * 256) == "x" * 256


def test_lines_stay_lines_where_they_may() -> None:
    """A description keeps its paragraphs."""
    assert shown_lines("one\r\ntwo\n\nthree\x00") == "one\ntwo\n\nthree"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.0, "3"),
        (5.1, "5.1"),
        (-0.0, "-0.0"),
        (1e22, "1e+22"),
        (7, "7"),
        (float("nan"), "nan"),
        (0.1 + 0.2, "0.30000000000000004"),
    ],
)
def test_numbers_are_written_exactly(value: float, text: str) -> None:
    """No digit is lost and none is added."""
    assert number_text(value) == text


def test_numbers_can_be_rounded_for_the_eye() -> None:
    """Six digits are read at a glance."""
    assert number_text(93.29749194380493, digits=6) == "93.2975"
    assert number_text(1234567.8, digits=6) == "1234570"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0 %"), (1e-9, "<0.1 %"), (0.25, "25.0 %"), (0.99999, ">99.9 %"), (1.0, "100.0 %")],
)
def test_a_remainder_is_never_rounded_away(share: float, text: str) -> None:
    """Only what is certain says 0 or 100."""
    assert percent_text(share) == text


def test_json_shows_every_character() -> None:
    """What cannot be seen is an escape, and the JSON means the same."""
    value = {"a\u202eb": "é\u2028\x7f\ud800😀"}
    text = json_text(value)
    assert json.loads(text) == value
    assert text == '{"a\\u202eb": "é\\u2028\\u007f\\ud800😀"}'
