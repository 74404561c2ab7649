"""The model card: everything that is known of a model, and no markup of anybody."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from fairway.bundle.card import describe_seen, render_card
from fairway.bundle.signature import Input, Output, Signature

SIGNATURE = Signature(
    (
        Input("size", "number", minimum=0.5, maximum=3.0, typical=1.0),
        Input("city", "category", nullable=True, levels=tuple("abcdefg"), typical="a"),
        Input("note", "text", max_chars=12, typical="x"),
        Input("place", "vector", width=2, typical=[0.0, 0.0]),
        Input("new", "boolean", typical=True),
    ),
    (Output("grade", "label", "text"),),
    classes=("low", "high"),
)
FACTS: dict[str, Any] = {
    "name": "coffee",
    "flavor": "sklearn",
    "created": "2026-02-28",
    "model_type": "Pipeline (Ridge)",
    "author": "Ada",
    "description": "Rates coffee.",
    "metrics": {"r2": 0.9},
    "hyperparameters": {"ridge.alpha": 1.0},
    "lineage": {},
    "tags": {"team": "beans"},
}
ENVIRONMENT = {"python": "3.11.7", "platform": "linux-x86_64", "packages": {"numpy": "2.4.6"}}


def test_the_card_tells_everything_in_order() -> None:
    """Facts first, then inputs with what was seen, outputs, classes and whatever the author gave."""
    card = render_card(FACTS, SIGNATURE, ENVIRONMENT)
    assert re.findall(r"^#+ .*", card, re.MULTILINE) == [
        "# coffee",
        "## Inputs",
        "## Outputs",
        "## Classes",
        "## Metrics",
        "## Hyperparameters",
        "## Tags",
        "## Environment",
    ]
    assert "| author | Ada |" in card
    assert "| size | number |  | 0.5 to 3 |" in card
    assert "| city | category | allowed | a, b, c, d, e and 2 more |" in card
    assert "| numpy | 2.4.6 |" in card


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Input("a", "number", minimum=-1e9, maximum=5), "-1e+09 to 5"),
        (Input("a", "category", levels=(1, 2)), "1, 2"),
        (Input("a", "text", max_chars=3), "up to 3 characters"),
        (Input("a", "vector", width=3), "3 numbers"),
        (Input("a", "category_list", levels=("x", "y"), minimum=0, maximum=9), "x, y"),
        (Input("a", "text_list", minimum=2, maximum=30, max_chars=9), "2 to 30 texts of up to 9 characters"),
        (Input("a", "boolean"), ""),
    ],
)
def test_what_was_seen_is_said_in_few_words(entry: Input, words: str) -> None:
    """Also in listings of the command line and the pages."""
    assert words == describe_seen(entry)


HOSTILE = (
    "<script>alert(1)</script> [x](javascript:a) ![i](u) **b** `c` | d\n\n# head\n- e _f_ ~~g~~ &lt; \\*"
)


@pytest.mark.parametrize(
    "place", ["author", "description", "tags", "metrics", "lineage", "input", "level", "class"]
)
def test_no_text_of_others_becomes_markup(place: str) -> None:
    """Every character that Markdown or HTML would take for its own is escaped, and shows as itself."""
    facts, signature = dict(FACTS), SIGNATURE
    if place in {"author", "description"}:
        facts[place] = HOSTILE
    elif place in facts:
        facts[place] = {HOSTILE: HOSTILE}
    elif place == "class":
        signature = Signature(SIGNATURE.inputs, SIGNATURE.outputs, classes=(HOSTILE,))
    else:
        name, levels = (HOSTILE, ()) if place == "input" else ("a", (HOSTILE,))
        signature = Signature((Input(name, "category", levels=levels),), SIGNATURE.outputs)
    lines = render_card(facts, signature, ENVIRONMENT).splitlines()
    (line, *_) = [line for line in lines if "alert" in line]
    assert not re.search(r"<|>|(?<!\\)[`*_\[\]~]|&(?!#\d+;)", line)
    assert not re.search(r"(?<![\\&])#", line)
    shown = re.sub(r"\\(.)", r"\1", re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), line))
    assert " ".join(HOSTILE.split()) in shown
    assert line.replace("\\|", "").count("|") in {0, 2, 3, 5}


def test_the_card_needs_no_framework() -> None:
    """Whoever shows a card imports neither numpy nor pandas."""
    code = "import sys, fairway.bundle.card; assert not {'numpy', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
