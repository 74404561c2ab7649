"""From a dict to a page: the template environment, the security headers and the static files."""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from fairway.server.access import IDENTITY
from fairway.server.web.text import number_text, percent_text, shown, shown_lines

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.types import Scope

_HERE = Path(__file__).parent
_STATIC = _HERE / "static"

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""What every page carries: nothing from elsewhere, no script but ours, never inside a frame."""

_PAGE_HEADERS = SECURITY_HEADERS | {"cache-control": "no-store", "vary": "accept"}

# Templates name files by content, so an upgrade is seen at once although browsers keep them for a year.
_KEEP = "public, max-age=31536000, immutable"
_ASK_AGAIN = "public, no-cache"

_CODE_SPAN = re.compile(r"`([^`\n]+)`")


def html(request: Request, template: str, context: dict[str, Any], *, status: int = 200) -> Response:
    """Return the page that *template* makes of *context*.

    Every template also gets `root` (path prefix of the application), `asset` (address of a static file) and
    `session` (None, or who has logged in and the token that its forms must hold).
    """
    common = {"root": request.scope.get("root_path", ""), "session": _session(request)}
    text = environment().get_template(template).render(context | common)
    return Response(text.encode("utf-8", errors="replace"), status, _PAGE_HEADERS, "text/html; charset=utf-8")


def _session(request: Request) -> dict[str, str] | None:
    identity = request.scope.get(IDENTITY)
    if identity is None or not identity.form_token:
        return None
    return {"actor": identity.actor, "token": identity.form_token}


@functools.cache
def environment() -> Environment:
    """Return the template environment: escaping everywhere, a missing key is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "shown": shown,
        "shown_lines": shown_lines,
        "number": number_text,
        "percent": percent_text,
        "prose": prose,
    }
    made.globals["asset"] = asset
    return made


def prose(text: str) -> Markup:
    """Return *text* escaped, with `back-quoted` spans as code."""
    from markupsafe import Markup, escape

    return Markup(_CODE_SPAN.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped one line up


@functools.cache
def asset(name: str) -> str:
    """Return the address of a static file below the root, with a mark of its content."""
    return f"/static/{name}?v={_mark(name)}"


@functools.cache
def _mark(name: str) -> str:
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]


class Assets(StaticFiles):
    """The style sheet, script and icon of the pages, with the headers that let a browser keep them."""

    def __init__(self) -> None:
        super().__init__(directory=_STATIC)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the file; one that was asked for by its content mark may be kept for good."""
        response = await super().get_response(path, scope)
        named_by_content = scope.get("query_string", b"").startswith(b"v=")
        response.headers["cache-control"] = _KEEP if named_by_content else _ASK_AGAIN
        response.headers.update(
            {name: value for name, value in SECURITY_HEADERS.items() if name != "content-security-policy"}
        )
        return response
