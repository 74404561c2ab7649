"""The routes of SageMaker's multi-model endpoints, on which the platform loads and unloads models.

The platform puts the files of a model into a folder of its own and says which; nothing outside of that folder
is ever opened, whatever a request names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fairway.errors import (
    Conflict,
    FairwayError,
    MemoryFull,
    ModelNotFound,
    RequestError,
    SettingsError,
)
from fairway.inference.pool import Pool
from fairway.inference.shelf import Shelf
from fairway.protocols.sagemaker import SageMakerProtocol, name_of
from fairway.registry.api_keys import PREDICT, READ
from fairway.server.access import Rule

MODELS_ROUTE = "/models"
MODEL_ROUTE = "/models/{name}"
INVOKE_ROUTE = "/models/{ref}/invoke"
RULES = {
    f"POST {MODELS_ROUTE}": Rule(PREDICT),
    f"GET {MODELS_ROUTE}": Rule(READ),
    f"GET {MODEL_ROUTE}": Rule(READ, model="name"),
    f"DELETE {MODEL_ROUTE}": Rule(PREDICT, model="name"),
}
"""What the routes need. They take the place of native ones, and are there on the platform's wish alone."""

PAGE = 100
_MAX_REQUEST_BYTES = 16 * 1024
_MAX_NAME = 256


class _Wanted(msgspec.Struct):
    model_name: str
    url: str


class MultiModel:
    """Loads and unloads models on request.

    Args:
        shelf: Where the pool's models come from.
        pool: The models.
        folder: The platform's folder; the model `a` lies in `a/model` below it.
        protocol: Writes errors.
        max_loaded: Most models at once; 0 for as many as memory holds.
    """

    def __init__(
        self, shelf: Shelf, pool: Pool, *, folder: Path, protocol: SageMakerProtocol, max_loaded: int = 0
    ) -> None:
        self._shelf = shelf
        self._pool = pool
        self._folder = folder
        self._protocol = protocol
        self._max_loaded = max_loaded
        self._urls: dict[str, str] = {}  # by the name that the platform uses, in the order of loading
        self._changing = asyncio.Lock()

    def routes(self) -> list[Any]:
        """Return the routes beside that of the calls."""
        return [
            Route(MODELS_ROUTE, self._answering(self._load), methods=["POST"]),
            Route(MODELS_ROUTE, self._answering(self._list)),
            Route(MODEL_ROUTE, self._answering(self._show)),
            Route(MODEL_ROUTE, self._answering(self._unload), methods=["DELETE"]),
        ]

    def _answering(
        self, act: Callable[[Request], Awaitable[dict[str, Any]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                document = await act(request)
            except FairwayError as error:
                request.scope["fairway_error_code"] = error.code
                reply = self._protocol.encode_error(error, request.scope["fairway_request_id"])
                headers = {name.decode(): value.decode() for name, value in reply.headers}
                return Response(reply.body, reply.status, headers)
            return Response(msgspec.json.encode(document), media_type="application/json")

        return answer

    async def _load(self, request: Request) -> dict[str, Any]:
        wanted = await _read(request)
        path = self._path_of(wanted)
        async with self._changing:
            if wanted.model_name in self._urls:
                raise Conflict(f"the model {wanted.model_name!a} is loaded", hint="delete it first")
            if self._max_loaded and len(self._urls) >= self._max_loaded:
                raise MemoryFull(f"{len(self._urls)} models are loaded, which is as many as may be")
            await self._bring(name_of(wanted.model_name), path)
            self._urls[wanted.model_name] = wanted.url
        return {"modelName": wanted.model_name, "modelUrl": wanted.url}

    async def _bring(self, name: str, path: Path) -> None:
        try:
            await asyncio.to_thread(self._shelf.put, name, path)
            await self._pool.look_now()
            await self._pool.find(name)
        except (FairwayError, MemoryError) as error:
            await self._take_away(name)
            if _is_out_of_memory(error):
                raise MemoryFull("there is not enough memory for the model") from None
            raise

    async def _take_away(self, name: str) -> None:
        self._shelf.remove(name)
        await self._pool.look_now()

    def _path_of(self, wanted: _Wanted) -> Path:
        """Return where the files of a model are, if that is where the platform puts them."""
        name = wanted.model_name
        is_name = 0 < len(name) <= _MAX_NAME and name.isprintable() and not set(name) & set("/\\\0")
        expected = self._folder / name / "model"
        if not is_name or name in {".", ".."} or wanted.url.rstrip("/") != str(expected):
            raise RequestError(
                "the url is not where the platform puts this model", hint=f"{self._folder}/<model_name>/model"
            )
        if expected.is_symlink() or expected.parent.is_symlink():
            raise RequestError("the url leads elsewhere")
        return expected

    async def _list(self, request: Request) -> dict[str, Any]:
        token = request.query_params.get("next_page_token", "0")
        begin = int(token) if token.isascii() and token.isdigit() and len(token) < 10 else 0
        shown = list(self._urls.items())[begin : begin + PAGE]
        document: dict[str, Any] = {"models": [_document(*pair) for pair in shown]}
        if begin + PAGE < len(self._urls):
            document["nextPageToken"] = str(begin + PAGE)
        return document

    async def _show(self, request: Request) -> dict[str, Any]:
        name = request.path_params["name"]
        return _document(name, self._url_of(name))

    async def _unload(self, request: Request) -> dict[str, Any]:
        name = request.path_params["name"]
        async with self._changing:
            document = _document(name, self._url_of(name))
            await self._take_away(name_of(name))
            del self._urls[name]
        return document

    def _url_of(self, name: str) -> str:
        if name not in self._urls:
            raise ModelNotFound(name[:80])
        return self._urls[name]


def _is_out_of_memory(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, MemoryError):
        error = error.__cause__
    return error is not None


def _document(name: str, url: str) -> dict[str, str]:
    return {"modelName": name, "modelUrl": url}


async def _read(request: Request) -> _Wanted:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_REQUEST_BYTES:
            raise RequestError("the body is longer than any that loads a model")
    try:
        return msgspec.json.decode(body, type=_Wanted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RequestError(
            "the body does not say which model to load", hint='send {"model_name": "...", "url": "..."}'
        ) from None


def check_multi_model(models: int, workers: int) -> None:
    """Refuse settings that contradict an endpoint of many models.

    Raises:
        SettingsError: They do.
    """
    if models:
        raise SettingsError(
            "on a multi-model endpoint the platform says what is served",
            hint="name no model, or unset SAGEMAKER_MULTI_MODEL",
        )
    if workers > 1:
        raise SettingsError(
            "a multi-model endpoint has one process: the platform loads a model once",
            hint="server.workers = 1",
        )
