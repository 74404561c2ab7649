"""A model in KServe's Python server, V1 protocol; the server reads its own options from the command line."""

from typing import Any

import served
from kserve import Model, ModelServer


class Served(Model):
    """Loads the file and answers `instances`."""

    def load(self) -> bool:
        """Load the model."""
        self.model = served.load()
        self.ready = True
        return self.ready

    async def predict(self, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        """Answer with `predictions`."""
        return {"predictions": served.predict(self.model, payload["instances"])}


if __name__ == "__main__":
    model = Served("model")
    model.load()
    ModelServer().start([model])
