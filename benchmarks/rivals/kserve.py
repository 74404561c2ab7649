"""KServe's Python server, protocol V1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rivals.base import COMMON, SERVICES, Rival, Site
from workloads import Workload


class KServe(Rival):
    """Two workers, no gRPC, access log off."""

    name = "kserve"
    title = "KServe Python server"
    requires = (*COMMON, "kserve")
    path = "/v1/models/model:predict"

    def command(self, site: Site) -> list[str]:  # noqa: ARG002 - the port is in the environment
        """Return the service's own command line."""
        return ["python", str(SERVICES / "kserve_service.py")]

    def environ(self, site: Site) -> dict[str, str]:
        """Add the port: its workers read the command line again for themselves."""
        return {**super().environ(site), "BENCH_PORT": str(site.port)}

    def body(self, workload: Workload, rows: Sequence[Any]) -> bytes:  # noqa: ARG002 - one form for all
        """Write `instances`."""
        return json.dumps({"instances": list(rows)}).encode()

    def answers(self, reply: bytes) -> list[Any]:
        """Read `predictions`."""
        found: list[Any] = json.loads(reply)["predictions"]
        return found


RIVAL = KServe()
