"""Weights of words by LIME (Ribeiro, Singh and Guestrin 2016): leave words out, ask, fit a line.

Each sample leaves a random number of words out. Samples weigh by how near they are to the whole text, and a
ridge regression on which words are there gives each word its weight. How well the line fits, and how much it
depends on the samples that were drawn, is part of the answer.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEEDS = 5
"""Samples are drawn from so many streams; fits to each alone show how stable the weights are."""

KERNEL_WIDTH = 0.25
"""Of the cosine distance to the whole text, as in LIME's own programs."""

RIDGE = 1.0
TOP_WORDS = 5
"""Words that fits are compared by."""

_LEAST_SAMPLES, _MOST_SAMPLES, _SAMPLES_PER_WORD = 500, 2000, 10

Ask = Callable[["NDArray[np.bool_]"], "tuple[NDArray[np.bool_], NDArray[np.float64]]"]
"""Which words are kept (samples x words) in; which samples were answered, and their answers, out."""


@dataclasses.dataclass(frozen=True)
class Weights:
    """A line through the model's answers near a text.

    Attributes:
        values: Weight of each word (words x quantities): by how much the answer is higher with it.
        errors: Their standard errors over the seeds; None with too few samples to tell.
        intercept: Of the line.
        r2: Share of the variance of the samples, as they weigh, that the line explains, per quantity; None
            where the answers do not vary.
        stability: How far fits to the samples of single seeds agree in their heaviest words, from 0 to 1
            (mean Jaccard index); None with too few samples to tell.
        samples: How many were answered.
        refused: How many the model raised an error on; the line is fitted to the others.
        is_complete: Whether nothing was cut short by the time.
    """

    values: NDArray[np.float64]
    errors: NDArray[np.float64] | None
    intercept: NDArray[np.float64]
    r2: list[float | None]
    stability: list[float | None]
    samples: int
    refused: int
    is_complete: bool


def samples_for(words: int) -> int:
    """Return how many samples are drawn for a text of so many different words."""
    wanted = min(max(_LEAST_SAMPLES, _SAMPLES_PER_WORD * words), _MOST_SAMPLES)
    return -(-wanted // SEEDS) * SEEDS


def draw_samples(words: int, *, seed: int) -> NDArray[np.bool_]:
    """Return which words each sample keeps; the streams of the seeds take turns, and the first keeps all.

    At least one word stays, unless there is only one.
    """
    import numpy as np

    count = samples_for(words) if words > 1 else SEEDS
    streams = [np.random.default_rng([seed, stream, words]) for stream in range(SEEDS)]
    kept = np.ones((count, words), dtype=bool)
    for sample in range(1, count):
        random = streams[sample % SEEDS]
        left_out = random.integers(1, max(words, 2))
        kept[sample, random.choice(words, size=left_out, replace=False)] = False
    return kept


def weigh(ask: Ask, words: int, *, seed: int, block: int, is_over: Callable[[], bool]) -> Weights | None:
    """Return the weights of words, or None when the model answered none of the changed texts.

    Args:
        ask: Gives the model's answers to samples.
        words: How many there are; at least one.
        seed: Which samples are drawn.
        block: How many of them are asked for at once.
        is_over: Whether the time is; asked after each block, when each seed has had two samples.
    """
    import numpy as np

    wanted = draw_samples(words, seed=seed)
    answered, answers = [], []
    done = 0
    while done < len(wanted) and not (done >= 2 * SEEDS and is_over()):
        was_answered, found = ask(wanted[done : done + block])
        answered.append(was_answered)
        answers.append(found)
        done = min(done + block, len(wanted))
    is_there = np.concatenate(answered)
    kept, given = wanted[:done][is_there], np.concatenate(answers)
    if len(kept) < 2 or kept.all():
        return None
    streams = (np.arange(done) % SEEDS)[is_there]
    values, intercept = _fit(kept, given)
    singles = _single_fits(kept, given, streams)
    return Weights(
        values,
        None if singles is None else singles.std(axis=0, ddof=1) / np.sqrt(SEEDS),
        intercept,
        r2=_r2(kept, given, values, intercept),
        stability=[None if singles is None else _agreement(singles[:, :, q]) for q in range(given.shape[1])],
        samples=len(kept),
        refused=int(done - len(kept)),
        is_complete=done == len(wanted),
    )


def _kernel(kept: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how much each sample weighs: less, the further it is from the whole text."""
    import numpy as np

    distance = 1 - np.sqrt(kept.mean(axis=1))  # the cosine distance of 0/1 vectors to the one of ones
    weights: NDArray[np.float64] = np.sqrt(np.exp(-(distance**2) / KERNEL_WIDTH**2))
    return weights


def _fit(
    kept: NDArray[np.bool_], answers: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slopes and intercept of the weighted ridge regression; the intercept is not held small."""
    import numpy as np

    weights = _kernel(kept)
    shares = weights / weights.sum()
    x, y = kept.astype(float), answers
    x_mean, y_mean = shares @ x, shares @ y
    centred = x - x_mean
    weighed = centred * weights[:, None]
    # A single word is weighed by what its absence changes; there is nothing to hold small.
    ridge = RIDGE if x.shape[1] > 1 else 0.0
    matrix = weighed.T @ centred + ridge * np.eye(x.shape[1])
    slopes: NDArray[np.float64] = np.linalg.solve(matrix, weighed.T @ (y - y_mean))
    return slopes, y_mean - x_mean @ slopes


def _r2(
    kept: NDArray[np.bool_], answers: NDArray[np.float64], slopes: Any, intercept: Any
) -> list[float | None]:
    weights = _kernel(kept)
    shares = weights / weights.sum()
    missed = shares @ (answers - kept @ slopes - intercept) ** 2
    spread = shares @ (answers - shares @ answers) ** 2
    return [
        float(1 - left / all_) if all_ > 1e-24 else None for left, all_ in zip(missed, spread, strict=True)
    ]


def _single_fits(
    kept: NDArray[np.bool_], answers: NDArray[np.float64], streams: NDArray[Any]
) -> NDArray[np.float64] | None:
    import numpy as np

    if np.bincount(streams, minlength=SEEDS).min() < 2:
        return None
    fits = [_fit(kept[streams == stream], answers[streams == stream])[0] for stream in range(SEEDS)]
    return np.stack(fits)


def _agreement(fits: NDArray[np.float64]) -> float | None:
    """Return the mean Jaccard index of the heaviest words of any two fits."""
    import numpy as np

    if not np.abs(fits).max() > 1e-12:
        return None
    tops = [set(np.argsort(-np.abs(fit), kind="stable")[:TOP_WORDS].tolist()) for fit in fits]
    pairs = list(itertools.combinations(tops, 2))
    return sum(len(a & b) / len(a | b) for a, b in pairs) / len(pairs)
