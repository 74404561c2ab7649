"""Where aliases point, where a rollback leads, what is protected and approved: pure functions of the events.

The events are the only record of aliases. A move puts its target on top of a stack, a rollback takes the top
off, so a second rollback goes one step further back and never forth again. Removing an alias hides the stack;
a rollback brings it back as it was, a move puts the new target on top.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Sequence

from fairway.registry.records import MOVES, Event


@dataclasses.dataclass(frozen=True, slots=True)
class AliasState:
    """One alias after some events.

    Attributes:
        stack: Targets that the alias had and was not rolled back from, oldest first.
        removed: Whether the alias is gone for now.
    """

    stack: tuple[int, ...] = ()
    removed: bool = False

    @property
    def target(self) -> int | None:
        """The version that the alias points to, or None if there is no such alias now."""
        return self.stack[-1] if self.stack and not self.removed else None

    def earlier(self, exists: Container[int]) -> int | None:
        """Return the version that a rollback leads to, or None if there is nothing earlier.

        Args:
            exists: The versions that are there; deleted ones are passed over, and so is the present target.
        """
        left = self.stack if self.removed else self.stack[:-1]
        return next((number for number in reversed(left) if number in exists and number != self.target), None)

    def after(self, event: Event) -> AliasState:
        """Return the state that *event*, the next one of this alias, leaves behind."""
        match event.kind, event.to_version:
            case "alias" | "promote", int() as target:
                again = self.stack[-1:] == (target,)
                return AliasState(self.stack if again else (*self.stack, target))
            case "rollback", int() as target:
                # Usually one step; more where the versions in between were deleted.
                left = self.stack if self.removed else self.stack[:-1]
                while left and left[-1] != target:
                    left = left[:-1]
                return AliasState(left)
            case "alias_removed", _:
                return AliasState(self.stack, removed=True)
            case _:
                return self


def replay(events: Iterable[Event]) -> dict[str, AliasState]:
    """Return the state of every alias that *events* speak of.

    Args:
        events: Events of one model, oldest first; those without an alias are passed over.

    Example:
        >>> moves = [
        ...     Event(kind=kind, model="coffee", at="", actor="ada", alias="production", to_version=to)
        ...     for kind, to in [("alias", 1), ("alias", 2), ("rollback", 1)]
        ... ]
        >>> replay(moves)["production"].target
        1
    """
    states: dict[str, AliasState] = {}
    for event in events:
        if event.alias is not None:
            states[event.alias] = states.get(event.alias, AliasState()).after(event)
    return states


def until(events: Sequence[Event], latest: str) -> Sequence[Event]:
    """Return the events up to a time, which is written as events have it.

    What happened after is left out by its place in the record, not by its own time: everything counts up to
    the last event that bears this time or an earlier one, so that a clock that was set back does not hide
    what happened before.
    """
    n_before = max((n for n, event in enumerate(events, start=1) if event.at <= latest), default=0)
    return events[:n_before]


@dataclasses.dataclass(frozen=True, slots=True)
class Protection:
    """What an alias is protected by: only promotions and rollbacks move it.

    Attributes:
        approvals: How many others have to approve before a promotion.
        since: When it was protected so, ISO 8601 in UTC.
        actor: Who protected it.
    """

    approvals: int
    since: str
    actor: str


def protection(events: Iterable[Event], alias: str) -> Protection | None:
    """Return what protects an alias after *events* of its model, or None."""
    found = None
    for event in events:
        if event.kind == "protect" and event.alias == alias:
            on = event.details.get("protected", True)
            found = Protection(int(event.details.get("approvals", 0)), event.at, event.actor) if on else None
    return found


def approvals(events: Iterable[Event], version: int, alias: str) -> dict[str, Event]:
    """Return by actor the approvals that count for a version to become what an alias points to.

    Only those for exactly this version and this alias do. One that the alias has followed is used up: a
    version that was rolled back has to be approved anew.
    """
    found: dict[str, Event] = {}
    for event in events:
        if event.alias != alias:
            continue
        if event.kind in MOVES and event.to_version == version:
            found = {}
        elif event.kind == "approve" and event.version == version:
            found[event.actor] = event
    return found
