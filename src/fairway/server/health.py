"""What operators and orchestrators ask: is it alive, is it ready, what serves."""

from __future__ import annotations

from typing import Any, Protocol

from fairway.registry.api_keys import READ
from fairway.server.access import Identity, name_in


class Served(Protocol):
    """The part of a pool that health speaks of."""

    def is_ready(self) -> bool:
        """Tell whether every required model is loaded and proven."""

    def status(self) -> dict[str, dict[str, Any]]:
        """Return the state of each."""

    def away_since(self) -> str:
        """Return since when the registry cannot be asked; empty if it can."""


def health_document(pool: Served, identity: Identity) -> tuple[int, dict[str, Any]]:
    """Return status and body of `/health` and `/readyz`; who may not read learns the state alone.

    `healthy`: everything serves the version that it should. `degraded`: every model answers, but one of them
    is not the version that its alias names, or nobody knows, because the registry is away. `unhealthy` (503):
    a required model does not answer.
    """
    models, since = pool.status(), pool.away_since()
    whole = not since and all(model["status"] in {"ready", "unloaded"} for model in models.values())
    state = "unhealthy" if not pool.is_ready() else "healthy" if whole else "degraded"
    document: dict[str, Any] = {"status": state}
    if READ in identity.allowed:
        document["models"] = {text: model for text, model in models.items() if identity.sees(name_in(text))}
        if since:
            document["registry"] = f"unavailable since {since}"
    return 503 if state == "unhealthy" else 200, document


def live_document() -> tuple[int, dict[str, Any]]:
    """Return status and body of `/livez`: that this code runs is the answer."""
    return 200, {"status": "alive"}
