"""What is learnt from examples: the kind of each column, what was seen, and what a form may show."""

from __future__ import annotations

import datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.bundle.kinds import infer_inputs, parse_datetime
from fairway.bundle.signature import Input
from fairway.bundle.tables import Table, read_table
from fairway.errors import ExampleInvalid, UsageError

DAY = datetime.datetime(2026, 2, 28)  # noqa: DTZ001 - what models get has no zone


def learnt(values: list[Any], **kinds: str) -> Input:
    """Return what is learnt from one column."""
    return infer_inputs(Table({"a": values}), kinds=kinds)[0]


@pytest.mark.parametrize(
    ("values", "kind", "nullable"),
    [
        ([1.5, 2.5], "number", False),
        ([1, 2.5, None], "number", True),
        ([1, 2], "integer", False),
        ([0, 1], "integer", False),
        ([True, None], "boolean", True),
        (["low", "high"], "category", False),
        (["a text with many more words than a level", "b"] * 4, "category", False),
        ([f"a text with many words, number {n}" for n in range(9)], "text", False),
        ([f"id-{n}" for n in range(30)], "text", False),
        ([DAY, None], "datetime", True),
        (["2026-02-28", "2026-02-28"], "category", False),
        ([["a", "b"], ["a"]], "category_list", False),
        ([[], None], "category_list", True),
        ([[f"a long text of its own {n}" for n in range(30)]], "text_list", False),
        ([[1, 2.5], [3, 4]], "vector", False),
    ],
)
def test_a_column_has_the_kind_of_its_values(values: list[Any], kind: str, nullable: bool) -> None:
    """A missing value makes the input nullable and says nothing of its kind."""
    found = learnt(values)
    assert (kind, nullable) == (found.kind, found.nullable)


def test_numbers_have_range_quantiles_and_a_median_that_occurred() -> None:
    """The typical value is one of them: 2.5 rooms are no example."""
    found = learnt([5, 1, 2, None, 4])
    assert (found.minimum, found.maximum, found.typical) == (1, 5, 2)
    assert pytest.approx((1.15, 1.75, 3.0, 4.25, 4.85)) == found.quantiles


def test_levels_stand_in_the_order_of_their_frequency() -> None:
    """The most frequent is the typical one; declared levels without a row come last."""
    table = read_table(pd.DataFrame({"a": pd.Categorical(["x", "y", "y"], categories=["z", "y", "x"])}))
    (found,) = infer_inputs(table)
    assert found.levels == ("y", "x", "z")
    assert found.typical == "y"
    assert found.max_chars is None


def test_declared_categories_of_numbers_are_what_callers_send() -> None:
    """Integers stay levels, other numbers are numbers, booleans booleans."""
    frame = pd.DataFrame({"i": [1, 2], "f": [0.5, 1.5], "b": [True, False]}).astype("category")
    assert [i.kind for i in infer_inputs(read_table(frame))] == ["category", "number", "boolean"]


def test_a_typical_text_is_nobodys_text() -> None:
    """It is made of words that several rows share; without such words it says that it is a text."""
    texts = [f"the coffee tastes of berries and person-{n} said so" for n in range(5)]
    assert "person" in learnt(texts, a="text").typical
    assert "0" not in learnt(texts, a="text").typical
    assert learnt(["secret one", "hidden two"], a="text").typical == "some text"
    assert learnt([["secret"], ["hidden"]], a="text_list").typical == ["some text"]


def test_a_typical_list_holds_texts_that_many_share() -> None:
    """The most frequent ones; what only a few wrote is never shown."""
    lists = [["2 eggs", "salt", f"what {n} said"] for n in range(100)] + [["salt", "rare"]] * 2
    assert learnt(lists, a="text_list").typical == ["salt", "2 eggs"]


@pytest.mark.parametrize(
    ("lists", "kind", "ends", "typical"),
    [
        ([["a"], ["b"], ["a"]], "category_list", (1, 1), ["a"]),
        ([["a", "b", "c"], ["a", "b", "c", "a"]], "category_list", (3, 4), ["a", "b", "a"]),
        ([[], ["a", "b"]], "category_list", (0, 2), ["a", "b"]),
        ([[], []], "category_list", (0, 0), []),
        ([["one"], ["one", "two"]] * 9, "text_list", (1, 2), ["one", "two"]),
        ([["one", "x"], ["one", "y"]] * 2, "text_list", (2, 2), ["one", "one"]),
    ],
)
def test_a_list_has_as_many_items_as_were_seen(
    lists: list[list[str]], kind: str, ends: tuple[int, int], typical: list[str]
) -> None:
    """The typical list, too: a policy that rejects other lengths must not reject it."""
    found = learnt(lists, a=kind)
    assert (found.minimum, found.maximum) == ends
    assert found.typical == typical


def test_a_list_of_texts_given_alone_is_a_text() -> None:
    """A text model is fed texts, however few of them there are."""
    (found,) = infer_inputs(read_table(["spam", "ham"]))
    assert (found.kind, found.max_chars) == ("text", 4)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "number"),
        ([1.0, None], "integer"),
        ([1, 2], "category"),
        (["x", "y"], "text"),
        (["2026-02-28", "2026-02-28T12:00Z"], "datetime"),
        ([["x"], ["y"]], "text_list"),
        ([[f"x{n}"] for n in range(99)], "category_list"),
        ([[1], [2]], "vector"),
        ([True], "boolean"),
    ],
)
def test_a_stated_kind_wins(values: list[Any], kind: str) -> None:
    """Who knows better says so."""
    assert kind == learnt(values, a=kind).kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["x"], "number"),
        (["1"], "number"),
        ([True], "number"),
        ([1.5], "integer"),
        (["1"], "integer"),
        ([1], "boolean"),
        ([1.5], "category"),
        ([True], "category"),
        ([1, "a"], "category"),
        ([1], "text"),
        ([["x"]], "text"),
        ([1], "datetime"),
        (["tomorrow"], "datetime"),
        ([1], "vector"),
        (["x"], "text_list"),
        ([["x"]], "vector"),
        ([[1.5]], "text_list"),
        ([[1]], "category_list"),
    ],
)
def test_a_stated_kind_has_to_fit(values: list[Any], kind: str) -> None:
    """Values are never bent: the column and the kind are named."""
    with pytest.raises(ExampleInvalid, match=f"column 'a' holds values that are no {kind}"):
        learnt(values, a=kind)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([None, None], "column 'a' holds no value, so its kind cannot be learnt"),
        ([1, "x"], "column 'a' of the example table mixes int and str"),
        ([True, 1.5], "column 'a' of the example table mixes bool and float"),
        ([[1, 2], [3]], "the lists of numbers in column 'a' have unequal lengths"),
        ([[1, "x"]], "the lists in column 'a' hold neither only texts nor only numbers"),
        ([[True]], "the lists in column 'a' hold neither only texts nor only numbers"),
        ([1.5, float("inf")], "column 'a' holds an infinite number"),
    ],
)
def test_what_cannot_be_learnt_is_said(values: list[Any], message: str) -> None:
    """The column is named, and what is wrong with it."""
    with pytest.raises(ExampleInvalid, match=message):
        learnt(values)


def test_a_column_needs_a_name() -> None:
    """The usual cause is an index that was saved with the frame."""
    with pytest.raises(ExampleInvalid, match="a column of the example table has no name") as caught:
        infer_inputs(Table({"": [0, 1], "a": [1, 2]}))
    assert "index=False" in caught.value.hint


def test_kinds_are_stated_for_inputs_that_exist_and_kinds_that_exist() -> None:
    """Both mistakes list what there is."""
    with pytest.raises(UsageError, match="there is no input 'b'") as caught:
        learnt([1], b="text")
    assert caught.value.hint == "inputs: a"
    with pytest.raises(UsageError, match="'texts' is not a kind") as caught:
        learnt([1], a="texts")
    assert "text_list" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-28", DAY),
        ("2026-02-28T13:45", DAY.replace(hour=13, minute=45)),
        ("2026-02-28 13:45:30.5", DAY.replace(hour=13, minute=45, second=30, microsecond=500_000)),
        ("2026-02-28T13:45:30Z", DAY.replace(hour=13, minute=45, second=30)),
        ("2026-02-28T00:30+01:00", DAY.replace(day=27, hour=23, minute=30)),
    ],
)
def test_moments_are_read(text: str, moment: datetime.datetime) -> None:
    """An offset is converted to UTC; without one the moment is taken as it stands."""
    assert moment == parse_datetime(text)


@pytest.mark.parametrize(
    "text",
    ["", "today", "2026-02-30", "20260228", "2026-2-28", "2026-02-28T25:00", "2026-W09-6", "2026-02-28Z"],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    """Only ISO 8601 dates, and dates with times, that exist."""
    with pytest.raises(ValueError):
        parse_datetime(text)


@given(st.datetimes())
def test_a_moment_that_was_written_reads_back(moment: datetime.datetime) -> None:
    """`isoformat`, which golden examples use, loses nothing."""
    assert moment == parse_datetime(moment.isoformat())
