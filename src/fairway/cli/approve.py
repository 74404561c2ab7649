"""`fairway approve`: the second person agrees."""

from __future__ import annotations

import dataclasses

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, say


@verb("approve", example='fairway approve coffee:2 --reason "looked at the report with Grace"', remote=True)
@click.argument("reference")
@click.option(
    "--alias", metavar="NAME", default="production", show_default=True, help="What the version may become."
)
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
def command(face: Face, /, *, reference: str, alias: str, reason: str) -> None:
    """Approve that a version is promoted by somebody else.

    It counts for exactly this version and this alias, and is used up by the promotion.
    """
    from fairway import api

    found = api.approve(reference, alias=alias, reason=reason, **face.place)
    if face.as_json:
        print_json(dataclasses.asdict(found))
        return
    model = found.reference.partition(":")[0]
    option = "" if alias == "production" else f" --alias {alias}"
    say(
        f"{found.reference} is approved for {model}@{found.alias} by {', '.join(found.approvals)}",
        f"Next: somebody other than {found.actor} runs: fairway promote {found.reference}{option}",
    )
