"""LitServe."""

from __future__ import annotations

from rivals.base import COMMON, SERVICES, WORKERS, Rival, Site


class LitServe(Rival):
    """Two workers on the CPU and as many API servers (its default), access log off."""

    name = "litserve"
    title = "LitServe"
    requires = (*COMMON, "httptools", "litserve", "uvloop")

    def command(self, site: Site) -> list[str]:
        """Return the service's own command line."""
        return ["python", str(SERVICES / "litserve_service.py"), str(site.port), str(WORKERS)]


RIVAL = LitServe()
