"""A predict request on its way to the engine and back: the one place that turns exceptions into replies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from fairway.errors import BodyTooLarge, FairwayError, InternalError, MethodNotAllowed, ModelNotFound
from fairway.inference.engine import Engine
from fairway.log import timestamp
from fairway.messages import Call, Prediction, Reply, milliseconds
from fairway.protocols.base import Dialect
from fairway.server.cells import INFLIGHT
from fairway.server.guard import UNJUDGED, Verdict, header_of
from fairway.server.metrics import Metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREDICT_ROUTE = "/predict"
MODEL_PREDICT_ROUTE = "/models/{ref}/predict"
EXPLAIN_ROUTE = "/explain"
MODEL_EXPLAIN_ROUTE = "/models/{ref}/explain"

_MAX_JOINED_INLINE = 2**20
"""To copy more bytes than these takes so long that other calls would notice."""


class EventLog(Protocol):
    """The part of `fairway.log.Log` that the server uses."""

    def event(self, name: str, *, level: str = "info", **fields: Any) -> None:
        """Write an event now."""

    def access(self, line: Any) -> None:
        """Write an access line soon."""


class Predictions:
    """Answers the calls of one dialect, over ASGI or from within the server.

    Args:
        engine: The hot path.
        protocol: Dialect of the routes.
        metrics: Counts every call.
        log: Gets one access line per call, and the cause of every 5xx.
        max_body_bytes: Largest body.
        log_inputs: Whether access lines hold the rows.
        routes: How metrics and access lines name the route without a reference, and the one with it.
    """

    def __init__(
        self,
        engine: Engine,
        protocol: Dialect,
        *,
        metrics: Metrics,
        log: EventLog,
        max_body_bytes: int,
        log_inputs: bool = False,
        routes: tuple[str, str] = (PREDICT_ROUTE, MODEL_PREDICT_ROUTE),
    ) -> None:
        self._engine = engine
        self._route, self._model_route = routes
        self._protocol = protocol
        self._metrics = metrics
        self._log = log
        self.max_body_bytes = max_body_bytes
        self._log_inputs = log_inputs

    def encode_error(self, error: FairwayError, request_id: str) -> Reply:
        """Return the reply to what never became a call."""
        return self._protocol.encode_error(error, request_id)

    async def answer(self, call: Call) -> Reply:
        """Return the reply to a call, whatever happens."""
        self._metrics.gauges[INFLIGHT] += 1
        try:
            reply = await self._engine.answer(call, self._protocol)
        except FairwayError as error:
            return self.refuse(call, error)
        except Exception as cause:  # noqa: BLE001 - a fault of ours must not end the connection
            fault = InternalError()
            fault.__cause__ = cause
            return self.refuse(call, fault)
        finally:
            self._metrics.gauges[INFLIGHT] -= 1
        self._note(call, reply)
        return reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send, verdict: Verdict = UNJUDGED) -> None:
        """Serve one request, on which the guard has given its verdict, as an ASGI application."""
        try:
            if verdict.error is not None:
                raise verdict.error
            _check_method(scope["method"])
            body = await self._read_body(scope, receive)
        except FairwayError as error:
            reply = self.refuse(_call_of(scope, b""), error)
        else:
            if body is None:  # the client has gone
                return
            call = _call_of(scope, body)
            call.may_list = verdict.may_list
            reply = await self.answer(call)
        await send_reply(send, reply)

    async def _read_body(self, scope: Scope, receive: Receive) -> bytes | None:
        length = _header(scope, b"content-length").strip()[-20:]  # zeros may stand before it
        if length.isdigit() and int(length) > self.max_body_bytes:
            raise BodyTooLarge(self.max_body_bytes)
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self.max_body_bytes:
                raise BodyTooLarge(self.max_body_bytes)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else await _joined(chunks, size)

    def refuse(self, call: Call, error: FairwayError) -> Reply:
        """Return the reply to a call that ends in an error; it is counted and logged."""
        self._metrics.count_error(call.model, error.code)
        if isinstance(error, ModelNotFound) and not call.may_list:
            error.hint = ""  # it names the models that there are
        if error.status >= 500:
            # The cause may hold input values or paths: it goes to the log, never to the caller.
            name = "request.failed" if isinstance(error, InternalError) else "prediction.failed"
            self._log.event(
                name,
                level="error",
                request_id=call.id,
                reference=call.model,
                code=error.code,
                detail=error.detail,
                cause=error.__cause__,
            )
        reply = self._protocol.encode_error(error, call.id)
        self._note(call, reply, code=error.code)
        return reply

    def _note(self, call: Call, reply: Reply, *, code: str = "") -> None:
        seconds = time.perf_counter() - call.started
        route = self._route if call.path == self._route else self._model_route
        self._metrics.count_request(route, reply.status, seconds)
        if call.prediction is not None and not self._log_inputs:
            self._log.access(_access_line(call, call.prediction, route, reply.status, seconds))
            return
        line: dict[str, Any] = {
            "request_id": call.id,
            "route": route,
            "status": reply.status,
            "ms": round(seconds * 1e3, 3),
        }
        if call.prediction is not None:
            line["inputs"] = call.prediction.columns.records()
        else:
            line["code"] = code
        model, _, version = call.model.partition(":")
        line |= {"model": model or None, "version": int(version or 0) if model else None}
        self._log.access(line)


def _access_line(call: Call, prediction: Prediction, route: str, status: int, seconds: float) -> bytes:
    """Return the access line of an answered call; written out, for it is one of the dearer steps of a call.

    Every text in it is ours or has passed the grammar of names: nothing needs escaping.
    """
    read, queue, predict, encode = prediction.timing.texts
    return (
        f'{{"at":"{timestamp()}","level":"info","event":"access","request_id":"{call.id}","route":"{route}",'
        f'"status":{status},"ms":{milliseconds(seconds)},"model":"{prediction.model}",'
        f'"version":{prediction.version},"rows":{len(prediction.columns)},"read_ms":{read},'
        f'"queue_ms":{queue},"predict_ms":{predict},"encode_ms":{encode}}}'
    ).encode()


def _check_method(method: str) -> None:
    if method != "POST":
        raise MethodNotAllowed(method, ["POST"])


async def _joined(chunks: list[bytes], size: int) -> bytes:
    if size <= _MAX_JOINED_INLINE:
        return b"".join(chunks)
    return await asyncio.to_thread(b"".join, chunks)


def _call_of(scope: Scope, body: bytes) -> Call:
    query = scope["query_string"].decode("latin-1")
    return Call(scope["method"], scope["path"], query, header_of(scope), body)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def send_reply(send: Send, reply: Reply) -> None:
    """Send a reply over ASGI."""
    headers = [*reply.headers, (b"content-length", str(len(reply.body)).encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


# uvicorn's own access and error lines would say again, without fields, what the event log says.
logging.getLogger("uvicorn.access").disabled = True
