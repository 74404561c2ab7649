"""A model as a Ray Serve deployment of two replicas."""

import sys
from typing import Any

import ray
import served
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=2, logging_config={"enable_access_log": False})
class Model:
    """Each replica holds the model."""

    def __init__(self) -> None:
        self.model = served.load()

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answer `{"features": [...]}` with `{"prediction": [...]}`."""
        return {"prediction": served.predict(self.model, (await request.json())["features"])}


if __name__ == "__main__":
    ray.init(include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Model.bind(), route_prefix="/predict", blocking=True)
