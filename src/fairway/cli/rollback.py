"""`fairway rollback`: an alias goes back to what it was before."""

from __future__ import annotations

import click

from fairway.cli.alias import print_move
from fairway.cli.options import Face, verb


@verb("rollback", example='fairway rollback coffee --reason "ratings too low since noon"')
@click.argument("model")
@click.option(
    "--alias", metavar="NAME", default="production", show_default=True, help="The alias to step back."
)
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
def command(face: Face, /, *, model: str, alias: str, reason: str) -> None:
    """Step an alias back to the version before.

    Done again, it steps further back; it never toggles.
    """
    from fairway import api

    print_move(face, api.rollback(model, alias=alias, reason=reason, home=face.home))
