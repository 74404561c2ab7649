"""The routes by which platforms call a container: predictions in their dialects, and whether it is ready."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairway.errors import SettingsError
from fairway.registry.api_keys import PREDICT
from fairway.server.access import ANYBODY, Rule
from fairway.server.call_routes import CallRoute
from fairway.server.handlers import PREDICT_ROUTE
from fairway.server.health import Served
from fairway.server.multi_model import MultiModel

PING_ROUTE = "/ping"
INVOCATIONS_ROUTE = "/invocations"
EXECUTION_ROUTE = "/execution-parameters"

_GRAMMAR = re.compile(r"(?:/[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*)+")
_MAX_ROUTE = 512
_TAKEN = (
    "/api/v1",
    "/docs",
    "/explain",
    "/login",
    "/logout",
    "/metrics",
    "/models",
    "/openapi.json",
    "/static",
)
_HEALTH = frozenset({"/health", "/livez", "/readyz", PING_ROUTE})
_CALLS = frozenset({PREDICT_ROUTE, INVOCATIONS_ROUTE, EXECUTION_ROUTE})


@dataclasses.dataclass(frozen=True, slots=True)
class VertexRoutes:
    """The routes that Vertex AI asks for; each empty if it asks for none.

    Attributes:
        predict: Where instances are sent.
        health: Where it asks whether the container is ready.
    """

    predict: str = ""
    health: str = ""

    def rules(self) -> dict[str, Rule]:
        """Return what the routes need of a caller, beside those of the table."""
        rules = {}
        if self.predict:
            rules[f"POST {self.predict}"] = Rule(PREDICT)
        if self.health and self.health not in _HEALTH:
            rules[f"GET {self.health}"] = Rule(ANYBODY)
        return rules


def read_vertex_routes(predict: str, health: str) -> VertexRoutes:
    """Return the routes of Vertex AI.

    Raises:
        SettingsError: One is no path, or something else is there.
    """
    for key, route in (("predict_route", predict), ("health_route", health)):
        if not route:
            continue
        is_path = len(route) <= _MAX_ROUTE and _GRAMMAR.fullmatch(route) is not None
        is_taken = any(route == other or route.startswith(f"{other}/") for other in _TAKEN)
        is_taken = is_taken or route in (_HEALTH if key == "predict_route" else _CALLS)
        if not is_path or is_taken:
            why = "something else is answered there" if is_path else "that is no path"
            raise SettingsError(
                f"platforms.vertex_{key} is {route[:80]!a}: {why}", hint="such as /vertex/predict"
            )
    if predict and predict == health:
        raise SettingsError("Vertex AI needs one route for predictions and another one for its health check")
    return VertexRoutes(predict, health)


class Platforms:
    """The routes of platforms, beside the native ones.

    Args:
        calls: Routes of calls.
        vertex: The routes that Vertex AI asks for.
        multi_model: The routes of a multi-model endpoint.
        max_body_bytes: Largest body of a call.
        workers: Processes that answer.
    """

    def __init__(
        self,
        calls: Sequence[CallRoute],
        *,
        vertex: VertexRoutes,
        max_body_bytes: int,
        multi_model: MultiModel | None = None,
        workers: int = 1,
    ) -> None:
        self._multi_model = multi_model
        self.calls = tuple(calls)
        self._health = vertex.health if vertex.health not in _HEALTH else ""
        self._parameters = {
            "MaxConcurrentTransforms": workers,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": max(1, max_body_bytes // 2**20),
        }

    def routes(self, pool: Served) -> list[Any]:
        """Return the routes that are no calls."""

        async def ping(_: Request) -> Response:
            # Neither platform reads more than the status.
            is_ready = self._multi_model is not None or pool.is_ready()
            return Response(b"\n", 200 if is_ready else 503, media_type="application/json")

        async def execution(_: Request) -> Response:
            return Response(msgspec.json.encode(self._parameters), media_type="application/json")

        return [
            Route(PING_ROUTE, ping, methods=["GET", "POST"]),
            Route(EXECUTION_ROUTE, execution),
            *([Route(self._health, ping)] if self._health else ()),
            *(self._multi_model.routes() if self._multi_model else ()),
        ]
