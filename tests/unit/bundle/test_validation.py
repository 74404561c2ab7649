"""The reference validator: every fault of every row, with its place and both kinds; nothing is bent."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from fairway.bundle.signature import Input, Output, Signature
from fairway.bundle.validation import MAX_LISTED_FAULTS, Validator, escape_pointer, expected_kind, json_kind
from fairway.errors import FAULT_CODES, Fault, SignatureMismatch
from fairway.messages import Columns

OUTPUTS = (Output("y", "score", "number"),)
KIND_INPUTS = {
    "number": Input("a", "number"),
    "integer": Input("a", "integer"),
    "boolean": Input("a", "boolean"),
    "category": Input("a", "category", levels=("low", "high")),
    "levels": Input("a", "category", levels=(1, 2)),
    "text": Input("a", "text"),
    "datetime": Input("a", "datetime"),
    "category_list": Input("a", "category_list", levels=("low",)),
    "level_list": Input("a", "category_list", levels=(1, 2)),
    "text_list": Input("a", "text_list"),
    "vector": Input("a", "vector", width=2),
}


def check(inputs: Input | tuple[Input, ...], rows: list[Any], **policies: Any) -> Columns:
    """Validate rows whose pointers are their numbers."""
    entries = inputs if isinstance(inputs, tuple) else (inputs,)
    return Validator(Signature(entries, OUTPUTS, **policies), max_text_chars=9).check(
        rows, pointer=lambda n: f"/{n}"
    )


def faults(inputs: Input | tuple[Input, ...], rows: list[Any], **policies: Any) -> list[Fault]:
    """Return the faults of rows that do not fit."""
    with pytest.raises(SignatureMismatch) as caught:
        check(inputs, rows, **policies)
    assert caught.value.total >= len(caught.value.faults)
    assert all(fault.code in FAULT_CODES for fault in caught.value.faults)
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("kind", "value", "wanted"),
    [
        ("number", 3, 3.0),
        ("number", -0.0, -0.0),
        ("number", 1e300, 1e300),
        ("number", 2**53 - 1, float(2**53 - 1)),
        ("number", 2**53, float(2**53)),
        ("number", 2**80, float(2**80)),
        ("integer", 3.0, 3),
        ("integer", -(2**63), -(2**63)),
        ("integer", float(2**53), 2**53),
        ("boolean", True, True),
        ("category", "new", "new"),
        ("levels", 2.0, 2),
        ("text", "", ""),
        ("datetime", "2026-02-28", datetime.datetime(2026, 2, 28)),  # noqa: DTZ001
        ("category_list", [], []),
        ("level_list", [1.0, 3], [1, 3]),
        ("text_list", ["x"], ["x"]),
        ("vector", [1, 2.5], [1.0, 2.5]),
    ],
)
def test_values_keep_their_value(kind: str, value: Any, wanted: Any) -> None:
    """3 is 3.0 where a number is expected and 3.0 is 3 where an integer is; nothing else changes."""
    ((got,),) = check(KIND_INPUTS[kind], [{"a": value}]).rows
    assert repr(wanted) == repr(got)


@pytest.mark.parametrize(
    ("kind", "value", "code", "message"),
    [
        ("number", "3", "value_type", "expected number, got string; send the number without quotes"),
        ("number", "three", "value_type", "expected number, got string"),
        ("number", True, "value_type", "expected number, got boolean"),
        ("number", [1], "value_type", "expected number, got array"),
        ("number", {}, "value_type", "expected number, got object"),
        ("number", None, "value_missing", "expected number, got null; this input takes no missing values"),
        ("number", 2**53 + 1, "number_range", "the integer cannot be held exactly"),
        ("number", 10**400, "number_range", "the integer cannot be held exactly"),
        ("integer", 1.5, "value_type", "expected integer, got a number with a fraction or beyond 2^53"),
        ("integer", 1e17, "value_type", "expected integer, got a number with a fraction or beyond 2^53"),
        ("integer", float("inf"), "value_type", "expected integer, got a number with a fraction"),
        ("integer", True, "value_type", "expected integer, got boolean"),
        ("integer", "1", "value_type", "expected integer, got string; send the number without quotes"),
        ("integer", 2**63, "number_range", "the integer needs more than 64 bits"),
        ("boolean", 1, "value_type", "expected boolean, got integer"),
        ("boolean", "true", "value_type", "expected boolean, got string"),
        ("category", 1, "value_type", "expected string, got integer"),
        ("category", "x" * 10, "value_too_long", "the text has 10 characters; the limit is 9"),
        ("levels", "1", "value_type", "expected integer, got string; send the number without quotes"),
        ("text", 1.5, "value_type", "expected string, got number"),
        ("text", "é" * 10, "value_too_long", "the text has 10 characters; the limit is 9"),
        ("datetime", 20260228, "value_type", "expected date and time (ISO 8601), got integer"),
        (
            "datetime",
            "2026-02-30",
            "value_format",
            "no existing date and time; write it like 2026-02-28T13:45:00",
        ),
        ("datetime", "0001-01-01T00:00+12:00", "value_format", "no existing date and time"),
        ("category_list", "low", "value_type", "expected array of strings, got string"),
        ("text_list", {"x": 1}, "value_type", "expected array of strings, got object"),
        ("vector", [1], "value_type", "expected 2 numbers, got 1"),
        ("vector", 1, "value_type", "expected array of numbers, got integer"),
    ],
)
def test_a_value_that_does_not_fit_says_what_came_and_what_was_expected(
    kind: str, value: Any, code: str, message: str
) -> None:
    """The fault is at the value's own place."""
    (fault,) = faults(KIND_INPUTS[kind], [{"a": value}])
    assert (fault.pointer, fault.code) == ("/0/a", code)
    assert message in fault.message
    assert fault.expected == expected_kind(KIND_INPUTS[kind])


@pytest.mark.parametrize(
    ("kind", "value", "pointer", "message"),
    [
        ("category_list", ["low", 3], "/0/a/1", "expected string, got integer"),
        ("level_list", [1, "2"], "/0/a/1", "expected integer, got string"),
        ("text_list", ["x", "y", None], "/0/a/2", "expected string, got null"),
        ("vector", [0, "1"], "/0/a/1", "expected number, got string"),
    ],
)
def test_a_fault_in_a_list_points_at_the_item(kind: str, value: Any, pointer: str, message: str) -> None:
    """And says what kind an item has to have, not what the list has to be."""
    (fault,) = faults(KIND_INPUTS[kind], [{"a": value}])
    assert fault.pointer == pointer
    assert message in fault.message
    assert fault.expected == message.split()[1].rstrip(",")


def test_every_item_of_a_list_that_does_not_fit_is_listed_up_to_the_limit() -> None:
    """Not only the first one; and a list of millions costs no more than what can be shown."""
    found = faults(KIND_INPUTS["text_list"], [{"a": [1, "x", None, ["y"]]}])
    assert [(fault.pointer, fault.got) for fault in found] == [
        ("/0/a/0", "integer"),
        ("/0/a/2", "null"),
        ("/0/a/3", "array"),
    ]
    assert len(faults(KIND_INPUTS["text_list"], [{"a": [1] * 1000}])) == MAX_LISTED_FAULTS


ROW = (Input("size", "number"), Input("a/b~c", "text"), Input("city", "category", nullable=True))


def test_every_fault_of_every_row_is_reported() -> None:
    """Three faults are three, in the order of rows and inputs, whatever else is wrong."""
    found = faults(ROW, [{"size": "x"}, {"size": 1, "a/b~c": "y"}, {"size": None, "a/b~c": 3, "ciy": "z"}])
    assert [(f.pointer, f.code) for f in found] == [
        ("/0/size", "value_type"),
        ("/0/a~1b~0c", "feature_missing"),
        ("/2/size", "value_missing"),
        ("/2/a~1b~0c", "value_type"),
        ("/2/ciy", "feature_unknown"),
    ]
    assert found[1].message == "the input 'a/b~c' (string) is missing"
    assert found[4].message == "there is no input 'ciy'; did you mean 'city'?"


def test_only_the_first_faults_are_listed_and_all_are_counted() -> None:
    """The list has an end, the count has none."""
    with pytest.raises(SignatureMismatch) as caught:
        check(ROW, [{}] * 50)
    assert (len(caught.value.faults), caught.value.total) == (MAX_LISTED_FAULTS, 100)
    with pytest.raises(SignatureMismatch) as caught:
        check(ROW, [{"size": 1, "a/b~c": ""} | dict.fromkeys(map(str, range(100_000)))])
    assert (len(caught.value.faults), caught.value.total) == (MAX_LISTED_FAULTS, 100_000)


def test_a_long_unknown_name_is_cut() -> None:
    """And is compared with nothing."""
    (fault,) = faults(ROW, [{"size": 1, "a/b~c": "", "s" * 5000: 1}])
    assert fault.message == f"there is no input '{'s' * 77}...'"


def test_rows_may_be_arrays() -> None:
    """In the order of the signature; a row of another length is one fault."""
    assert check(ROW, [[1, "x", None], (2, "y", "z")]).rows == [[1.0, "x", None], [2.0, "y", "z"]]
    short, long_, wrong = faults(ROW, [[1, "x"], [1, "x", "y", "z"], [1, 2, "y"]])
    assert (short.pointer, short.code, short.expected, short.got) == ("/0", "row_length", "3", "2")
    assert long_.message == "expected 3 values in a row, got 4"
    assert wrong.pointer == "/2/1"


def test_what_is_no_row_is_refused() -> None:
    """A bare value is a row only of a model with one input."""
    (fault,) = faults(ROW, ["x"])
    assert fault.message == "expected a row (an object or an array), got string"
    assert check(KIND_INPUTS["text"], ["x", ["y"], {"a": "z"}]).rows == [["x"], ["y"], ["z"]]


def test_a_list_is_the_value_of_an_only_list_input() -> None:
    """Bare, or inside of an array row, or in a record."""
    rows = [[1, 2], [[3, 4]], {"a": [5, 6]}]
    assert check(KIND_INPUTS["vector"], rows).rows == [[[1.0, 2.0]], [[3.0, 4.0]], [[5.0, 6.0]]]


RANGED = (
    Input("size", "number", minimum=0, maximum=1, nullable=True),
    Input("city", "category", levels=("Rome",), nullable=True),
    Input("tags", "category_list", levels=("x",)),
)
UNSEEN = [[0.5, "Rome", ["x"]], [2, "Oslo", ["x", "y"]], [None, None, []]]


def test_what_was_not_seen_is_flagged() -> None:
    """By default it is let through, and its row says so; missing values were never seen and are fine."""
    columns = check(RANGED, UNSEEN)
    assert columns.flags == [
        {},
        {"size": "out_of_range", "city": "category_unknown", "tags": "category_unknown"},
        {},
    ]
    assert check(RANGED, UNSEEN[:1]).flags is None


def test_a_policy_may_pass_it_silently() -> None:
    """Nothing is said then."""
    assert check(RANGED, UNSEEN, unseen_category="pass", out_of_range="pass").flags is None


@pytest.mark.parametrize("form", ["records", "arrays"])
def test_a_policy_may_reject_it(form: str) -> None:
    """With a fault at the value, whatever the form of the row; the other policy still flags."""
    rows = (
        [dict(zip(("size", "city", "tags"), row, strict=True)) for row in UNSEEN]
        if form == "records"
        else UNSEEN
    )
    found = faults(RANGED, rows, unseen_category="reject", out_of_range="reject")
    places = ["/1/size", "/1/city", "/1/tags"] if form == "records" else ["/1/0", "/1/1", "/1/2"]
    assert places == [f.pointer for f in found]
    assert found[0].message == "the value lies outside 0 to 1, the range seen in training"
    assert found[1].message == "the category was not seen in training"
    assert [f.code for f in faults(RANGED, rows, out_of_range="reject")] == ["out_of_range"]


@pytest.mark.parametrize("kind", ["text_list", "category_list"])
def test_a_list_longer_or_shorter_than_any_seen_is_out_of_range(kind: Any) -> None:
    """An empty list and one of thousands are of the right kind, but tell the model nothing that it knows."""
    entry = (Input("tags", kind, minimum=1, maximum=2), Input("n", "number"))
    rows = [{"tags": ["x"] * count, "n": 1} for count in (0, 1, 2, 3)]
    columns = check(entry, rows)
    assert columns.flags == [{"tags": "out_of_range"}, {}, {}, {"tags": "out_of_range"}]
    assert check(entry, rows, out_of_range="pass").flags is None
    found = faults(entry, rows, out_of_range="reject")
    assert [fault.pointer for fault in found] == ["/0/tags", "/3/tags"]
    assert found[0].message == "the number of items lies outside 1 to 2, the range seen in training"


def test_the_policy_of_an_only_input_points_at_its_bare_value() -> None:
    """There is no name or number below it."""
    (fault,) = faults(Input("a", "category", levels=("x",)), ["y"], unseen_category="reject")
    assert fault.pointer == "/0"
    (fault,) = faults(Input("a", "category_list", levels=("x",)), [["y"]], unseen_category="reject")
    assert fault.pointer == "/0"


def test_what_policy_refuses_is_reported_with_the_other_faults() -> None:
    """Every fault of every row at once: wrong kinds first, then values that were not seen."""
    found = faults(RANGED, [[9, "Rome", 3], [9]], out_of_range="reject")
    assert [(f.pointer, f.code) for f in found] == [
        ("/0/2", "value_type"),
        ("/1", "row_length"),
        ("/0/0", "out_of_range"),
    ]


def test_no_row_is_no_fault() -> None:
    """An empty list of rows is a valid one."""
    columns = check(ROW, [])
    assert len(columns) == 0
    assert columns.columns() == {"size": [], "a/b~c": [], "city": []}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "boolean"),
        (1, "integer"),
        (1.5, "number"),
        ("", "string"),
        ({}, "object"),
        ([], "array"),
    ],
)
def test_kinds_have_the_names_of_json(value: Any, kind: str) -> None:
    """Which is what callers know them by."""
    assert kind == json_kind(value)


def test_pointers_are_escaped() -> None:
    """RFC 6901: the tilde first."""
    assert escape_pointer("a/b~1") == "a~1b~01"
