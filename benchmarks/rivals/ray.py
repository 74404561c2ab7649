"""Ray Serve."""

from __future__ import annotations

from rivals.base import COMMON, SERVICES, Rival, Site


class Ray(Rival):
    """Two replicas of one CPU each behind its HTTP proxy; dashboard and access log off."""

    name = "ray"
    title = "Ray Serve"
    requires = (*COMMON, "httptools", "ray[serve]", "uvloop")

    def command(self, site: Site) -> list[str]:
        """Return the service's own command line."""
        return ["python", str(SERVICES / "ray_service.py"), str(site.port)]

    def environ(self, site: Site) -> dict[str, str]:
        """Report nothing to anybody."""
        return {**super().environ(site), "RAY_USAGE_STATS_ENABLED": "0"}


RIVAL = Ray()
