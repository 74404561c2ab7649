"""Results: from the engine's reply to the words and bars of a page."""

from __future__ import annotations

import json
from typing import Any

from fairway.bundle.signature import Input, Output, Signature
from fairway.messages import Reply
from fairway.server.web.results import bars_of, flags_of, messages_of, problem_of, result_of

SCORES = Signature(
    (Input("price", "number", minimum=0.0, maximum=10.0, typical=5.88), Input("a/b~c", "vector", width=2)),
    (Output("rating", "score", "number"), Output("ok", "label", "boolean")),
)


def reply_of(document: Any, status: int = 200) -> Reply:
    headers = [(b"fairway-model", b"coffee:3"), (b"fairway-prediction-id", b"0193")]
    return Reply(status, headers, json.dumps(document).encode())


def test_a_result_is_short_and_exact() -> None:
    """The number that is read at a glance stands beside the one that is exact."""
    result = result_of(reply_of({"predictions": [{"rating": 93.29749194380493, "ok": True}]}), SCORES)
    rating, ok = result["outputs"]
    assert (rating["text"], rating["exact"]) == ("93.2975", "93.29749194380493")
    assert (ok["text"], ok["exact"]) == ("Yes", "")
    assert (result["id"], result["reference"]) == ("0193", "coffee:3")


def test_a_missing_number_is_said_in_words() -> None:
    """An output that is not finite is no empty space."""
    result = result_of(
        reply_of({"predictions": [{"rating": None, "ok": False, "flags": {"rating": "nonfinite_output"}}]}),
        SCORES,
    )
    assert result["outputs"][0]["text"] == "no answer"
    assert "not a finite number" in result["flags"][0]


def test_the_most_probable_class_comes_first() -> None:
    """Bars are sorted, marked and never wider than the whole."""
    bars = bars_of({"b": 0.2, "": None, "a": 0.8, "c": 1.5})
    assert [bar["label"] for bar in bars] == ["c", "a", "b", '""']
    assert [bar["width"] for bar in bars] == [100, 80, 20, 0]
    assert [bar["top"] for bar in bars] == [True, False, False, False]


def test_flags_are_sentences() -> None:
    """Nobody has to know a code to understand a flag."""
    out, unseen = flags_of({"price": "out_of_range", "a/b~c": "category_unknown"}, SCORES)
    assert out == "price: this number lies outside the range seen in training, 0 to 10."
    assert unseen == "a/b~c: this value was not among those seen in training."


def test_the_flag_of_a_list_speaks_of_its_length() -> None:
    """The list itself is no number."""
    tagged = Signature((Input("tags", "text_list", minimum=1, maximum=9),), SCORES.outputs)
    (sentence,) = flags_of({"tags": "out_of_range"}, tagged)
    assert sentence == "tags: the number of entries lies outside the range seen in training, 1 to 9."


def test_faults_find_their_field_by_pointer() -> None:
    """Escaped names and places inside a list lead to the right field; the rest is listed without one."""
    problem = {
        "errors": [
            {"pointer": "/0/price", "code": "value_type", "message": "expected number, got string"},
            {"pointer": "/0/a~1b~0c/1", "code": "value_type", "message": "expected number, got string"},
            {"pointer": "/0/old", "code": "feature_unknown", "message": "there is no input 'old'"},
            {"pointer": "", "code": "body_shape", "message": "odd"},
        ]
    }
    found, others = messages_of(problem, SCORES, {"price": ["5,9"]})
    assert (
        found["price"][0].text == "Enter a number such as 5.88; \u20185,9\u2019 is not one. Did you mean 5.9?"
    )
    assert found["a/b~c"][0].text == "Value 2: expected number, got string"
    assert [other.code for other in others] == ["feature_unknown", "body_shape"]


def test_an_empty_field_is_named_as_such() -> None:
    """A person who left a field empty did not send null."""
    problem = {
        "errors": [{"pointer": "/0/price", "code": "value_missing", "message": "expected number, got null"}]
    }
    found, _ = messages_of(problem, SCORES, {"price": [""]})
    assert found["price"][0].text == "Enter a value; this input cannot be empty."


def test_a_reply_without_a_problem_document_is_still_a_page() -> None:
    """Whatever answered, the page has something to show."""
    assert problem_of(Reply(502, [], b"<html>"))["status"] == 502
    assert problem_of(reply_of({"detail": "no", "code": "overloaded"}, 503))["code"] == "overloaded"
