"""Which form a reply takes: what the Accept header asks for, of those that there are (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_RANGE = re.compile(r"\s*([^;,\s]+)\s*((?:;[^,]*)?)\s*")
_WEIGHT = re.compile(r";\s*[qQ]\s*=\s*([0-9.]+)\s*(?:;|$)")
_MAX_RANGES = 32


def choose_form(accept: str, offered: Sequence[str]) -> str:
    """Return the media type that a header asks for most; of equals, the one offered first.

    Args:
        accept: Value of the Accept header.
        offered: Media types, the preferred one first.

    Returns:
        One of *offered*, or the empty string if none is acceptable.
    """
    ranges = [found for text in accept.split(",")[:_MAX_RANGES] if (found := _read(text))]
    if not ranges:
        return offered[0]
    weights = {media_type: _weight_of(media_type, ranges) for media_type in offered}
    best = max(offered, key=weights.__getitem__)
    return best if weights[best] > 0 else ""


def _read(text: str) -> tuple[str, float] | None:
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    weight = _WEIGHT.search(found[2])
    try:
        return found[1].lower(), float(weight[1]) if weight else 1.0
    except ValueError:
        return found[1].lower(), 0.0


def _weight_of(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Return the weight of the most exact range that a media type is in."""
    exactness = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    for wanted in exactness:
        found = [weight for name, weight in ranges if name == wanted]
        if found:
            return max(found)
    return 0.0
