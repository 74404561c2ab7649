"""Calls to copy: the same request for curl and for Python."""

from __future__ import annotations

import json
from typing import Any

from fairway.server.web.text import json_text

_ONE_LINE_CHARS = 88


_KEY = ' \\\n  -H "Authorization: Bearer $FAIRWAY_API_KEY"'


def curl(url: str, body: Any, *, method: str = "POST", with_key: bool = False) -> str:
    """Return a shell command that sends *body* as JSON; None sends no body."""
    key = _KEY if with_key else ""
    if body is None:
        verb = "" if method == "GET" else f" -X {method}"
        return f"curl -s{verb} {_quoted(url)}{key}"
    text = json_block(body)
    return f"curl -s {_quoted(url)}{key} \\\n  -H 'content-type: application/json' \\\n  -d {_quoted(text)}"


def python(base_url: str, reference: str, record: Any) -> str:
    """Return Python lines that ask a model about *record* through the client."""
    literal = repr(record)
    if len(literal) > _ONE_LINE_CHARS and isinstance(record, dict):
        literal = "{\n" + "".join(f"    {key!r}: {value!r},\n" for key, value in record.items()) + "}"
    return (
        "import fairway as fw\n\n"
        f"record = {literal}\n"
        f"answer = fw.Client({base_url!r}).predict(record, {reference!r})\n"
        "print(answer)"
    )


def json_block(value: Any) -> str:
    """Return JSON to be read: on one line if it fits, else with one line per key or item."""
    line = json_text(value)
    if len(line) <= _ONE_LINE_CHARS or not value or not isinstance(value, dict | list):
        return line
    if isinstance(value, list):
        return "[\n  " + ",\n  ".join(json_text(item) for item in value) + "\n]"
    pairs = (f"{json_text(str(key))}: {json_text(item)}" for key, item in value.items())
    return "{\n  " + ",\n  ".join(pairs) + "\n}"


def _quoted(text: str) -> str:
    # A line end inside single quotes is kept by every POSIX shell; only the quote itself needs care.
    return "'" + text.replace("'", "'\\''") + "'"


def parse_json(text: str | bytes) -> Any:
    """Return the JSON value of *text*, or None if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None
