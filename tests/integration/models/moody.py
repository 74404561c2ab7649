"""A model that does what the value of its input says: raise, answer NaN or too few rows, take its time."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

RAISES, NOT_A_NUMBER, TOO_FEW, INFINITE, SLOW = 13.0, 7.0, 21.0, 8.0, 99.0


class Moody(RegressorMixin, BaseEstimator):
    """Doubles its input, but for some values; every call takes *delay_s*."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s

    def fit(self, _rows: Any, _labels: Any = None) -> Moody:
        self.n_features_in_ = 1
        return self

    def predict(self, rows: Any) -> Any:
        if self.delay_s:
            threading.Event().wait(self.delay_s)
        column = np.asarray(rows, dtype=float)[:, 0]
        if (column == RAISES).any():
            raise RuntimeError("/srv/models/secret-path is not for callers")
        if (column == SLOW).any():
            threading.Event().wait(1.5)
        doubled = column * 2.0
        doubled[column == NOT_A_NUMBER] = np.nan
        doubled[column == INFINITE] = np.inf
        return doubled[:-1] if (column == TOO_FEW).any() else doubled
