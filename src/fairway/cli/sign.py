"""`fairway sign`: vouch for a version or a bundle with a key."""

from __future__ import annotations

from pathlib import Path

import click

from fairway.cli.options import Face, passphrase_of, passphrase_options, verb
from fairway.cli.output import print_json, say


@verb(
    "sign",
    example="fairway sign coffee:3 --key release.key\nfairway sign coffee.fairway --key release.key",
)
@click.argument("reference", metavar="MODEL")
@click.option("--key", required=True, metavar="FILE", help="The signing key: fairway signing-key create.")
@passphrase_options
def command(
    face: Face, /, *, reference: str, key: str, ask_passphrase: bool, passphrase_file: str | None
) -> None:
    """Sign a version or a bundle, with all that is attached to it.

    MODEL is a reference or the path of a bundle. What is attached later, such as by fairway compile, is not
    covered: sign again.
    """
    from fairway import api

    passphrase = passphrase_of(passphrase_file, ask=ask_passphrase)
    key_id = api.sign(reference, key=Path(key), passphrase=passphrase, home=face.home)
    if face.as_json:
        print_json({"signed": reference, "key": key_id})
        return
    say(f"Signed {reference} with the key {key_id}")
