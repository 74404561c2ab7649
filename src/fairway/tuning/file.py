"""Settings written into a `fairway.toml` that a person may have written: everything else in it stays."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairway.errors import SettingsError


def set_in_file(path: Path, values: Mapping[str, str]) -> dict[str, str]:
    """Set values in a settings file; it is made if there is none.

    Args:
        path: The file.
        values: Values by dotted key, such as `batching.mode`.

    Returns:
        What the file held before, for the keys that it held with another value.

    Raises:
        SettingsError: The file is written in a way that cannot be changed line by line.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before = _leaves(text)
    for key, value in values.items():
        if str(before.get(key)) != value:
            text = _with(text, key, value if value.isdigit() else f'"{value}"')
    if {key: str(value) for key, value in _leaves(text).items()} != {
        **{key: str(value) for key, value in before.items()},
        **values,
    }:
        raise SettingsError(
            f"{path} cannot be changed line by line",
            hint=f"set it by hand: {', '.join(f'{key} = {value}' for key, value in values.items())}",
        )
    path.write_text(text, encoding="utf-8")
    return {key: str(before[key]) for key, value in values.items() if str(before.get(key, value)) != value}


def _leaves(text: str) -> dict[str, Any]:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
    return {
        f"{section}.{key}": value
        for section, held in tree.items()
        for key, value in (held.items() if isinstance(held, dict) else [("", held)])
    }


def _with(text: str, key: str, value: str) -> str:
    """Return a TOML text in which the line of a key says something else, or is added to its section."""
    section, _, name = key.rpartition(".")
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if _header(line) == section), None)
    if start is None:
        return "\n".join([*lines, *([""] if lines else []), f"[{section}]", f"{name} = {value}", ""])
    stop = next((n for n in range(start + 1, len(lines)) if _header(lines[n]) is not None), len(lines))
    for number in range(start + 1, stop):
        if found := re.match(rf"(\s*{name}\s*=\s*)[^#]*?(\s*#.*)?$", lines[number]):
            lines[number] = f"{found[1]}{value}{found[2] or ''}"
            break
    else:
        lines.insert(start + 1, f"{name} = {value}")
    return "\n".join([*lines, ""])


def _header(line: str) -> str | None:
    found = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
    return found[1] if found else None
