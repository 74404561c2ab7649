"""Every page in every state: accessible, inside the window, in both palettes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from .conftest import NARROW, WIDE, Site

pytestmark = pytest.mark.service("browser")

STATES = {
    "models": "/",
    "form": "/models/iris",
    "result": "/models/iris submit",
    "explained": "/models/iris explain",
    "every-kind": "/models/garden",
    "every-kind-explained": "/models/garden explain",
    "faults": "/models/garden faults",
    "many-inputs": "/models/wide",
    "many-inputs-result": "/models/wide submit",
    "reference": "/docs",
    "errors": "/docs/errors",
    "error": "/docs/errors/signature_mismatch",
    "nothing": "/nothing/here",
    "no-model": "/models/iriss",
}


def show(site: Site, state: str, **window: Any) -> Any:
    """Open a page and bring it into the state."""
    path, _, action = STATES[state].partition(" ")
    page = site.open(path, **window)
    if action == "faults":
        page.get_by_label("trees").fill("x" * 100)
        page.get_by_label("story").fill("")
    if action:
        with page.expect_navigation():
            page.get_by_role("button", name="Explain" if action == "explain" else "Predict").click()
    return page


# Everything once; then what another palette or another width can change.
WINDOWS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "wide": ({"size": WIDE, "scheme": "light"}, []),
    "narrow": ({"size": NARROW, "scheme": "light"}, ["target-size", "scrollable-region-focusable"]),
    "dark": ({"size": WIDE, "scheme": "dark"}, ["color-contrast"]),
}


@pytest.mark.service("axe")
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing(site: Site, violations: Callable[..., list[str]], state: str, window: str) -> None:
    """No violation of WCAG 2.2 A or AA, contrast included, and none of axe-core's best practices."""
    options, rules = WINDOWS[window]
    page = show(site, state, **options)
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert violations(page, rules) == []


@pytest.mark.parametrize("state", STATES)
def test_a_phone_never_scrolls_sideways(site: Site, state: str) -> None:
    """At 360 pixels everything is inside the window, however long a name is."""
    page = show(site, state, size=NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
    outside = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.getClientRects().length &&"
        " !e.closest('pre, .hidden') && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML)"
    )
    assert outside == []


def test_targets_are_large_enough_for_a_finger(site: Site) -> None:
    """Controls are at least 24 pixels high (WCAG 2.2, 2.5.8), buttons and inputs 44."""
    page = show(site, "every-kind", size=NARROW)
    for selector, least in ((".button, input[type=text], select, textarea", 44), (".choice", 24)):
        heights = page.evaluate(
            f"[...document.querySelectorAll('{selector}')].map(e => e.getBoundingClientRect().height)"
        )
        assert heights
        assert min(heights) >= least


def test_many_inputs_stand_in_columns(site: Site) -> None:
    """Sixty inputs use the width of a wide window, and one column of a phone."""
    lefts = "new Set([...document.querySelectorAll('.field')].map(e => e.getBoundingClientRect().left)).size"
    assert show(site, "many-inputs").evaluate(lefts) >= 4
    assert show(site, "many-inputs", size=NARROW).evaluate(lefts) == 1


def test_the_focus_is_never_hidden_behind_the_button(site: Site) -> None:
    """Tabbing down a long form, the field with the focus stays above the bar that sticks to the bottom."""
    page = show(site, "many-inputs", size=NARROW)
    page.get_by_label("reading_05_xxx").focus()
    for _ in range(6):
        page.keyboard.press("Tab")
        gap = page.evaluate(
            "document.querySelector('.form-actions').getBoundingClientRect().top"
            " - document.activeElement.getBoundingClientRect().bottom"
        )
        assert gap >= 0


def test_dark_is_dark_and_light_is_light(site: Site) -> None:
    """The palette follows the system."""

    def lightness(scheme: str) -> float:
        page = show(site, "form", scheme=scheme)
        color = page.evaluate("getComputedStyle(document.body).backgroundColor")
        red, green, blue = (int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(","))
        return (red + green + blue) / 3

    assert lightness("light") > 240
    assert lightness("dark") < 30


def test_a_large_text_size_keeps_the_form_usable(site: Site) -> None:
    """At 200 % text (WCAG 1.4.4) nothing leaves the window."""
    page = show(site, "form", size=(640, 900))
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
