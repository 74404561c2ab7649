"""A model that takes its time to be loaded, where a variable says so."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Late(RegressorMixin, BaseEstimator):
    """Doubles its input."""

    def fit(self, _rows: Any, _labels: Any = None) -> Late:
        self.n_features_in_ = 1
        return self

    def predict(self, rows: Any) -> Any:
        return np.asarray(rows, dtype=float)[:, 0] * 2.0

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        threading.Event().wait(float(os.environ.get("FAIRWAY_TEST_LOAD_S", "0")))
