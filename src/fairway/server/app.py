"""The ASGI application: every route as one flat list, and what surrounds them all."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairway.errors import (
    FairwayError,
    HostNotAllowed,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    ModelNotFound,
    NotFound,
)
from fairway.inference.loaded import LoadedModel
from fairway.inference.pool import Pool
from fairway.inference.sources import Entry
from fairway.inference.turn import Turn
from fairway.messages import Reply, new_id
from fairway.protocols.problems import problem_reply
from fairway.server.access import Identity, identify
from fairway.server.call_routes import CallRoute, CallRoutes
from fairway.server.guard import LOOPBACK_HOSTS, Guard, header_of
from fairway.server.handlers import (
    EXPLAIN_ROUTE,
    MODEL_EXPLAIN_ROUTE,
    MODEL_PREDICT_ROUTE,
    PREDICT_ROUTE,
    EventLog,
    Predictions,
    Receive,
    Scope,
    Send,
    send_reply,
)
from fairway.server.heads import Heads
from fairway.server.health import health_document, live_document
from fairway.server.management.application import Management
from fairway.server.management.operations import BODY_HINT, OPERATIONS, body_limit
from fairway.server.metrics import MEDIA_TYPE, Metrics
from fairway.server.openapi import openapi_document
from fairway.server.platforms import Platforms
from fairway.server.web.pages import build_pages, wants_html

_WILDCARDS = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared with, never bound
_HOSTILE_PATH = re.compile(r"[\x00-\x1f\x7f%\\;]|(?:^|/)\.\.?(?:/|$)")
_NO_ROUTE = "none"
_MAX_SEEN_HOSTS = 64
_SWITCH_S = 0.001
_NOSNIFF = (b"x-content-type-options", b"nosniff")


class App:
    """The server's ASGI application.

    Args:
        predictions: Answers the native predict routes; they bypass everything below.
        explanations: Answers the explain routes in the same way.
        guard: Judges every request.
        pool: The models.
        metrics: Counts requests.
        log: Gets one access line per request.
        host: Address that the server listens on.
        allowed_hosts: Further names that the Host header may hold; `*` allows any.
        version: Version of fairway.
        management: The management interface; none for a server of bundle files.
        platforms: The routes that platforms ask for.
        tasks: Coroutine functions that run while the server does.
    """

    def __init__(  # noqa: PLR0913 - the composition root alone calls it, all by name
        self,
        *,
        predictions: Predictions,
        explanations: Predictions,
        guard: Guard,
        pool: Pool,
        metrics: Metrics,
        log: EventLog,
        host: str = "127.0.0.1",
        allowed_hosts: Sequence[str] = (),
        version: str = "",
        management: Management | None = None,
        platforms: Platforms | None = None,
        tasks: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
    ) -> None:
        self.predictions = predictions
        self.calls = CallRoutes(
            [
                CallRoute(PREDICT_ROUTE, predictions),
                CallRoute(MODEL_PREDICT_ROUTE, predictions),
                CallRoute(EXPLAIN_ROUTE, explanations, is_short=False),
                CallRoute(MODEL_EXPLAIN_ROUTE, explanations, is_short=False),
                *(platforms.calls if platforms else ()),
            ]
        )
        self.guard = guard
        guard.count = metrics.count_refusal
        guard.default_model = self._default_model
        self.heads = Heads()
        self.turn = Turn()
        self._pool = pool
        self._metrics = metrics
        self._log = log
        self._version = version
        self._management = management
        self._platforms = platforms
        self._tasks = tasks
        self._seen_hosts: set[bytes] = set()
        is_open = "*" in allowed_hosts or (host in _WILDCARDS and not allowed_hosts)
        self._hosts = None if is_open else frozenset(map(_host_name, [*LOOPBACK_HOSTS, host, *allowed_hosts]))
        self._pages = build_pages(
            models=pool.served,
            find=pool.get,
            prepare=pool.load_listed,
            unloaded=pool.unloaded,
            predict=predictions.answer,
            openapi=self._openapi,
            guard=guard,
            aliases=lambda name, version: [a for a, v in pool.aliases(name).items() if v == version],
            max_body_bytes=predictions.max_body_bytes,
        )
        self._starlette = Starlette(
            routes=guard.enclose(self._routes(), self._pages.refused),
            exception_handlers={HTTPException: self._on_http_error, Exception: self._on_failure},
            lifespan=self._lifespan,
        )

    def _routes(self) -> list[Any]:
        return [
            *(self._platforms.routes(self._pool) if self._platforms else ()),
            Route("/models", self._models),
            Route("/models/{name}", self._model),
            Route("/health", self._health),
            Route("/readyz", self._health),
            Route("/livez", self._live),
            Route("/metrics", self._metrics_text),
            Route("/openapi.json", self._openapi_json),
            *(self._management.routes() if self._management else ()),
            *self._pages.routes(),
        ]

    def body_limit(self, method: bytes, url: bytes) -> tuple[int, str]:
        """Return how many bytes the body of a management request may have, and what to do about more."""
        path = url.partition(b"?")[0].decode("latin-1")
        return body_limit(method.decode("latin-1"), path), BODY_HINT

    # -- around every request ----------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection as an ASGI application."""
        if scope["type"] != "http":
            await self._starlette(scope, receive, send)
            return
        try:
            self._check(scope)
        except FairwayError as error:
            await self._serve(scope, receive, send, _refusal(error))
            return
        route = self.calls.at(scope["path"])
        if route is None:
            await self._serve(scope, receive, send, self._starlette)
        else:
            verdict = self.guard.judge(scope["path"], header_of(scope), scope.get("client"))
            verdict.held.is_used = True
            await route.calls(scope, receive, send, verdict)

    def _default_model(self) -> str:
        model = self._pool.get("")
        return model.name if model is not None else ""

    def _check(self, scope: Scope) -> None:
        if _HOSTILE_PATH.search(scope["path"]) or not scope["path"].isprintable():
            raise MalformedRequest("path_invalid", "the path holds something that no path here has")
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        if not self.allows_host(host):
            raise HostNotAllowed(
                "the Host header names a host that this server does not answer for",
                hint="allow it with server.allowed_hosts",
            )

    def allows_host(self, header: bytes) -> bool:
        """Tell whether the server answers for the host that a Host header names."""
        if self._hosts is None or header in self._seen_hosts:
            return True
        if _host_name(_without_port(header.decode("latin-1"))) not in self._hosts:
            return False
        if len(self._seen_hosts) < _MAX_SEEN_HOSTS:
            self._seen_hosts.add(header)
        return True

    async def _serve(self, scope: Scope, receive: Receive, send: Send, app: Any) -> None:
        """Serve everything but predictions: note, count and log it."""
        started = time.perf_counter()
        status = 500

        async def noting_send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.get("headers", ())
                message["headers"] = headers if _NOSNIFF in headers else [*headers, _NOSNIFF]
            await send(message)

        scope["fairway_request_id"] = new_id()
        try:
            # What `_on_failure` has answered and logged is raised again by Starlette: nobody else needs it.
            with contextlib.suppress(Exception):
                await app(scope, receive, noting_send)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", None) or _NO_ROUTE
            self._metrics.count_request(route, status, seconds)
            line = {
                "request_id": scope["fairway_request_id"],
                "route": route,
                "status": status,
                "ms": round(seconds * 1e3, 3),
            }
            if "fairway_error_code" in scope:
                line["code"] = scope["fairway_error_code"]
            self._log.access(line)

    def refuse(self, error: FairwayError, url: bytes = b"") -> Reply:
        """Return the reply to what is no whole request; it is counted and logged as any other.

        Args:
            error: What is wrong with it.
            url: What is known of its target: a dialect has its own shape of errors.
        """
        request_id = new_id()
        route = self.calls.at(url.partition(b"?")[0].decode("latin-1"))
        encode = problem_reply if route is None else route.calls.encode_error
        reply = encode(error, request_id)
        self._metrics.count_request(_NO_ROUTE, reply.status, 0.0)
        line = {"request_id": request_id, "route": _NO_ROUTE, "status": reply.status, "ms": 0.0}
        self._log.access(line | {"code": error.code})
        return reply

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        _settle_process()
        tasks = [asyncio.create_task(task()) for task in self._tasks]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- errors ------------------------------------------------------------------------------------------

    async def _on_http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - narrows the type that Starlette passes
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "GET").split(", ")
            return self._pages.refused(request, MethodNotAllowed(request.method, allowed))
        return self._pages.refused(request, NotFound("there is nothing at this path", hint="see /docs"))

    async def _on_failure(self, request: Request, error: Exception) -> Response:
        request_id = request.scope["fairway_request_id"]
        self._log.event("request.failed", level="error", request_id=request_id, cause=error)
        return self._pages.refused(request, InternalError())

    # -- routes ------------------------------------------------------------------------------------------

    async def _models(self, request: Request) -> Response:
        sees = identify(request.scope).sees
        summaries = map(self._summary, self._pool.listed())
        return _json({"models": [summary for summary in summaries if sees(summary["name"])]})

    async def _model(self, request: Request) -> Response:
        if wants_html(request):
            page: Response = await self._pages.model(request)
            return page
        reference = request.path_params["name"]
        try:
            model = self._pool.get(reference) or await self._pool.find(reference)
        except FairwayError as error:
            if isinstance(error, ModelNotFound) and not identify(request.scope).sees_all:
                error.hint = ""  # it names the models that there are
            return self._pages.refused(request, error)
        return _json(self._summary(model) | _details(model))

    def _summary(self, model: LoadedModel | Entry) -> dict[str, Any]:
        if isinstance(model, Entry):  # of a version that is not loaded no more is known without opening it
            return {
                "name": model.model,
                "version": model.version,
                "reference": model.reference,
                "aliases": self._pool.aliases(model.model),
                "digest": model.digest,
                "loaded": False,
            }
        manifest = model.bundle.manifest
        return {
            "name": model.name,
            "version": model.version,
            "reference": model.reference,
            "aliases": self._pool.aliases(model.name),
            "flavor": manifest.flavor,
            "model_type": manifest.model_type,
            "description": manifest.description,
            "created": manifest.created,
            "digest": model.digest,
            "metrics": manifest.metrics,
            "tags": manifest.tags,
            "loaded": True,
        }

    async def _health(self, request: Request) -> Response:
        status, document = health_document(self._pool, identify(request.scope))
        return _json(document, status)

    async def _live(self, _: Request) -> Response:
        status, document = live_document()
        return _json(document, status)

    async def _metrics_text(self, _: Request) -> Response:
        # Beside the event loop: with many workers there is much to read and to write.
        return Response(await asyncio.to_thread(self._metrics.render), media_type=MEDIA_TYPE)

    async def _openapi_json(self, request: Request) -> Response:
        return _json(self._openapi(identify(request.scope)))

    def _openapi(self, identity: Identity) -> dict[str, Any]:
        models = [model for model in self._pool.served() if identity.sees(model.name)]
        return openapi_document(
            models,
            version=self._version,
            has_default=identity.sees(self._default_model()),
            with_keys=self.guard.is_on,
            operations=OPERATIONS if self._management else (),
        )


def _settle_process() -> None:
    """Let a process answer promptly while some of its threads work hard.

    The collector visits everything that a framework has made (a tenth of a second for scikit-learn), for
    nothing: what is here now stays. And a thread that computes hands over after one millisecond, not five.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_S)


async def tell_lifetime(log: EventLog, started: str, stopped: str) -> None:
    """Log an event now, and another one when cancelled."""
    log.event(started)
    try:
        await asyncio.Event().wait()
    finally:
        log.event(stopped)


def _host_name(host: str) -> str:
    """Return a host as a Host header names it: lower case, IPv6 in brackets."""
    return f"[{host}]".lower() if ":" in host and not host.startswith("[") else host.lower()


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host


def _details(model: LoadedModel) -> dict[str, Any]:
    signature = model.signature
    return {
        "author": model.bundle.manifest.author,
        "framework": model.bundle.manifest.framework,
        "hyperparameters": model.bundle.manifest.hyperparameters,
        "lineage": model.bundle.manifest.lineage,
        "inputs": signature.input_schema(),
        "outputs": signature.output_schema(),
        "classes": list(signature.classes),
        "typical_row": signature.typical_row(),
        "card": model.bundle.card,
    }


def _json(document: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")


def _refusal(error: FairwayError) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def refuse(scope: Scope, _: Receive, send: Send) -> None:
        scope["fairway_error_code"] = error.code
        await send_reply(send, problem_reply(error, scope["fairway_request_id"]))

    return refuse
