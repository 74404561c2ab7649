"""A model of records with inputs of every kind; its answer shows that each value arrived as what it is."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator


class Mixed(BaseEstimator):
    """Adds up what it can make of a record."""

    def fit(self, _rows: Any, _labels: Any = None) -> Mixed:
        self.fitted_ = True
        return self

    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        return [
            float(row["age"] + row["member"] + row["since"].year + len(row["tags"]) + (row["income"] or 0.0))
            for row in rows
        ]
