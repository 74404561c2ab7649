"""The report as a page: one file, no script, nothing from elsewhere; every text in it is escaped."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairway.lifecycle.reporting import plots
from fairway.lifecycle.reporting.document import CheckReport, Column, Segment

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent / "templates"
_VERDICTS = ("better", "not_worse", "worse", "inconclusive")
_MOST_COLUMNS = 40
_NONE = "\N{EN DASH}"


def render(report: CheckReport) -> str:
    """Return the page of a report."""
    olds = {(metric.output, metric.name): metric for metric in report.against_metrics}
    found = {(one.output, one.name): one for one in report.comparisons}
    rows = [
        {
            "metric": metric,
            "old": olds.get((metric.output, metric.name)),
            "comparison": found.get((metric.output, metric.name)),
            "plot": plots.interval_rows(metric, olds.get((metric.output, metric.name))),
        }
        for metric in report.metrics
    ]
    context: dict[str, Any] = {
        "report": report,
        "tally": _tally(report),
        "rows": rows,
        "segments": _segments(report),
        "calibration": [(one, plots.reliability(one)) for one in report.calibration],
        "curves": [(one, plots.curve(one)) for one in report.curves],
        "columns": sorted(report.schema.columns, key=_concern, reverse=True)[:_MOST_COLUMNS],
    }
    return _environment().get_template("report.html").render(context)


def _tally(report: CheckReport) -> str:
    """Return how the comparisons came out, in words."""
    counted = Counter[str](one.verdict for one in report.comparisons)
    told = [f"{plots.shown(verdict)} in {counted[verdict]}" for verdict in _VERDICTS if counted[verdict]]
    number = len(report.comparisons)
    return f"Of {number} metric{'s' if number > 1 else ''} it is {', '.join(told)}" if told else ""


def _segments(report: CheckReport) -> list[tuple[str, str, list[tuple[Segment, Any]]]]:
    """Return the segments by column and metric, each with its plot on one scale."""
    groups: dict[tuple[str, str], list[Segment]] = {}
    for one in report.segments:
        groups.setdefault((one.column, one.name), []).append(one)
    drawn = []
    for (column, name), members in groups.items():
        extent = plots.extent_of(members)
        drawn.append((column, name, [(one, plots.difference_row(one, extent)) for one in members]))
    return drawn


def _concern(column: Column) -> tuple[bool, float, float]:
    return column.has_shifted, column.refused + column.unseen + column.out_of_range, column.psi or 0.0


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "number": _number,
        "signed": _signed,
        "percent": _percent,
        "p": p_text,
        "shown": plots.shown,
    }
    return made


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:.4g}"


def _signed(value: float | None) -> str:
    return _NONE if value is None else f"{value:+.3g}"


def _percent(share: float | None) -> str:
    if share is None:
        return _NONE
    return "0 %" if share == 0 else f"{100 * share:.3g} %"


def p_text(p: float | None) -> str:
    """Return a p-value as people write it."""
    if p is None:
        return _NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
