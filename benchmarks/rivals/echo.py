"""A limit: what two Python processes can answer when nothing is predicted."""

from __future__ import annotations

from rivals.base import SERVICES, WORKERS, Rival, Site


class Echo(Rival):
    """A bare asyncio protocol over httptools and uvloop that sends a constant."""

    name = "echo"
    title = "limit: bare asyncio echo"
    environment = "fairway"
    predicts = False

    def command(self, site: Site) -> list[str]:
        """Return the service's own command line."""
        return ["python", str(SERVICES / "echo_service.py"), str(site.port), str(WORKERS)]


RIVAL = Echo()
