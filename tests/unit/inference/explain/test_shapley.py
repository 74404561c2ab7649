"""Shapley's values: the formula, what sampling leaves exact, and errors that can be believed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from fairway.inference.explain.shapley import MAX_PAIRS, exact_shares, sampled_shares

PLAYERS = 5


def game(seed: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Return a game of five players with two worths: every coalition has one of its own, by chance."""
    table = np.random.default_rng(seed).normal(size=(2**PLAYERS, 2))
    return lambda masks: table[masks @ (1 << np.arange(PLAYERS))]


def by_definition(worth: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the mean of what each player adds, over every order: what the values are defined as."""
    total = np.zeros((PLAYERS, 2))
    for order in itertools.permutations(range(PLAYERS)):
        mask = np.zeros((1, PLAYERS), dtype=bool)
        before = worth(mask)[0]
        for player in order:
            mask[0, player] = True
            after = worth(mask)[0]
            total[player] += after - before
            before = after
    return total / math.factorial(PLAYERS)


def ends(worth: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    empty, full = worth(np.array([[False] * PLAYERS, [True] * PLAYERS]))
    return {"empty": empty, "full": full}


def test_all_coalitions_give_what_all_orders_give() -> None:
    """The weights of the formula are those of the definition."""
    assert exact_shares(game(), PLAYERS).values == pytest.approx(by_definition(game()), abs=1e-12)


def test_one_player_gets_everything() -> None:
    """A model of one input owes its answer to that."""
    shares = exact_shares(lambda masks: 3.0 * masks.astype(float), 1)
    assert shares.values.tolist() == [[3.0]]


def test_the_sum_of_samples_is_exact_after_one_pair() -> None:
    """What is shared out is all there is, however few permutations there were."""
    known = ends(game())
    shares = sampled_shares(game(), PLAYERS, **known, seed=0, is_over=lambda: True)
    assert (shares.pairs, shares.errors, shares.is_complete) == (1, None, False)
    assert shares.values.sum(axis=0) == pytest.approx(known["full"] - known["empty"], abs=1e-12)


def test_a_sum_of_inputs_needs_three_pairs() -> None:
    """Where nothing depends on the order the errors are zero, and nobody goes on asking."""
    weights = np.arange(1.0, PLAYERS + 1)
    worth = lambda masks: (masks @ weights)[:, None]  # noqa: E731
    shares = sampled_shares(worth, PLAYERS, **ends(worth), seed=0, is_over=lambda: False)
    assert shares.pairs == 3
    assert shares.is_complete
    assert shares.values[:, 0] == pytest.approx(weights)
    assert shares.errors == pytest.approx(0.0, abs=1e-12)


def test_samples_are_as_near_as_their_errors_say() -> None:
    """Over many games about 95 of 100 estimates lie within two standard errors of the truth."""
    inside = []
    for seed in range(40):
        shares = sampled_shares(
            game(seed), PLAYERS, **ends(game(seed)), seed=seed, is_over=lambda: False, max_pairs=30
        )
        assert shares.errors is not None
        inside.append(np.abs(shares.values - by_definition(game(seed))) <= 2 * shares.errors)
    assert 0.9 <= np.mean(inside) <= 0.99


def test_a_seed_gives_the_same_again_and_another_one_does_not() -> None:
    """Whoever repeats a call with a seed gets the same numbers."""
    draw = lambda seed: sampled_shares(  # noqa: E731
        game(), PLAYERS, **ends(game()), seed=seed, is_over=lambda: False, max_pairs=5
    )
    assert (draw(7).values == draw(7).values).all()
    assert not (draw(7).values == draw(8).values).all()


def test_permutations_end_when_there_were_enough() -> None:
    """A game that stays noisy does not go on for ever, and what was reached counts as complete."""
    shares = sampled_shares(game(), PLAYERS, **ends(game()), seed=0, is_over=lambda: False)
    assert shares.pairs == MAX_PAIRS
    assert shares.is_complete
