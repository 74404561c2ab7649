"""A server whose models lie in an object store: one process or several, with the store or without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import fairway as fw
from fairway.testing import RunningServer, running_server

from .conftest import wait_until
from .faults import faulty_proxy

pytestmark = [
    pytest.mark.service("moto"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has one process per server"),
]


def push_line(slope: float, home: Path) -> None:
    """Register a model that answers a multiple of its input."""
    linear = pytest.importorskip("sklearn.linear_model")
    model = linear.LinearRegression().fit([[0.0], [1.0]], [0.0, slope])
    fw.push(model, name="line", example={"x": [0.0, 1.0, 2.0]}, compile="off", home=home)


def answers(server: RunningServer, n: int) -> set[int]:
    """Return what several calls, each on a connection of its own, answer for 2."""
    return {round(server.ask("/predict", {"features": [2.0]}).json()["prediction"][0]) for _ in range(n)}


def test_several_workers_load_and_swap_and_outlast_the_store(
    s3_url: str, moto_endpoint: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The master reads before it forks, the workers read for themselves, and what is here needs no store."""
    monkeypatch.setenv("FAIRWAY_ARTIFACTS", s3_url)
    push_line(1.0, home)
    fw.alias("line:1", "production", home=home)
    push_line(2.0, home)
    assert not (home / "artifacts").exists()
    served = tmp_path / "served"
    served.mkdir()
    (served / "registry.db").symlink_to(home / "registry.db")  # the same rows, and a cache of its own
    with faulty_proxy(moto_endpoint) as proxy:
        variables = {"FAIRWAY_SERVER_WORKERS": "2", "AWS_ENDPOINT_URL": proxy.address}
        with running_server("line", home=served, folder=tmp_path, environ=variables) as server:
            wait_until(lambda: server.log.read_bytes().count(b'"worker.started"') == 2)
            assert answers(server, 12) == {2}

            proxy.plan("drop")  # from now on the store is away
            fw.alias("line:2", "production", home=home)
            wait_until(lambda: b'"artifact_store"' in server.log.read_bytes(), deadline_s=90)
            assert answers(server, 12) == {2}
            wait_until(lambda: b'"artifact_store"' in server.ask("/health").body, deadline_s=90)
            assert b"not-to-be-seen-anywhere" not in server.ask("/health").body + server.log.read_bytes()

            proxy.heal()
            wait_until(lambda: answers(server, 12) == {4}, deadline_s=120)

        # What was served once is served again from the copies, without the store.
        proxy.plan("drop")
        with running_server("line", home=served, folder=tmp_path, environ=variables) as server:
            assert answers(server, 12) == {4}
