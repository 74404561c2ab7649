"""What the record of all changes answers: what was live when, who changed what, whether it is whole."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Protocol

from fairway.errors import UsageError
from fairway.registry.aliases import PRODUCTION
from fairway.registry.audit import EMPTY, Broken
from fairway.registry.history import replay, until
from fairway.registry.ledger import text_of
from fairway.registry.records import MOVES, Event, Head

_AGO = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})", re.ASCII)
_HOW = "write it like 2026-05-03T12:00, 2026-05-03T12:00Z, 2026-05-03T12:00+02:00 or 2026-05-03"


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """What there was of a model at a time.

    Attributes:
        model: Name of the model.
        at: The time, ISO 8601 in UTC.
        existed: Whether the model was there.
        began: When its first version was registered, ISO 8601 in UTC.
        live: The version that the bare name meant, or None.
        aliases: Version number by alias.
        since: By alias, the event that brought it there.
        versions: Numbers of the versions that were there.
    """

    model: str
    at: str
    existed: bool
    began: str
    live: int | None
    aliases: dict[str, int]
    since: dict[str, Event]
    versions: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """What an examination of the record found.

    Attributes:
        events: How many events there are.
        head: The newest one's number and hash; kept elsewhere, it proves the record up to there.
        broken: The first event that is not as it was recorded, or None.
        kept: The head that was written down earlier and compared, or None.
    """

    events: int
    head: Head
    broken: Broken | None
    kept: Head | None

    @property
    def holds(self) -> bool:
        """Whether nothing was edited, deleted, inserted, swapped or cut off."""
        return self.broken is None


class Recorded(Protocol):
    """A registry, here or behind a server, as far as its record is asked."""

    def history(self, model: str) -> list[Event]:
        """Return everything that happened to a model, oldest first."""

    def audit(self, *, after: int = 0, limit: int | None = None, model: str | None = None) -> list[Event]:
        """Return events of all kinds, oldest first."""

    def head(self) -> Head:
        """Return the newest event's number and hash."""

    def verify_audit(self) -> Broken | None:
        """Return the first event that is not as it was recorded, or None."""


def at(registry: Recorded, model: str, when: datetime) -> Moment:
    """Return what there was of a model at a time.

    The order of events is that of their numbers: everything counts up to the last event that bears this time
    or an earlier one, also if a clock was wrong in between.

    Raises:
        ModelNotFound: No model has this name, and none ever had.
    """
    everything = registry.history(model)
    events = until(everything, text_of(when))
    targets = replay(events)
    aliases = {alias: state.target for alias, state in sorted(targets.items()) if state.target is not None}
    versions = {event.version for event in events if event.kind == "register" and event.version}
    versions -= {event.version for event in events if event.kind == "delete"}
    return Moment(
        model,
        text_of(when),
        existed=bool(events),
        began=everything[0].at,
        live=aliases.get(PRODUCTION, max(versions, default=None)),
        aliases=aliases,
        since={event.alias: event for event in events if event.kind in MOVES and event.alias in aliases},
        versions=tuple(sorted(versions)),
    )


def select(
    events: Sequence[Event],
    *,
    since: datetime | None = None,
    actor: str | None = None,
    kind: str | None = None,
) -> list[Event]:
    """Return those events that somebody asks for.

    Args:
        events: Events by rising `seq`.
        since: From the first one on that bears this time or a later one, whatever the clock said after.
        actor: Only those of this actor; a pattern such as `ci*`.
        kind: Only those of this kind.
    """
    start = 0
    if since is not None:
        earliest = text_of(since)
        start = next((n for n, event in enumerate(events) if event.at >= earliest), len(events))
    return [
        event
        for event in events[start:]
        if (kind is None or event.kind == kind) and (actor is None or fnmatchcase(event.actor, actor))
    ]


def prove(registry: Recorded, *, kept: Head | None = None) -> Proof:
    """Examine every event of the record, and compare it with a head that was written down earlier.

    Args:
        registry: The registry.
        kept: The head of then. Without it nobody can tell whether the newest events were cut off, or all of
            them were written anew.
    """
    broken = registry.verify_audit()
    head = registry.head()
    if broken is None and kept is not None:
        broken = _compared(registry, head, kept)
    return Proof(head.seq, head, broken, kept)


def _compared(registry: Recorded, head: Head, kept: Head) -> Broken | None:
    if kept.seq > head.seq:
        return Broken(
            head.seq + 1, f"event {head.seq + 1} is missing; {kept.seq} were recorded when the head was kept"
        )
    events = registry.audit(after=kept.seq - 1, limit=1) if kept.seq else []
    found = Head(events[0].seq, events[0].hash) if events else EMPTY
    if found != kept:
        return Broken(
            kept.seq,
            f"event {kept.seq} is not the one that was kept: the record was written anew up to there",
        )
    return None


def read_head(text: str) -> Head:
    """Read a head as it is printed: the number of the event, a colon, and its hash.

    Raises:
        UsageError: It is none.
    """
    match = _HEAD.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{text[:80]!a} is not the head of a record",
            hint="it is printed by fairway audit verify, as NUMBER:HASH",
        )
    return Head(int(match[1]), match[2])


def read_time(text: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> datetime:
    """Read a time: ISO 8601, where no offset means local time and a date its first moment, or how long ago.

    Args:
        text: Such as `2026-05-03T12:00`, `2026-05-03`, or `7d` for seven days ago (s, m, h, d, w).
        now: What the time is.

    Raises:
        UsageError: It is none of these.
    """
    given = text.strip()
    try:
        if ago := _AGO.fullmatch(given):
            return now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(given).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(f"{text[:80]!a} is not a time", hint=f"{_HOW}; or 7d for seven days ago") from None
