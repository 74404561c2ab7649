"""The explain routes: what their query asks for, and that bodies are read as ever."""

from __future__ import annotations

import pytest

from fairway.errors import MalformedRequest, UnsupportedMediaType
from fairway.messages import Call, ExplainWish
from fairway.protocols.explaining import ExplainProtocol
from fairway.protocols.native import NativeProtocol


def with_type(media_type: str) -> Call:
    return Call("POST", "/explain", "", lambda name: media_type if name == "content-type" else "", b"{}")


def opened(path: str, query: str = "") -> tuple[str, ExplainWish | None, frozenset[str]]:
    target = ExplainProtocol().open(Call("POST", path, query, lambda _: "", b"{}"))
    return target.reference, target.explain, target.include


def test_a_call_is_for_the_explanation() -> None:
    """Nothing has to be said: what is predicted is explained, and an error is an error."""
    reference, wish, include = opened("/explain")
    assert reference == ""
    assert wish == ExplainWish(is_required=True)
    assert include == {"explanation"}


def test_the_reference_stands_in_the_path() -> None:
    """As on the predict routes."""
    assert opened("/models/coffee:3/explain")[0] == "coffee:3"
    assert opened("/models/coffee@challenger/explain")[0] == "coffee@challenger"


def test_the_query_says_what_to_explain_how() -> None:
    """All parameters at once, and what else to include."""
    _, wish, include = opened("/explain", "of=Very%20Hard&method=words&seed=7&include=probabilities,flags")
    assert wish == ExplainWish("Very Hard", "words", 7, is_required=True)
    assert include == {"probabilities", "flags", "explanation"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("off=a", "no query parameter 'off'"),
        ("method=lime", "no method 'lime'"),
        ("seed=-1", "seed is '-1'"),
        ("seed=1.5", "seed is '1.5'"),
        ("seed=\u0664", "seed is '\\u0664'"),
        ("seed=1234567890", "seed is"),
        ("include=reasons", "include does not know 'reasons'"),
        ("&" * 100, "more than 100 parameters"),
    ],
)
def test_what_the_query_cannot_say_is_refused(query: str, said: str) -> None:
    """Each with the words that it holds and those that there are."""
    with pytest.raises(MalformedRequest) as caught:
        opened("/explain", query)
    assert said in caught.value.detail
    assert caught.value.code == "query_invalid"


def test_a_prediction_can_bring_its_explanation_along() -> None:
    """Then the prediction is what the call is for, so an error takes the place of the explanation only."""
    target = NativeProtocol().open(Call("POST", "/predict", "include=explanation", lambda _: "", b"{}"))
    assert target.explain == ExplainWish()
    plain = NativeProtocol().open(Call("POST", "/predict", "include=flags", lambda _: "", b"{}"))
    assert plain.explain is None


def test_bodies_are_refused_as_on_the_predict_routes() -> None:
    """One dialect: what is no JSON there is none here."""
    with pytest.raises(UnsupportedMediaType):
        ExplainProtocol().open(with_type("text/csv"))
    assert ExplainProtocol.name == NativeProtocol.name
