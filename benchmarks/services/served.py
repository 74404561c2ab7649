"""What a service written by hand does with the model file: load it once, predict lists of rows."""

from __future__ import annotations

import json
import os
from typing import Any

import joblib

FORM = os.environ["BENCH_FORM"]
ROW = json.loads(os.environ["BENCH_ROW"])


def load() -> Any:
    """Return the fitted model."""
    return joblib.load(os.environ["BENCH_MODEL"])


def predict(model: Any, rows: list[Any]) -> list[Any]:
    """Return one prediction per row; a model that was fitted on a frame gets one."""
    if FORM == "records":
        import pandas as pd

        return model.predict(pd.DataFrame(rows)).tolist()  # type: ignore[no-any-return]
    return model.predict(rows).tolist()  # type: ignore[no-any-return]
