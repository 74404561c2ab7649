"""`fairway delete`: a version that nobody needs any more."""

from __future__ import annotations

import sys

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import clean, print_json, say
from fairway.errors import UsageError


@verb("delete", example='fairway delete coffee:1 --yes --reason "trained on the wrong file"', remote=True)
@click.argument("reference", metavar="VERSION")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
def command(face: Face, /, *, reference: str, yes: bool, reason: str) -> None:
    """Delete a version that no alias points to.

    VERSION is a version by its number, such as coffee:1.

    Its number is never given again and its history stays; its files go with the next fairway gc, unless
    another version has the same ones. There is no way back but to push the model again.
    """
    from fairway import api

    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"{reference} is not deleted: nobody can be asked here",
                hint=f"fairway delete {reference} --yes",
            )
        click.confirm(f"Delete {clean(reference)} for good?", abort=True, err=True)
    version = api.delete(reference, reason=reason, **face.place)
    if face.as_json:
        print_json({"deleted": version.reference, "digest": version.digest})
    else:
        say(
            f"Deleted {version.reference}; its number is never given again",
            f"Its story: fairway show {version.model} --history",
        )
