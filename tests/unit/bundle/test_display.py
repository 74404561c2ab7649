"""What a notebook shows: everything that a person asks for, nothing that a browser would act on."""

import dataclasses
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest

from fairway.bundle.bundle import build_bundle
from fairway.bundle.display import html_of_signature, html_of_version, html_of_view
from fairway.bundle.signature import Input, Output, Signature

HOSTILE = "<script>alert(1)</script>\"'\x1b\u202e"
SIGNATURE = Signature(
    inputs=(
        Input("age", "number", nullable=True, minimum=1.0, maximum=9.5, typical=4.0),
        Input(HOSTILE, "category", levels=(HOSTILE, "b"), typical=HOSTILE),
    ),
    outputs=(Output("rating", "label", "text"),),
    classes=("low", "high"),
)


@dataclasses.dataclass
class Version:
    """A version as the registry tells it."""

    version: int = 3
    reference: str = "coffee:3"
    flavor: str = "sklearn"
    model_type: str = "Ridge"
    created_at: str = "2026-05-03T12:00:00Z"
    actor: str = HOSTILE
    digest: str = "ab" * 32
    aliases: tuple[str, ...] = ("production",)
    metrics: dict[str, float] = dataclasses.field(default_factory=lambda: {"mae": 1.25})
    tags: dict[str, str] = dataclasses.field(default_factory=lambda: {HOSTILE: HOSTILE})


class Reader(HTMLParser):
    """Collects tags and text, and refuses tags that do not fit into each other."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._open.append(tag)
        assert {name for name, _ in attrs} <= {"style", "scope"}

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def manifest_and_signature() -> Any:
    return build_bundle(
        {},
        name="coffee",
        flavor="sklearn",
        created="2026-05-03T12:00:00Z",
        model_type="Ridge",
        python="3.11",
        fairway="0.1.0",
        description=HOSTILE,
        metrics={"mae": 1.25},
    ).manifest


def pages() -> dict[str, str]:
    view = SimpleNamespace(
        version=Version(), manifest=manifest_and_signature(), signature=SIGNATURE, versions=[Version()]
    )
    return {
        "signature": html_of_signature(SIGNATURE),
        "version": html_of_version(Version()),
        "view": html_of_view(view),
    }


@pytest.mark.parametrize("kind", ["signature", "version", "view"])
def test_hostile_text_is_shown_and_never_obeyed(kind: str) -> None:
    """Names and tags come out as text; the HTML holds no script, no address and no invisible character."""
    text = pages()[kind]
    reader = Reader(text)
    assert reader.tags <= {"table", "thead", "tbody", "tr", "th", "td", "p", "strong"}
    assert any("<script>alert(1)</script>" in part for part in reader.texts)
    assert text.isprintable()
    assert "http" not in text
    assert len(text) < 10_000


def test_a_signature_shows_what_was_learnt() -> None:
    """Range, missing values, outputs and classes are there."""
    texts = Reader(html_of_signature(SIGNATURE)).texts
    for expected in ("age", "number", "allowed", "1 to 9.5", "4.0", "rating", "low, high"):
        assert expected in texts


def test_a_view_shows_every_fact_once() -> None:
    """The facts of manifest and version are merged."""
    texts = Reader(html_of_view(SimpleNamespace(
        version=Version(), manifest=manifest_and_signature(), signature=SIGNATURE, versions=[Version()]
    ))).texts  # fmt: skip
    assert texts.count("Model") == 1
    assert texts.count("mae = 1.25") == 1
    assert "coffee:3" in texts


def test_a_wide_signature_is_cut() -> None:
    """A notebook is not filled with thousands of rows."""
    inputs = tuple(Input(f"x{place}", "number") for place in range(5_000))
    text = html_of_signature(Signature(inputs=inputs, outputs=()))
    assert "and 4900 more" in text
    assert "x4999" not in text


def test_a_long_text_is_cut() -> None:
    """One value cannot fill the page."""
    assert len(html_of_signature(Signature(inputs=(Input("x" * 100_000, "number"),), outputs=()))) < 2_000
