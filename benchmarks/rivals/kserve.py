"""KServe's Python server, protocol V1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rivals.base import COMMON, SERVICES, WORKERS, Rival, Site
from workloads import Workload

QUIET = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "WARNING"},
    "loggers": {name: {"level": "WARNING"} for name in ("kserve", "kserve.trace", "uvicorn.access")},
}


class KServe(Rival):
    """Two workers, no gRPC; by default it writes several lines per call, here none."""

    name = "kserve"
    title = "KServe Python server"
    requires = (*COMMON, "kserve")
    path = "/v1/models/model:predict"

    def prepare(self, site: Site) -> None:
        """Write the configuration of its log."""
        (site.folder / "logging.json").write_text(json.dumps(QUIET))

    def command(self, site: Site) -> list[str]:
        """Return the service's own command line."""
        options = {
            "--http_port": str(site.port),
            "--workers": str(WORKERS),
            "--enable_grpc": "false",
            "--enable_latency_logging": "false",
            "--log_config_file": "logging.json",
        }
        given = [word for option in options.items() for word in option]
        return ["python", str(SERVICES / "kserve_service.py"), *given]

    def environ(self, site: Site) -> dict[str, str]:
        """Silence a warning that it gives at every call."""
        return {**super().environ(site), "PYTHONWARNINGS": "ignore"}

    def body(self, workload: Workload, rows: Sequence[Any]) -> bytes:  # noqa: ARG002 - one form for all
        """Write `instances`."""
        return json.dumps({"instances": list(rows)}).encode()

    def answers(self, reply: bytes) -> list[Any]:
        """Read `predictions`."""
        found: list[Any] = json.loads(reply)["predictions"]
        return found


RIVAL = KServe()
