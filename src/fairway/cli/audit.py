"""`fairway audit`: who changed what, and whether the record of it is whole."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import click

from fairway.cli.options import Face, verb, verbs
from fairway.cli.output import clean, moment, print_json, print_table, say
from fairway.cli.story import what
from fairway.errors import EXIT_REFUSED, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fairway.registry.records import Event

_COLUMNS = (
    *("seq", "at", "actor", "kind", "model", "version", "alias", "from_version", "to_version"),
    *("subject", "reason", "details", "hash"),
)
_WITH_VALUE = ("--home", "--server", "--key-file")
_FORMULA = ("=", "+", "-", "@")


class _ShownByDefault(click.Group):
    """Takes what names no verb of its own for the arguments of `show`: `fairway audit coffee`."""

    default = "show"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the verb where it is left out."""
        place = 0
        while place < len(args) and args[place] in {*_WITH_VALUE, "--json", "--debug"}:
            place += 2 if args[place] in _WITH_VALUE else 1
        if args[place : place + 1] not in ([verb] for verb in (*self.commands, "--help", "-h")):
            args = [*args[:place], self.default, *args[place:]]
        return super().parse_args(ctx, args)


@verbs("audit", example="fairway audit coffee\nfairway audit verify", kind=_ShownByDefault, remote=True)
def command() -> None:
    """Print who changed what, and prove that the record is whole.

    Without a verb it is show: fairway audit coffee.
    """


@verb("show", parent=command, example="fairway audit show coffee --since 7d --csv", remote=True)
@click.argument("model", required=False)
@click.option(
    "--since", metavar="TIME", help="From then on: 2026-05-03T12:00, 2026-05-03, or 7d for seven days ago."
)
@click.option("--actor", metavar="NAME", help="Only what this actor did; ci* for all whose name begins so.")
@click.option("--kind", metavar="KIND", help="Only such events: register, promote, rollback, delete, ...")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, safe to open in a spreadsheet.")
def show(
    face: Face, /, *, model: str | None, since: str | None, actor: str | None, kind: str | None, as_csv: bool
) -> None:
    """Print every change of the registry, or of one model.

    A time without an offset is local time.
    """
    from fairway import api

    if as_csv and face.as_json:
        raise UsageError("--csv and --json exclude each other")
    events = api.audit(model, since=since, actor=actor, kind=kind, **face.place)
    if as_csv:
        click.echo(_csv(events), nl=False)
    elif face.as_json:
        print_json(events)
    elif not events:
        say("Nothing of the kind was recorded.")
    else:
        rows = [(event.seq, moment(event.at), event.actor, what(event), event.reason) for event in events]
        print_table(["SEQ", "WHEN", "WHO", "WHAT", "WHY"], rows)


@verb("verify", parent=command, example="fairway audit verify --head 41:9f86d0...", remote=True)
@click.option("--head", metavar="NUMBER:HASH", help="Compare with a head that was written down earlier.")
def verify(face: Face, /, *, head: str | None) -> int:
    """Prove that no event was edited, deleted, inserted or swapped.

    Ends with 3 and names the first event that is not as it was recorded. Keep the head that is printed in
    another place, and give it to --head the next time: alone the record cannot tell whether its newest events
    were cut off.
    """
    from fairway import api

    found = api.verify_audit(head=head, **face.place)
    if face.as_json:
        broken = {"seq": found.broken.seq, "why": found.broken.why} if found.broken else None
        print_json({"holds": found.holds, "events": found.events, "head": str(found.head), "broken": broken})
    elif found.broken:
        say(f"The record is broken at event {found.broken.seq}: {found.broken.why}")
    else:
        kept = f", and event {found.kept.seq} is the one that was kept" if found.kept else ""
        say(f"{found.events} events, each as it was recorded{kept}", f"Head: {found.head}")
    return 0 if found.holds else EXIT_REFUSED


def _csv(events: Sequence[Event]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows([_cell(getattr(event, column)) for column in _COLUMNS] for event in events)
    return text.getvalue()


def _cell(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula, with invisible characters written as escapes."""
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False, sort_keys=True) if value else ""
    text = clean("" if value is None else value)
    return f"'{text}" if text.startswith(_FORMULA) else text
