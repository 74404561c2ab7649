"""`fairway promote`: an alias moves to a version that has passed its gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, say

if TYPE_CHECKING:
    from fairway.lifecycle.promote import Promotion


@verb(
    "promote",
    example='fairway promote coffee:2 --reason "better on the March data"\n'
    "fairway promote coffee:2 --dry-run",
    remote=True,
)
@click.argument("reference")
@click.option("--alias", metavar="NAME", default="production", show_default=True, help="The alias to move.")
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
@click.option("--dry-run", is_flag=True, help="Tell what would happen, and change nothing.")
@click.option("--allow-schema-change", is_flag=True, help="Promote although clients of what is live break.")
def command(
    face: Face, /, *, reference: str, alias: str, reason: str, dry_run: bool, allow_schema_change: bool
) -> None:
    """Move an alias to a version, once it has passed its gate.

    Running servers follow within a second. What the gate asks for stands in [gate.MODEL] of fairway.toml and
    in the protection of the alias; clients of what is live must go on working in any case. Ends with 3 if it
    says no, and tells all that is in the way.
    """
    from fairway import api

    found = api.promote(
        reference,
        alias=alias,
        reason=reason,
        dry_run=dry_run,
        allow_schema_change=allow_schema_change,
        **face.place,
    )
    if face.as_json:
        print_json(facts_of(found))
    else:
        _print(found)


def facts_of(found: Promotion) -> dict[str, object]:
    """Return a promotion as a program gets it."""
    move = found.move
    before = None if move.from_version is None else f"{move.model}:{move.from_version}"
    return {
        "reference": f"{move.model}@{move.alias}",
        "from": before,
        "to": f"{move.model}:{move.to_version}",
        "seq": move.seq,
        "dry_run": found.dry_run,
        "gate": list(found.gate),
        "undo": _undo(found) if move.seq else None,
    }


def _undo(found: Promotion) -> str:
    move = found.move
    option = "" if move.alias == "production" else f" --alias {move.alias}"
    if move.from_version is None:
        return f"fairway alias {move.model}@{move.alias} --remove"
    return f"fairway rollback {move.model}{option}"


def _print(found: Promotion) -> None:
    move = found.move
    name, now = f"{move.model}@{move.alias}", f"{move.model}:{move.to_version}"
    before = "not set" if move.from_version is None else f"{move.model}:{move.from_version}"
    if move.from_version == move.to_version:
        say(f"{name} points to {now} already; nothing was changed", f"See: fairway show {move.model}")
        return
    gate = "; ".join(found.gate) or "no rule asks for anything"
    if found.dry_run:
        say(f"{name} is       {before}", f"{name} would be {now}", f"Gate: {gate}", "Nothing was changed.")
        return
    say(f"{name} was {before}", f"{name} is  {now}", f"Gate: {gate}", f"Undo: {_undo(found)}")
