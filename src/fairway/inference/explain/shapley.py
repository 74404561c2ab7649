"""Shapley values by asking: exactly for few players, from antithetic permutations with standard errors else.

A player is an input. A coalition is a set of inputs that keep the values of the row; the others take those of
background rows, and its worth is the mean answer over these. Štrumbelj and Kononenko (2014) sample
permutations; Mitchell, Cooper, Frank and Holmes (2022) show what their reversals gain.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_EXACT_PLAYERS = 10
MAX_PAIRS = 100
PRECISION = 0.005
"""Permutations end when no standard error is more than this share of all that is shared out."""

_LEAST_PAIRS = 3

Worth = Callable[["NDArray[np.bool_]"], "NDArray[np.float64]"]
"""Coalitions (many x players) in, their worth out (many x quantities)."""


@dataclasses.dataclass(frozen=True)
class Shares:
    """What every player contributed.

    Attributes:
        values: Contributions (players x quantities).
        errors: Their standard errors; None when there are too few permutations to tell.
        pairs: Pairs of a permutation and its reverse; 0 when every coalition was asked for.
        is_complete: Whether nothing was cut short by the time.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64] | None
    pairs: int
    is_complete: bool


def exact_shares(worth: Worth, players: int) -> Shares:
    """Return Shapley's values by asking for the worth of every coalition."""
    import numpy as np

    numbers = np.arange(2**players)
    masks = (numbers[:, None] >> np.arange(players)) & 1 == 1
    worths = worth(masks)
    sizes = masks.sum(axis=1)
    weights = np.array(
        [
            math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            for size in range(players)
        ]
    )
    values = np.empty((players, worths.shape[1]))
    for player in range(players):
        without = numbers[~masks[:, player]]
        gains = worths[without | (1 << player)] - worths[without]
        values[player] = weights[sizes[without]] @ gains
    return Shares(values, np.zeros_like(values), pairs=0, is_complete=True)


def sampled_shares(
    worth: Worth,
    players: int,
    *,
    empty: NDArray[np.float64],
    full: NDArray[np.float64],
    seed: int,
    is_over: Callable[[], bool],
    max_pairs: int = MAX_PAIRS,
) -> Shares:
    """Return estimates of Shapley's values; their sum is exact, whatever the number of permutations.

    Args:
        worth: Gives the worth of coalitions.
        players: How many there are.
        empty: Worth of the coalition without players.
        full: Worth of the one with all.
        seed: Which permutations are drawn.
        is_over: Whether the time is; asked after each pair.
        max_pairs: Most pairs of permutations.
    """
    import numpy as np

    random = np.random.default_rng([seed, players])
    seen: list[NDArray[np.float64]] = []
    is_precise = False
    while not is_precise and len(seen) < max_pairs and not (seen and is_over()):
        seen.append(_pair(worth, random.permutation(players), empty, full))
        is_precise = len(seen) >= _LEAST_PAIRS and _are_precise(seen)
    pairs = np.stack(seen)
    errors = pairs.std(axis=0, ddof=1) / math.sqrt(len(seen)) if len(seen) > 1 else None
    is_complete = is_precise or len(seen) >= max_pairs
    return Shares(pairs.mean(axis=0), errors, pairs=len(seen), is_complete=is_complete)


def _pair(
    worth: Worth, order: NDArray[Any], empty: NDArray[np.float64], full: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean of what each player adds in an order and in its reverse."""
    import numpy as np

    players = len(order)
    orders = [order, order[::-1]]
    # Row k of a walk is the coalition of the first k + 1 players; empty and full are known.
    walks = np.zeros((2, players - 1, players), dtype=bool)
    for walk, chosen in zip(walks, orders, strict=True):
        for step in range(players - 1):
            walk[step:, chosen[step]] = True
    inner = worth(walks.reshape(-1, players)).reshape(2, players - 1, -1)
    found = np.empty((2, players, len(empty)))
    for place, chosen in enumerate(orders):
        path = np.concatenate([empty[None], inner[place], full[None]])
        found[place, chosen] = np.diff(path, axis=0)
    mean: NDArray[np.float64] = found.mean(axis=0)
    return mean


def _are_precise(seen: list[NDArray[np.float64]]) -> bool:
    import numpy as np

    pairs = np.stack(seen)
    errors = pairs.std(axis=0, ddof=1) / math.sqrt(len(seen))
    shared_out = np.abs(pairs.mean(axis=0)).sum(axis=0)
    return bool((errors <= PRECISION * shared_out + 1e-12).all())
