"""The pages as Starlette endpoints: each turns a request into a dict and hands that to its template.

A form asks the engine through the same call as every other client; nothing is validated or predicted here.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from fairway.errors import (
    AuthInvalid,
    AuthRequired,
    BodyTooLarge,
    FairwayError,
    ModelNotFound,
    NotFound,
    UnsupportedMediaType,
)
from fairway.messages import Call, Reply
from fairway.protocols.problems import problem_reply
from fairway.registry.api_keys import READ
from fairway.server.access import Identity, identify, name_in
from fairway.server.guard import Guard
from fairway.server.web import docs, error_pages, facts, fields, forms, login, results, snippets
from fairway.server.web.render import Assets, html
from fairway.server.web.text import json_text, shown

FORM_TYPE = "application/x-www-form-urlencoded"

_MANY_INPUTS = 30
_EXPLAIN = "explain"
"""In the query, where no input's name can be: the form was sent to be explained, too."""
_CALL_HEADERS = {"content-type": "application/json", "accept": "application/json"}


class Pages:
    """Every page; made by `build_pages`."""

    def __init__(  # noqa: PLR0913 - `build_pages` alone calls it, all by name
        self,
        *,
        models: Callable[[], Sequence[facts.ServedModel]],
        find: Callable[[str], facts.ServedModel | None],
        prepare: Callable[[str], Awaitable[None]],
        unloaded: Callable[[], Sequence[str]],
        predict: Callable[[Call], Awaitable[Reply]],
        openapi: Callable[[Identity], Mapping[str, Any]],
        aliases: Callable[[str, int], Sequence[str]],
        guard: Guard,
        max_body_bytes: int,
    ) -> None:
        self._models = models
        self._find = find
        self._prepare = prepare
        self._unloaded = unloaded
        self._predict = predict
        self._openapi = openapi
        self._aliases = aliases
        self._guard = guard
        self._max_body_bytes = max_body_bytes

    def routes(self) -> list[BaseRoute]:
        """Return the routes that answer with pages only.

        `GET /models/{name}` is not among them: programs get JSON there, so its handler calls `model` when
        `wants_html` says so.
        """
        return [
            Route("/", self.index, methods=["GET"], name="pages:index"),
            Route("/models/{name}", self.submit, methods=["POST"], name="pages:submit"),
            Route("/docs", self.docs, methods=["GET"], name="pages:docs"),
            Route("/docs/errors", self.error_index, methods=["GET"], name="pages:errors"),
            Route("/docs/errors/{code}", self.error_page, methods=["GET"], name="pages:error"),
            Mount("/static", Assets(), name="pages:static"),
            *login.Login(self._guard).routes(),
        ]

    async def index(self, request: Request) -> Response:
        """Show the served models."""
        base = _base_url(request)
        cards = [
            facts.card(model, self._aliases(model.name, model.version))
            | {
                "path": f"/models/{quote(reference, safe=':@')}",
                "anchor": docs.anchor(reference),
                "curl": self._curl(base, reference, model.signature.typical_row()),
                "field": fields.only_text(model.signature, place),
            }
            for place, (reference, model) in enumerate(self._served(request).items())
        ]
        sees = identify(request.scope).sees
        unloaded = [reference for reference in self._unloaded() if sees(name_in(reference))]
        return html(request, "index.html", {"cards": cards, "unloaded": unloaded})

    async def model(self, request: Request) -> Response:
        """Show the form of one model, filled with its typical row."""
        try:
            model = await self._find_served(request)
        except FairwayError as error:
            return self.refused(request, error)
        return self._form_page(request, model, forms.typical_texts(model.signature), {})

    async def submit(self, request: Request) -> Response:
        """Ask the model about a submitted form; show the result, or what to correct."""
        try:
            model = await self._find_served(request)
            token, body = forms.split_token(await self._body(request))
            self._guard.check_form(identify(request.scope), token)
            texts = forms.read_form(body, model.signature)
        except FairwayError as error:
            return self.refused(request, error)
        record = forms.record_of(texts, model.signature)
        explain = _EXPLAIN in request.query_params
        reply = await self._predict(self._call(request.path_params["name"], model, record, explain=explain))
        if reply.status == 200:
            result = results.result_of(reply, model.signature, record)
            outcome: dict[str, Any] = {"result": result, "record": record}
            return self._form_page(request, model, texts, outcome)
        problem = results.problem_of(reply)
        by_input, others = results.messages_of(problem, model.signature, texts)
        listed = problem.get("errors", ())
        more = int(problem.get("errors_total", len(listed))) - len(listed)
        outcome = {"messages": by_input, "others": others, "more": more, "problem": problem}
        return self._form_page(request, model, texts, outcome, status=reply.status)

    async def docs(self, request: Request) -> Response:
        """Show the reference of the HTTP interface, made from the OpenAPI document."""
        paths = {f"/models/{reference}/predict": reference for reference in self._served(request)}
        document = self._openapi(identify(request.scope))
        reference = docs.reference(document, _base_url(request), paths)
        return html(request, "docs.html", {"reference": reference})

    async def error_index(self, request: Request) -> Response:
        """List every error code."""
        entries = error_pages.explanations()
        groups = {
            "replies": [entry for entry in entries if not entry.is_fault],
            "faults": [entry for entry in entries if entry.is_fault],
        }
        return html(request, "errors.html", groups)

    async def error_page(self, request: Request) -> Response:
        """Explain one error code."""
        code = request.path_params["code"]
        entry = error_pages.explanation(code)
        if entry is None:
            return self.refused(request, NotFound(f"there is nothing at {shown(request.url.path)}"))
        return html(request, "error.html", {"entry": entry})

    def refused(self, request: Request, error: FairwayError, *, request_id: str = "") -> Response:
        """Return the reply to a request that no form was made of: a page for people, else a problem document.

        Args:
            request: The request that was refused.
            error: Why; its code goes to the access log.
            request_id: Id to search the log for; by default the one that the server gave the request.
        """
        request_id = request_id or request.scope.get("fairway_request_id", "")
        request.scope["fairway_error_code"] = error.code
        if not wants_html(request):
            reply = problem_reply(error, request_id)
            response = Response(reply.body, reply.status)
            response.raw_headers.extend(reply.headers)
            return response
        if isinstance(error, AuthRequired | AuthInvalid) and self._guard.is_on:
            return login.page(request, error)
        document = {
            "status": error.status,
            "title": error.title,
            "detail": error.detail,
            "code": error.code,
            "hint": error.hint,
            "request_id": request_id,
        }
        return self.problem(request, document, headers=error.headers)

    def problem(
        self, request: Request, document: results.Problem, *, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return the page for a problem document (RFC 9457), with its status."""
        status = int(document.get("status", 500))
        response = html(request, "problem.html", {"problem": document}, status=status)
        response.headers.update(headers or {})
        return response

    def _served(self, request: Request) -> dict[str, facts.ServedModel]:
        """Return the models that the caller sees by what a page links to: the name where that is enough."""
        sees = identify(request.scope).sees
        models = {model.reference: model for model in self._models() if sees(model.name)}
        names = [model.name for model in models.values()]
        return {m.name if names.count(m.name) == 1 else m.reference: m for m in models.values()}

    async def _find_served(self, request: Request) -> facts.ServedModel:
        reference = request.path_params["name"]
        await self._prepare(reference)
        model = self._find(reference)
        if model is not None:
            return model
        known = list(self._served(request)) if READ in identify(request.scope).allowed else []
        near = difflib.get_close_matches(reference[:80], known, n=1)
        raise ModelNotFound(
            reference[:80], hint=f"did you mean {near[0]!r}?" if near else "see the list of models"
        )

    async def _body(self, request: Request) -> bytes:
        kind = request.headers.get("content-type", FORM_TYPE).partition(";")[0].strip().lower()
        if kind != FORM_TYPE:
            raise UnsupportedMediaType(f"this page reads forms ({FORM_TYPE}), not {json_text(kind[:80])}")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._max_body_bytes:
                raise BodyTooLarge(self._max_body_bytes)
        return bytes(body)

    @staticmethod
    def _call(reference: str, model: facts.ServedModel, record: Mapping[str, Any], *, explain: bool) -> Call:
        include = "include=probabilities,flags" if model.signature.classes else "include=flags"
        include += ",explanation" if explain else ""
        path = f"/models/{reference}/predict"
        # A list of one row, because a record of one key could be taken for an envelope.
        body = json_text([record]).encode("utf-8")
        return Call("POST", path, include, lambda name: _CALL_HEADERS.get(name, ""), body)

    def _curl(self, base: str, reference: str, record: Mapping[str, Any]) -> str:
        return snippets.curl(_predict_url(base, reference), record, with_key=self._guard.is_on)

    def _form_page(
        self,
        request: Request,
        model: facts.ServedModel,
        texts: forms.Texts,
        outcome: Mapping[str, Any],
        *,
        status: int = 200,
    ) -> Response:
        signature = model.signature
        name = request.path_params["name"]
        base = _base_url(request)
        record = outcome.get("record", signature.typical_row())
        context = {
            "name": model.name,
            "path": f"/models/{quote(name, safe=':@')}",
            "version": model.version,
            "aliases": self._aliases(model.name, model.version),
            "description": model.bundle.manifest.description,
            "answers": [facts.answer(output, signature) for output in signature.outputs],
            "about": facts.about(model),
            "fields": fields.fields_of(signature, texts, outcome.get("messages")),
            "many": len(signature.inputs) >= _MANY_INPUTS,
            "result": outcome.get("result"),
            "problem": outcome.get("problem"),
            "others": outcome.get("others", []),
            "more": outcome.get("more", 0),
            "anchor": docs.anchor(name),
            "curl": self._curl(base, name, record),
        }
        return html(request, "model.html", context, status=status)


def build_pages(  # noqa: PLR0913 - the application alone calls it, all by name
    *,
    models: Callable[[], Sequence[facts.ServedModel]],
    find: Callable[[str], facts.ServedModel | None],
    predict: Callable[[Call], Awaitable[Reply]],
    openapi: Callable[[Identity], Mapping[str, Any]],
    guard: Guard,
    prepare: Callable[[str], Awaitable[None]] | None = None,
    unloaded: Callable[[], Sequence[str]] = tuple,
    aliases: Callable[[str, int], Sequence[str]] = lambda _name, _version: (),
    max_body_bytes: int = 10 * 2**20,
) -> Pages:
    """Return the pages of a server.

    Args:
        models: Gives the models that are served now, in the order in which they are listed.
        find: Gives the served model that a reference stands for, or None.
        predict: Answers a call as the engine does for any client; never raises.
        openapi: Gives the OpenAPI document for a caller.
        guard: Opens and closes the sessions of browsers.
        prepare: Loads the model behind a reference if it is served and not loaded.
        unloaded: Gives the references of the served versions that are not loaded.
        aliases: Gives the aliases that point to a version, by model name and version number.
        max_body_bytes: Longest form that is read.
    """
    return Pages(
        models=models,
        find=find,
        prepare=prepare or _nothing,
        unloaded=unloaded,
        predict=predict,
        openapi=openapi,
        aliases=aliases,
        guard=guard,
        max_body_bytes=max_body_bytes,
    )


async def _nothing(_: str) -> None:
    """All that is served is loaded."""


def wants_html(request: Request) -> bool:
    """Tell whether the caller asks for a page: it names `text/html` and prefers it to JSON."""
    weights = {"text/html": 0.0, "application/json": 0.0}
    for part in request.headers.get("accept", "").split(","):
        kind, *parameters = (piece.strip() for piece in part.lower().split(";"))
        if kind in weights:
            weights[kind] = max(weights[kind], _weight(parameters))
    return weights["text/html"] > 0 and weights["text/html"] >= weights["application/json"]


def _weight(parameters: Sequence[str]) -> float:
    written = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    try:
        return float(written)
    except ValueError:
        return 0.0


def _base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _predict_url(base_url: str, reference: str) -> str:
    return f"{base_url}/models/{quote(reference, safe=':@')}/predict"
