"""`fairway inspect`: what a model file holds, told without loading it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_facts, print_json, print_table, say, size
from fairway.errors import EXIT_REFUSED

if TYPE_CHECKING:
    from fairway.bundle.safety.report import FileReport, Inspection

_SHOWN_MEMBERS = 20


@verb("inspect", example="fairway inspect model.joblib\nfairway inspect model.pkl --trust own.Model --json")
@click.argument("path", metavar="FILE")
@click.option("--trust", metavar="TYPE", multiple=True, help="Type (module.Class) that is taken as trusted.")
def command(face: Face, /, *, path: str, trust: tuple[str, ...]) -> int:
    """Tell what a model file holds, without loading it.

    FILE is a file, a folder or a bundle, in any format.

    Shows the format, by content, what is inside, and every name that loading it would use with what the
    policy says of it. The exit code is 3 if it would be refused.
    """
    from fairway import api

    found = api.inspect(path, trust=trust, home=face.home)
    if face.as_json:
        print_json({"loads": found.loads, **dataclasses.asdict(found)})
    else:
        _print(path, found)
    return 0 if found.loads else EXIT_REFUSED


def _print(path: str, found: Inspection) -> None:
    for report in found.files:
        _print_file(report)
    if found.loads:
        say(f"{path} would be loaded (policy {found.policy})")
        return
    say(f"{path} would be refused (policy {found.policy})")
    for report in found.files:
        if report.refusal:
            say(f"  {report.refusal.code}: {report.refusal.detail}")
            say(f"  Try: {report.refusal.hint}" if report.refusal.hint else "")


def _print_file(report: FileReport) -> None:
    kind = report.format or "not readable"
    packed = f", compressed by {report.compression}" if report.compression else ""
    say(report.path)
    print_facts([("Format", f"{kind}{packed}"), ("Size", size(report.size)), ("SHA-256", report.sha256)])
    if report.members:
        others = len(report.members) - _SHOWN_MEMBERS
        shown = [*report.members[:_SHOWN_MEMBERS], *([f"and {others} more"] if others > 0 else [])]
        print_facts([("Members", ", ".join(shown))])
    if report.names:
        print_table(["VERDICT", "NAME", "WHY"], [[n.verdict, n.name, n.reason] for n in report.names])
    say("")
