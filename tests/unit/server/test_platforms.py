"""The routes that platforms ask for, and the table by which a path finds who answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.routing import Route

from fairway.errors import SettingsError
from fairway.registry.api_keys import PREDICT
from fairway.server.access import ANYBODY, Rule
from fairway.server.call_routes import CallRoute, CallRoutes
from fairway.server.platforms import Platforms, VertexRoutes, read_vertex_routes

PREDICT_AT = "/v1/endpoints/1/deployedModels/2:predict"
HEALTH_AT = "/v1/endpoints/1/deployedModels/2"


class Ready:
    """A pool that is ready or not."""

    def __init__(self, *, ready: bool) -> None:
        self.is_ready = lambda: ready

    def status(self) -> dict[str, dict[str, Any]]:
        return {}

    def away_since(self) -> str:
        return ""


def test_a_path_finds_its_route() -> None:
    """Exact paths and paths with a reference; the last one registered for a path answers."""
    one, two, three, four = (CallRoute(path, calls=object()) for path in ("/p", "/m/{ref}/p", "/a.b", "/p"))  # type: ignore[arg-type]
    routes = CallRoutes([one, two, three, four])
    assert routes.at("/p") is four
    assert routes.at("/m/x:1/p") is two
    assert routes.at("/a.b") is three
    for path in ("", "/", "/p/", "/m//p", "/m/x/y/p", "/m/x/p/", "/aXb", "/m/{ref}/q", "//p"):
        assert routes.at(path) is None, path
    assert sorted(routes.paths) == ["/a.b", "/m/{ref}/p", "/p"]


def test_the_routes_of_vertex_need_what_they_are_for() -> None:
    """Predictions a key; the health check none, or what it needs anyway."""
    assert read_vertex_routes(PREDICT_AT, HEALTH_AT).rules() == {
        f"POST {PREDICT_AT}": Rule(PREDICT),
        f"GET {HEALTH_AT}": Rule(ANYBODY),
    }
    assert read_vertex_routes("/predict", "/health").rules() == {"POST /predict": Rule(PREDICT)}
    assert read_vertex_routes("", "").rules() == {}


@pytest.mark.parametrize(
    ("predict", "health"),
    [
        ("predict", ""),
        ("/", ""),
        ("/a//b", ""),
        ("/a/../b", ""),
        ("/a/", ""),
        ("/a b", ""),
        ("/a%2fb", ""),
        ("/a?b", ""),
        ("/{x}", ""),
        ("/a\n", ""),
        ("/" + "a" * 600, ""),
        ("/models", ""),
        ("/models/x/predict", ""),
        ("/api/v1/models", ""),
        ("/docs", ""),
        ("/health", ""),
        ("/ping", ""),
        ("", "/predict"),
        ("", "/invocations"),
        ("", "/metrics"),
        ("", "/static/x"),
        ("", "../x"),
        ("/a", "/a"),
    ],
)
def test_a_route_that_cannot_be_is_refused_at_the_start(predict: str, health: str) -> None:
    """What is no path, or leads to something else that is there."""
    with pytest.raises(SettingsError):
        read_vertex_routes(predict, health)


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
def test_ping_and_the_health_route_tell_whether_models_answer(ready: bool, status: int) -> None:
    """Any other status than 200 takes a container out of service."""
    platforms = Platforms([], vertex=VertexRoutes(health=HEALTH_AT), max_body_bytes=3 * 2**20, workers=2)
    routes = {route.path: route for route in platforms.routes(Ready(ready=ready)) if isinstance(route, Route)}
    assert set(routes) == {"/ping", "/execution-parameters", HEALTH_AT}
    for path in ("/ping", HEALTH_AT):
        endpoint: Any = routes[path].endpoint
        assert asyncio.run(endpoint(None)).status_code == status
    endpoint = routes["/execution-parameters"].endpoint
    assert asyncio.run(endpoint(None)).body == (
        b'{"MaxConcurrentTransforms":2,"BatchStrategy":"MULTI_RECORD","MaxPayloadInMB":3}'
    )
    assert routes["/ping"].methods == {"GET", "HEAD", "POST"}


def test_a_health_route_that_is_there_already_is_not_made_twice() -> None:
    """Vertex AI may ask at /health."""
    platforms = Platforms([], vertex=VertexRoutes(health="/health"), max_body_bytes=1)
    assert "/health" not in {route.path for route in platforms.routes(Ready(ready=True))}
