"""The way in and out for people: a key is typed once, and the browser holds a session instead."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from fairway.errors import AuthInvalid, AuthRequired, FairwayError, UnsupportedMediaType
from fairway.server.access import identify
from fairway.server.guard import header_of
from fairway.server.sessions import set_cookie
from fairway.server.web.forms import TOKEN
from fairway.server.web.render import html

if TYPE_CHECKING:
    from fairway.server.guard import Guard

_MAX_FORM_BYTES = 8192
_FORM_TYPE = "application/x-www-form-urlencoded"
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")


class Login:
    """The pages of the login.

    Args:
        guard: Opens sessions.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/login", self.form, methods=["GET"], name="pages:login"),
            Route("/login", self.log_in, methods=["POST"], name="pages:log-in"),
            Route("/logout", self.log_out, methods=["POST"], name="pages:log-out"),
        ]

    async def form(self, request: Request) -> Response:
        """Ask for a key."""
        if not self._guard.is_on:
            return _go(request, "/")
        return page(request, None)

    async def log_in(self, request: Request) -> Response:
        """Exchange a key for a session."""
        wanted = "/"
        try:
            fields = await _fields(request)
            wanted = _own_path(fields.get("next", ""))
            session = self._guard.log_in(request.scope, fields.get("key", "").strip())
        except FairwayError as error:
            return page(request, error, wanted=wanted)
        return self._going(request, wanted, session)

    async def log_out(self, request: Request) -> Response:
        """End the session: the browser forgets it."""
        try:
            fields = await _fields(request)
            self._guard.check_form(identify(request.scope), fields.get(TOKEN, ""))
        except FairwayError as error:
            return page(request, error)
        return self._going(request, "/login", "")

    def _going(self, request: Request, path: str, session: str) -> Response:
        response = _go(request, path)
        secure = self._guard.is_secure(header_of(request.scope), request.scope.get("client"))
        root = request.scope.get("root_path", "") or "/"
        response.headers["set-cookie"] = set_cookie(session, secure=secure, path=root)
        return response


def page(request: Request, error: FairwayError | None, *, wanted: str = "") -> Response:
    """Return the page that asks for a key.

    Args:
        request: What was asked for.
        error: What was wrong with the last key, or why one is needed; None for who has come by himself.
        wanted: Where to go afterwards. Default: to the page that was asked for.
    """
    asked = request.url.path.removeprefix(request.scope.get("root_path", ""))
    context = {
        "next": wanted or (asked if request.method == "GET" and asked != "/login" else ""),
        "error": None if error is None or isinstance(error, AuthRequired) else error,
        "is_wrong": isinstance(error, AuthInvalid),
    }
    if error is not None:
        request.scope["fairway_error_code"] = error.code
    response = html(request, "login.html", context, status=200 if error is None else error.status)
    response.headers.update({} if error is None else error.headers)
    return response


def _go(request: Request, path: str) -> Response:
    return RedirectResponse(request.scope.get("root_path", "") + path, 303, {"cache-control": "no-store"})


def _own_path(given: str) -> str:
    """Return a path of this server, whatever was asked for."""
    return given if _OWN_PATH.fullmatch(given) else "/"


async def _fields(request: Request) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM_TYPE:
        raise UnsupportedMediaType(f"this page reads forms ({_FORM_TYPE})")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise AuthInvalid("this is longer than any key")
    try:
        return dict(parse_qsl(bytes(body).decode("latin-1"), max_num_fields=8))
    except ValueError:
        raise AuthInvalid("this is not what the form of the login sends") from None
