"""Where calls of each dialect come in: the table by which a path finds who answers it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from fairway.server.handlers import Predictions


@dataclasses.dataclass(frozen=True, slots=True)
class CallRoute:
    """Paths whose calls are for predictions.

    Attributes:
        pattern: Matches the whole path.
        calls: Answers the calls.
        is_short: Whether they may take the short way from the parser to the engine (see `wire.py`).
    """

    pattern: re.Pattern[str]
    calls: Predictions
    is_short: bool = True


def exactly(path: str) -> re.Pattern[str]:
    """Return the pattern of one path."""
    return re.compile(re.escape(path))


def with_model(path: str) -> re.Pattern[str]:
    """Return the pattern of a path in which `{ref}` stands for the reference of a model."""
    before, _, behind = path.partition("{ref}")
    return re.compile(f"{re.escape(before)}[^/]+{re.escape(behind)}")


class CallRoutes:
    """The table.

    Args:
        routes: The routes; of two that match a path, the first one answers.
    """

    def __init__(self, routes: Sequence[CallRoute]) -> None:
        self._routes = tuple((route.pattern.fullmatch, route) for route in routes)

    def at(self, path: str) -> CallRoute | None:
        """Return the route of a path; None if no call comes in there."""
        for matches, route in self._routes:
            if matches(path):
                return route
        return None
