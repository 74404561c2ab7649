"""`fairway rollback`: an alias goes back to what it was before."""

from __future__ import annotations

import click

from fairway.cli.alias import print_move
from fairway.cli.options import Face, verb


@verb(
    "rollback",
    example='fairway rollback coffee --reason "ratings too low since noon"\nfairway rollback coffee --to 3',
    remote=True,
)
@click.argument("model")
@click.option(
    "--alias", metavar="NAME", default="production", show_default=True, help="The alias to step back."
)
@click.option("--to", type=int, metavar="NUMBER", help="How far: a version that the alias had before.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
def command(face: Face, /, *, model: str, alias: str, to: int | None, reason: str) -> None:
    """Step an alias back to the version before.

    Done again, it steps further back; it never toggles. No gate stands in the way, and no approval is needed.
    """
    from fairway import api

    print_move(face, api.rollback(model, alias=alias, to=to, reason=reason, **face.place))
