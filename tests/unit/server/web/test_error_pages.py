"""Error pages: every code that a reply can hold is explained."""

from __future__ import annotations

from fairway.errors import FAULT_CODES, error_codes
from fairway.server.web.error_pages import explained_codes, explanation, explanations


def test_every_code_has_a_text_and_every_text_a_code() -> None:
    """The `type` of a problem document never leads to an empty page."""
    assert explained_codes() == set(error_codes()) | set(FAULT_CODES)


def test_texts_are_sentences() -> None:
    """What it means and what to do are whole sentences."""
    for entry in explanations():
        for text in (entry.means, entry.remedy):
            assert text[0].isupper() or text.startswith(("`", "fairway ")), entry.code
            assert text.endswith("."), entry.code


def test_a_code_without_a_text_is_still_a_page() -> None:
    """A code is looked up by its name; there is no page for what is no code."""
    assert explanation("no_such_code") is None
    found = explanation("value_type")
    assert found is not None
    assert found.is_fault
