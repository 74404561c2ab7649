"""The report of a check on a terminal: what was refused first, then the figures, then the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fairway.cli.output import print_table, say

if TYPE_CHECKING:
    from fairway.lifecycle.reporting.document import CheckReport, Comparison, Metric

_WORDS = {"not_worse": "not worse"}


def show_checked(report: CheckReport) -> None:
    """Print a report: the rules that are not kept, the metrics, and what else is to know."""
    for rule in report.rules:
        if rule.verdict != "passed":
            say(f"{rule.name} {rule.verdict}: {rule.reason}")
    verdict = "passes its gate" if report.has_gate else "can serve, and has no rules to pass"
    verdict = verdict if report.passed else "is refused by its gate"
    say(f"{report.subject.reference} {verdict}: {report.data.rows:,} rows of {report.data.name}")
    head = ["METRIC", "VALUE", f"{100 * report.confidence:g} % INTERVAL"]
    if report.comparisons and report.against is not None:
        head += [report.against.reference, "DIFFERENCE", "P", "VERDICT"]
    compared = {(one.output, one.name): one for one in report.comparisons}
    rows = [_row(report, one, compared.get((one.output, one.name)), len(head)) for one in report.metrics]
    if rows:
        say("")
        print_table(head, rows)
    told = list(_else(report))
    if told:
        say("", *told)


def _row(report: CheckReport, one: Metric, beside: Comparison | None, width: int) -> list[str]:
    name = one.name if len(report.labels) == 1 else f"{one.output}.{one.name}"
    row = [name, _number(one.value), _span(one.low, one.high)]
    if beside is not None:
        row += [_number(beside.old), f"{_number(beside.difference)} ({_span(beside.low, beside.high)})"]
        row += [_p(beside.p), _WORDS.get(beside.verdict, beside.verdict)]
    return [*row, *[""] * (width - len(row))]


def _else(report: CheckReport) -> Iterator[str]:
    shifted = [column.name for column in report.schema.columns if column.has_shifted]
    if shifted:
        yield f"not as in the example: {', '.join(shifted)}"
    for one in report.segments:
        if one.verdict in {"worse", "better"}:
            figures = f"{one.name} {_number(one.metric)} beside {_number(one.other)}"
            yield f"{one.column} = {one.value}: {figures}, {one.verdict}"
    yield from report.notes
    for line in report.environment:
        yield f"environment: {line}"
    if report.latency is not None:
        times = f"{report.latency.p50_ms:.3g} ms per call (p50), {report.latency.p99_ms:.3g} ms (p99)"
        ratio = report.latency.ratio
        yield times if ratio is None else f"{times}, {ratio:.2g} times the other's"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _p(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _span(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4g} to {high:.4g}"
