"""The few distributions that intervals and tests need, in plain Python."""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_EXACT_TRIALS = 100_000
_TINY = 1e-300


def normal_quantile(share: float) -> float:
    """Return the value below which a share of the standard normal distribution lies (AS 241)."""
    return _NORMAL.inv_cdf(share)


def normal_p(z: float) -> float:
    """Return how likely a standard normal value is at least as far from 0 as *z*."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def coin_p(heads: int, tosses: int) -> float:
    """Return the two-sided exact p-value of a fair coin; the normal tail with correction from 100,000 on."""
    if tosses == 0:
        return 1.0
    fewer = min(heads, tosses - heads)
    if 2 * fewer == tosses:
        return 1.0
    if tosses > _EXACT_TRIALS:
        return min(1.0, normal_p((tosses - 2 * fewer - 1) / math.sqrt(tosses)))
    log_half = -tosses * math.log(2.0)
    top = math.lgamma(tosses + 1)
    terms = [top - math.lgamma(k + 1) - math.lgamma(tosses - k + 1) + log_half for k in range(fewer, -1, -1)]
    # Beginning with the largest term; those below the last bit of the sum change nothing.
    total = math.fsum(math.exp(term) for term in terms if term > terms[0] - 40)
    return min(1.0, 2.0 * total)


def chi_square_p(value: float, freedom: int) -> float:
    """Return how likely a chi-square value is at least *value*: the regularised upper incomplete gamma."""
    if value <= 0 or freedom <= 0:
        return 1.0
    a, x = freedom / 2, value / 2
    log_front = a * math.log(x) - x - math.lgamma(a)
    if x < a + 1:
        return max(0.0, 1.0 - math.exp(log_front) * _series(a, x))
    return math.exp(log_front) * _fraction(a, x)


def _series(a: float, x: float) -> float:
    """Return the sum of x^n / (a (a+1) ... (a+n)) (NIST DLMF 8.7.1)."""
    term = total = 1.0 / a
    n = a
    while abs(term) > total * 1e-16:
        n += 1
        term *= x / n
        total += term
    return total


def _fraction(a: float, x: float) -> float:
    """Return the continued fraction of the upper incomplete gamma (NIST DLMF 8.9.2), by Lentz's method."""
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    value = d
    for n in range(1, 10_000):
        factor = -n * (n - a)
        b += 2
        d = 1 / ((factor * d + b) or _TINY)
        c = (b + factor / c) or _TINY
        value *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return value
