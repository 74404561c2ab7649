"""The recipes example in a browser: a recipe typed line by line, on a desk and on a phone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.testing import RunningServer, running_server

from .conftest import NARROW, WIDE, Site

pytestmark = [pytest.mark.service("browser"), pytest.mark.service("data"), pytest.mark.slow]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "recipes"
WELLINGTON = {
    "ingredients": [
        "2 pounds beef tenderloin",
        "2 tablespoons olive oil",
        "1 pound mushrooms, minced",
        "2 shallots, minced",
        "1/2 cup dry white wine",
        "8 slices prosciutto",
        "1 sheet frozen puff pastry, thawed",
        "1 egg, beaten",
        "salt and ground black pepper to taste",
    ],
    "steps": [
        "Season beef with salt and pepper. Sear in a large skillet over high heat until browned, 10 minutes.",
        "Cook and stir mushrooms and shallots until soft. Pour in wine; simmer until it is gone. Cool.",
        "Lay prosciutto on plastic wrap, spread with the mushroom mixture, add the beef, roll up. Chill.",
        "Preheat oven to 400 degrees F. Wrap the pastry around the beef, brush with egg, bake 40 minutes.",
    ],
}


@pytest.fixture(scope="module")
def recipes_server(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a running server of the recipes example, trained on real recipes."""
    folder = tmp_path_factory.mktemp("recipes")
    subprocess.run(
        [sys.executable, EXAMPLE / "train.py", "--output", folder],
        env={**os.environ, "FAIRWAY_DATA": str(shared_data)},
        check=True,
        capture_output=True,
    )
    fw.push(
        folder / "recipes.joblib",
        name="recipes",
        example=folder / "recipes_train.ndjson",
        target="difficulty",
        outputs=["difficulty"],
        code=[EXAMPLE / "recipes_features.py", EXAMPLE / "recipes_plain.py"],
        metrics={"accuracy": 0.608, "macro_f1": 0.603},
        description="Tells from its ingredients and steps how difficult a recipe is.",
        compile="off",
        home=folder / "home",
    )
    with running_server("recipes", home=folder / "home", folder=folder) as started:
        yield started


@pytest.fixture
def recipes_site(recipes_server: RunningServer, browser: Any) -> Iterator[Site]:
    """Give pages of the recipes server."""
    opened = Site(recipes_server, browser)
    yield opened
    opened.close()
    assert opened.troubles == []


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["desk", "phone"])
def test_a_recipe_typed_line_by_line_gets_its_difficulty(
    size: tuple[int, int], javascript: bool, recipes_site: Site, tmp_path: Path
) -> None:
    """The page shows what the HTTP interface answers, keeps what was typed, and never scrolls sideways."""
    page = recipes_site.open("/models/recipes", size=size, javascript=javascript)
    for name, lines in WELLINGTON.items():
        page.get_by_label(name, exact=True).fill("\n".join(["", *lines, "  "]))
    page.get_by_role("button", name="Predict").click()
    region = page.get_by_role("region", name="Prediction")
    region.wait_for()

    answer = recipes_site.server.ask("/predict?include=probabilities", WELLINGTON).json()
    shown = region.inner_text()
    assert answer["difficulty"] in shown
    assert f"{100 * answer['probabilities'][answer['difficulty']]:.1f} %" in shown
    assert "out of" not in shown
    typed = page.get_by_label("steps", exact=True).input_value()
    assert [line for line in typed.splitlines() if line.strip()] == WELLINGTON["steps"]
    box = page.locator("body").bounding_box()
    assert box["width"] <= size[0]
    page.screenshot(path=tmp_path / "recipes.png", full_page=True)


def test_an_empty_recipe_is_answered_with_a_warning(recipes_site: Site) -> None:
    """No line is an empty list, which no recipe of the training had."""
    page = recipes_site.open("/models/recipes", javascript=False)
    for name in WELLINGTON:
        page.get_by_label(name, exact=True).fill("")
    with page.expect_navigation():
        page.get_by_role("button", name="Predict").click()
    shown = page.get_by_role("region", name="Prediction").inner_text()
    assert "ingredients: the number of entries lies outside the range seen in training, 2 to 30." in shown


def test_the_page_is_for_everybody(recipes_site: Site, violations: Callable[..., list[str]]) -> None:
    """axe-core finds nothing wrong with it, before and after a prediction."""
    page = recipes_site.open("/models/recipes")
    assert violations(page) == []
    page.get_by_role("button", name="Predict").click()
    page.get_by_role("region", name="Prediction").wait_for()
    assert violations(page) == []
