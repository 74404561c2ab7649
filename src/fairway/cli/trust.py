"""`fairway trust`: whose signatures count in this home."""

from __future__ import annotations

from pathlib import Path

import click

from fairway.cli.options import Face, verb, verbs
from fairway.cli.output import print_json, print_table, say


@verbs("trust", example="fairway trust add release.key.pub --name release\nfairway trust list")
def command() -> None:
    """Say whose signatures count: list, add, remove keys."""


@verb("add", parent=command, example="fairway trust add release.key.pub --name release")
@click.argument("path", metavar="FILE")
@click.option("--name", default="", metavar="NAME", help="What to call it. Default: from the file's name.")
def add(face: Face, /, *, path: str, name: str) -> None:
    """Trust the public key in FILE: what it has signed may be loaded, and a model can run code.

    Compare the id with what the key's owner tells you by another way than the one on which the file came.
    """
    from fairway import api

    key = api.trust_key(Path(path), name=name, home=face.home)
    if face.as_json:
        print_json({"name": key.name, "id": key.id})
        return
    say(f"Trusted from now on: {key.name} ({key.id})")


@verb("list", parent=command, example="fairway trust list")
def list_(face: Face, /) -> None:
    """Print the keys that are trusted."""
    from fairway import api

    keys = [{"name": key.name, "id": key.id} for key in api.trusted_keys(home=face.home)]
    if face.as_json:
        print_json(keys)
    elif keys:
        print_table(["NAME", "ID"], [(key["name"], key["id"]) for key in keys])
    else:
        say("No key is trusted. Add one: fairway trust add FILE.pub")


@verb("remove", parent=command, example="fairway trust remove release")
@click.argument("key")
def remove(face: Face, /, *, key: str) -> None:
    """Trust KEY, a name or an id, no longer.

    A server refuses what it loads from then on; what it has loaded goes on serving until it is restarted.
    """
    from fairway import api

    removed = api.distrust_key(key, home=face.home)
    if face.as_json:
        print_json({"name": removed.name, "id": removed.id})
        return
    say(f"Trusted no longer: {removed.name} ({removed.id})")
