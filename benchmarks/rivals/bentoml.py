"""BentoML."""

from __future__ import annotations

import json
from typing import Any

from rivals.base import COMMON, SERVICES, Rival, Site


class BentoMl(Rival):
    """Two workers, stated in the service; access log off; uvloop and httptools beside it."""

    name = "bentoml"
    title = "BentoML"
    requires = (*COMMON, "bentoml", "httptools", "uvloop")

    def command(self, site: Site) -> list[str]:
        """Return the command line of `bentoml serve`."""
        listen = ["--host", "127.0.0.1", "--port", str(site.port)]
        return ["bentoml", "serve", "bentoml_service:Model", "--working-dir", str(SERVICES), *listen]

    def environ(self, site: Site) -> dict[str, str]:
        """Keep its home in our folder, its access log off, and nothing reported to anybody."""
        return {
            **super().environ(site),
            "BENTOML_HOME": str(site.folder / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "true",
            "BENTOML_CONFIG_OPTIONS": "services.Model.logging.access.enabled=false",
        }

    def answers(self, reply: bytes) -> list[Any]:
        """Read the bare list."""
        found: list[Any] = json.loads(reply)
        return found


RIVAL = BentoMl()
