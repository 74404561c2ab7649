"""`fairway score`: a whole file of rows, predicted."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_facts, print_json, say

if TYPE_CHECKING:
    from fairway.batch.local import Progress, ScoreSummary

PLAIN_EVERY_S = 5.0


@verb(
    "score",
    example="fairway score iris flowers.parquet scored.parquet\n"
    "fairway score coffee:2 in.csv out.ndjson --keep id --include probabilities\n"
    "fairway score coffee in.csv out.csv --strict --overwrite",
)
@click.argument("reference")
@click.argument("source", metavar="INPUT")
@click.argument("output")
@click.option(
    "--format", metavar="FORMAT", help="csv, tsv, ndjson, parquet, arrow, arrows. Default: by name."
)
@click.option("--include", metavar="NAMES", default="", help="What to add: probabilities.")
@click.option("--keep", metavar="COLUMN", multiple=True, help="Column of the input to copy; repeat for more.")
@click.option("--keep-all", is_flag=True, help="Copy every column of the input.")
@click.option("--strict", is_flag=True, help="Stop at the first row that does not fit.")
@click.option("--overwrite", is_flag=True, help="Replace an output that is there.")
@click.option("--restart", is_flag=True, help="Forget what an interrupted run has done.")
@click.option("--workers", type=int, metavar="N", help="Processes. Default: one per core.")
def command(face: Face, /, *, reference: str, source: str, output: str, **options: Any) -> None:
    """Predict every row of a file, on all cores.

    INPUT and OUTPUT are CSV, TSV, NDJSON, Parquet or Arrow files, of any length: the memory stays constant.
    Interrupted, the same command goes on.
    """
    from fairway import api

    try:
        with _progress() as show:
            arguments = _arguments(options)
            summary = api.score(reference, source, output, on_progress=show, home=face.home, **arguments)
    except KeyboardInterrupt:
        click.echo("\nWhat was done is kept: the same command goes on.", err=True)
        raise
    if face.as_json:
        print_json(dataclasses.asdict(summary))
    else:
        _print_summary(summary)


def _arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options as `fairway.api.score` takes them."""
    include = [name.strip() for name in options.pop("include").split(",") if name.strip()]
    keep = options.pop("keep")
    if options.pop("keep_all"):
        keep = None
    return {**options, "include": include, "keep": keep}


def _print_summary(summary: ScoreSummary) -> None:
    say(f"Scored {summary.rows:,} rows with {summary.model}")
    resumed = f", {summary.resumed_rows:,} rows were done before" if summary.resumed_rows else ""
    flagged = f"{summary.flagged:,} rows hold values not seen in training" if summary.flagged else ""
    errors = f"{summary.errors:,} rows, see {summary.errors_file}" if summary.errors else ""
    speed = f"{summary.rows_per_s:,.0f} rows/s in {summary.seconds:.1f} s{resumed}"
    facts = {
        "Output": summary.output,
        "Run": summary.run,
        "Speed": speed,
        "Flagged": flagged,
        "Errors": errors,
    }
    print_facts(list(facts.items()))


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Give the function that shows how far a run is: a bar on a terminal, else a line every few seconds."""
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]} rows, {task.fields[speed]} rows/s"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, rows="0", speed="0")

        def show(progress: Progress) -> None:
            speed = f"{progress.new_rows / max(progress.seconds, 1e-9):,.0f}"
            bar.update(task, completed=progress.share, rows=f"{progress.rows:,}", speed=speed)

        yield show


class _Lines:
    """Progress for a log."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def show(self, progress: Progress) -> None:
        """Print a line if the last one is some seconds old."""
        if time.monotonic() - self._told < PLAIN_EVERY_S:
            return
        self._told = time.monotonic()
        speed = progress.new_rows / max(progress.seconds, 1e-9)
        errors = f", {progress.errors:,} errors" if progress.errors else ""
        left_s = progress.seconds * (1 - progress.share) / max(progress.share, 1e-9)
        left = f", about {left_s:,.0f} s left" if progress.rows == progress.new_rows else ""
        done = f"{progress.rows:,} rows ({progress.share:.0%})"
        click.echo(f"{done}, {speed:,.0f} rows/s{errors}{left}", err=True)
