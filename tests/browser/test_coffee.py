"""The coffee example in a browser: the golden record, chosen by hand, gives the golden rating."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.testing import RunningServer, running_server

from .conftest import Site

pytestmark = [pytest.mark.service("browser"), pytest.mark.service("data"), pytest.mark.slow]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "coffee"
GOLDEN_RATING = 93.29749194380494
GOLDEN = {
    "roaster": "Square Mile Coffee Roasters",
    "roast": "Light",
    "roaster_country": "England",
    "country_of_origin": "Colombia",
    "price_per_100g": 6.82,
    "flavours": ["fruity", "caramelly"],
}


@pytest.fixture(scope="module")
def coffee_server(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a running server of the coffee example, trained on the real reviews."""
    folder = tmp_path_factory.mktemp("coffee")
    subprocess.run(
        [sys.executable, EXAMPLE / "train.py", "--output", folder],
        env={**os.environ, "FAIRWAY_DATA": str(shared_data)},
        check=True,
        capture_output=True,
    )
    fw.push(
        folder / "coffee.joblib",
        name="coffee",
        example=folder / "coffee_train.ndjson",
        target="rating",
        outputs=["rating", "percentile"],
        code=[EXAMPLE / "coffee_features.py", EXAMPLE / "coffee_plain.py"],
        home=folder / "home",
    )
    with running_server("coffee", home=folder / "home", folder=folder) as started:
        yield started


@pytest.fixture
def coffee_site(coffee_server: RunningServer, browser: Any) -> Iterator[Site]:
    """Give pages of the coffee server."""
    opened = Site(coffee_server, browser)
    yield opened
    opened.close()
    assert opened.troubles == []


def test_the_golden_record_gives_the_golden_rating(coffee_site: Site) -> None:
    """The page shows the very number that the HTTP interface answers, and that is the original's."""
    page = coffee_site.open("/models/coffee", javascript=False)
    # This roaster was too rare in training to be one of the choices.
    page.get_by_text("another value for roaster", exact=True).click()
    page.get_by_label("Another value for roaster", exact=True).fill(str(GOLDEN["roaster"]))
    page.get_by_label("roast", exact=True).select_option(GOLDEN["roast"])
    page.get_by_label("roaster_country", exact=True).select_option(GOLDEN["roaster_country"])
    page.get_by_label("country_of_origin", exact=True).select_option(GOLDEN["country_of_origin"])
    page.get_by_label("price_per_100g", exact=True).fill("6.82")
    flavours = page.get_by_role("group", name="flavours")
    for box in flavours.get_by_role("checkbox").all():
        box.set_checked(box.get_attribute("value") in GOLDEN["flavours"])
    with page.expect_navigation():
        page.get_by_role("button", name="Predict").click()
    answer = coffee_site.server.ask("/models/coffee/predict", GOLDEN).json()
    assert answer["rating"] == pytest.approx(GOLDEN_RATING, abs=1e-9)
    shown = page.get_by_role("region", name="Prediction").inner_text()
    assert repr(answer["rating"]) in shown
    assert repr(answer["percentile"]) in shown
    assert "roaster: this value was not among those seen in training." in shown
    assert page.get_by_label("roaster", exact=True).input_value() == GOLDEN["roaster"]
