"""The form of a model in a browser: filled, submitted, corrected; with a script, without one, by keyboard."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Site

pytestmark = pytest.mark.service("browser")

FLOWER = {
    "sepal length (cm)": "6.3",
    "sepal width (cm)": "3.3",
    "petal length (cm)": "6.0",
    "petal width (cm)": "2.5",
}


def submit(page: Any) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name="Predict").click()


def focused(page: Any) -> Any:
    """Return tag, name and id of the element that has the focus."""
    return page.evaluate(
        "(({tagName, name, id, textContent}) => ({tag: tagName, name, id, text: textContent.trim()}))"
        "(document.activeElement)"
    )


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_a_filled_form_gives_the_prediction(site: Site, javascript: bool) -> None:
    """The page shows what the HTTP interface answers to the same row, and keeps what was entered."""
    page = site.open("/", javascript=javascript)
    page.get_by_role("link", name="Try it : iris").click()
    assert page.get_by_label("sepal length (cm)").input_value() == "5.8"
    for label, text in FLOWER.items():
        page.get_by_label(label).fill(text)
    submit(page)
    record = {name: float(text) for name, text in FLOWER.items()}
    answer = site.server.ask("/models/iris/predict?include=probabilities", record).json()
    result = page.get_by_role("region", name="Prediction")
    assert answer["prediction"] in result.inner_text()
    assert answer["prediction"] == "virginica"
    best = max(answer["probabilities"].values())
    assert f"{100 * best:.1f} %" in result.get_by_role("row").nth(1).inner_text()
    assert "iris:1" in result.inner_text()
    assert page.title() == "Result: iris · fairway"
    assert page.get_by_label("petal width (cm)").input_value() == "2.5"
    page.get_by_role("link", name="Reset to typical row").click()
    assert page.get_by_label("petal width (cm)").input_value() == "1.3"


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_every_kind_of_input_reaches_the_model(site: Site, javascript: bool) -> None:
    """What a person enters in each control is the value that the model gets."""
    page = site.open("/models/garden", javascript=javascript)
    page.get_by_label("area (m²)").fill("20.25")
    page.get_by_label("trees").fill("-1")
    page.get_by_label("fenced").uncheck()
    page.get_by_label("rented").select_option("Yes")
    page.get_by_label("soil").select_option("sand")
    page.get_by_label("zone").select_option("(no value)")
    birds = page.get_by_role("group", name="birds")
    for name in ("wren", "bird 0"):
        birds.get_by_label(name, exact=True).uncheck()
    birds.get_by_label("finch").check()
    birds.get_by_label("robin").check()
    page.get_by_label("story").fill('\n<b>"Grüße"</b>\nx')
    page.get_by_label("chores").fill("dig\n\nrest")
    page.get_by_label("planted").fill("2024-02-29T06:07:08")
    page.get_by_label("light").fill("1, 2.5, -3e-2")
    submit(page)
    output = page.locator(".output").inner_text()
    assert json.loads(output) == {
        "area (m²)": 20.25,
        "trees": -1,
        "fenced": False,
        "rented": True,
        "soil": "sand",
        "zone": None,
        "birds": ["finch", "robin"],
        "story": '\n<b>"Grüße"</b>\nx',
        "chores": ["dig", "rest"],
        "planted": "2024-02-29 06:07:08",
        "light": [1.0, 2.5, -0.03],
    }
    assert page.get_by_label("story").input_value() == '\n<b>"Grüße"</b>\nx'
    assert page.get_by_label("planted").input_value() == "2024-02-29T06:07:08"
    assert not page.get_by_label("fenced").is_checked()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
def test_faults_stand_at_their_fields(site: Site, javascript: bool) -> None:
    """A summary takes the focus, its links lead to the fields, and each field says what is wrong with it."""
    page = site.open("/models/garden", javascript=javascript)
    page.get_by_label("area (m²)").fill("5,9")
    page.get_by_label("trees").fill("1.5")
    page.get_by_label("story").fill("")
    submit(page)
    alert = page.get_by_role("alert")
    assert "Some values need another look" in alert.inner_text()
    assert alert.get_by_role("link").filter(has_text=":").count() == 3
    area = page.get_by_label("area (m²)")
    assert area.input_value() == "5,9"
    assert area.get_attribute("aria-invalid") == "true"
    described = [
        page.locator(f"#{name}").inner_text() for name in area.get_attribute("aria-describedby").split()
    ]
    assert any("seen 12.5 to 59.5" in text for text in described)
    assert any("Did you mean 5.9?" in text for text in described)
    assert page.title() == "Error: garden · fairway"
    assert focused(page)["tag"] == "SECTION"
    alert.get_by_role("link", name="trees").click()
    assert focused(page)["name"] == "trees"
    area.fill("20")
    page.get_by_label("trees").fill("1")
    page.get_by_label("story").fill("better")
    submit(page)
    assert page.get_by_role("alert").count() == 0
    assert '"better"' in page.locator(".output").inner_text()


def test_hostile_text_is_only_text(site: Site) -> None:
    """Nothing that is typed runs, loads or changes the page; the fixture fails on any dialog or refusal."""
    page = site.open("/models/garden")
    poison = "\"'></textarea><img src=https://example.org/x onerror=alert(1)><script>alert(2)</script>"
    page.get_by_label("story").fill(poison)
    page.get_by_label("trees").fill(poison)
    submit(page)
    assert page.get_by_label("story").input_value() == poison
    assert page.get_by_label("trees").input_value() == poison
    assert page.locator("main img, main script").count() == 0


def test_the_keyboard_is_enough(site: Site) -> None:
    """From the address bar to the result without a mouse, with the focus where one looks next."""
    page = site.open("/models/iris")
    page.keyboard.press("Tab")
    assert focused(page)["text"] == "Skip to content"
    assert page.get_by_role("link", name="Skip to content").is_visible()
    page.keyboard.press("Enter")
    for _ in range(2):  # the way back to the models, then the first input
        page.keyboard.press("Tab")
    assert focused(page)["name"] == "sepal length (cm)"
    for text in FLOWER.values():
        page.keyboard.press("Control+a")
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    assert focused(page)["text"] == "Predict"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert focused(page)["id"] == "result"
    assert "virginica" in focused(page)["text"]


def test_return_in_a_field_submits(site: Site) -> None:
    """As in every form."""
    page = site.open("/models/iris")
    page.get_by_label("petal width (cm)").fill("9")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    note = "petal width (cm): this number lies outside the range seen in training, 0.1 to 2.5."
    assert note in page.get_by_role("region", name="Prediction").inner_text()


def test_a_long_list_can_be_filtered_with_a_script(site: Site) -> None:
    """The script adds a filter that hides no choice that is made; without it the whole list is there."""
    birds = site.open("/models/garden").get_by_role("group", name="birds")
    birds.get_by_label("finch").check()
    birds.get_by_label("Filter birds").fill("BIRD 1")
    visible = [box.inner_text() for box in birds.locator(".choice").all() if box.is_visible()]
    assert visible == ["bird 0", "bird 1", *(f"bird {n}" for n in range(10, 20)), "finch", "wren"]
    plain = site.open("/models/garden", javascript=False).get_by_role("group", name="birds")
    assert plain.get_by_label("Filter birds").count() == 0
    assert plain.get_by_role("checkbox").count() == 23


def test_the_call_to_copy_answers_the_same(site: Site) -> None:
    """The button copies the command as it is shown."""
    page = site.open("/models/iris")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("pre").inner_text()
    body = json.loads(copied.partition("-d '")[2].rstrip("'"))
    assert site.server.ask("/models/iris/predict", body).status == 200
