"""`fairway gc`: stored files that nothing refers to any more are removed."""

from __future__ import annotations

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, progress, say, size


@verb("gc", example="fairway gc --dry-run\nfairway gc --older-than 72")
@click.option(
    "--older-than",
    type=float,
    metavar="HOURS",
    default=24.0,
    show_default=True,
    help="Leave files alone that were stored since.",
)
@click.option("--dry-run", is_flag=True, help="Remove nothing; only tell what would go.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the record.")
def command(face: Face, /, *, older_than: float, dry_run: bool, reason: str) -> None:
    """Remove files that no version refers to.

    Deleting a version leaves its files, which other versions may share. Others may push meanwhile.
    """
    from fairway import api

    with progress("Looking for files that nothing refers to"):
        found = api.gc(older_than_h=older_than, dry_run=dry_run, reason=reason, home=face.home)
    if face.as_json:
        print_json(found)
        return
    done = "Would remove" if dry_run else "Removed"
    say(f"{done} {found.files} files ({size(found.size)}) that nothing refers to.")
    if found.temporary:
        say(f"Removed {found.temporary} temporary files of writers that died.")
