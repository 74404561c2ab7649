"""How foreign text and numbers are written on a page, so that nothing in them can mislead the eye."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_SHOWN_CHARS = 256

_PLAIN_LIMIT = 1e15


def shown(text: str, limit: int = MAX_SHOWN_CHARS) -> str:
    """Return *text* for display: control characters gone, direction marks as escapes, length capped.

    Line ends and tabs become spaces. HTML escaping is the template's part.
    """
    spaced = " ".join(text.split())
    capped = spaced if len(spaced) <= limit else spaced[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return "".join(map(_visible, capped))


def shown_lines(text: str, limit: int = 20_000) -> str:
    """Return *text* as `shown` does, but with its line ends."""
    return "\n".join(shown(line, limit) for line in text[:limit].splitlines()).strip()


def visible_lines(text: str) -> str:
    """Return a piece of a longer text as `shown` does, but with every space and line end where it is."""
    return "".join(c if c in "\n\t" else _visible(c) for c in text)


def number_text(value: float, digits: int | None = None) -> str:
    """Return a number as a person writes it: no trailing `.0`, no needless exponent.

    Args:
        value: The number.
        digits: Significant digits; the default keeps the value exact.
    """
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    number = value if digits is None else float(f"{value:.{digits}g}")
    if number.is_integer() and abs(number) < _PLAIN_LIMIT:
        return str(int(number)) if number or math.copysign(1, number) > 0 else "-0.0"
    return repr(number)


def percent_text(share: float) -> str:
    """Return a probability as a percentage with one decimal, never rounding a remainder away."""
    percent = 100 * share
    if 0 < percent < 0.05:
        return "<0.1 %"
    if 99.95 <= percent < 100:
        return ">99.9 %"
    return f"{percent:.1f} %"


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return *value* as JSON in which every character that cannot be seen is an escape."""
    separators = None if indent else (", ", ": ")
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if character < " " or "\x7f" <= character <= "\x9f":
        return ""
    return f"\\u{ord(character):04x}"
