"""Servers that share PostgreSQL and an object store: swaps under load, and what goes on while one is away."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import wait_until
from .test_swaps import SLOPES, Pair, opened, running_pair, swap_under_load
from .traffic import Traffic

pytestmark = [pytest.mark.service("postgres", "moto")]


AWAY_S = float(os.environ.get("FAIRWAY_TEST_AWAY_S", "0"))
"""How much longer PostgreSQL stays away than it takes to be noticed."""


@pytest.fixture(scope="module")
def shared(postgres: Any, moto_bucket: dict[str, str], tmp_path_factory: Any) -> Iterator[Pair]:
    """Give two servers of two workers each on PostgreSQL and an S3 server."""
    environ = {"FAIRWAY_REGISTRY": postgres.url(), **moto_bucket}
    with running_pair(tmp_path_factory.mktemp("shared"), environ) as found:
        yield found


def test_every_swap_on_shared_stores_is_made_in_a_second_and_loses_nothing(shared: Pair) -> None:
    """Promotions and rollbacks while callers ask, as on SQLite and files."""
    swap_under_load(shared)


def test_a_registry_that_is_away_costs_no_prediction(shared: Pair, postgres: Any) -> None:
    """PostgreSQL stops: all calls are answered, /health says since when, and what moves then is followed."""
    with Traffic(shared.ports, SLOPES, callers=4, strangers=2) as traffic:
        traffic.wait_for(100)
        postgres.stop()
        try:
            wait_until(lambda: all("registry" in health for health in shared.health()), deadline_s=20)
            health = shared.health()[0]
            assert {server.ask("/readyz").status for server in shared.servers} == {200}
            asked = time.monotonic()
            managed = shared.servers[0].ask("/api/v1/models", timeout_s=30)
            refused_s = time.monotonic() - asked
            traffic.wait_for(300)
            time.sleep(AWAY_S)
        finally:
            postgres.start()
        back = time.monotonic()
        wait_until(shared.is_healthy, deadline_s=20)
        recovered_s = time.monotonic() - back
        assert shared.servers[0].ask("/api/v1/models", timeout_s=30).status == 200
        with opened(shared.home, shared.environ) as registry:
            registry.move_alias("line", "production", 2, actor="ada")
            wait_until(lambda: traffic.tally.answers[-1].version == "line:2")
            registry.move_alias("line", "production", 1, actor="ada")
            wait_until(lambda: traffic.tally.answers[-1].version == "line:1")

    assert (traffic.tally.lost, traffic.tally.wrong, traffic.tally.refused) == ([], [], 0)
    assert health["status"] == "degraded"
    assert health["registry"].startswith("unavailable since 20")
    assert recovered_s < 10
    assert (managed.status, managed.json()["code"]) == (503, "registry_unavailable")
    assert refused_s < 6  # 5 seconds, and one for a machine with much to do
    print(f"\n{traffic.tally.total} calls, recovered {recovered_s:.1f} s after PostgreSQL was back")  # noqa: T201
