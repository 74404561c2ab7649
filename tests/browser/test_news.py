"""The news example in a browser without JavaScript: a text typed on the first page becomes a category."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.testing import RunningServer, running_server

from .conftest import NARROW, WIDE, Site

pytestmark = [pytest.mark.service("browser"), pytest.mark.service("data"), pytest.mark.slow]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "news"


@pytest.fixture(scope="module")
def trained(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a model that learnt from some of the real articles, to keep it quick."""
    pytest.importorskip("gensim", reason="the news example learns its word vectors with gensim")
    folder = tmp_path_factory.mktemp("news")
    subprocess.run(
        [sys.executable, EXAMPLE / "train.py", "--output", folder, "--articles", "2500", "--size", "50"],
        env={**os.environ, "FAIRWAY_DATA": str(shared_data)},
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def news_server(trained: Path) -> Iterator[RunningServer]:
    """Give a running server of the news example."""
    fw.push(
        trained / "svm.joblib",
        name="news",
        example=trained / "train.ndjson",
        code=[EXAMPLE / "news_classification.py"],
        files=[trained / "vectors.npz"],
        preprocess="news_classification:News.vectorise",
        postprocess="news_classification:category",
        description="Is this article about the world, sports, business, or science and technology?",
        home=trained / "home",
    )
    with running_server("news", home=trained / "home", folder=trained) as started:
        yield started


@pytest.fixture
def news_site(news_server: RunningServer, browser: Any) -> Iterator[Site]:
    """Give pages of the news server."""
    opened = Site(news_server, browser)
    yield opened
    opened.close()
    assert opened.troubles == []


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("javascript", [False, True])
def test_a_text_on_the_first_page_becomes_a_category(
    news_site: Site, size: tuple[int, int], *, javascript: bool, tmp_path: Path
) -> None:
    """Box, Submit, result page: the same category as over HTTP."""
    text = "The champions won the cup final in extra time.\nThe coach praised the striker after the match."
    shots = Path(os.environ.get("FAIRWAY_TEST_SCREENSHOTS", tmp_path))
    page = news_site.open("/", size=size, javascript=javascript)
    page.get_by_label("text", exact=True).fill(text)
    page.screenshot(path=shots / f"news-home-{size[0]}.png", full_page=True)
    with page.expect_navigation():
        page.get_by_role("button", name="Submit").click()
    page.screenshot(path=shots / f"news-result-{size[0]}.png", full_page=True)
    shown = page.get_by_role("region", name="Prediction").inner_text()
    assert news_site.server.ask("/predict", {"text": text}).json() == {"category": "Sports"}
    assert "Sports" in shown
    assert page.get_by_label("text", exact=True).input_value() == text


def test_an_empty_box_is_explained(news_site: Site) -> None:
    """Nothing was typed: the page says so, and the box is there to type into."""
    page = news_site.open("/", javascript=False)
    with page.expect_navigation():
        page.get_by_role("button", name="Submit").click()
    assert "needs another look" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("text", exact=True).is_visible()


def test_every_held_out_article_is_answered_as_the_training_script_predicted(
    news_server: RunningServer, trained: Path
) -> None:
    """Training and serving call the same code with the same vectors: not one article is told apart."""
    articles = [json.loads(line) for line in (trained / "test.ndjson").read_text("utf-8").splitlines()]
    expected = [
        json.loads(line) for line in (trained / "test_expected.ndjson").read_text("utf-8").splitlines()
    ]

    assert len(articles) == 500
    assert news_server.ask("/predict", articles).json()["predictions"] == expected
    assert [news_server.ask("/predict", row).json() for row in articles[:20]] == expected[:20]
