"""Flask on gunicorn, the service written by hand."""

from __future__ import annotations

from rivals.base import COMMON, WORKERS, Rival, Site


class Flask(Rival):
    """Two sync workers (threads are slower here), access log off."""

    name = "flask"
    title = "Flask + gunicorn"
    requires = (*COMMON, "flask", "gunicorn")

    def command(self, site: Site) -> list[str]:
        """Return gunicorn's command line."""
        return ["gunicorn", "flask_service:app", "-b", f"127.0.0.1:{site.port}", "-w", str(WORKERS)]


RIVAL = Flask()
