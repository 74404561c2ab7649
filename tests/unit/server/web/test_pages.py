"""Pages: what a browser gets for every address, in every state, and what hostile text does to it."""

from __future__ import annotations

import html
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import Request

from fairway.bundle.signature import Input, Output, Signature
from fairway.server.web.forms import typical_texts
from fairway.server.web.pages import wants_html

POISON = (
    "\"'><img src=x onerror=alert(1)><script>alert(2)</script></textarea></title>"
    "<svg/onload=alert(3)>{{7*7}}`x`\u202e"
)
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def typical_pairs(signature: Signature) -> list[tuple[str, str]]:
    return [(name, text) for name, texts in typical_texts(signature).items() for text in texts]


def changed(signature: Signature, **values: str) -> list[tuple[str, str]]:
    return [(name, values.get(name, text)) for name, text in typical_pairs(signature)]


ADDRESSES = [
    "/",
    "/models/flower",
    "/docs",
    "/docs/errors",
    "/docs/errors/value_type",
    "/nothing",
    "/models/flour",
]


@pytest.mark.parametrize("path", ADDRESSES)
def test_every_page_carries_the_security_headers(site: Any, path: str) -> None:
    """No page can be framed, sniffed or made to load anything from elsewhere."""
    page = site.ask(path)
    assert page.headers["content-security-policy"] == CSP
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ADDRESSES)
def test_every_page_is_complete_without_anything_inline(site: Any, path: str) -> None:
    """One heading, one main part, a language, a title; no inline script, style or handler; nothing remote."""
    tree = site.ask(path).html
    assert len(tree.find("h1")) == 1
    assert len(tree.find("main")) == 1
    assert tree.find("html", lang="en")
    assert tree.find("title")
    for tag, attributes in tree.elements:
        assert tag != "style"
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        for name in ("src", "href", "action"):
            assert attributes.get(name, "/").startswith(("/", "#"))
    assert all(script["src"].startswith("/static/") for script in tree.find("script"))
    ids = [attributes["id"] for _, attributes in tree.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_list_of_models_says_what_each_is(site: Any) -> None:
    """Name, version, alias, outputs, description, inputs, and a call that can be copied."""
    page = site.ask("/")
    for text in (
        "flower",
        "version 3",
        "@production",
        "What grows here?",
        "one of lily, rose",
        "11 inputs",
        "Ridge",
    ):
        assert text in page.html.shown
    assert "curl -s 'http://127.0.0.1:5000/models/flower/predict'" in page.html.shown
    assert page.html.find("a", href="/models/flower")


def test_a_model_of_one_text_is_asked_on_the_first_page(make_site: Callable[..., Any]) -> None:
    """Its box stands in the list of models, empty; submitted, it is the form of the model's own page."""
    signature = Signature((Input("article", "text", max_chars=90),), (Output("category", "label", "text"),))
    site = make_site({"news": (signature, {}, {"category": "Sports"}, ())})
    page = site.ask("/")
    assert page.html.find("form", method="post", action="/models/news")
    assert [box["name"] for box in page.html.find("textarea")] == ["article"]
    assert "Submit" in page.html.shown
    result = site.submit("/models/news", [("article", "They won\r\nthe cup.")])
    assert result.status == 200
    assert "Sports" in result.html.shown
    assert site.predictors["news"].rows[-1] == {"article": "They won\nthe cup."}
    assert site.submit("/models/news", [("article", "")]).status == 422


def test_a_model_of_more_than_one_text_has_no_box_there(site: Any) -> None:
    """A form of several inputs stands on the page of its model only."""
    assert not site.ask("/").html.find("form")


def test_a_server_without_models_says_what_to_do(make_site: Callable[..., Any]) -> None:
    """The first page of an empty server is a help, not a blank."""
    page = make_site({}).ask("/")
    assert page.status == 200
    assert "fairway push" in page.html.shown


def test_the_form_holds_the_typical_row(site: Any) -> None:
    """Every input is there, labelled, described and filled."""
    tree = site.ask("/models/flower").html
    (length,) = tree.find("input", name="sepal length (cm)")
    assert length["value"] == "5.8"
    assert tree.find("label", for_=length["id"])
    assert tree.find("p", id=length["aria-describedby"])
    assert "min" not in length
    assert "max" not in length
    hidden, box = tree.find("input", name="wild")
    assert (hidden["type"], hidden["value"]) == ("hidden", "false")
    assert (box["type"], "checked" in box) == ("checkbox", True)
    assert tree.find("option", value="loam", selected="")
    assert tree.find("input", value="bee", checked="")
    assert "blue leaf" in tree.shown
    assert tree.find("form", method="post", action="/models/flower")


def test_a_leading_line_end_survives_the_text_area(make_site: Callable[..., Any]) -> None:
    """HTML drops the first line end of a text area, so the template writes one for it to drop."""
    signature = Signature((Input("t", "text", typical="\nx"),), (Output("y", "score", "number"),))
    page = make_site({"m": (signature, {}, {"y": 1.0}, ())}).ask("/models/m")
    assert ">\n\nx</textarea>" in page.text


def test_a_submitted_form_shows_the_prediction(site: Any, flower: Signature) -> None:
    """Outputs, probabilities, version, id, the same call as curl, and the form with what was sent."""
    page = site.submit("/models/flower", changed(flower, notes="a\r\nb"))
    assert page.status == 200
    for text in ("rose", "93.2975", "93.29749194380493", "75.0 %", "25.0 %", "flower:3", "Prediction id"):
        assert text in page.html.shown
    assert page.html.find("rect", width="75.0%")
    assert site.predictors["flower"].rows[-1]["notes"] == "a\nb"
    command = page.text.partition("<pre")[2].partition("<code>")[2].partition("</code>")[0]
    assert '"notes": "a\\nb"' in shlex.split(html.unescape(command))[-1]
    assert ">\na\nb</textarea>" in page.text


def test_what_was_let_through_is_said_in_words(site: Any, flower: Signature) -> None:
    """A flag is a sentence beside the prediction."""
    page = site.submit("/models/flower", changed(flower, soil="Mars", petals="99"))
    assert page.status == 200
    assert "soil: this value was not among those seen in training." in page.html.shown
    assert "petals: this number lies outside the range seen in training, 0 to 9." in page.html.shown
    assert page.html.find("option", value="Mars", selected="")


def test_a_wrong_form_says_what_and_where(site: Any, flower: Signature) -> None:
    """Status 422, a summary that links to each field, each fault at its field, all values kept."""
    pairs = changed(flower, **{"sepal length (cm)": "5,9", "petals": "", "scan": "1, x, 3"})
    page = site.submit("/models/flower", pairs)
    tree = page.html
    assert page.status == 422
    (alert,) = tree.find("section", role="alert")
    assert alert["tabindex"] == "-1"
    (length,) = tree.find("input", name="sepal length (cm)")
    assert length["aria-invalid"] == "true"
    assert length["value"] == "5,9"
    assert tree.find("a", href=f"#{length['id']}")
    assert length["aria-describedby"].endswith(f"{length['id']}-error")
    assert tree.find("p", id=f"{length['id']}-error")
    for text in ("Did you mean 5.9?", "cannot be empty", "Value 2: expected number", "value_missing"):
        assert text in tree.shown
    assert not site.predictors["flower"].rows


def test_a_form_of_an_older_version_is_refused(site: Any, flower: Signature) -> None:
    """An input that is gone is named, although no field is left to show it at."""
    page = site.submit("/models/flower", [*typical_pairs(flower), ("gone", "1")])
    assert page.status == 422
    assert "there is no input 'gone'" in page.html.shown


def test_a_form_of_one_foreign_field_is_no_envelope(make_site: Callable[..., Any]) -> None:
    """A field named like an envelope key is an unknown input, not another form of the body."""
    signature = Signature((Input("t", "text", typical="x"),), (Output("y", "score", "number"),))
    page = make_site({"m": (signature, {}, {"y": 1.0}, ())}).submit("/models/m", [("input", "hello")])
    assert page.status == 422


def test_a_model_that_fails_is_a_friendly_page(make_site: Callable[..., Any], flower: Signature) -> None:
    """Status, code, hint and request id; no word of the exception; the form keeps its values."""
    site = make_site({"flower": (flower, {}, {"raise": True}, ())})
    page = site.submit("/models/flower", changed(flower, notes="keep me"))
    assert page.status == 500
    assert "model_error" in page.html.shown
    assert "Request id" in page.html.shown
    assert "secret" not in page.text
    assert "keep me" in page.html.shown


def test_an_alias_and_a_version_have_their_page(site: Any) -> None:
    """The page of a reference posts to the same reference."""
    page = site.ask("/models/flower@production")
    assert page.html.find("form", action="/models/flower@production")
    assert site.ask("/models/flower:9").status == 404


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{}", "application/json", 415, "media_type"),
        (b"x=%FF", "application/x-www-form-urlencoded", 400, "encoding_invalid"),
        (b"a=1&" * 1000, "application/x-www-form-urlencoded", 422, "body_shape"),
        (b"notes=" + b"x" * (10 * 2**20), "application/x-www-form-urlencoded", 413, "body_too_large"),
        (b"", "application/x-www-form-urlencoded", 422, "feature_missing"),
    ],
    ids=["json", "encoding", "fields", "size", "empty"],
)
def test_a_body_that_is_no_form_is_refused(site: Any, body: bytes, kind: str, status: int, code: str) -> None:
    """Each gets the status and the code that the HTTP interface gives."""
    page = site.ask("/models/flower", method="POST", body=body, headers={"content-type": kind})
    assert page.status == status
    assert code in page.html.shown


def test_a_missing_model_suggests_the_closest(site: Any) -> None:
    """A slip of the finger is answered with what was meant."""
    page = site.ask("/models/flowr")
    assert page.status == 404
    assert "did you mean 'flower'?" in page.html.shown


def test_programs_get_json_where_browsers_get_pages(site: Any) -> None:
    """The same address serves both, by what they ask for."""
    assert site.ask("/models/flower", headers={"accept": "*/*"}).headers["content-type"] == "application/json"
    answer = site.ask("/nothing", headers={"accept": "application/json"})
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_method_is_a_page(site: Any) -> None:
    """The page names the method, the header names the right ones."""
    page = site.ask("/docs", method="DELETE")
    assert page.status == 405
    assert "GET" in page.headers["allow"]
    assert "DELETE is not allowed here" in page.html.shown


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/html,application/xhtml+xml,*/*;q=0.8", True),
        ("text/html;q=0.5,application/json", False),
        ("application/json;q=0.5,text/html", True),
        ("text/html;q=0", False),
        ("text/html;q=x", False),
        ("*/*", False),
        ("", False),
        (";;,,", False),
    ],
)
def test_only_who_asks_for_a_page_gets_one(accept: str, wanted: bool) -> None:
    """A page goes to callers that name it and do not prefer JSON."""
    request = Request({"type": "http", "headers": [(b"accept", accept.encode())]})
    assert wants_html(request) is wanted


def test_static_files_are_kept_by_browsers_and_typed(site: Any) -> None:
    """Addresses change with the content, so a browser may keep what it has."""
    tree = site.ask("/").html
    (sheet,) = tree.find("link", rel="stylesheet")
    found = site.ask(sheet["href"])
    assert found.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in found.headers["cache-control"]
    assert found.headers["x-content-type-options"] == "nosniff"
    again = site.ask("/static/fairway.css", headers={"if-none-match": found.headers["etag"]})
    assert again.status == 304
    assert "no-cache" in again.headers["cache-control"]
    (script,) = tree.find("script")
    assert site.ask(script["src"]).headers["content-type"].startswith("text/javascript")
    (icon,) = tree.find("link", rel="icon")
    assert site.ask(icon["href"]).headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    "path", ["/static/../pages.py", "/static/%2e%2e/pages.py", "/static/nothing", "/static/"]
)
def test_nothing_but_static_files_is_served(site: Any, path: str) -> None:
    """No way leads from the static files to others."""
    assert site.ask(path).status in {400, 404}


def poisoned(kind: str) -> Signature:
    levels = (POISON, POISON + "2") if kind.startswith("category") else ()
    typical: Any = {
        "category": POISON,
        "text": POISON,
        "category_list": [POISON],
        "text_list": [POISON],
        "datetime": POISON,
    }.get(kind, POISON)
    label = Output(POISON, "label", "text")
    return Signature((Input(POISON, kind, levels=levels, typical=typical, width=2),), (label,), (POISON, "b"))  # type: ignore[arg-type]


FACTS = {
    "description": POISON,
    "author": POISON,
    "tags": {POISON: POISON},
    "metrics": {POISON: 0.5},
    "model_type": POISON,
    "framework": {POISON: POISON},
    "created": POISON,
}


def shape(page: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Return every element with the names of its attributes: what hostile text must not change."""
    return [(tag, tuple(sorted(attributes))) for tag, attributes in page.html.elements]


@pytest.mark.parametrize("kind", ["category", "text", "category_list", "text_list", "datetime"])
def test_hostile_text_makes_no_element(make_site: Callable[..., Any], kind: str) -> None:
    """The same string as every name, category, tag, class and value leaves the page's structure as it is."""

    def structures(text: str) -> list[Any]:
        signature = Signature.from_dict(_replaced(poisoned(kind).to_dict(), text))
        facts = _replaced(FACTS, text)
        site = make_site({"m": (signature, facts, {text: text}, (0.5, 0.5))})
        pages = [site.ask("/"), site.ask("/models/m"), site.ask("/docs")]
        pages.append(site.submit("/models/m", typical_pairs(signature)))
        pages.append(site.submit("/models/m", [(text, ""), (text + "3", text)]))
        assert [page.status for page in pages] in ([200] * 4 + [422], [200] * 3 + [422] * 2)
        for page in pages:
            assert "<img" not in page.text
            assert "\u202e" not in page.html.shown or kind in {"text", "text_list", "datetime"}
        return [shape(page) for page in pages]

    # The harmless twin has the same code span, which the reference page shows as code.
    assert structures(POISON) == structures("harmless`x`" + "y" * 20)


def _replaced(value: Any, text: str) -> Any:
    if isinstance(value, str):
        return value.replace(POISON, text)
    if isinstance(value, dict):
        return {_replaced(k, text): _replaced(v, text) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(v, text) for v in value]
    return value


def test_a_hostile_address_is_shown_as_text(site: Any) -> None:
    """What stands in the address bar is no part of the page."""
    page = site.ask("/models/<script>alert(1)</script>")
    assert page.status == 404
    assert "<script>alert" not in page.text
