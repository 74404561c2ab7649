"""Whether a column is distributed as it was: the population stability index with its law (Yurdakul 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fairway.lifecycle.statistics.distributions import chi_square_p

MODERATE = 0.1
"""From where on a shift is called one, if it is no chance."""


class Shift(NamedTuple):
    """The index, and how likely chance alone makes it as large."""

    psi: float
    p: float


def stability(reference: Sequence[int], current: Sequence[int]) -> Shift:
    """Return the shift between two lists of counts of the same cells.

    Half a row is added to each cell. Without a shift the index is (1/n + 1/m) times a chi-square value with
    one degree of freedom less than there are cells.
    """
    before, now = np.asarray(reference, float), np.asarray(current, float)
    kept = before + now > 0
    before, now = before[kept], now[kept]
    if len(before) < 2 or not before.sum() or not now.sum():
        return Shift(0.0, 1.0)
    n, m, cells = before.sum(), now.sum(), len(before)
    p, q = (before + 0.5) / (n + 0.5 * cells), (now + 0.5) / (m + 0.5 * cells)
    psi = float(((p - q) * np.log(p / q)).sum())
    return Shift(psi, chi_square_p(psi / float(1 / n + 1 / m), cells - 1))
