"""What /health says, and with which status."""

from __future__ import annotations

from typing import Any

import pytest

from fairway.registry.api_keys import READ
from fairway.server.access import Identity
from fairway.server.health import health_document, live_document

READY, UNLOADED = {"status": "ready", "version": 1}, {"status": "unloaded", "version": 2}
DEGRADED = {"status": "degraded", "version": 1}


class Served:
    """A pool in some state."""

    def __init__(self, *states: dict[str, Any], ready: bool = True, since: str = "") -> None:
        self._states = {str(n): state for n, state in enumerate(states)}
        self._ready = ready
        self._since = since

    def is_ready(self) -> bool:
        return self._ready

    def status(self) -> dict[str, dict[str, Any]]:
        return self._states

    def away_since(self) -> str:
        return self._since


@pytest.mark.parametrize(
    ("pool", "status", "word"),
    [
        (Served(READY, UNLOADED), 200, "healthy"),
        (Served(READY, DEGRADED), 200, "degraded"),
        (Served(READY, since="noon"), 200, "degraded"),
        (Served(DEGRADED, ready=False, since="noon"), 503, "unhealthy"),
    ],
)
def test_the_whole_is_what_its_parts_are(pool: Served, status: int, word: str) -> None:
    """What is not loaded is no fault; a registry that is away is one, but no reason to be passed over."""
    got, document = health_document(pool, Identity("ada", allowed=frozenset({READ})))
    assert (got, document["status"], document["models"]) == (status, word, pool.status())
    assert document.get("registry") == ("unavailable since noon" if pool.away_since() else None)


def test_who_may_not_read_learns_the_state_alone() -> None:
    """Probes need no key, and names of models are nobody's business."""
    pool = Served(READY, since="noon")
    assert health_document(pool, Identity("anonymous")) == (200, {"status": "degraded"})


def test_to_answer_is_to_be_alive() -> None:
    """Whatever else is wrong."""
    assert live_document() == (200, {"status": "alive"})
