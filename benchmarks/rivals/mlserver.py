"""MLServer with its scikit-learn runtime, Open Inference Protocol (V2)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from harness import free_port
from rivals.base import COMMON, WORKERS, Rival, Site
from workloads import Workload


class MlServer(Rival):
    """Two parallel workers; debug lines off."""

    name = "mlserver"
    title = "MLServer"
    # uvloop 0.22 stopped making the event loop that its workers ask for.
    requires = (*COMMON, "mlserver", "mlserver-sklearn", "uvloop<0.22")
    path = "/v2/models/model/infer"

    def prepare(self, site: Site) -> None:
        """Write its two settings files."""
        settings = {
            "host": "127.0.0.1",
            "http_port": site.port,
            "grpc_port": free_port(),
            "metrics_port": free_port(),
            "parallel_workers": WORKERS,
            "debug": False,
        }
        model = {
            "name": "model",
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": str(site.workload.model)},
        }
        (site.folder / "settings.json").write_text(json.dumps(settings))
        (site.folder / "model-settings.json").write_text(json.dumps(model))

    def command(self, site: Site) -> list[str]:
        """Return the command line of `mlserver start`."""
        return ["mlserver", "start", str(site.folder)]

    def body(self, workload: Workload, rows: Sequence[Any]) -> bytes:
        """Write tensors: a matrix, texts, or one tensor per column."""
        if workload.form == "records":
            tensors = [_tensor(name, [row[name] for row in rows]) for name in rows[0]]
            document: dict[str, Any] = {"parameters": {"content_type": "pd"}, "inputs": tensors}
        elif workload.form == "texts":
            document = {"parameters": {"content_type": "str"}, "inputs": [_tensor("text", list(rows))]}
        else:
            flat = [value for row in rows for value in row]
            shape = [len(rows), len(rows[0])]
            document = {"inputs": [{"name": "x", "shape": shape, "datatype": "FP64", "data": flat}]}
        return json.dumps(document).encode()

    def answers(self, reply: bytes) -> list[Any]:
        """Read the first output."""
        found: list[Any] = json.loads(reply)["outputs"][0]["data"]
        return found


def _tensor(name: str, values: list[Any]) -> dict[str, Any]:
    is_text = isinstance(values[0], str)
    tensor: dict[str, Any] = {
        "name": name,
        "shape": [len(values), 1] if is_text else [len(values)],
        "datatype": "BYTES" if is_text else "FP64",
        "data": values,
    }
    return {**tensor, "parameters": {"content_type": "str"}} if is_text else tensor


RIVAL = MlServer()
