"""A model behind LitServe: one worker process per device slot, as its documentation shows for CPUs."""

import sys
from typing import Any

import litserve
import served


class Model(litserve.LitAPI):
    """The four steps of LitServe."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - the interface's argument
        """Load the model in the worker."""
        self.model = served.load()

    def decode_request(self, request: dict[str, Any]) -> list[Any]:
        """Take the rows out of the body."""
        rows: list[Any] = request["features"]
        return rows

    def predict(self, rows: list[Any]) -> list[Any]:
        """Predict."""
        return served.predict(self.model, rows)

    def encode_response(self, output: list[Any]) -> dict[str, Any]:
        """Name the answer."""
        return {"prediction": output}


if __name__ == "__main__":
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning", access_log=False)
