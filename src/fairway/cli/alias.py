"""`fairway alias`: a movable name for a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, say
from fairway.errors import UsageError

if TYPE_CHECKING:
    from fairway.registry.records import Move


@verb(
    "alias",
    example='fairway alias coffee:2 production --reason "better on the March data"\n'
    "fairway alias coffee@challenger --remove",
    remote=True,
)
@click.argument("reference")
@click.argument("alias", required=False)
@click.option("--remove", is_flag=True, help="Take away the alias that REFERENCE names.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
def command(face: Face, /, *, reference: str, alias: str | None, remove: bool, reason: str) -> None:
    """Let an alias point to a version; running servers follow.

    It takes running servers less than a second.
    """
    from fairway import api

    if remove == (alias is not None):
        raise UsageError(
            "give a version and an alias, or an alias to remove",
            hint="fairway alias coffee:2 production, or: fairway alias coffee@production --remove",
        )
    if alias is None:
        print_move(face, api.remove_alias(reference, reason=reason, **face.place))
    else:
        print_move(face, api.alias(reference, alias, reason=reason, **face.place))


def print_move(face: Face, move: Move) -> None:
    """Print what an alias was, what it is, and the command that undoes the change."""
    name = f"{move.model}@{move.alias}"
    before, now = (
        None if number is None else f"{move.model}:{number}"
        for number in (move.from_version, move.to_version)
    )
    back = f"fairway alias {before} {move.alias}" if before else f"fairway alias {name} --remove"
    if before and move.protected:
        back = f"fairway promote {before}" + ("" if move.alias == "production" else f" --alias {move.alias}")
    undo = None if before == now else back
    if face.as_json:
        print_json({"reference": name, "from": before, "to": now, "seq": move.seq, "undo": undo})
    elif before == now:
        say(f"{name} points to {now} already; nothing was changed")
    else:
        say(f"{name} was {before or 'not set'}", f"{name} is  {now or 'not set'}")
        if undo:
            say(f"Undo: {undo}")
