"""Models of the contract suite that are code: a function and classes, as a user's file would hold them."""

from __future__ import annotations

import math
from typing import Any


def predict(records: list[dict[str, Any]]) -> list[float]:
    """Return a number per record; a missing size counts as nothing."""
    return [record["rooms"] * 1.5 + (record["size"] or 0.0) for record in records]


def several(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return outputs of every type per record."""
    return [
        {"score": float(row["rooms"]), "count": row["rooms"], "city": row["city"] or "?", "new": row["new"]}
        for row in records
    ]


class Sizes:
    """A classifier with probabilities."""

    classes = ("small", "large")

    def predict(self, records: list[dict[str, Any]]) -> list[str]:
        """Return the likelier class per record."""
        return [self.classes[int(share[1] > 0.5)] for share in self.predict_proba(records)]

    def predict_proba(self, records: list[dict[str, Any]]) -> list[list[float]]:
        """Return the probabilities of both classes per record."""
        large = [1 / (1 + math.exp(-(record["size"] or 0.0))) for record in records]
        return [[1 - share, share] for share in large]
