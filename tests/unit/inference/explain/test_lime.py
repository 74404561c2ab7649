"""LIME: the line is found where there is one, and what is told of it can be believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fairway.inference.explain.lime import SEEDS, draw_samples, samples_for, weigh

SLOPES = np.array([0.5, -0.25, 0.0, 0.125])


def line(kept: Any) -> Any:
    """Answer every sample by a line through the words that it keeps."""
    return np.ones(len(kept), dtype=bool), (0.1 + kept @ SLOPES)[:, None]


def weights(ask: Any = line, words: int = 4, **options: Any) -> Any:
    return weigh(ask, words, **{"seed": 0, "block": 64, "is_over": lambda: False} | options)


def test_a_line_is_found() -> None:
    """The ridge holds slopes a little small; sign, order and fit are those of the line."""
    found = weights()
    assert found.values[:, 0] == pytest.approx(SLOPES, abs=0.02)
    assert found.r2[0] > 0.99
    assert found.stability[0] == 1.0
    assert found.is_complete


def test_the_fit_is_that_of_a_weighted_ridge_regression() -> None:
    """scikit-learn's Ridge gives the same slopes and intercept for the same samples and weights."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    answers = np.random.default_rng(0).normal(size=samples_for(4))
    kept = draw_samples(4, seed=3)
    near = np.sqrt(np.exp(-((1 - np.sqrt(kept.mean(axis=1))) ** 2) / 0.25**2))
    ridge = linear_model.Ridge(alpha=1.0).fit(kept.astype(float), answers, sample_weight=near)
    place = iter(range(0, len(answers), 50))

    def ask(part: Any) -> Any:
        start = next(place)
        return np.ones(len(part), dtype=bool), answers[start : start + len(part), None]

    found = weights(ask, seed=3, block=50)
    assert found.values[:, 0] == pytest.approx(ridge.coef_, abs=1e-10)
    assert found.intercept[0] == pytest.approx(ridge.intercept_, abs=1e-10)
    assert found.r2[0] == pytest.approx(ridge.score(kept.astype(float), answers, sample_weight=near))


def test_a_seed_gives_the_same_bits() -> None:
    """Text explanations are deterministic for a seed, whatever the size of the blocks that are asked for."""
    assert (weights(seed=5).values == weights(seed=5, block=7).values).all()
    assert (draw_samples(9, seed=5) == draw_samples(9, seed=5)).all()
    assert not (draw_samples(9, seed=5) == draw_samples(9, seed=6)).all()


def test_every_sample_keeps_a_word_and_the_first_all() -> None:
    """An emptied text says little of the one that was sent."""
    kept = draw_samples(6, seed=0)
    assert kept[0].all()
    assert kept.any(axis=1).all()
    assert len(kept) == samples_for(6)


def test_answers_that_do_not_vary_have_no_fit() -> None:
    """A model that does not read the text gives weights of zero, and no share of nothing is explained."""
    found = weights(lambda kept: (np.ones(len(kept), dtype=bool), np.full((len(kept), 1), 0.7)))
    assert found.values == pytest.approx(0.0)
    assert found.r2 == [None]
    assert found.stability == [None]


def test_chance_is_told_from_reason() -> None:
    """Answers by chance fit badly, and the heaviest words differ from seed to seed."""
    random = np.random.default_rng(0)
    noise = lambda kept: (np.ones(len(kept), dtype=bool), random.normal(size=(len(kept), 1)))  # noqa: E731
    found = weights(noise, words=40)
    assert found.r2[0] < 0.2
    assert found.stability[0] < 0.4
    assert (found.errors > 0).all()


def test_one_word_is_weighed_against_nothing() -> None:
    """With one word the other sample is the text without it."""
    found = weights(lambda kept: (np.ones(len(kept), dtype=bool), kept.astype(float)), words=1)
    assert found.values[0, 0] == pytest.approx(1.0)


def test_the_time_ends_it_after_a_block() -> None:
    """What was asked by then is fitted, and said to be cut short."""
    found = weights(is_over=lambda: True, block=64)
    assert found.samples == 64
    assert not found.is_complete


def test_refused_samples_are_left_out() -> None:
    """The line is fitted to what the model answered, and how many it did not is told."""

    def ask(kept: Any) -> Any:
        is_answered = kept[:, 0]
        return is_answered, (0.1 + kept[is_answered] @ SLOPES)[:, None]

    found = weights(ask)
    assert found.refused > 0
    assert found.samples + found.refused == samples_for(4)
    assert found.values[1:, 0] == pytest.approx(SLOPES[1:], abs=0.02)


def test_a_model_that_answers_nothing_has_no_weights() -> None:
    """There is no line through no point."""
    nothing = lambda kept: (np.zeros(len(kept), dtype=bool), np.empty((0, 1)))  # noqa: E731
    assert weights(nothing) is None


def test_streams_take_turns() -> None:
    """When the time is up early, every seed has had about as many samples."""
    assert samples_for(1) % SEEDS == 0
    assert samples_for(100) % SEEDS == 0
