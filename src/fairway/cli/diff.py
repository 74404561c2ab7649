"""`fairway diff`: in what two versions differ, and whether clients of the one break at the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import clean, print_json, print_table, say, say_text, size
from fairway.errors import EXIT_REFUSED

if TYPE_CHECKING:
    from fairway.lifecycle.comparison import Comparison, FactChange

_VALUE_CHARS = 60
_TITLES = {
    "breaking": "Breaks existing clients",
    "risky": "Works, with a risk",
    "harmless": "Harmless",
}


@verb(
    "diff",
    example="fairway diff coffee:2 coffee:3\nfairway diff coffee@production coffee:3 --breaking",
    remote=True,
)
@click.argument("old")
@click.argument("new")
@click.option("--breaking", is_flag=True, help="End with 3 if an existing client breaks.")
@click.option("--card", is_flag=True, help="The differences of the model cards, line by line.")
def command(face: Face, /, *, old: str, new: str, breaking: bool, card: bool) -> int:
    """Compare two versions, as their clients would.

    OLD is what clients know, NEW is what may take its place.

    Every difference of the signatures is graded, and the golden examples of OLD are sent to the reader of
    NEW.
    """
    from fairway import api

    found = api.diff(old, new, **face.place)
    if face.as_json:
        print_json(found.to_dict())
    elif card:
        say_text("\n".join(found.card) or f"the cards of {found.old} and {found.new} are the same")
    else:
        _print(found)
    return EXIT_REFUSED if breaking and found.compatibility.breaks else 0


def _print(found: Comparison) -> None:
    if found.same:
        say(f"{found.old} and {found.new} are the same, byte for byte")
        return
    compatibility = found.compatibility
    say(f"Verdict: {compatibility.verdict}")
    for grade, title in _TITLES.items():
        told = [change.sentence for change in compatibility.changes if change.grade == grade]
        if told:
            say("", title, *(f"  {sentence}" for sentence in told))
    replayed = compatibility.replayed
    lists = f", {replayed.lists_taken} of {replayed.lists} as lists" if replayed.lists else ""
    taken = f"{replayed.objects_taken} of {replayed.objects} as objects{lists}"
    say("", f"Golden examples of {found.old} that {found.new} takes: {taken}")
    if found.facts:
        say("")
        print_table(["WHAT", "NAME", clean(found.old), clean(found.new)], map(_row, found.facts))
    if found.card:
        say("", f"The model cards differ: fairway diff {found.old} {found.new} --card")


def _row(fact: FactChange) -> tuple[str, str, str, str]:
    before, now = (_shown(fact, value) for value in (fact.old, fact.new))
    if fact.kind == "metric" and fact.old is not None and fact.new is not None:
        now = f"{now} ({fact.new - fact.old:+.3g})"
    return fact.kind, fact.name, before, now


def _shown(fact: FactChange, value: object) -> str:
    if value is None or value == "":
        return "-"
    if fact.name == "size" and isinstance(value, int):
        return size(value)
    text = f"{value:g}" if isinstance(value, float) else clean(value)
    return text if len(text) <= _VALUE_CHARS else text[: _VALUE_CHARS - 3] + "..."
