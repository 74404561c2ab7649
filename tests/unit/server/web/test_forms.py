"""Forms: what a submitted text becomes, and what the page shows of it again."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.bundle.signature import Input, Output, Signature
from fairway.bundle.validation import Validator
from fairway.errors import BodyShape, MalformedRequest
from fairway.server.web.fields import Message, fields_of
from fairway.server.web.forms import parse_number, read_form, record_of, typical_texts


def signature_of(*inputs: Input) -> Signature:
    return Signature(inputs, (Output("y", "score", "number"),))


def record_from(signature: Signature, *pairs: tuple[str, str]) -> dict[str, Any]:
    """Return the record that these fields become on their way through a body."""
    return record_of(read_form(urlencode(pairs).encode(), signature), signature)


def value_from(entry: Input, *texts: str) -> Any:
    return record_from(signature_of(entry), *((entry.name, text) for text in texts))[entry.name]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5),
        (" 5.10 ", 5.1),
        ("-3", -3),
        ("+7", 7),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("9007199254740993", 9007199254740993),
    ],
)
def test_number_text_becomes_the_number(text: str, number: float) -> None:
    """What reads as a number is sent as one, whole numbers as integers of any length."""
    found = parse_number(text)
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "5,9",
        "1_000",
        "NaN",
        "inf",
        "-Infinity",
        "1e999",
        "0x10",
        "1 2",
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "9" * 401,
        "--1",
        ".",
        "e5",
        "\x00",
    ],
)
def test_text_that_is_no_json_number_stays_text(text: str) -> None:
    """The reader of rows words the fault, not the form."""
    assert parse_number(text) == text


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers()))
def test_a_number_survives_the_way_through_the_form(value: float) -> None:
    """The typical row, submitted untouched, is bit for bit the typical row."""
    signature = signature_of(Input("x", "number", typical=value))
    (shown,) = typical_texts(signature)["x"]
    found = parse_number(shown)
    if len(shown) <= 400:
        assert float(found) == float(value)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_becomes_a_record_that_json_holds(text: str) -> None:
    """No text makes a form fail, whatever the kind of the input; the reader accepts or refuses it later."""
    signature = signature_of(
        *(Input(kind, kind, nullable=kind == "text") for kind in ("number", "integer", "boolean", "text")),
        Input("category", "category", levels=("a",)),
        Input("levels", "category", levels=(1, 2)),
        Input("list", "category_list", levels=("a",)),
        Input("lines", "text_list"),
        Input("vector", "vector", width=2),
        Input("when", "datetime"),
    )
    record = record_from(signature, *((name, text) for name in signature.names))
    assert json.loads(json.dumps(record)) == record
    fields_of(signature, read_form(urlencode([(n, text) for n in signature.names]).encode(), signature))


def test_the_typical_row_submitted_untouched_is_accepted(flower: Signature) -> None:
    """A reader who presses the button at once gets a prediction, for every kind of input."""
    pairs = [(name, text) for name, texts in typical_texts(flower).items() for text in texts]
    record = record_from(flower, *pairs)
    assert record == flower.typical_row()
    Validator(flower).check([record], pointer=lambda _: "")


def test_empty_is_null() -> None:
    """An empty field is a missing value, for every kind that is one value."""
    for kind in ("number", "integer", "boolean", "text", "datetime"):
        assert value_from(Input("x", kind), "") is None
    assert value_from(Input("x", "category", levels=("a",)), "") is None
    assert value_from(Input("x", "number"), "  \r\n ") is None


def test_line_ends_become_line_feeds() -> None:
    """A text reaches the model as it would from any other client."""
    assert value_from(Input("x", "text"), "a\r\nb\rc\n") == "a\nb\nc\n"
    assert value_from(Input("x", "text_list"), "a\r\n\r\n  b \r\n") == ["a", "  b "]


def test_an_unchecked_box_is_false() -> None:
    """The hidden field answers for a box that a browser does not send."""
    entry = Input("x", "boolean")
    assert value_from(entry, "false") is False
    assert value_from(entry, "false", "true") is True
    assert value_from(entry, "perhaps") == "perhaps"


def test_categories_keep_their_type() -> None:
    """A category that was a number in training is a number again."""
    assert value_from(Input("x", "category", levels=(9, 10)), "10") == 10
    assert value_from(Input("x", "category", levels=(9, 10)), "11") == 11
    assert value_from(Input("x", "category", levels=("9", "10")), "10") == "10"
    assert value_from(Input("x", "category", levels=("a", "")), '""') == ""
    assert value_from(Input("x", "category", levels=("two\r\nlines",)), "two\r\nlines") == "two\r\nlines"


def test_another_value_is_meant_instead_of_the_choice() -> None:
    """The text box beside a select box wins when it is filled, and adds to a list of boxes."""
    entry = Input("x", "category", levels=("a", "b"), typical="a")
    assert value_from(entry, "a", "Mars") == "Mars"
    assert value_from(entry, "a", "") == "a"
    assert value_from(entry, "", " ") is None
    assert value_from(Input("x", "category_list", levels=("a",)), "", "a", "Mars") == ["a", "Mars"]
    (field,) = fields_of(signature_of(entry), {"x": ["a", "Mars"]})
    assert [o.value for o in field.options if o.chosen] == ["Mars"]


def test_another_value_is_offered_beside_long_lists_only() -> None:
    """A short list is all there is, and a form does not invite to what policy would refuse."""
    many, few = (
        Input("x", "category", levels=tuple("abcdefghijklm")),
        Input("x", "category", levels=("a", "b")),
    )
    closed = Signature((many,), (Output("y", "score", "number"),), unseen_category="reject")
    assert [
        fields_of(signature, {})[0].open for signature in (signature_of(many), signature_of(few), closed)
    ] == [
        True,
        False,
        False,
    ]


def test_chosen_categories_are_a_list() -> None:
    """Nothing chosen is an empty list, or a missing value where there may be one."""
    entry = Input("x", "category_list", levels=("a", "b"))
    assert value_from(entry, "", "b", "a") == ["b", "a"]
    assert value_from(entry, "") == []
    assert value_from(Input("x", "category_list", nullable=True, levels=("a",)), "") is None


def test_vectors_are_read_with_any_separator() -> None:
    """What is copied from a program or a table is read; what is no number stays for the reader to refuse."""
    entry = Input("x", "vector", width=3)
    assert value_from(entry, "[1, 2.5,-3]") == [1, 2.5, -3]
    assert value_from(entry, "1; 2\r\n3") == [1, 2, 3]
    assert value_from(entry, "1, x") == [1, "x"]


def test_an_absent_field_is_left_out_and_an_unknown_one_stays_in() -> None:
    """The reader reports both; a form that was opened before the model changed must not pass silently."""
    signature = signature_of(Input("a", "number"), Input("b", "number"))
    assert record_from(signature, ("a", "1"), ("old", "2")) == {"a": 1, "old": "2"}


def test_a_repeated_field_is_no_single_value() -> None:
    """No form of ours sends one twice, so nobody can say which was meant."""
    assert value_from(Input("x", "number"), "1", "2") == ["1", "2"]


def test_more_fields_than_the_signature_can_have_are_refused() -> None:
    """A million fields cost nothing."""
    signature = signature_of(Input("x", "number"))
    with pytest.raises(BodyShape, match="more than 66 fields"):
        read_form(b"&".join(b"a=1" for _ in range(67)), signature)
    assert len(read_form(b"&".join(b"a%d=1" % n for n in range(66)), signature)) == 66


@pytest.mark.parametrize("body", [b"x=\xff", b"x=%FF", b"x=%ED%A0%80"])
def test_text_outside_utf8_is_refused(body: bytes) -> None:
    """Neither raw nor percent-encoded bytes become replacement characters, and no half surrogate gets in."""
    with pytest.raises(MalformedRequest) as caught:
        read_form(body, signature_of(Input("x", "text")))
    assert caught.value.code == "encoding_invalid"


def test_names_that_html_does_not_submit_get_another() -> None:
    """An input without a name, and one that browsers fill by themselves, still have a field."""
    signature = signature_of(Input("", "number", typical=1), Input("_charset_", "boolean", typical=True))
    assert [field.name for field in fields_of(signature, {})] == ["input:0", "input:1"]
    assert record_from(signature, ("input:0", "2"), ("input:1", "false")) == {"": 2, "_charset_": False}


def test_each_kind_has_its_widget(flower: Signature) -> None:
    """Every kind of input is shown by the control that people know for it."""
    fields = fields_of(flower, typical_texts(flower))
    assert [field.widget for field in fields] == [
        "input",
        "input",
        "checkbox",
        "select",
        "select",
        "select",
        "choices",
        "textarea",
        "textarea",
        "input",
        "textarea",
    ]
    by_name = {field.name: field for field in fields}
    assert by_name["sepal length (cm)"].hint == "seen 4.3 to 7.9"
    assert by_name["sepal length (cm)"].keyboard == "decimal"
    assert by_name["petals"].hint == "whole number, seen 0 to 9"
    assert by_name["petals"].keyboard == "numeric"
    assert by_name["picked"].type == "datetime-local"
    assert by_name["pressed"].optional
    assert [o.value for o in by_name["zone"].options] == ["", "9", "10"]
    assert [o.value for o in by_name["soil"].options if o.chosen] == ["loam"]


def test_the_keyboard_has_a_minus_where_one_is_needed() -> None:
    """The number pad of some phones has no minus sign."""
    (field,) = fields_of(signature_of(Input("x", "number", minimum=-1.0, maximum=1.0)), {})
    assert field.keyboard == "text"


def test_an_unseen_category_stays_as_a_choice() -> None:
    """What was submitted is shown again, also when no box of the form could have held it."""
    entry = Input("x", "category", levels=tuple(f"l{n}" for n in range(300)), typical="l0")
    (field,) = fields_of(signature_of(entry), {"x": ["Mars"]})
    assert [(o.value, o.label) for o in field.options if o.chosen] == [
        ("Mars", "Mars (not seen in training)")
    ]
    assert len(field.options) == 301
    (field,) = fields_of(signature_of(Input("y", "category_list", levels=("a",))), {"y": ["", "b", "a"]})
    assert [o.value for o in field.options if o.chosen] == ["a", "b"]


def test_choices_are_in_the_order_in_which_people_look() -> None:
    """Numbers by size, words by letter."""
    (field,) = fields_of(signature_of(Input("x", "category", levels=(10, 9, 100))), {"x": ["9"]})
    assert [o.label for o in field.options] == ["9", "10", "100"]
    (field,) = fields_of(signature_of(Input("x", "category", levels=("b", "A", "c"))), {"x": ["b"]})
    assert [o.label for o in field.options] == ["A", "b", "c"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2026-02-28T13:45", "datetime-local"),
        ("2026-02-28T13:45:00.125", "datetime-local"),
        ("", "datetime-local"),
        ("2026-02-28T13:45:00+01:00", "text"),
        ("yesterday", "text"),
    ],
)
def test_a_date_that_the_control_would_drop_is_shown_as_text(text: str, kind: str) -> None:
    """What was typed is never lost."""
    entry = Input("x", "datetime", typical="2026-01-01T00:00:00")
    (field,) = fields_of(signature_of(entry), {"x": [text]})
    assert field.type == kind
    assert field.value == text


def test_a_field_names_its_hint_and_its_fault() -> None:
    """A screen reader reads both with the field."""
    signature = signature_of(Input("x", "number", minimum=0.0, maximum=1.0))
    (field,) = fields_of(signature, {"x": ["abc"]}, {"x": [Message("no", "value_type")]})
    assert field.described_by == "field-0-hint field-0-error"
    assert field.value == "abc"
