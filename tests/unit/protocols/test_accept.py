"""What an Accept header asks for."""

from __future__ import annotations

import pytest

from fairway.protocols.accept import choose_form

OFFERED = ("application/json", "application/jsonlines", "text/csv")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        (" , ,", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV; header=absent", "text/csv"),
        ("text/*", "text/csv"),
        ("application/*", "application/json"),
        ("text/csv;q=0.5, application/jsonlines", "application/jsonlines"),
        ("text/csv, */*;q=0.1", "text/csv"),
        ("application/json;q=0.2, text/csv; q=0.3", "text/csv"),
        ("application/json;q=0, */*", "application/jsonlines"),
        ("application/json;q=0, application/*;q=0, */*;q=0.1", "text/csv"),
        ("text/csv;header=present;q=0.4, application/json;q=0.3", "text/csv"),
        ("image/png", ""),
        ("*/*;q=0", ""),
        ("text/csv;q=1.2.3", ""),
        ("application/json, application/jsonlines", "application/json"),
        ("application/jsonlines, application/json", "application/json"),
        (",".join(["image/png"] * 1000) + ",text/csv", ""),
    ],
)
def test_the_most_wanted_form_is_chosen(accept: str, chosen: str) -> None:
    """Weights, ranges by how exact they are, the first of equals; endless headers are not read to the end."""
    assert choose_form(accept, OFFERED) == chosen
