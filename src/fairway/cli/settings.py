"""`fairway settings`: every setting, its value, and where the value came from."""

from __future__ import annotations

from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, print_table
from fairway.settings import describe_settings, load_settings


@verb("settings", example="fairway settings\nFAIRWAY_SERVER_PORT=8000 fairway settings --json")
def command(face: Face, /) -> None:
    """Print every setting and where its value came from."""
    described = describe_settings(*load_settings(flags={"home": face.home}))
    if face.as_json:
        print_json(described)
        return
    print_table(
        ["SETTING", "VALUE", "FROM", "VARIABLE"],
        [(entry.key, entry.value, entry.origin, entry.variable) for entry in described],
    )
