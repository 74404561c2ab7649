"""`fairway protect`: an alias that only promotions and rollbacks move."""

from __future__ import annotations

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, say
from fairway.errors import UsageError


@verb(
    "protect",
    example="fairway protect coffee@production --approvals 1\nfairway protect coffee@production --off",
    remote=True,
)
@click.argument("reference", metavar="ALIAS")
@click.option(
    "--approvals",
    type=click.IntRange(0, 10),
    default=0,
    show_default=True,
    help="How many others have to approve a version before it is promoted.",
)
@click.option("--off", is_flag=True, help="End the protection; this, too, stays in the record.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
def command(face: Face, /, *, reference: str, approvals: int, off: bool, reason: str) -> None:
    """Let only promotions and rollbacks move an alias.

    fairway alias refuses to move or remove it then. Going back needs no approval: whoever is called at night
    must be able to.
    """
    from fairway import api

    if off and approvals:
        raise UsageError(
            "--off and --approvals exclude each other", hint=f"fairway protect {reference} --off"
        )
    found = api.protect(reference, on=not off, approvals=approvals, reason=reason, **face.place)
    if face.as_json:
        print_json(
            {
                "reference": reference,
                "protected": found is not None,
                "approvals": found.approvals if found else 0,
            }
        )
    elif found is None:
        say(f"{reference} is not protected; fairway alias moves it", f"Undo: fairway protect {reference}")
    else:
        people = {0: "needs no approval", 1: "needs the approval of one other person"}
        needs = people.get(found.approvals, f"needs the approval of {found.approvals} other people")
        say(
            f"{reference} is protected: only fairway promote and fairway rollback move it",
            f"A promotion {needs}",
            f"Undo: fairway protect {reference} --off",
        )
