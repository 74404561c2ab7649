"""A model as a BentoML service with typed input: an array, texts, or a data frame."""

from typing import Any

import bentoml
import numpy as np
import pandas as pd
import served

Rows: Any = {"matrix": np.ndarray, "texts": list[str], "records": pd.DataFrame}[served.FORM]


@bentoml.service(workers=2, metrics={"enabled": True})
class Model:
    """The service that `bentoml serve` starts in two workers."""

    def __init__(self) -> None:
        self.model = served.load()

    @bentoml.api
    def predict(self, features: Rows) -> np.ndarray:
        """Answer `{"features": [...]}` with a list."""
        answers: np.ndarray = self.model.predict(features)
        return answers
