"""`fairway check`: a version is proven on data that it has not seen, before it goes live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fairway.cli.checked import show_checked
from fairway.cli.options import Face, predictor_option, verb
from fairway.cli.output import print_json, progress
from fairway.errors import EXIT_REFUSED

if TYPE_CHECKING:
    from fairway.lifecycle.reporting.document import CheckReport


@verb(
    "check",
    example="fairway check coffee:3 --data unseen.csv\n"
    "fairway check coffee:3 --data unseen.csv --against coffee@production --by roaster_country\n"
    "fairway check coffee:3 --data unseen.parquet --html report.html --json",
    remote=True,
)
@click.argument("reference", metavar="MODEL")
@click.option("--data", metavar="FILE", required=True, help="Unseen rows with the truth: CSV, Parquet, JSON.")
@click.option("--against", metavar="MODEL", help="Compare with another version on the same rows.")
@click.option("--by", metavar="COLUMN", multiple=True, help="Look at the rows apart; repeat for more.")
@click.option(
    "--target",
    metavar="COLUMN",
    help="Column that holds the truth. Default: what push was told, or the output's name.",
)
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
            **face.place,
        )
    if page is not None:
        _write_page(report, page)
    if face.as_json:
        print_json(report)
    elif page != "-":
        show_checked(report)
    return 0 if report.passed else EXIT_REFUSED


def _write_page(report: CheckReport, page: str) -> None:
    from fairway.lifecycle.reporting.page import render

    if page == "-":
        click.echo(render(report))
    else:
        Path(page).write_text(render(report), encoding="utf-8")
