"""`fairway keys`: who may call the servers of a registry."""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING, Any

import click

from fairway.cli.options import Face, verb, verbs
from fairway.cli.output import clean, moment, print_json, print_table, say

if TYPE_CHECKING:
    from fairway.registry.api_keys import NewKey
    from fairway.registry.records import KeyRecord

_file_option = click.option(
    "--file", metavar="FILE", help="Key file instead of the registry, for servers that have none."
)
_environment_option = click.option(
    "--environment", metavar="WORD", default="live", show_default=True, help="Says what it is for."
)


_EXAMPLE = "fairway keys create shop --role predict --models 'coffee*' --expires 90d"


@verbs("keys", example=_EXAMPLE, remote=True)
def command() -> None:
    """Say who may call: create, list, rotate, revoke API keys."""


@verb(
    "create",
    parent=command,
    example=f"{_EXAMPLE}\nfairway keys create ci --role deploy --file keys.json",
    remote=True,
)
@click.argument("name")
@click.option(
    "--role",
    required=True,
    type=click.Choice(["read", "predict", "deploy", "admin"]),
    help="What it may do: read lists, predict asks, deploy does both and changes what is live, admin all.",
)
@click.option(
    "--models", metavar="PATTERN", multiple=True, help="Names of models that it is for, such as 'coffee*'. "
    "Repeat for more. Default: all.",
)  # fmt: skip
@click.option("--expires", metavar="WHEN", help="When it becomes void: 90d, or 2027-01-31. Default: never.")
@_environment_option
@_file_option
def create(face: Face, /, *, name: str, models: tuple[str, ...], **options: Any) -> None:
    """Make a key called NAME and print it; nothing shows it again."""
    from fairway import api

    patterns = [part.strip() for given in models for part in given.split(",") if part.strip()]
    _show(face, api.create_key(name, models=patterns, **face.place, **options))


@verb("list", parent=command, example="fairway keys list", remote=True)
@_file_option
def list_(face: Face, /, *, file: str | None) -> None:
    """Print the keys, without their secrets."""
    from fairway import api

    found = [_facts(record) for record in api.list_keys(file=file, **face.place)]
    if face.as_json:
        print_json(found)
    elif not found:
        say("There is no API key. Make one: fairway keys create NAME --role predict")
    else:
        rows = [
            (k["id"], k["name"], k["role"], ", ".join(k["models"]) or "all", k["state"],
             *(moment(k[at]) if k[at] else "never" for at in ("expires_at", "last_used_at")))
            for k in found
        ]  # fmt: skip
        print_table(["ID", "NAME", "ROLE", "MODELS", "STATE", "EXPIRES", "LAST USED"], rows)


@verb("rotate", parent=command, example="fairway keys rotate 3kq81xza --overlap 24h", remote=True)
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", metavar="TIME", default="24h", show_default=True, help="How long the old key is valid still."
)
@_environment_option
@_file_option
def rotate(face: Face, /, *, key_id: str, **options: Any) -> None:
    """Make a new key with the rights of the key ID, which ends after the overlap."""
    from fairway import api

    _show(face, api.rotate_key(key_id, **face.place, **options))


@verb("revoke", parent=command, example="fairway keys revoke 3kq81xza --reason leaked", remote=True)
@click.argument("key_id", metavar="ID")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
@_file_option
def revoke(face: Face, /, *, key_id: str, reason: str, file: str | None) -> None:
    """Make the key ID void for good, on all servers within five seconds."""
    from fairway import api

    record = api.revoke_key(key_id, reason=reason, file=file, **face.place)
    if face.as_json:
        print_json(_facts(record))
        return
    say(f"Revoked: {record.name} ({record.id})")


def _show(face: Face, key: NewKey) -> None:
    if face.as_json:
        print_json({"key": key.text, **_facts(key.record)})
        return
    say(key.text)  # alone on standard output, so that a script can take it
    models = ", ".join(key.record.models) or "all models"
    click.echo(clean(f"Role {key.record.role}, for {models}, id {key.record.id}."), err=True)
    click.echo("Nothing shows this key again: keep it where you keep secrets.", err=True)


def _facts(record: KeyRecord) -> dict[str, Any]:
    from fairway.registry.api_keys import state_of

    facts = dataclasses.asdict(record) | {"state": state_of(record, datetime.datetime.now(datetime.UTC))}
    facts.pop("secret_hash")
    return facts
