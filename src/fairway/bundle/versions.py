"""How far two versions of a package are apart."""

from __future__ import annotations

import re
from typing import Literal

Grade = Literal["none", "patch", "minor", "major", "missing"]


def order(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: (1, 3, 2) for `1.3.2.post1`."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, match[0].split("."))) if match else ()


def grade(recorded: str, present: str) -> Grade:
    """Return how far two versions are apart; an empty one is missing.

    Before 1.0 the second number counts as the first does after it.
    """
    if recorded == present:
        return "none"
    if not present or not recorded:
        return "missing"
    ours, theirs = ((*order(version), 0, 0, 0)[:3] for version in (recorded, present))
    if ours[0] != theirs[0] or not order(recorded) or not order(present):
        return "major"
    if ours[1] != theirs[1]:
        return "minor" if ours[0] else "major"
    return "patch"
