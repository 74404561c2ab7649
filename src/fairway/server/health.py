"""What operators and orchestrators ask: is it alive, is it ready, what serves."""

from __future__ import annotations

from typing import Any, Protocol


class Served(Protocol):
    """The part of a pool that health speaks of."""

    def is_ready(self) -> bool:
        """Tell whether every required model is loaded and proven."""

    def status(self) -> dict[str, dict[str, Any]]:
        """Return the state of each."""


def health_document(pool: Served) -> tuple[int, dict[str, Any]]:
    """Return status and body of `/health` and `/readyz`.

    `healthy`: everything serves the version that it should. `degraded`: every model answers, but one of them
    is not the version that its alias names. `unhealthy` (503): a required model does not answer.
    """
    models = pool.status()
    if not pool.is_ready():
        return 503, {"status": "unhealthy", "models": models}
    whole = all(model["status"] == "ready" for model in models.values())
    return 200, {"status": "healthy" if whole else "degraded", "models": models}


def live_document() -> tuple[int, dict[str, Any]]:
    """Return status and body of `/livez`: that this code runs is the answer."""
    return 200, {"status": "alive"}
