"""`fairway compile`: a version becomes faster, and is proven to answer as before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_facts, print_json, print_table, progress, say
from fairway.errors import EXIT_REFUSED


@verb("compile", example="fairway compile coffee:3\nfairway compile coffee.fairway --json")
@click.argument("reference", metavar="MODEL")
def command(face: Face, /, *, reference: str) -> int:
    """Compile a version and keep what was proven equal.

    MODEL is one of the registry (coffee, coffee:3, coffee@production) or a bundle that this home packed.
    What was made for it before is replaced.

    The exit code is 3 if nothing could be proven; the model then serves as it is.
    """
    from fairway import api

    with progress(f"Compiling {reference} and proving the result"):
        report = api.compile(reference, home=face.home)
    if face.as_json:
        print_json(report)
    else:
        _print_report(reference, report)
    return 0 if _proven(report) else EXIT_REFUSED


def serving(reason: str, report: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return as facts which predictor serves and why, and what was compared."""
    facts = [("Predictor", reason)]
    entry = report["compilers"].get(report["predictor"]) if report else None
    if entry is not None:
        facts.append(("Compared", f"{entry['rows_total']:,} rows, {_difference(entry)}"))
    return facts


def _print_report(reference: str, report: dict[str, Any]) -> None:
    say(f"Compiled {reference}" if _proven(report) else f"{reference} stays as it is")
    print_facts(serving(report["reason"], report))
    say("")
    columns = [
        "PREDICTOR",
        "VERDICT",
        "PRECISION",
        "ROWS",
        "WORST DIFFERENCE",
        "MICROSECONDS A ROW",
        "REASON",
    ]
    print_table(columns, _rows(report))
    for name, entry in report["compilers"].items():
        if entry["verdict"] == "different" and entry["worst_row"]:
            say(
                "",
                f"The row that {name} answers otherwise:",
                json.dumps(entry["worst_row"], ensure_ascii=False),
            )


def _rows(report: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    if "native" in report:
        yield "native", "the original", "", "", "", _microseconds(report["native"]), ""
    for name, entry in report["compilers"].items():
        if "rows_total" not in entry:
            yield name, entry["verdict"], "", "", "", "", entry["reason"]
            continue
        worst = f"{entry['worst_difference']:.1g}"
        rows, took = f"{entry['rows_total']:,}", _microseconds(entry)
        yield name, entry["verdict"], entry["precision"], rows, worst, took, entry["reason"]


def _proven(report: dict[str, Any]) -> bool:
    return any(entry["verdict"] == "equal" for entry in report["compilers"].values())


def _difference(entry: dict[str, Any]) -> str:
    if not entry["worst_difference"]:
        return "every answer identical"
    return f"labels identical, numbers within {entry['worst_difference']:.1g}"


def _microseconds(entry: dict[str, Any]) -> str:
    return f"{entry['seconds_one_row'] * 1e6:.1f}"
