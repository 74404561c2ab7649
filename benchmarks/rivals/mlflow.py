"""`mlflow models serve`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rivals.base import COMMON, SERVICES, WORKERS, Rival, Site
from workloads import Workload


class MlFlow(Rival):
    """Two uvicorn workers; uvloop beside it, for without it every call on a kept connection takes 44 ms."""

    name = "mlflow"
    title = "MLflow models serve"
    requires = (*COMMON, "httptools", "mlflow", "uvloop")
    path = "/invocations"

    def prepare(self, site: Site) -> None:
        """Save the model in MLflow's format."""
        if not (site.folder / "model").exists():
            script = str(SERVICES / "mlflow_save.py")
            site.run("python", script, str(site.folder / "model"), environ=self.environ(site))

    def command(self, site: Site) -> list[str]:
        """Return the command line of `mlflow models serve`."""
        listen = ["-h", "127.0.0.1", "-p", str(site.port), "-w", str(WORKERS)]
        return [
            "mlflow",
            "models",
            "serve",
            "-m",
            str(site.folder / "model"),
            "--env-manager",
            "local",
            *listen,
        ]

    def environ(self, site: Site) -> dict[str, str]:
        """Put the environment's programs first, where MLflow looks for them; access log off."""
        return {
            **super().environ(site),
            "PATH": f"{site.bin}:/usr/local/bin:/usr/bin:/bin",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "UVICORN_ACCESS_LOG": "false",
        }

    def body(self, workload: Workload, rows: Sequence[Any]) -> bytes:
        """Write `inputs`, or a frame in the split form that its documentation recommends."""
        if workload.form == "records":
            frame = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
            return json.dumps({"dataframe_split": frame}).encode()
        return json.dumps({"inputs": list(rows)}).encode()

    def answers(self, reply: bytes) -> list[Any]:
        """Read `predictions`."""
        found: list[Any] = json.loads(reply)["predictions"]
        return found


RIVAL = MlFlow()
