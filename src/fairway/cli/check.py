"""`fairway check`: a version is proven on data that it has not seen, before it goes live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairway.cli.options import Face, predictor_option, verb
from fairway.cli.output import print_json, print_table, progress, say
from fairway.errors import EXIT_REFUSED

if TYPE_CHECKING:
    from fairway.lifecycle.reporting.document import CheckReport

_WORDS = {"not_worse": "not worse"}


@verb(
    "check",
    example="fairway check coffee:3 --data unseen.csv\n"
    "fairway check coffee:3 --data unseen.csv --against coffee@production --by roaster_country\n"
    "fairway check coffee:3 --data unseen.parquet --html report.html --json",
)
@click.argument("reference", metavar="MODEL")
@click.option("--data", metavar="FILE", required=True, help="Unseen rows with the truth: CSV, Parquet, JSON.")
@click.option("--against", metavar="MODEL", help="Compare with another version on the same rows.")
@click.option("--by", metavar="COLUMN", multiple=True, help="Look at the rows apart; repeat for more.")
@click.option("--target", metavar="COLUMN", help="Column that holds the truth. Default: the output's name.")
@click.option("--html", "page", metavar="FILE", help="Write the report as a page; - prints it.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
@click.option("--seed", type=click.IntRange(0, 999_999_999), default=0, help="Which resamples are drawn.")
@predictor_option
def command(  # noqa: PLR0913 - one per option, all by name
    face: Face,
    /,
    *,
    reference: str,
    data: str,
    against: str | None,
    by: tuple[str, ...],
    target: str | None,
    page: str | None,
    reason: str,
    seed: int,
    predictor: str | None,
) -> int:
    """Prove a version on unseen data and judge it by its gate.

    MODEL is a version of the registry. The rules stand in fairway.toml: [gate.MODEL] or [gate.default].
    The report is kept with the version; fairway promote reads it.

    The exit code is 3 if a rule is not kept.
    """
    from fairway import api

    with progress(f"Checking {reference}"):
        report = api.check(
            reference,
            data,
            against=against,
            by=by,
            target=target,
            reason=reason,
            seed=seed,
            predictor=predictor,
            home=face.home,
        )
    if page is not None:
        _write_page(report, page)
    if face.as_json:
        print_json(report)
    elif page != "-":
        _print(report)
    return 0 if report.passed else EXIT_REFUSED


def _write_page(report: CheckReport, page: str) -> None:
    from fairway.lifecycle.reporting.page import render

    if page == "-":
        click.echo(render(report))
    else:
        Path(page).write_text(render(report), encoding="utf-8")


def _print(report: CheckReport) -> None:
    for rule in report.rules:
        if rule.verdict != "passed":
            say(f"{rule.name} {rule.verdict}: {rule.reason}")
    verdict = "passes its gate" if report.passed else "is refused by its gate"
    say(f"{report.subject.reference} {verdict} on {report.data.rows:,} rows of {report.data.name}")
    olds = {(m.output, m.name): m for m in report.against_metrics}
    verdicts = {(c.output, c.name): c for c in report.comparisons}
    head = ["METRIC", "VALUE", f"{100 * report.confidence:g} % INTERVAL"]
    if report.against is not None:
        head += [report.against.reference, "DIFFERENCE", "P", "VERDICT"]
    rows = []
    for one in report.metrics:
        key = one.output, one.name
        label = one.name if len(report.labels) == 1 else f"{one.output}.{one.name}"
        row = [label, _number(one.value), _span(one.low, one.high)]
        if report.against is not None and key in verdicts:
            found = verdicts[key]
            row += [_number(olds[key].value), f"{_number(found.difference)} ({_span(found.low, found.high)})"]
            row += [_number(found.p), _WORDS.get(found.verdict, found.verdict)]
        rows.append([*row, *[""] * (len(head) - len(row))])
    if rows:
        say("")
        print_table(head, rows)
    _print_rest(report)


def _print_rest(report: CheckReport) -> None:
    shifted = [column.name for column in report.schema.columns if column.has_shifted]
    told = [f"not as in the example: {', '.join(shifted)}"] if shifted else []
    told += [
        f"{one.column} = {one.value}: {one.name} {_number(one.metric)} "
        f"beside {_number(one.other)}, {one.verdict}"
        for one in report.segments
        if one.verdict in {"worse", "better"}
    ]
    told += [*report.notes, *(f"environment: {line}" for line in report.environment)]
    if report.latency is not None:
        times = f"{report.latency.p50_ms:.3g} ms per call (p50), {report.latency.p99_ms:.3g} ms (p99)"
        ratio = report.latency.ratio
        told.append(times if ratio is None else f"{times}, {ratio:.2g} times the other's")
    say("", *told)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _span(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4g} to {high:.4g}"
