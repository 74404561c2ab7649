"""`fairway export`: versions in one file, for a registry that no network leads to."""

from __future__ import annotations

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, progress, say, size


@verb("export", example="fairway export coffee:3 tea@production -o versions.zip")
@click.argument("references", metavar="MODEL...", nargs=-1, required=True)
@click.option("-o", "--output", "path", metavar="FILE", required=True, help="The file to write.")
def command(face: Face, /, *, references: tuple[str, ...], path: str) -> None:
    """Write versions into a file for another registry.

    Their attachments and signatures go along. `fairway import` takes it in elsewhere. Sign what you export,
    so that the others can know it is yours.
    """
    from fairway import api

    with progress("Exporting"):
        done = api.export_versions(*references, path=path, home=face.home)
    if face.as_json:
        print_json(done)
        return
    say(f"Exported {', '.join(version.reference for version in done.versions)} ({size(done.size)}).")
    say(f"Take it in with: fairway import {path}")
