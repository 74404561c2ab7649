"""`fairway show`: everything that is known about one version, the story of its model, or the model card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairway.bundle.card import describe_seen
from fairway.cli.compile import serving
from fairway.cli.options import Face, verb
from fairway.cli.output import clean, moment, print_facts, print_json, print_table, say, say_text, size
from fairway.cli.push import own_code
from fairway.cli.story import print_moment, tell
from fairway.errors import UsageError

if TYPE_CHECKING:
    from fairway.api import ModelView

_LEVELS_SHOWN = 5
_VALUE_CHARS = 40


@verb(
    "show",
    example="fairway show coffee\nfairway show coffee@production --card\nfairway show coffee --history\n"
    "fairway show coffee --at 2026-05-03T12:00",
    remote=True,
)
@click.argument("reference")
@click.option("--history", is_flag=True, help="What happened to the model: who, when, from, to, why.")
@click.option("--card", is_flag=True, help="The model card, in Markdown.")
@click.option("--at", metavar="TIME", help="What was live then: 2026-05-03T12:00, or 7d for seven days ago.")
def command(face: Face, /, *, reference: str, history: bool, card: bool, at: str | None) -> None:
    """Print what is known of a version, its story, or its card.

    REFERENCE is a model, a version such as coffee:3, or an alias such as coffee@production.

    A time without an offset is local time, and a date its first moment.
    """
    if history + card + (at is not None) > 1:
        raise UsageError(
            "--history, --card and --at exclude each other", hint=f"fairway show {reference} --card"
        )
    from fairway import api

    if history:
        events = api.history(reference, **face.place)
        print_json(events) if face.as_json else say(*map(tell, events))
        return
    if at is not None:
        found = api.live_at(reference, at, **face.place)
        print_json(found) if face.as_json else print_moment(found, at)
        return
    view = api.show(reference, **face.place)
    if card:
        if face.as_json:
            print_json({"reference": view.version.reference, "card": view.card})
        else:
            say_text(view.card)
    elif face.as_json:
        print_json(view)
    else:
        _print_version(view)


def _print_version(view: ModelView) -> None:
    version, manifest = view.version, view.manifest
    made = [f"Python {manifest.python}", *map(" ".join, manifest.framework.items())]
    print_facts(
        [
            ("Version", version.reference),
            ("Description", manifest.description),
            ("Model", f"{version.model_type} ({version.flavor}, {size(version.size)})"),
            ("Your code", own_code(manifest)),
            ("Registered", f"{moment(version.created_at)} by {version.actor}"),
            ("Author", manifest.author),
            ("Digest", version.digest),
            *serving(view.reason, view.compilation),
            ("Aliases", ", ".join(f"{alias} = {n}" for alias, n in sorted(view.aliases.items())) or "none"),
            ("Versions", ", ".join(str(other.version) for other in view.versions)),
            ("Metrics", ", ".join(f"{name} {value:g}" for name, value in version.metrics.items())),
            ("Tags", ", ".join(f"{key}={value}" for key, value in version.tags.items())),
            ("Made with", ", ".join(made)),
            *(("Differs here", difference) for difference in view.differences),
        ]
    )
    say("")
    print_table(
        ["INPUT", "KIND", "MISSING", "SEEN", "TYPICAL"],
        [
            (
                entry.name,
                entry.kind,
                "allowed" if entry.nullable else "no",
                describe_seen(entry),
                _cut(entry.typical),
            )
            for entry in view.signature.inputs
        ],
    )
    say("")
    print_table(
        ["OUTPUT", "KIND", "TYPE", "CLASSES"],
        [
            (
                output.name,
                output.kind,
                output.type,
                _some(view.signature.classes) if output.kind == "label" else "",
            )
            for output in view.signature.outputs
        ],
    )


def _some(values: tuple[object, ...]) -> str:
    more = f", and {len(values) - _LEVELS_SHOWN} more" if len(values) > _LEVELS_SHOWN else ""
    return ", ".join(_cut(value) for value in values[:_LEVELS_SHOWN]) + more


def _cut(value: object) -> str:
    text = clean("" if value is None else value)
    return text if len(text) <= _VALUE_CHARS else text[: _VALUE_CHARS - 3] + "..."
