"""Names and references: what is accepted, what is refused, and what the refusal says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.bundle.names import Reference, check_name, parse_reference
from fairway.errors import NameInvalid


@pytest.mark.parametrize(
    "name", ["a", "7", "coffee", "coffee-ratings", "v1.2_rc", "0" * 64, "console", "com10"]
)
def test_a_plain_name_is_returned_unchanged(name: str) -> None:
    """Everything inside the grammar may be used, up to 64 characters."""
    assert check_name("model", name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "../x", "a/b", "a\\b", "CON", "Coffee", "a" * 65, "café", "☕", "a b", "a\n", "a\0", "\ud800"),
        *(
            ".",
            "..",
            "a..b",
            ".hidden",
            "-rf",
            "_x",
            "x-",
            "x.",
            "<script>alert(1)</script>",
            "a:1",
            "a@b",
            "%00",
        ),
    ],
)
def test_a_name_outside_the_grammar_is_refused_with_the_rule(name: str) -> None:
    """Nothing that means something to a shell, a path, a URL or a page gets in."""
    with pytest.raises(NameInvalid) as caught:
        check_name("model", name)

    assert "is not a valid model name" in caught.value.detail
    assert "1 to 64 of a-z" in caught.value.hint


@pytest.mark.parametrize("name", ["con", "nul", "aux.v2", "com1", "lpt9.tar.gz"])
def test_a_windows_device_is_refused_by_name(name: str) -> None:
    """A model that is fine here must not open a device when its files are copied to Windows."""
    with pytest.raises(NameInvalid) as caught:
        check_name("alias", name)

    assert name.partition(".")[0] in caught.value.hint
    assert "Windows" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("coffee", Reference("coffee", None, None)),
        ("coffee:3", Reference("coffee", 3, None)),
        ("coffee:0", Reference("coffee", 0, None)),
        ("coffee@challenger", Reference("coffee", None, "challenger")),
    ],
)
def test_the_three_forms_of_a_reference_are_read(text: str, expected: Reference) -> None:
    """A bare name, a number after a colon, an alias after an at sign."""
    assert parse_reference(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "model"),
        (":3", "model"),
        ("Coffee:3", "model"),
        ("@production", "model"),
        ("coffee@", "alias"),
        ("coffee@a@b", "alias"),
        ("coffee@Prod", "alias"),
        ("coffee:", "version"),
        ("coffee:latest", "version"),
        ("coffee:03", "version"),
        ("coffee:-1", "version"),
        ("coffee:٣", "version"),
        ("coffee:" + "9" * 10, "version"),
        ("coffee:1@production", "version"),
    ],
)
def test_a_malformed_reference_names_the_part_that_is_wrong(text: str, kind: str) -> None:
    """The message says whether it was the model, the version or the alias."""
    with pytest.raises(NameInvalid, match=f"is not a valid {kind} name"):
        parse_reference(text)


def test_a_version_that_is_a_word_is_answered_with_both_forms() -> None:
    """Whoever writes `coffee:production` is shown how a version and an alias are written."""
    with pytest.raises(NameInvalid) as caught:
        parse_reference("coffee:production")

    assert "coffee:3" in caught.value.hint
    assert "coffee@production" in caught.value.hint


@given(st.text(max_size=80))
def test_any_text_is_a_reference_that_writes_itself_or_is_refused(text: str) -> None:
    """No input gives another error, and what was read is written back exactly."""
    try:
        reference = parse_reference(text)
    except NameInvalid:
        return
    assert str(reference) == text
