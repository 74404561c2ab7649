"""A layer of Keras as a user writes it, in a file that travels with the model."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="shop")
class Scale(keras.layers.Layer):
    """Multiplies by a number."""

    def __init__(self, factor: float, **more: Any) -> None:
        super().__init__(**more)
        self.factor = factor

    def call(self, x: Any) -> Any:
        """Return the rows, multiplied."""
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        """Return what the constructor takes."""
        return {**super().get_config(), "factor": self.factor}
