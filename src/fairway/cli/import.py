"""`fairway import`: the versions of an exported file come into this registry."""  # noqa: N999 - the verb

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairway.cli.options import COMPILE_MODES, Face, verb
from fairway.cli.output import print_json, progress, say

if TYPE_CHECKING:
    from fairway.lifecycle.exchange import Imported


@verb("import", example='fairway import versions.zip --reason "from the laboratory"')
@click.argument("path", metavar="FILE")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
@click.option(
    "--compile",
    type=click.Choice(COMPILE_MODES),
    default="auto",
    show_default=True,
    help="Compile the model and prove the result; require refuses where nothing was proven.",
)
def command(face: Face, /, *, path: str, reason: str, compile: str) -> None:  # noqa: A002 - the option
    """Register the versions of an exported file.

    Those that are here already stay as they are. What no key that is trusted here has signed is checked as a
    foreign file is. Where one version is refused, none is registered. No alias moves.
    """
    from fairway import api

    with progress("Importing"):
        done = api.import_versions(path, reason=reason, compile=compile, home=face.home)
    if face.as_json:
        print_json(done)
        return
    for imported in done:
        say(_line_of(imported))


def _line_of(imported: Imported) -> str:
    here = imported.version.reference
    if not imported.is_new:
        return f"{imported.source} is here already, as {here}."
    rest = ", ".join(imported.left_out)
    return f"Imported {imported.source} as {here}." + (
        f" Left out, as nobody vouches for it: {rest}." if rest else ""
    )
