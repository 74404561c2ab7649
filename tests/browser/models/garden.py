"""A model with an input of every kind; it answers with the record that reached it."""

from __future__ import annotations

import json
from typing import Any

from sklearn.base import BaseEstimator


class Garden(BaseEstimator):
    """Repeats its input as text, so that a test sees what a form made of it."""

    def fit(self, _records: Any, _target: Any = None) -> Garden:
        """Learn nothing."""
        self.fitted_ = True
        return self

    def predict(self, records: list[dict[str, Any]]) -> list[str]:
        """Return every record as JSON."""
        return [json.dumps(record, default=str, sort_keys=True, ensure_ascii=False) for record in records]
