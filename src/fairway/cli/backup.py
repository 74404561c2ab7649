"""`fairway backup`: everything that the registry holds, in one file or folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import moment, print_facts, print_json, progress, say, size

if TYPE_CHECKING:
    from fairway.registry.backup import Backup


@verb("backup", example="fairway backup coffee-2026-05-03.zip\nfairway backup /mnt/backups/monday")
@click.argument("path", metavar="PATH")
def command(face: Face, /, *, path: str) -> None:
    """Write the whole registry to a file or folder.

    A PATH that ends in .zip becomes one file. Others may use the registry meanwhile; the backup holds one
    moment. Write down the head that is printed: it proves later that nothing in the record was changed.
    """
    from fairway import api

    with progress("Copying the registry"):
        done = api.backup(path, home=face.home)
    if face.as_json:
        print_json(done)
        return
    print_backup(done)
    say(f"Restore it with: fairway restore {path} --home NEW_FOLDER")


def print_backup(done: Backup) -> None:
    """Print what a backup holds."""
    print_facts(
        [
            ("Backup", done.path),
            ("Written", moment(done.created_at)),
            ("Models", done.models),
            ("Versions", done.versions),
            ("Files", f"{done.files} ({size(done.size)})"),
            ("Events", done.head.seq),
            ("Head", done.head.hash),
        ]
    )
