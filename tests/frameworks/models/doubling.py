"""A python_function as a user writes it: code that MLflow runs."""

from __future__ import annotations

from typing import Any

import mlflow.pyfunc
from mlflow.models import set_model


class Doubling(mlflow.pyfunc.PythonModel):
    """Says of a row twice its size, and whether it is new."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002 - its form
        """Return a frame of two columns."""
        frame = model_input[["size"]] * 2
        return frame.assign(large=model_input["rooms"] > 3)


set_model(Doubling())
