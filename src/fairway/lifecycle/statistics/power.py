"""How much data shows how much: sample sizes, and the smallest difference that can be seen."""

from __future__ import annotations

import math

from fairway.lifecycle.statistics.distributions import normal_quantile

POWER = 0.8


def rows_for_proportions(first: float, second: float, *, power: float = POWER, alpha: float = 0.05) -> float:
    """Return the rows in each of two groups that show two shares apart."""
    middle = (first + second) / 2
    under_none = normal_quantile(1 - alpha / 2) * math.sqrt(2 * middle * (1 - middle))
    under_some = normal_quantile(power) * math.sqrt(first * (1 - first) + second * (1 - second))
    return (under_none + under_some) ** 2 / (first - second) ** 2


def detectable(standard_error: float, *, power: float = POWER, confidence: float = 0.95) -> float:
    """Return the smallest true difference that is shown with the given power.

    It is shown when its interval leaves out 0, so the true size has to be this many standard errors.
    """
    return (normal_quantile(0.5 + confidence / 2) + normal_quantile(power)) * standard_error
