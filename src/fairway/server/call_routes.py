"""Where calls of each dialect come in: the table by which a path finds who answers it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from fairway.server.handlers import Predictions

_REFERENCE = "{ref}"


@dataclasses.dataclass(frozen=True, slots=True)
class CallRoute:
    """A route whose calls are for predictions.

    Attributes:
        path: The path; `{ref}` stands for the reference of a model.
        calls: Answers the calls.
        is_short: Whether they may take the short way from the parser to the engine (see `wire.py`).
    """

    path: str
    calls: Predictions
    is_short: bool = True


class CallRoutes:
    """The table.

    Args:
        routes: The routes; of two with one path, the last one answers.
    """

    def __init__(self, routes: Sequence[CallRoute]) -> None:
        self._exact = {route.path: route for route in routes if _REFERENCE not in route.path}
        named = {route.path: route for route in routes if _REFERENCE in route.path}
        self._named = tuple((_pattern_of(route.path).fullmatch, route) for route in named.values())

    def at(self, path: str) -> CallRoute | None:
        """Return the route of a path; None if no call comes in there."""
        route = self._exact.get(path)
        if route is None:
            for matches, named in self._named:
                if matches(path):
                    return named
        return route

    @property
    def paths(self) -> list[str]:
        """The paths of all routes."""
        return [*self._exact, *(route.path for _, route in self._named)]


def _pattern_of(path: str) -> re.Pattern[str]:
    before, _, behind = path.partition(_REFERENCE)
    return re.compile(f"{re.escape(before)}[^/]+{re.escape(behind)}")
