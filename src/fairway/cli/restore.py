"""`fairway restore`: an empty registry is filled from a backup."""

from __future__ import annotations

import click

from fairway.cli.backup import print_backup
from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, progress, say


@verb("restore", example="fairway restore coffee-2026-05-03.zip --home /srv/fairway")
@click.argument("path", metavar="PATH")
def command(face: Face, /, *, path: str) -> None:
    """Fill an empty registry from a backup.

    All of it, every hash compared, or nothing. Where the rows and files go is up to the settings: a backup
    of one kind of store goes into any other.
    """
    from fairway import api

    with progress("Restoring the registry"):
        done = api.restore(path, home=face.home)
    if face.as_json:
        print_json(done)
        return
    print_backup(done)
    say("Every file is the one that was backed up, and the record of events holds.")
