"""What a page says of an explanation: bars with sides, words with marks, and nothing by colour alone."""

from __future__ import annotations

from typing import Any

from fairway.server.web.reasons import reasons_of


def explanation(**target: Any) -> dict[str, Any]:
    parts = {
        "features": {
            "method": "shapley",
            "permutations": 12,
            "background": {"rows": 100, "source": "profile"},
        },
        "words": {"method": "lime", "samples": 500, "unit": "word", "refused": 0, "seed": 0},
    }
    told = {"output": "kind", "class": "rose", "scale": "probability", "value": 0.75, "base": 0.5} | target
    return {
        "targets": [told],
        **{name: part for name, part in parts.items() if name in target},
        "complete": True,
        "seconds": 0.1,
        "budget_s": 2.0,
    }


def feature(
    name: str, contribution: float, *, value: Any = 1.5, error: float | None = 0.01
) -> dict[str, Any]:
    return {"input": name, "value": value, "contribution": contribution, "standard_error": error}


def word(text: str, weight: float, *places: list[int], name: str = "story") -> dict[str, Any]:
    return {"input": name, "word": text, "weight": weight, "standard_error": None, "places": list(places)}


FIT = {"r2": 0.9, "stability": None, "intercept": 0.0, "local_value": 0.7}


def only(reasons: Any) -> Any:
    (target,) = reasons["targets"]
    return target


def test_without_an_explanation_there_is_nothing_to_show() -> None:
    """Most results have none."""
    assert reasons_of(None, {}) is None


def test_an_error_takes_its_place() -> None:
    """The prediction is shown all the same."""
    reasons = reasons_of({"error": {"code": "overloaded", "detail": "8 calls wait"}}, {})
    assert reasons == {"error": "8 calls wait", "targets": [], "notes": []}


def test_bars_point_to_their_side() -> None:
    """The longest is half of the width; what speaks against begins left of the middle."""
    additivity = {"difference": 0.0, "tolerance": 1e-9, "holds": True}
    shown = only(
        reasons_of(
            explanation(
                features=[feature("area", 0.3), feature("soil", -0.15, value="clay", error=None)],
                additivity=additivity,
            ),
            {},
        )
    )
    area, soil = shown["features"]
    assert area == {
        "label": "area = 1.5",
        "amount": "+30.0 %",
        "about": "\u00b1 1.0 %",
        "side": "for",
        "start": 50,
        "width": 50.0,
    }
    assert (soil["label"], soil["amount"], soil["about"]) == ("soil = clay", "\u221215.0 %", "")
    assert (soil["side"], soil["start"], soil["width"]) == ("against", 25.0, 25.0)
    assert shown["title"] == "Why rose"
    assert shown["summary"] == "The probability is 75.0 %; with nothing known of the row it is 50.0 %."
    assert shown["method"] == "Shapley values, from 12 permutations, compared with 100 rows."


def test_a_sum_that_does_not_hold_is_said() -> None:
    """Whoever reads the bars must know."""
    additivity = {"difference": 0.2, "tolerance": 1e-9, "holds": False}
    shown = only(reasons_of(explanation(features=[feature("area", 0.3)], additivity=additivity), {}))
    assert "do not add up" in shown["method"]


def test_words_are_marked_where_they_stand() -> None:
    """By side and strength; light words are left alone, spaces and line ends stay."""
    words = [word("good", 0.4, [0, 4], [9, 13]), word("bad", -0.1, [5, 8]), word("so", 0.01, [14, 16])]
    shown = only(reasons_of(explanation(words=words, fit=FIT), {"story": "good bad\ngood so"}))
    (text,) = shown["texts"]
    (pieces,) = text["items"]
    assert [(p["text"], p["side"], p["strength"]) for p in pieces if p["text"]] == [
        ("good", "for", 3),
        (" ", "", 0),
        ("bad", "against", 1),
        ("\n", "", 0),
        ("good", "for", 3),
        (" so", "", 0),
    ]
    assert shown["fit"] == "LIME, 500 changed texts, a fit of 90.0 %."


def test_lists_of_texts_are_marked_item_by_item() -> None:
    """A place names the item first."""
    words = [word("salt", 0.4, [1, 4, 8])]
    shown = only(reasons_of(explanation(words=words, fit=FIT), {"story": ["pepper", "sea salt"]}))
    first, second = shown["texts"][0]["items"]
    assert [p["text"] for p in first] == ["pepper"]
    assert [p["text"] for p in second if p["side"]] == ["salt"]


def test_what_could_mislead_the_eye_is_an_escape() -> None:
    """Direction marks in a word or text are shown, control characters are not."""
    words = [word("a\u202eb", 0.4, [0, 3])]
    shown = only(reasons_of(explanation(words=words, fit=FIT), {"story": "a\u202eb\x00"}))
    assert shown["texts"][0]["items"][0][1]["text"] == "a\\u202eb"
    assert shown["words"][0]["label"] == "a\\u202eb"
    assert shown["texts"][0]["items"][0][2]["text"] == ""


def test_a_text_without_words_says_so() -> None:
    """There is no empty table."""
    shown = only(reasons_of(explanation(words=[], fit=None), {"story": ""}))
    assert shown["fit"] == "There are no words to leave out."
    assert shown["texts"] == []


def test_what_was_cut_short_is_said() -> None:
    """With the time that there was."""
    reasons = reasons_of(explanation(words=[], fit=None) | {"complete": False}, {})
    assert reasons is not None
    assert reasons["notes"][0].startswith("The time (2 s) was up")


def test_numbers_and_labels_are_worded_by_their_scale() -> None:
    """An output keeps its unit, a label's agreement is a share."""
    number = only(reasons_of(explanation(scale="output", **{"class": None}, value=93.297, base=90.0), {}))
    assert number["title"] == "Why this kind"
    assert number["summary"] == "The answer is 93.3; with nothing known of the row it is 90."
    label = only(reasons_of(explanation(scale="agreement", value=1.0, base=0.25), {}))
    assert label["summary"].startswith("The model gives labels only")
