"""FastAPI on uvicorn with httptools and uvloop, the service written by hand."""

from __future__ import annotations

from rivals.base import COMMON, WORKERS, Rival, Site


class FastApi(Rival):
    """Two uvicorn workers, an `async` function (a plain one is slower here), access log off."""

    name = "fastapi"
    title = "FastAPI + uvicorn"
    requires = (*COMMON, "fastapi", "httptools", "uvicorn", "uvloop")

    def command(self, site: Site) -> list[str]:
        """Return uvicorn's command line."""
        listen = ["--port", str(site.port), "--workers", str(WORKERS)]
        return ["uvicorn", "fastapi_service:app", *listen, "--no-access-log", "--log-level", "warning"]


RIVAL = FastApi()
