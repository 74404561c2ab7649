"""The guard: finds out who calls, by key, session or place, and holds it against the table of routes.

With keys, every route but those that are public needs one. Without, whoever reaches the server may ask for
predictions, and programs on this machine alone may manage it, as its user; a page in somebody's browser is no
such program. A server that other machines reach is not started without keys unless that is asked for.
"""

from __future__ import annotations

import dataclasses
import hmac
import ipaddress
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from fairway.errors import (
    AuthInvalid,
    AuthRequired,
    FairwayError,
    ForeignPage,
    HttpsRequired,
    RateLimited,
    RoleDenied,
)
from fairway.registry.api_keys import ADMIN, PREDICT, READ, ROLES
from fairway.server.access import ANYBODY, IDENTITY, ROUTES, Identity, Rule, require, rule_of
from fairway.server.keyring import HeldKey, KeyRing
from fairway.server.sessions import PLAIN_COOKIE, SECURE_COOKIE, Sessions, cookies_of
from fairway.server.throttle import Throttle

Header: TypeAlias = Callable[[str], str]
"""Returns a header by its lower-case name, or the empty string."""

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")

_SAFE = frozenset({"GET", "HEAD"})
_FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
# What a page may send to another site without asking it first.
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
_VISITOR = Identity("anonymous", allowed=frozenset({READ, PREDICT}))
_NOBODY = Identity("anonymous")
_BEARER = 'Bearer realm="fairway"'


class _Unused:
    """Stands where a key stands when there is none."""

    is_used = False


class Verdict:
    """Whether a predict call may go on, for as long as the keys stay what they are.

    Attributes:
        stamp: The stamp of the key ring at which it was reached; None if it must not be used again.
        held: The key; its use is noted with every call.
        may_list: Whether the caller may be told which models there are.
        error: Why the call is refused, or None.
    """

    __slots__ = ("error", "held", "may_list", "stamp")

    def __init__(
        self,
        stamp: object,
        held: HeldKey | _Unused,
        *,
        may_list: bool = True,
        error: FairwayError | None = None,
    ) -> None:
        self.stamp = stamp
        self.held = held
        self.may_list = may_list
        self.error = error


UNJUDGED = Verdict(None, _Unused())
"""The verdict of a head that nobody has looked at."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the settings say of access.

    Attributes:
        mode: `auto` asks for keys once there is one, `on` always, `off` never.
        public_form: Whether the web form is open to everybody.
        trusted_proxies: Networks of proxies whose forwarding headers are believed.
        user: Who acts when a program on this machine manages the server without a key.
    """

    mode: str = "auto"
    public_form: bool = False
    trusted_proxies: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()
    user: str = "local"


class Guard:
    """Judges every request.

    Args:
        ring: The keys.
        policy: What the settings say.
        routes: What each route needs.
    """

    def __init__(
        self, ring: KeyRing, policy: Policy | None = None, *, routes: Mapping[str, Rule] = ROUTES
    ) -> None:
        self.ring = ring
        self.sessions = Sessions()
        self._policy = policy or Policy()
        self._routes = routes
        self._throttle = Throttle()
        self.count: Callable[[str], None] = lambda _: None
        """Gets the code of every refusal."""
        self.default_model: Callable[[], str] = str
        """Returns the name of the model that answers when none is named."""

    @property
    def is_on(self) -> bool:
        """Whether callers need a key."""
        mode = self._policy.mode
        return mode == "on" or (mode == "auto" and self.ring.has_keys)

    # -- predictions -------------------------------------------------------------------------------------

    def judge(self, path: str, header: Header, client: tuple[str, int] | None) -> Verdict:
        """Judge a predict or explain call by its path and headers, before its body is looked at."""
        stamp = self.ring.stamp  # first: what changes while we look makes the verdict void
        if not self.is_on:
            return Verdict(stamp, _Unused())
        try:
            held = self._held(header, client)
            named = path.split("/")[2] if path.startswith("/models/") else ""
            require(held.identity, PREDICT, named or self._default_of(held))
        except FairwayError as error:
            self.count(error.code)
            return Verdict(None, _Unused(), may_list=False, error=error)
        # Which model answers to no name may change without any change of the keys.
        is_lasting = bool(named) or not held.identity.models
        return Verdict(stamp if is_lasting else None, held, may_list=held.identity.sees_all)

    def _default_of(self, held: HeldKey) -> str:
        return self.default_model() if held.identity.models else ""

    def _held(self, header: Header, client: tuple[str, int] | None) -> HeldKey:
        text = presented_key(header)
        if not text:
            raise _required()
        return self._held_of(text, header, client)

    def _held_of(self, text: str, header: Header, client: tuple[str, int] | None) -> HeldKey:
        held = self.ring.find(text)
        if held is not None:
            held.is_used = True
            return held
        wait_s = self._throttle.fail(self.address(header, client))
        if wait_s:
            limited = RateLimited("too many calls with invalid keys came from this address")
            limited.headers["retry-after"] = str(math.ceil(wait_s))
            raise limited
        invalid = AuthInvalid(
            "the API key is not valid", hint="is it whole, and neither expired nor revoked?"
        )
        invalid.headers["www-authenticate"] = f'{_BEARER}, error="invalid_token"'
        raise invalid

    # -- everything else ---------------------------------------------------------------------------------

    def enclose(
        self, routes: Sequence[BaseRoute], refused: Callable[[Request, FairwayError], Response]
    ) -> list[BaseRoute]:
        """Put the guard before every route, by the path with which it was registered.

        Args:
            routes: The routes; one that the table does not have answers nobody.
            refused: Makes the reply to a request that is refused.
        """
        for route in routes:
            self._enclose(route, "", refused)
        return list(routes)

    def _enclose(
        self, route: BaseRoute, prefix: str, refused: Callable[[Request, FairwayError], Response]
    ) -> None:
        if not isinstance(route, Route | Mount):
            raise TypeError(f"a route of the type {type(route).__name__} cannot be guarded")
        path = prefix + route.path
        if isinstance(route, Mount) and route.routes:
            for inner in route.routes:
                self._enclose(inner, path, refused)
            return
        inside = route.app

        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            try:
                scope[IDENTITY] = self.admit(scope, rule_of(scope["method"], path, self._routes))
            except FairwayError as error:
                self.count(error.code)
                await refused(Request(scope), error)(scope, receive, send)
            else:
                await inside(scope, receive, send)

        route.app = guarded

    def admit(self, scope: Mapping[str, Any], rule: Rule | None) -> Identity:
        """Return who sends a request if they may.

        Args:
            scope: The request, with the parameters of its path.
            rule: What its route needs; None refuses everybody.

        Raises:
            AccessError: They may not.
            ModelNotFound: It is about a model that their key is not for.
        """
        if rule is None:
            raise RoleDenied("nobody may call this route", hint="it is missing from the table of routes")
        header = header_of(scope)
        if (rule.form or rule.manage) and scope["method"] not in _SAFE:
            self._check_site(header, rule)
        identity = self._who(scope, header, rule)
        model = scope.get("path_params", {}).get(rule.model, "") if rule.model else ""
        if rule.form and self._policy.public_form and self.is_on and not _may(identity, rule.role, model):
            return dataclasses.replace(_VISITOR, form_token=identity.form_token)
        if rule.role != ANYBODY and identity is _NOBODY:
            raise _required()
        require(identity, rule.role, model)
        if rule.every_model and identity.models:
            raise RoleDenied("this call speaks of all models, and the key is for some of them")
        return identity

    def _who(self, scope: Mapping[str, Any], header: Header, rule: Rule) -> Identity:
        if not self.is_on:
            return self._without_keys(scope, header, rule)
        client = scope.get("client")
        text = presented_key(header)
        if text:
            held = self.ring.find(text) if rule.role == ANYBODY else self._held_of(text, header, client)
            return held.identity if held is not None else _NOBODY
        if rule.form or rule.role == ANYBODY or scope["method"] in _SAFE:
            return self._in_session(header) or _NOBODY
        return _NOBODY

    def _without_keys(self, scope: Mapping[str, Any], header: Header, rule: Rule) -> Identity:
        is_local = self.is_local(header, scope.get("client"))
        if not rule.manage:
            return dataclasses.replace(_VISITOR, actor=self._policy.user) if is_local else _VISITOR
        if not is_local:
            raise AuthRequired(
                "without API keys only programs on the server's own machine may manage it",
                hint="create a key there: fairway keys create NAME --role deploy",
            )
        if scope["method"] not in _SAFE and header("content-type").lower().startswith(_FORM_TYPES):
            raise ForeignPage("a form of a browser may not manage a server", hint="send application/json")
        return Identity(self._policy.user, allowed=ROLES[ADMIN])

    # -- browsers ----------------------------------------------------------------------------------------

    def log_in(self, scope: Mapping[str, Any], text: str) -> str:
        """Return a new session for whoever has typed a key.

        Raises:
            HttpsRequired: The key came over the network in the clear.
            AuthInvalid: It is no valid key.
        """
        header, client = header_of(scope), scope.get("client")
        self._check_site(header, Rule(ANYBODY, form=True))
        if not self.is_private(header, client):
            raise HttpsRequired(
                "a key is not sent over the network in the clear",
                hint="reach the server over HTTPS, through a proxy that server.trusted_proxies names",
            )
        try:
            return self.sessions.begin(self._held_of(text, header, client).identity.key_id)
        except FairwayError as error:
            self.count(error.code)
            raise

    def is_private(self, header: Header, client: tuple[str, int] | None) -> bool:
        """Tell whether nobody on the way can read along: HTTPS, or the same machine."""
        return self.is_secure(header, client) or self.is_local(header, client)

    def is_secure(self, header: Header, client: tuple[str, int] | None) -> bool:
        """Tell whether a trusted proxy says that the caller came over HTTPS."""
        return self._is_proxy(client[0] if client else "") and header("x-forwarded-proto").lower() == "https"

    @staticmethod
    def check_form(identity: Identity, token: str) -> None:
        """Refuse a form that was not made for the session that it came with.

        Raises:
            ForeignPage: It was not.
        """
        known = identity.form_token
        if known and not hmac.compare_digest(known.encode(), token.encode("utf-8", "replace")):
            raise ForeignPage(
                "the form is not one of this session", hint="open the page again and send it from there"
            )

    def _in_session(self, header: Header) -> Identity | None:
        cookies = cookies_of(header("cookie"))
        session = cookies.get(SECURE_COOKIE) or cookies.get(PLAIN_COOKIE) or ""
        key_id = self.sessions.key_of(session)
        held = self.ring.by_id(key_id) if key_id else None
        if held is None:
            return None
        held.is_used = True
        return dataclasses.replace(held.identity, form_token=self.sessions.token_of(session))

    def _check_site(self, header: Header, rule: Rule) -> None:
        """Refuse what a page of another site makes a browser send.

        A page of ours is sent with `Referrer-Policy: no-referrer`, so its forms come with the origin `null`;
        every browser that has a session says by `Sec-Fetch-Site` where they come from.
        """
        site, origin = header("sec-fetch-site").lower(), header("origin").lower()
        own = {"", f"http://{header('host')}".lower(), f"https://{header('host')}".lower()}
        if rule.form:
            own.add("null")
        if site not in {"", "same-origin", "none"} or (not site and origin not in own):
            raise ForeignPage(
                "a page of another site may not send this", hint="send it from a page of this server"
            )

    # -- places ------------------------------------------------------------------------------------------

    def is_local(self, header: Header, client: tuple[str, int] | None) -> bool:
        """Tell whether the caller is a program on this machine, with no proxy and no foreign name between."""
        if client is None or not is_loopback(client[0]):
            return False
        host = header("host").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        return name in LOOPBACK_HOSTS and not any(map(header, _FORWARDING))

    def address(self, header: Header, client: tuple[str, int] | None) -> str:
        """Return where a call came from: the last address that no trusted proxy has."""
        found = client[0] if client else ""
        for hop in reversed(header("x-forwarded-for").split(",")):
            if not self._is_proxy(found) or not _is_address(hop.strip()):
                break
            found = hop.strip()
        return found

    def _is_proxy(self, address: str) -> bool:
        if not self._policy.trusted_proxies or not _is_address(address):
            return False
        found = ipaddress.ip_address(address)
        return any(found in network for network in self._policy.trusted_proxies)


def open_guard() -> Guard:
    """Return a guard that asks nobody for a key."""
    return Guard(KeyRing({}), Policy(mode="off"))


def presented_key(header: Header) -> str:
    """Return the key that a request holds, or the empty string; two that differ are none that is valid.

    `X-API-Key` comes first: a gateway before the server may need `Authorization` for itself.
    """
    scheme, _, token = header("authorization").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    named = header("x-api-key").strip()
    if named and bearer.startswith("fw_") and bearer != named:
        return "two keys"
    return named or bearer


def header_of(scope: Mapping[str, Any]) -> Header:
    """Return a function that finds a header of a request."""
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]

    def header(name: str) -> str:
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in headers if key == wanted), "")

    return header


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _may(identity: Identity, role: str, model: str) -> bool:
    try:
        require(identity, role, model)
    except FairwayError:
        return False
    return True


def _required() -> AuthRequired:
    error = AuthRequired("this call needs an API key", hint="send it as `Authorization: Bearer fw_...`")
    error.headers["www-authenticate"] = _BEARER
    return error
