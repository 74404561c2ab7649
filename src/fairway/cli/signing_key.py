"""`fairway signing-key`: make the key that bundles are signed with."""

from __future__ import annotations

from pathlib import Path

import click

from fairway.cli.options import Face, passphrase_of, passphrase_options, verb, verbs
from fairway.cli.output import print_facts, print_json, say


@verbs("signing-key", example="fairway signing-key create release.key")
def command() -> None:
    """Make a key to sign bundles with."""


@verb("create", parent=command, example="fairway signing-key create release.key --passphrase-file secret.txt")
@click.argument("path", metavar="FILE")
@passphrase_options
def create(face: Face, /, *, path: str, ask_passphrase: bool, passphrase_file: str | None) -> None:
    """Write a new Ed25519 key to FILE, which its owner alone can read, and the public key to FILE.pub.

    Neither file is ever overwritten. Keep FILE where bundles are released, and give FILE.pub to those who
    serve them.
    """
    from fairway import api

    passphrase = passphrase_of(passphrase_file, ask=ask_passphrase, confirm=True)
    public = api.create_signing_key(Path(path), passphrase=passphrase)
    if face.as_json:
        print_json({"id": public.id, "public_key": public.pem, "path": path, "public_path": f"{path}.pub"})
        return
    say(f"Wrote the signing key to {path} and the public key to {path}.pub")
    say("", *public.pem.splitlines(), "")
    print_facts([("Key id", public.id), ("Next", f"fairway sign MODEL --key {path}")])
