"""The same row gives the same prediction, bit for bit, in whatever dialect it is sent and answered."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .dialects import ALL_KINDS, DIALECTS, Speaker

_SPEAKER = Speaker(ALL_KINDS)
_RANDOM = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

PLAIN: dict[str, Any] = {
    "number": 5.1,
    "maybe": None,
    "integer": 3,
    "boolean": True,
    "level": "low",
    "grade": 2,
    "text": 'a "quoted", text\nof two lines',
    "words": ["a", "b,c", '"'],
    "tags": ["b/c~d"],
    "at": "2026-02-28T13:45:00",
    "scan": [0.1, -0.0, 1e-300],
}
ROWS: dict[str, list[dict[str, Any]]] = {
    "one row": [PLAIN],
    "hard numbers": [
        PLAIN | {"number": value, "maybe": value, "scan": [value, 0, 1]}
        for value in (0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, 2.0**53, 93.29749194380493, 7, -3)
    ],
    "hard integers": [PLAIN | {"integer": value} for value in (0, -1, 2**53 + 1, 2**63 - 1, -(2**63))],
    "missing": [PLAIN | {"grade": None, "text": None, "at": None}, PLAIN],
    "texts": [
        PLAIN | {"text": text}
        for text in (
            "number",
            "ä€😀\u2028",
            "=1+1",
            " leading",
            "a\r\nb",
            "null",
            "NaN",
            "[1]",
            '"',
            ",",
            "\\",
        )
    ],
    "unseen": [PLAIN | {"level": "other", "grade": 7, "tags": ["z"], "maybe": 2e9}],
    "empty lists": [PLAIN | {"words": [], "tags": []}],
    "an empty text": [PLAIN | {"text": ""}],
    "moments": [
        PLAIN | {"at": at} for at in ("2026-02-28", "2026-02-28T13:45:00.5+02:00", "0001-01-01T00:00:00")
    ],
    "many": [PLAIN | {"integer": n, "number": n / 7} for n in range(900)],
}


CASES = [
    pytest.param(case, name, id=f"{case}: {name}")
    for case, rows in ROWS.items()
    for name, dialect in DIALECTS.items()
    if dialect.takes(rows)
]


def answers(name: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return what a dialect answers; None if the rows cannot be written in it."""
    dialect = DIALECTS[name]
    if not dialect.takes(rows):
        return None
    reply = _SPEAKER.ask(dialect.path, dialect.write(rows), dialect.headers)
    assert reply.status == 200, reply.body
    return dialect.read(reply.body)


@pytest.mark.parametrize(("case", "dialect"), CASES)
def test_the_same_row_gives_the_same_prediction(case: str, dialect: str) -> None:
    """Rows of every kind, with the values that texts and floats are most easily lost by."""
    assert repr(answers(dialect, ROWS[case])) == repr(answers("native", ROWS[case]))


def test_every_way_is_taken_by_most_rows() -> None:
    """A way that is skipped all the time would prove nothing."""
    for name, dialect in DIALECTS.items():
        taken = sum(dialect.takes(rows) for rows in ROWS.values())
        assert taken >= (3 if "one by one" in name else len(ROWS) - 1)


def test_different_rows_give_different_predictions() -> None:
    """The model tells apart what differs in one bit, so equal answers are proof."""
    rows = [PLAIN, *(PLAIN | {"scan": [0.1, value, 1e-300]} for value in (0.0, 5e-324, 1.0))]
    found = answers("native", rows)
    assert found is not None
    assert len({row["digest"] for row in found}) == len(rows)


_drawn = st.fixed_dictionaries(
    {
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "maybe": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "integer": st.integers(-(2**63), 2**63 - 1),
        "boolean": st.booleans(),
        "level": st.sampled_from(["low", "high, very", "x"]),
        "grade": st.none() | st.integers(0, 3),
        "text": st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        "words": st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=3),
        "tags": st.lists(st.sampled_from(["a", "b/c~d", "e"]), max_size=3),
        "at": st.none() | st.datetimes().map(lambda at: at.isoformat()),
        "scan": st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
    }
)


@_RANDOM
@given(rows=st.lists(_drawn, min_size=1, max_size=4))
def test_any_row_gives_the_same_prediction_in_every_dialect(rows: list[dict[str, Any]]) -> None:
    """Rows that nobody has thought of."""
    rows = [{name: row[name] for name in PLAIN} for row in rows]  # arrays are in the signature's order
    expected = answers("native", rows)
    for name in DIALECTS:
        found = answers(name, rows)
        assert found is None or repr(found) == repr(expected), name
