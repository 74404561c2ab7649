"""Where aliases point and where a rollback leads: a pure function of the events.

The events are the only record of aliases. A move puts its target on top of a stack, a rollback takes the top
off, so a second rollback goes one step further back and never forth again. Removing an alias hides the stack;
a rollback brings it back as it was, a move puts the new target on top.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable

from fairway.registry.records import Event


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
