"""The rows to compare with: distributed as the example was, without holding a row of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from fairway.bundle.bundle import Bundle
from fairway.bundle.signature import Signature
from fairway.inference.explain.background import ROWS, Background, background_of
from fairway.lifecycle.pack import Facts, Wishes, make_bundle


def bundle_of(example: Any, model: Any = None, **wishes: Any) -> Bundle:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    lengths = FunctionTransformer(_lengths)
    fitted = model or make_pipeline(lengths, LinearRegression()).fit(example, range(len(example)))
    return make_bundle(fitted, name="m", example=example, code=(), facts=Facts(), wishes=Wishes(**wishes))


def _lengths(frame: Any) -> Any:
    return np.array([[len(str(value))] for value in frame.iloc[:, 0]], dtype=float)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Give 400 rows of four kinds."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "amount": [None if n % 4 == 0 else rng.normal(100, 15) for n in range(400)],
            "count": [int(rng.choice([0, 1, 1, 2, 5])) for _ in range(400)],
            "yes": [bool(rng.random() < 0.2) for _ in range(400)],
            "zone": [str(rng.choice(list("aabc"))) for _ in range(400)],
            "story": [f"a walk number {n} through a garden of many different old trees" for n in range(400)],
        }
    )


@pytest.fixture(scope="module")
def background(table: pd.DataFrame) -> tuple[Background, Signature]:
    bundle = bundle_of(table)
    return background_of(bundle), bundle.signature


def column(background: tuple[Background, Signature], name: str) -> list[Any]:
    rows, signature = background
    return list(rows.columns[signature.names.index(name)])


def test_numbers_are_spread_as_they_were(
    background: tuple[Background, Signature], table: pd.DataFrame
) -> None:
    """Mean and spread are those of the example, and a quarter is missing as it was."""
    values = column(background, "amount")
    present = [value for value in values if value is not None]
    assert len(values) == ROWS
    assert len(values) - len(present) == 25
    assert np.mean(present) == pytest.approx(table["amount"].mean(), abs=2)
    assert np.std(present) == pytest.approx(table["amount"].std(), rel=0.15)


def test_whole_numbers_stay_whole(background: tuple[Background, Signature]) -> None:
    """A count is never 0.37, nor outside of what was seen."""
    values = column(background, "count")
    assert all(isinstance(value, int) for value in values)
    assert set(values) <= set(range(6))


def test_categories_and_truth_values_keep_their_shares(background: tuple[Background, Signature]) -> None:
    """Half of the rows are in zone a, a fifth say yes."""
    zones, truths = Counter(column(background, "zone")), Counter(column(background, "yes"))
    assert zones["a"] == pytest.approx(50, abs=6)
    assert truths[True] == pytest.approx(20, abs=5)
    assert set(zones) == {"a", "b", "c"}


def test_texts_come_from_the_golden_examples(
    background: tuple[Background, Signature], table: pd.DataFrame
) -> None:
    """The profile knows no text, so the few that the bundle holds are used."""
    texts = set(column(background, "story"))
    assert texts <= set(table["story"])
    assert 1 < len(texts) <= 10


def test_it_is_the_same_every_time(table: pd.DataFrame) -> None:
    """Two servers of one version compare with the same rows."""
    bundle = bundle_of(table)
    assert background_of(bundle).columns == background_of(bundle).columns


def test_zeros_and_ones_as_numbers_stay_so() -> None:
    """A number that says yes or no is drawn as often as its mean says, and never between."""
    example = pd.DataFrame({"flag": [1.0] * 30 + [0.0] * 70, "x": np.linspace(0, 1, 100)})
    bundle = bundle_of(example, LinearRegression().fit(example.to_numpy(), range(100)))
    rows = background_of(bundle)
    flags = Counter(rows.columns[0])
    assert flags == {1.0: 30, 0.0: 70}
    assert rows.source == "profile"


def test_a_constant_stays_one() -> None:
    """An input that never varied has one value to compare with."""
    example = pd.DataFrame({"same": [2.5] * 20, "x": np.linspace(0, 1, 20)})
    bundle = bundle_of(example, LinearRegression().fit(example.to_numpy(), range(20)))
    assert set(background_of(bundle).columns[0]) == {2.5}


def test_texts_alone_are_compared_with_the_golden_examples() -> None:
    """Where nothing is drawn the rows are real ones, as many as there are."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    texts = [f"word{n % 7} and word{n % 5} in a sentence" for n in range(40)]
    model = make_pipeline(TfidfVectorizer(), LinearRegression()).fit(texts, range(40))
    rows = background_of(bundle_of(texts, model))
    assert rows.source == "golden examples"
    assert rows.rows == len(rows.columns[0]) <= 10


def test_a_part_is_spread_over_all(background: tuple[Background, Signature]) -> None:
    """Fewer rows are every so many-th row; more than there are do not exist."""
    rows, _ = background
    assert rows.part(10).rows == 10
    assert rows.part(10).columns[1] == [rows.columns[1][n] for n in range(0, 100, 10)]
    assert rows.part(1000) is rows
