"""A real server with real models, and a real Chromium in front of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.testing import RunningServer, running_server

MODELS = Path(__file__).parent / "models"
WIDE, NARROW = (1280, 900), (360, 740)
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

GARDEN_ROWS = [
    {
        "area (m²)": 12.5 + n,
        "trees": n % 5 - 1,
        "fenced": n % 3 > 0,
        "rented": None if n % 4 == 0 else n % 2 == 0,
        "soil": ["loam", "clay", "sand"][n % 3],
        "zone": None if n % 6 == 0 else ["north", "south"][n % 2],
        "birds": [["wren", "robin"], ["finch"], ["wren", *(f"bird {i}" for i in range(20))]][n % 3],
        "story": f"A long walk through garden {n} tells what grows here and why it does so well this year",
        "chores": [["weed the path", "water the beds at dusk"], ["mow the lawn around the old pear tree"]][
            n % 2
        ],
        "planted": f"20{10 + n % 10}-03-01T12:30:00",
        "light": [0.1 * n, 1.0, -0.5],
    }
    for n in range(48)
]


class Site:
    """Pages of the server in a browser, and what went wrong in them.

    Attributes:
        server: The server.
        troubles: Everything that a page complained about: scripts, refused contents, foreign addresses.
    """

    def __init__(self, server: RunningServer, browser: Any) -> None:
        self.server = server
        self.troubles: list[str] = []
        self._browser = browser
        self._contexts: list[Any] = []

    def open(
        self, path: str, *, size: tuple[int, int] = WIDE, scheme: str = "light", javascript: bool = True
    ) -> Any:
        """Open a page in a window of its own."""
        context = self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            java_script_enabled=javascript,
            locale="en-GB",
        )
        context.set_default_timeout(10_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        page.on("console", self._note_console)
        page.on("request", self._note_request)
        page.on("dialog", lambda dialog: self.troubles.append(f"dialog: {dialog.message}"))
        page.goto(self.server.url + path)
        return page

    def _note_console(self, message: Any) -> None:
        # Chromium reports every answer of 4xx as a failed load; what a policy refuses has no status.
        if message.type == "error" and "the server responded with a status of" not in message.text:
            self.troubles.append(f"console: {message.text}")

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith((self.server.url + "/", "data:")):
            self.troubles.append(f"request: {request.url}")

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture(scope="session")
def gardens(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """Give a home folder with the models iris, garden and wide."""
    pytest.importorskip("sklearn")
    return made_once("gardens", _fill)


def _fill(home: Path) -> None:
    _push_iris(home)
    _push_wide(home)
    module = _own_module("garden")
    fw.push(
        module.Garden().fit(None),
        name="garden",
        example=GARDEN_ROWS,
        code=[MODELS / "garden.py"],
        feed="records",
        kinds={"planted": "datetime", "birds": "category_list", "chores": "text_list", "light": "vector"},
        outputs=["record"],
        home=home,
    )


def _push_iris(home: Path) -> None:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    iris = load_iris()
    species = [str(iris.target_names[n]) for n in iris.target]
    table = dict(zip(iris.feature_names, iris.data.T.tolist(), strict=True))
    model = LogisticRegression(max_iter=500).fit(iris.data, species)
    text = "Tells three kinds of iris apart by the size of their petals and sepals."
    fw.push(model, name="iris", example=table, description=text, metrics={"accuracy": 0.9733}, home=home)
    fw.alias("iris:1", "production", home=home)


def _push_wide(home: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    names = [f"reading_{n:02}_" + "x" * (n if n % 7 == 0 else 3) for n in range(60)]
    rows = [[(7 * r + 3 * n) % 11 for n in range(60)] for r in range(40)]
    classes = ["a_class_with_a_name_that_never_ends_" * 3, "short", "two words"]
    model = LogisticRegression().fit(rows, [classes[r % 3] for r in range(40)])
    columns = {name: [float(row[n]) for row in rows] for n, name in enumerate(names)}
    fw.push(model, name="wide", example=columns, home=home)


def _own_module(name: str) -> Any:
    """Import one of our models' modules under the plain name that its pickle holds."""
    spec = importlib.util.spec_from_file_location(name, MODELS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def garden_server(gardens: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a running server of all models of `gardens`."""
    folder = tmp_path_factory.mktemp("server")
    with running_server("iris", "garden", "wide", home=gardens, folder=folder) as started:
        yield started


# Not for the whole session: Playwright keeps an event loop running, and tests elsewhere start their own.
@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Any]:
    """Give a headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=str(chromium), args=_FLAGS)
        yield running
        running.close()


@pytest.fixture
def site(garden_server: RunningServer, browser: Any) -> Iterator[Site]:
    """Give pages of the server; any complaint of a page fails the test."""
    opened = Site(garden_server, browser)
    yield opened
    opened.close()
    assert opened.troubles == []


@pytest.fixture
def violations(axe_script: str) -> Callable[..., list[str]]:
    """Give a function that returns what axe-core finds wrong with a page, by all rules or by some."""

    def check(page: Any, rules: Sequence[str] = ()) -> list[str]:
        wanted = list(rules) or ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        page.evaluate(axe_script)
        found: Sequence[Any] = page.evaluate(
            "wanted => axe.run(document, {runOnly: wanted}).then(result => result.violations)", wanted
        )
        return [f"{v['impact']} {v['id']}: {json.dumps([n['html'] for n in v['nodes']][:3])}" for v in found]

    return check
