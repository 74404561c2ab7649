"""The management routes: reads a request, has it answered beside the event loop, and answers every error."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from fairway.errors import (
    BodyTooLarge,
    FairwayError,
    InternalError,
    MalformedRequest,
    ModelNotFound,
    RangeInvalid,
    SourceNotAllowed,
    UnsupportedMediaType,
)
from fairway.protocols.json_body import parse_json
from fairway.protocols.problems import problem_reply
from fairway.server.access import Identity, identify
from fairway.server.handlers import EventLog, send_reply
from fairway.server.management.desk import FILE_S, PATIENCE_S, WORK_S, Desk
from fairway.server.management.fields import read_body, read_query
from fairway.server.management.office import Answer, Asked, Office
from fairway.server.management.operations import BINARY, BODY_HINT, JSON, OPERATIONS, Operation

MAX_BODIES = 4
"""Large bodies that are held in memory at a time; further ones wait before they are read."""

_HEADERS = ("if-match", "if-none-match")
_ADDRESSES = frozenset(("source", "source_uri", "uri", "url", "path"))


class Management:
    """Every management route.

    Args:
        office: The registry and what holds for every call.
        log: Gets the cause of what is answered with 5xx.
    """

    def __init__(self, office: Office, *, log: EventLog) -> None:
        self._office = office
        self._log = log
        self._desks = {
            "quick": Desk("manage", threads=4, max_waiting=64, patience_s=PATIENCE_S),
            "file": Desk("files", threads=2, max_waiting=32, patience_s=FILE_S),
            "work": Desk("work", threads=1, max_waiting=16, patience_s=WORK_S),
        }
        self._bodies = asyncio.Semaphore(MAX_BODIES)

    def routes(self) -> list[Route]:
        """Return one route per path, whatever the method, so that 405 names all that there are."""
        by_path = itertools.groupby(sorted(OPERATIONS, key=attrgetter("path")), key=attrgetter("path"))
        found = []
        for path, operations in by_path:
            methods = {operation.method: operation for operation in operations}
            found.append(Route(path, partial(self._answer, methods), methods=list(methods)))
        # A path without placeholders comes before one that would take it for a value.
        return sorted(found, key=lambda route: route.path.count("{"))

    async def _answer(self, methods: Mapping[str, Operation], request: Request) -> Response:
        try:
            method = "GET" if request.method == "HEAD" else request.method
            return await self._perform(methods[method], request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except FairwayError as error:
            return self._refused(request, error)
        except Exception as cause:  # noqa: BLE001 - a fault of ours is told as every other
            fault = InternalError()
            fault.__cause__ = cause
            return self._refused(request, fault)

    async def _perform(self, operation: Operation, request: Request) -> Response:
        caller = identify(request.scope)
        query = read_query(request.query_params.multi_items(), operation.query)
        if operation.takes:
            async with self._bodies:
                return await self._run(operation, request, caller, query)
        return await self._run(operation, request, caller, query)

    async def _run(
        self, operation: Operation, request: Request, caller: Identity, query: dict[str, Any]
    ) -> Response:
        content_type = _media_type(request)
        data = await _read(request, operation.max_body_bytes)
        _check_media_type(operation, content_type)
        asked = Asked(
            office=self._office,
            path=request.path_params,
            query=query,
            body={} if operation.body is None else _fields(operation, data),
            raw=data if operation.takes else b"",
            content_type=content_type,
            caller=caller,
            headers={name: request.headers[name] for name in _HEADERS if name in request.headers},
        )
        if operation.lane != "quick":  # who waits minutes for work shall not wait minutes to hear of this
            await self._desks["quick"].run(self._office.greet)
        desk = self._desks[operation.lane]
        answer = await desk.run(partial(operation.handle, asked), is_change=operation.is_change)
        return self._response(answer, request)

    def _response(self, answer: Answer, request: Request) -> Response:
        headers = {"cache-control": "no-store", **answer.headers}
        if answer.file is not None:
            return BundleResponse(
                answer.file, headers=headers, request_id=request.scope["fairway_request_id"]
            )
        if answer.status == 304:
            return Response(status_code=304, headers=headers)
        return Response(answer.encoded(), answer.status, media_type=JSON, headers=headers)

    def _refused(self, request: Request, error: FairwayError) -> Response:
        request_id = request.scope["fairway_request_id"]
        request.scope["fairway_error_code"] = error.code
        if isinstance(error, ModelNotFound) and not identify(request.scope).sees_all:
            error.hint = ""  # it names models that there are
        if error.status >= 500:
            name = "request.failed" if isinstance(error, InternalError) else "management.failed"
            self._log.event(
                name,
                level="error",
                request_id=request_id,
                code=error.code,
                detail=error.detail,
                cause=error.__cause__,
            )
        error.detail = error.detail.replace(str(self._office.home), "the home folder")
        reply = problem_reply(error, request_id)
        response = Response(reply.body, reply.status)
        response.raw_headers.extend(reply.headers)
        return response


def _fields(operation: Operation, data: bytes) -> dict[str, Any]:
    """Return the fields of a body; an address in place of an upload is refused as what it is."""
    assert operation.body is not None  # noqa: S101 - narrows the type
    if operation.id == "register_version" and data.strip():
        document = parse_json(data)
        if isinstance(document, dict) and (named := sorted(_ADDRESSES & document.keys())):
            raise SourceNotAllowed(
                f"the field {named[0]!r} names a source; a server fetches nothing for its callers",
                hint="upload the bundle: fairway push FILE --server URL",
            )
    return read_body(data, operation.body)


async def _read(request: Request, limit: int) -> bytes:
    """Return the body of a request, never more than is allowed."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit, hint=BODY_HINT)
        chunks.append(chunk)
    return b"".join(chunks)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_media_type(operation: Operation, given: str) -> None:
    """Refuse bodies of another kind: a browser sends JSON only to servers that allow it.

    Raises:
        UnsupportedMediaType: It is of another kind.
    """
    wanted = operation.takes or (() if operation.body is None else (JSON,))
    if wanted and given not in wanted:
        raise UnsupportedMediaType(
            f"the content type {given[:80]!a} is none that this route reads",
            hint=f"send it as {' or '.join(wanted)}",
        )


class BundleResponse(FileResponse):
    """A file of its own for one reply, gone afterwards, whoever reads it to the end.

    Args:
        path: The file.
        headers: Headers of the reply.
        request_id: Id of the request, for the problem document of a range that there is not.
    """

    def __init__(self, path: Path, *, headers: Mapping[str, str], request_id: str) -> None:
        super().__init__(path, media_type=BINARY, headers=headers)
        self._request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the part of it that was asked for."""
        refusal: list[Message] = []

        async def checked(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                refusal.append(message)
            elif not refusal:
                await send(message)

        try:
            await super().__call__(scope, receive, checked)
            if refusal:
                await send_reply(send, problem_reply(self._refusal(refusal[0]), self._request_id))
        finally:
            await asyncio.to_thread(Path(self.path).unlink, missing_ok=True)

    def _refusal(self, message: Message) -> FairwayError:
        size = Path(self.path).stat().st_size
        if message["status"] != 416:
            return MalformedRequest("header_invalid", "the range cannot be read", hint="Range: bytes=0-1023")
        error = RangeInvalid(f"the file has {size} bytes, and the range begins behind them")
        error.headers = {"content-range": f"bytes */{size}"}
        return error
