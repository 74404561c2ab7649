"""Who may call what: every route against every role, sessions of browsers, and calls without any key."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.routing import Mount, Route
from tests.unit.server.web.conftest import FLOWER, FORM_TYPE, Page, Site

from fairway.errors import AccessError, AuthInvalid, RoleDenied
from fairway.registry.api_keys import ROLES, NewKey, make_key
from fairway.registry.records import KeyRecord
from fairway.server.access import ANYBODY, IDENTITY, ROUTES, Identity, Rule, identify, require
from fairway.server.app import App
from fairway.server.guard import Guard, Policy, header_of, is_loopback, open_guard
from fairway.server.keyring import KeyRing
from fairway.server.sessions import PLAIN_COOKIE, SECURE_COOKIE
from fairway.server.throttle import LIMIT, Throttle

CREATED = "2026-05-03T12:00:00.000Z"
SECRET_TEXT = re.compile(r"fw_live_[a-z0-9]{8}_\w+")


class InMemoryKeys:
    """A source of keys that holds them itself."""

    def __init__(self) -> None:
        self.records: list[KeyRecord] = []
        self.is_away = False

    def token(self) -> object:
        if self.is_away:
            raise OSError("away")
        return tuple(self.records)

    def keys(self) -> list[KeyRecord]:
        return list(self.records)

    def make(self, role: str, **facts: Any) -> NewKey:
        key = make_key(f"the {role}", role=role, created_by="ada", created_at=CREATED, **facts)
        self.records.append(key.record)
        return key


class House:
    """A site with keys."""

    def __init__(self, site: Site, keys: InMemoryKeys, guard: Guard) -> None:
        self.site = site
        self.keys = keys
        self.guard = guard

    def renew(self) -> None:
        self.guard.ring.look_again()

    def make(self, role: str, **facts: Any) -> str:
        key = self.keys.make(role, **facts)
        self.renew()
        return key.text

    def ask(self, path: str, key: str = "", *, method: str = "GET", **headers: str) -> Page:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given.setdefault("accept", "application/json")
        if key:
            given["authorization"] = f"Bearer {key}"
        body = b"{}" if method == "POST" else b""
        return self.site.ask(path, method=method, body=body, headers=given)

    def log_in(self, key: str, **headers: str) -> Page:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        body = urlencode({"key": key, "next": "/models/flower"}).encode()
        return self.site.ask("/login", method="POST", body=body, headers={"content-type": FORM_TYPE, **given})


MODEL = (FLOWER, {}, {"kind": "rose", "height": 1.0}, (0.25, 0.75))


@pytest.fixture
def build(make_site: Callable[..., Site]) -> Callable[..., House]:
    """Give a function that builds a site of the models flower and tree with a policy."""

    def make(**policy: Any) -> House:
        keys = InMemoryKeys()
        guard = Guard(KeyRing({"memory": keys}), Policy(**policy))
        guard.ring.load()
        return House(make_site({"flower": MODEL, "tree": MODEL}, guard), keys, guard)

    return make


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """Give a site with one key of each role already made."""
    made = build()
    made.make("admin")
    return made


def registered(app: App) -> Iterator[str]:
    """Yield every method and path of the application, as it was registered."""

    def walk(routes: Any, prefix: str) -> Iterator[str]:
        for route in routes:
            path = prefix + route.path
            if isinstance(route, Mount):
                yield from walk(route.routes, path) if route.routes else [f"GET {path}"]
            else:
                assert isinstance(route, Route)
                yield from (f"{method} {path}" for method in route.methods or () if method != "HEAD")

    yield from walk(app._starlette.routes, "")
    yield from (f"POST {path}" for path in app.calls.paths)


def test_every_route_stands_in_the_table(house: House) -> None:
    """A route that somebody adds without saying who may call it is found here, and answers nobody."""
    assert set(registered(house.site.app)) == set(ROUTES)


@pytest.mark.parametrize("role", ["", *ROLES])
@pytest.mark.parametrize("route", sorted(ROUTES))
def test_every_role_reaches_what_it_may_and_nothing_else(house: House, route: str, role: str) -> None:
    """E4, E8: the whole table; a public route answers everybody, the others whose role allows it."""
    method, _, path = route.partition(" ")
    path = path.replace("{name}", "flower").replace("{ref}", "flower").replace("{code}", "auth_required")
    path += "/fairway.css" if path == "/static" else ""
    answer = house.ask(path, house.make(role) if role else "", method=method)
    needed = ROUTES[route].role
    if needed == ANYBODY or (role and needed in ROLES[role]):
        assert answer.status not in {401, 403} or route == "POST /login"
    else:
        assert answer.status == (403 if role else 401), answer.text
        assert ("role_denied" if role else "auth_required") in answer.text
        assert ("www-authenticate" in answer.headers) == (not role)


def test_a_route_without_an_entry_answers_nobody(house: House) -> None:
    """What was forgotten is closed."""
    with pytest.raises(RoleDenied, match="nobody"):
        house.guard.admit({"method": "GET", "headers": [], "client": None}, None)


@pytest.mark.parametrize(
    "path", ["/models/tree", "/models/tree:3", "/models/tree@production", "/models/none"]
)
def test_models_outside_the_patterns_do_not_exist(house: House, path: str) -> None:
    """E5: a model that is there and one that is not are answered alike, word for word."""
    key = house.make("deploy", models=["flower*"])
    name = path.split("/")[2].split(":", maxsplit=1)[0].split("@", maxsplit=1)[0]
    for method, place in (("GET", path), ("POST", f"{path}/predict"), ("POST", f"{path}/explain")):
        answer = house.ask(place, key, method=method)
        assert answer.status == 404
        assert f"there is no model '{name}'" in answer.text
        assert "flower" not in answer.text


def test_listings_show_what_the_key_is_for(house: House) -> None:
    """Nothing names a model that is hidden: no list, no page, no document, no hint."""
    key = house.make("deploy", models=["tree"])
    for path in ("/models", "/", "/docs", "/openapi.json", "/health", "/models/trea", "/models/trea/predict"):
        method = "POST" if path.endswith("predict") else "GET"
        for accept in ("application/json", "text/html"):
            answer = house.ask(path, key, method=method, accept=accept)
            assert answer.status in {200, 404}, path
            assert "flower" not in answer.text, path
    assert house.ask("/metrics", key).status == 403, "it speaks of all models"


def test_a_key_for_some_models_asks_the_default_if_it_is_one(house: House) -> None:
    """The first model answers to `/predict`; a key for another one does not reach it that way."""
    assert house.ask("/predict", house.make("predict", models=["flower"]), method="POST").status == 422
    assert house.ask("/predict", house.make("predict", models=["tree"]), method="POST").status == 404


def test_probes_tell_strangers_the_state_alone(house: House) -> None:
    """Orchestrators have no key; which models there are is for those who may read."""
    assert house.ask("/readyz").text == '{"status":"healthy"}'
    assert '"flower"' in house.ask("/health", house.make("read")).text
    assert house.ask("/health", house.make("predict")).text == '{"status":"healthy"}'
    assert house.ask("/livez", "fw_nonsense").status == 200


def invalid_keys(house: House) -> dict[str, str]:
    """Return a text for each way in which a key can be void."""
    past = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)).isoformat()
    good = house.make("admin")
    revoked = house.keys.make("admin")
    house.keys.records[-1] = dataclasses.replace(revoked.record, revoked_at=CREATED)
    stranger = make_key("x", role="admin", created_by="eve", created_at=CREATED)
    last = "A" if good[-1] != "A" else "B"
    found = {
        "unknown": stranger.text,
        "wrong checksum": good[:-1] + last,
        "expired": house.make("admin", expires_at=past),
        "revoked": revoked.text,
        "no key at all": "let me in",
    }
    house.renew()
    return found


def test_void_keys_are_refused_alike(house: House) -> None:
    """E2, E3: nothing tells an unknown key from one that expired, was revoked or mistyped."""
    seen = set()
    for key in invalid_keys(house).values():
        answer = house.ask("/models", key)
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        seen.add(re.sub(r"[0-9a-f-]{36}", "ID", answer.text))
    assert len(seen) == 1
    assert '"auth_invalid"' in seen.pop()


def test_every_void_key_is_hashed_and_compared(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """E2: an unknown id costs what a wrong secret costs; counted, for clocks lie on a busy machine."""
    from fairway.registry import api_keys

    compared: list[int] = []
    real = api_keys.hmac.compare_digest

    def counting(one: Any, other: Any) -> bool:
        compared.append(1)
        return real(one, other)

    monkeypatch.setattr(api_keys.hmac, "compare_digest", counting)
    for key in invalid_keys(house).values():
        compared.clear()
        assert house.guard.ring.find(key) is None
        assert len(compared) == 1


def test_a_key_in_another_place_is_no_key(house: House) -> None:
    """E6: neither the address nor a cookie carries a key, and `X-API-Key` does."""
    key = house.make("admin")
    assert house.ask(f"/models?api_key={key}").status == 401
    assert house.ask("/models", cookie=f"{PLAIN_COOKIE}={key}").status == 401
    assert house.ask("/models", authorization=f"Basic {key}").status == 401
    assert house.ask("/models", x_api_key=key).status == 200
    assert house.ask("/models", x_api_key=key, authorization="AWS4-HMAC-SHA256 Credential=x").status == 200
    other = house.make("admin")
    assert house.ask("/models", key, x_api_key=other).status == 401, "which of them is meant?"


def test_ten_void_keys_a_minute_are_answered(house: House) -> None:
    """E7: then 429 with `Retry-After`; valid keys and other addresses are not concerned."""
    good = house.make("read")
    statuses = [house.ask("/models", "fw_wrong").status for _ in range(LIMIT + 2)]
    assert statuses == [401] * LIMIT + [429] * 2
    limited = house.ask("/predict", "fw_wrong", method="POST")
    assert limited.status == 429
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    assert house.ask("/models", good).status == 200
    assert house.ask("/models").status == 401, "to have no key is no attempt"
    house.site.client = ("127.0.0.2", 1)
    assert house.ask("/models", "fw_wrong").status == 401


def test_addresses_are_counted_in_memory_that_does_not_grow() -> None:
    """However many addresses there are, each is counted in its place; a /64 of IPv6 is one caller."""
    throttle = Throttle()
    for n in range(20_000):
        throttle.fail(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(throttle._places) == 4096 * 24
    for n in range(LIMIT):
        assert throttle.fail(f"2001:db8::{n:x}") == 0
    assert throttle.fail("2001:db8::ffff") > 0
    assert throttle.fail("2001:db8:0:1::1") == 0


def test_the_address_is_what_trusted_proxies_say(build: Callable[..., House]) -> None:
    """A header that anybody can send counts only behind a proxy that was named."""
    networks = (ipaddress.ip_network("10.0.0.0/8"),)
    behind, alone = build(trusted_proxies=networks).guard, build().guard
    header = {"x-forwarded-for": "6.6.6.6, 1.2.3.4, 10.0.0.7"}.get

    def address(guard: Guard, peer: str) -> str:
        return guard.address(lambda name: header(name, ""), (peer, 1))

    assert address(behind, "10.0.0.1") == "1.2.3.4"
    assert address(behind, "9.9.9.9") == "9.9.9.9"
    assert address(alone, "10.0.0.1") == "10.0.0.1"


# -- keys that change ------------------------------------------------------------------------------------


def test_keys_take_effect_when_they_change(house: House) -> None:
    """A revoked key is void from the next look on, and whoever asks with it is refused at once."""
    key = house.make("read")
    assert house.ask("/models", key).status == 200
    before = house.guard.ring.stamp
    house.keys.records[-1] = dataclasses.replace(house.keys.records[-1], revoked_at=CREATED)
    house.renew()
    assert house.guard.ring.stamp is not before, "what heads remember is void"
    assert house.ask("/models", key).status == 401


def test_keys_stay_in_force_while_their_source_is_away(house: House) -> None:
    """Predictions go on; and to lose all keys does not open the server."""
    key = house.make("read")
    house.keys.is_away = True
    house.renew()
    assert house.ask("/models", key).status == 200
    house.keys.is_away = False
    house.keys.records.clear()
    house.renew()
    assert house.ask("/models").status == 401


def test_an_expired_key_makes_verdicts_void(build: Callable[..., House]) -> None:
    """A head that was let through is looked at again when its key has expired."""
    house = build()
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.2)
    key = house.make("read", expires_at=soon.isoformat())
    ring = house.guard.ring
    before = ring.stamp

    async def wait() -> None:
        task = asyncio.create_task(ring.expire(0.01))
        async with asyncio.timeout(20):
            while ring.stamp is before:  # noqa: ASYNC110 - what is waited for is no event
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(wait())
    assert ring.find(key) is None


def test_verdicts_last_until_keys_change(house: House) -> None:
    """What a head remembers costs one comparison; refusals and doubtful defaults are judged each time."""
    guard = house.guard
    everything, some = house.make("predict"), house.make("predict", models=["flower"])

    def judge(path: str, key: str) -> Any:
        header = {"authorization": f"Bearer {key}"}.get
        return guard.judge(path, lambda name: header(name, ""), ("127.0.0.1", 1))

    assert judge("/predict", everything).stamp is guard.ring.stamp
    assert judge("/models/flower/predict", some).stamp is guard.ring.stamp
    assert judge("/predict", some).error is None
    assert judge("/predict", some).stamp is None, "another model may be the default tomorrow"
    assert judge("/predict", "fw_wrong").stamp is None


# -- without keys ----------------------------------------------------------------------------------------

MANAGE = Rule("deploy", manage=True)


def admit(guard: Guard, method: str = "POST", peer: str = "127.0.0.1", **headers: str) -> Identity:
    lines = {"host": "localhost:5000", "content-type": "application/json"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "method": method,
        "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
        "client": (peer, 1),
    }
    return guard.admit(scope, MANAGE)


def test_without_keys_programs_of_this_machine_manage(build: Callable[..., House]) -> None:
    """They act as the user who runs the server."""
    identity = admit(build(user="ada").guard)
    assert identity.actor == "ada"
    require(identity, "admin")
    assert admit(build(mode="off").guard, peer="::1", host="[::1]:5000").allowed == ROLES["admin"]


@pytest.mark.parametrize(
    "case",
    [
        {"peer": "10.0.0.7"},
        {"x_forwarded_for": "1.2.3.4"},
        {"forwarded": "for=1.2.3.4"},
        {"via": "1.1 proxy"},
        {"host": "evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "multipart/form-data; boundary=x"},
    ],
)
def test_without_keys_nobody_else_manages(build: Callable[..., House], case: dict[str, str]) -> None:
    """Not another machine, not through a proxy, and no page in a browser, also with a rebound name."""
    with pytest.raises(AccessError):
        admit(build().guard, **case)


def test_with_keys_to_be_near_is_not_enough(house: House) -> None:
    """Once there is a key, programs of this machine need one, too."""
    with pytest.raises(AccessError, match="needs an API key"):
        admit(house.guard)
    key = house.make("deploy")
    assert admit(house.guard, authorization=f"Bearer {key}", peer="10.0.0.7").actor.startswith("the deploy (")
    with pytest.raises(RoleDenied):
        admit(house.guard, authorization=f"Bearer {house.make('read')}")


def test_a_request_that_bypassed_the_guard_is_nobodys() -> None:
    """What a route is told of its caller was found out by the guard, or is an error."""
    with pytest.raises(AccessError):
        identify({})
    with pytest.raises(AccessError):
        identify({IDENTITY: "admin"})


def test_the_form_of_another_site_is_refused_without_keys_too(build: Callable[..., House]) -> None:
    """C14: a page of another site cannot make a browser ask a model of this machine."""
    site = build().site
    form = {"content-type": FORM_TYPE}
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
        answer = site.ask("/models/flower", method="POST", headers={**form, **headers})
        assert answer.status == 403
        assert "csrf" in answer.text
    own = {"sec-fetch-site": "same-origin", "origin": "null"}
    assert site.ask("/models/flower", method="POST", headers={**form, **own}).status == 422


def test_loopback_is_told_from_other_addresses() -> None:
    """What cannot be told for sure counts as reachable."""
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "")))  # noqa: S104


# -- browsers --------------------------------------------------------------------------------------------


def cookie_of(answer: Page) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def test_a_page_asks_for_the_key(house: House) -> None:
    """A person sees a form instead of a problem document; the status stays that of a refusal."""
    answer = house.ask("/models/flower", accept="text/html")
    assert answer.status == 401
    assert answer.html.find("input", name="key", type="password")
    assert answer.html.find("input", name="next", value="/models/flower")


def test_a_browser_holds_a_session_instead_of_the_key(house: House) -> None:
    """The cookie is out of reach for scripts and other sites, and does not hold the key."""
    key = house.make("deploy")
    answer = house.log_in(key)
    assert (answer.status, answer.headers["location"]) == (303, "/models/flower")
    set_cookie = answer.headers["set-cookie"]
    assert set_cookie.startswith(f"{PLAIN_COOKIE}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(set_cookie.split("; "))
    assert not SECRET_TEXT.search(set_cookie)
    page = house.ask("/models/flower", accept="text/html", cookie=cookie_of(answer))
    assert page.status == 200
    assert "the deploy" in page.html.shown
    assert page.html.find("form", action="/logout")
    assert "Authorization: Bearer $FAIRWAY_API_KEY" in page.html.shown, "the call to copy works"


def test_behind_a_trusted_proxy_the_cookie_is_for_https_alone(build: Callable[..., House]) -> None:
    """The prefix `__Host-` lets a browser refuse it from any other place."""
    house = build(trusted_proxies=(ipaddress.ip_network("10.0.0.0/8"),))
    key = house.make("deploy")
    house.site.client = ("10.0.0.1", 1)
    over_https = {"x_forwarded_proto": "https", "x_forwarded_for": "1.2.3.4", "host": "127.0.0.1"}
    set_cookie = house.log_in(key, **over_https).headers["set-cookie"]
    assert set_cookie.startswith(f"{SECURE_COOKIE}=")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(set_cookie.split("; "))
    plain = house.log_in(key, x_forwarded_proto="http", host="127.0.0.1")
    assert plain.status == 403
    assert "https_required" in plain.text or "HTTPS" in plain.text
    assert "set-cookie" not in plain.headers


def test_what_is_wrong_with_a_login_is_said(house: House) -> None:
    """A wrong key gets the form again, and eleven in a minute are too many here, too."""
    answers = [house.log_in("fw_wrong") for _ in range(LIMIT + 1)]
    assert [answer.status for answer in answers] == [401] * LIMIT + [429]
    assert answers[0].html.find("input", name="next", value="/models/flower"), "the way is kept"
    assert "fw_wrong" not in answers[0].text
    assert house.log_in(house.make("read"), sec_fetch_site="cross-site").status == 403
    nonsense = house.site.ask("/login", method="POST", body=b"&a=1" * 20, headers={"content-type": FORM_TYPE})
    assert nonsense.status in {401, 429}


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\n"]
)
def test_a_login_leads_nowhere_else(house: House, target: str) -> None:
    """An address of another site in the form is not followed."""
    body = urlencode({"key": house.make("read"), "next": target}).encode()
    answer = house.site.ask("/login", method="POST", body=body, headers={"content-type": FORM_TYPE})
    assert (answer.status, answer.headers["location"]) == (303, "/")


def test_forged_and_old_sessions_are_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever somebody writes into the cookie, and whatever an earlier server has signed."""
    session = cookie_of(house.log_in(house.make("admin"))).partition("=")[2]
    key_id, ends, nonce, signature = session.split(".")
    longer = f"{key_id}.{int(ends) + 1}.{nonce}.{signature}"
    another = open_guard().sessions.begin(key_id)
    for forged in ("", "x", longer, session[:-1], another, f"{key_id}.{ends}.{nonce}.{'0' * 64}"):
        assert house.ask("/models", cookie=f"{PLAIN_COOKIE}={forged}").status == 401
    assert house.ask("/models", cookie=f"{PLAIN_COOKIE}={session}").status == 200
    monkeypatch.setattr("fairway.server.sessions.time.time", lambda: int(ends) + 1.0)
    assert house.ask("/models", cookie=f"{PLAIN_COOKIE}={session}").status == 401


def test_a_session_ends_with_its_key(house: House) -> None:
    """To revoke a key is enough."""
    cookie = cookie_of(house.log_in(house.make("read")))
    assert house.ask("/models", cookie=cookie).status == 200
    house.keys.records[-1] = dataclasses.replace(house.keys.records[-1], revoked_at=CREATED)
    house.renew()
    assert house.ask("/models", cookie=cookie).status == 401


def test_a_session_asks_no_route_for_programs(house: House) -> None:
    """Only a key does: a browser that is logged in is no program that may be made to call."""
    cookie = cookie_of(house.log_in(house.make("admin")))
    assert house.ask("/predict", cookie=cookie, method="POST").status == 401
    with pytest.raises(AccessError):
        admit(house.guard, cookie=cookie)


def test_forms_of_a_session_hold_its_token(house: House) -> None:
    """C15: a form without the token, or with one of another session, is refused; inputs are not disturbed."""
    key = house.make("deploy")
    cookie, other = (cookie_of(house.log_in(key)) for _ in range(2))

    def token_in(cookie: str) -> str:
        page = house.ask("/models/flower", accept="text/html", cookie=cookie)
        return page.html.find("input", type="hidden", name="form-token")[0]["value"]

    def submit(path: str, body: bytes) -> Page:
        headers = {"content-type": FORM_TYPE, "cookie": cookie}
        return house.site.ask(path, method="POST", body=body, headers=headers)

    good, wrong = (f"form-token={token_in(which)}".encode() for which in (cookie, other))
    for body in (b"", b"petals=3", wrong, b"petals=3&" + good):
        assert submit("/models/flower", body).status == 403
        assert submit("/logout", body[:80] if body != wrong else wrong).status == 403
    answered = submit("/models/flower", good + b"&petals=3")
    assert answered.status == 422, "the token was right, and the rest of the form is missing"
    assert "form-token" not in answered.html.shown
    gone = submit("/logout", good)
    assert (gone.status, cookie_of(gone)) == (303, f"{PLAIN_COOKIE}=")


def test_the_form_can_be_open_to_everybody(build: Callable[..., House]) -> None:
    """The pages of the models and nothing else: no list for programs, no prediction, no metrics."""
    house = build(public_form=True)
    house.make("admin")
    assert house.ask("/", accept="text/html").status == 200
    assert house.ask("/models/flower", accept="text/html").status == 200
    form = {"content-type": FORM_TYPE}
    assert house.site.ask("/models/flower", method="POST", headers=form).status == 422
    for path in ("/models", "/metrics", "/openapi.json", "/docs"):
        assert house.ask(path).status == 401
    assert house.ask("/models/flower/predict", method="POST").status == 401


def test_on_asks_before_there_is_a_key_and_off_never(build: Callable[..., House]) -> None:
    """`auto` begins to ask with the first key."""
    assert build(mode="on").ask("/models").status == 401
    off = build(mode="off")
    off.make("admin")
    assert off.ask("/models").status == 200
    auto = build()
    assert auto.ask("/models").status == 200
    auto.make("read")
    assert auto.ask("/models").status == 401


def test_refusals_are_counted(house: House) -> None:
    """By code, so that an attack and a forgotten key look different."""
    house.ask("/models")
    house.ask("/predict", "fw_wrong", method="POST")
    text = house.ask("/metrics", house.make("read")).text
    assert 'fairway_auth_refused_total{code="auth_required"} 1.0' in text
    assert 'fairway_auth_refused_total{code="auth_invalid"} 1.0' in text


def test_errors_of_the_guard_hold_no_key(house: House) -> None:
    """Neither the reply nor the words of an error repeat what was sent."""
    key = make_key("x", role="admin", created_by="eve", created_at=CREATED).text
    assert not SECRET_TEXT.search(house.ask("/models", key).text)
    with pytest.raises(AuthInvalid) as caught:
        house.guard.log_in({"headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1)}, key)
    assert key not in str(caught.value)


def test_headers_are_found_by_name() -> None:
    """The first of equal names counts."""
    header = header_of({"headers": [(b"x-api-key", b"a"), (b"x-api-key", b"b")]})
    assert (header("x-api-key"), header("cookie")) == ("a", "")
