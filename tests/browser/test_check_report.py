"""The report of a check in a browser: nothing loaded, nothing sticks out, readable in light and dark."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway.lifecycle.reporting.document import (
    Bin,
    Calibration,
    CheckReport,
    Column,
    Comparison,
    Curve,
    Data,
    Labels,
    Latency,
    Metric,
    Rule,
    Schema,
    Segment,
    Subject,
)
from fairway.lifecycle.reporting.page import render

pytestmark = pytest.mark.service("browser", "axe")

LONG = "a_very_long_name_without_a_single_space_" * 3
NEW = Subject(reference="coffee:3", model="coffee", version=3, digest="0" * 64, predictor="numpy")
OLD = dataclasses.replace(NEW, reference="coffee:2", version=2)


def metric(name: str, value: float) -> Metric:
    return Metric(
        output="rating",
        name=name,
        value=value,
        low=value - 0.1,
        high=value + 0.1,
        method="bca",
        rows=900,
        higher_is_better=True,
    )


def comparison(name: str, verdict: Any) -> Comparison:
    return Comparison(
        output="rating",
        name=name,
        new=0.7,
        old=0.8,
        difference=-0.1,
        low=-0.15,
        high=-0.05,
        method="bca",
        p=0.0002,
        test="permutation",
        tolerance=0.0,
        verdict=verdict,
        detectable=0.07,
        rows=900,
    )


def segment(value: str, verdict: Any) -> Segment:
    return Segment(
        column=LONG,
        value=value,
        output="rating",
        name="accuracy",
        rows=80,
        metric=0.7,
        low=0.6,
        high=0.8,
        beside="against",
        other=0.8,
        difference=-0.1,
        difference_low=-0.2,
        difference_high=0.0,
        p=0.04,
        verdict=verdict,
    )


REPORT = CheckReport(
    passed=False,
    rules=[
        Rule(name="accuracy", wanted=">= 0.8", verdict="failed", reason=f"{LONG} is 0.7"),
        Rule(name="mae", wanted="<= 1", verdict="inconclusive", reason="20 rows do not tell"),
        Rule(name="golden", wanted="answered as recorded", verdict="passed", reason="they are"),
    ],
    subject=NEW,
    against=OLD,
    at="2026-05-03T12:00:00Z",
    actor="anna",
    data=Data(name=f"{LONG}.csv", sha256="f" * 64, rows=900, columns=12),
    schema=Schema(
        passed=True,
        missing=[],
        extra=[LONG, "<b>bold</b>"],
        refused=2,
        failed=0,
        faults=[f"row 3: {LONG}: expected number, got string"],
        columns=[
            Column(
                name=LONG,
                kind="category",
                missing=0.1,
                refused=0.02,
                unseen=0.03,
                out_of_range=0.0,
                psi=0.4,
                p=1e-9,
                has_shifted=True,
            )
        ],
    ),
    golden=[],
    environment=["scikit-learn 1.7.2 was recorded, 1.8.0 is installed (minor, which matters)"],
    labels=[
        Labels(
            output="rating", column="rating", task="classification", rows=900, missing=3, unknown={LONG: 4}
        )
    ],
    metrics=[metric("accuracy", 0.7), metric(f"f1:{LONG}", 0.5)],
    against_metrics=[metric("accuracy", 0.8)],
    comparisons=[comparison("accuracy", "worse")],
    segments=[segment(LONG, "worse"), segment("short", "inconclusive")],
    calibration=[
        Calibration(
            output="rating",
            of=LONG,
            bins=[Bin(rows=90, stated=n / 10, happened=n / 11, low=n / 15, high=n / 10) for n in range(10)],
            ece=0.04,
            if_calibrated=0.02,
            p=0.2,
        )
    ],
    curves=[
        Curve(
            output="rating",
            kind="roc",
            of="good",
            points=[(0, 0), (0.1, 0.8), (1, 1)],
            against=[(0, 0), (1, 1)],
        ),
        Curve(output="rating", kind="answers", of="", points=[(float(n), n * 1.1) for n in range(30)]),
    ],
    latency=Latency(calls=100, p50_ms=0.01, p99_ms=0.2, against_p50_ms=0.01, against_p99_ms=0.1, ratio=1.0),
    memory_mb=120.5,
    compatibility={"verdict": "no client of coffee:2 breaks"},
    notes=[f"12 rows are left out: {LONG}"],
    fairway="0.1.0",
)


@pytest.fixture(scope="module")
def report_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file of a report that has everything a report may have, in its longest form."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(REPORT), encoding="utf-8")
    return path


@pytest.fixture(params=["light", "dark"])
def opened(request: pytest.FixtureRequest, browser: Any, report_page: Path) -> Iterator[Any]:
    """Give a page that shows the report, and the requests that it made."""
    context = browser.new_context(color_scheme=request.param)
    page = context.new_page()
    page.requests = []
    page.on("request", lambda asked: page.requests.append(asked.url))
    page.goto(report_page.as_uri())
    yield page
    context.close()


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_sticks_out_at_any_width(width: int, opened: Any) -> None:
    opened.set_viewport_size({"width": width, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_is_loaded_and_no_script_runs(opened: Any) -> None:
    assert [url for url in opened.requests if not url.startswith("file:")] == []
    assert opened.locator("script, link, img, b:has-text('bold')").count() == 0


def test_axe_finds_nothing(opened: Any, axe_script: str) -> None:
    """Contrast, names of drawings, headings, tables."""
    # The page's own policy lets no script in, so the checker looks at the same markup without it.
    opened.set_content(render(REPORT).replace("http-equiv=", "data-policy="))
    opened.evaluate(axe_script)
    for width in (360, 1280):
        opened.set_viewport_size({"width": width, "height": 800})
        found = opened.evaluate("axe.run()")["violations"]
        assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found] == []
