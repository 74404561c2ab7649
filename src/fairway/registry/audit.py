"""The chain of events: every event holds a hash over itself and all before it, so no past can be rewritten.

hash(n) = SHA-256(hash(n-1) || canonical JSON of event n), in hex; the first event follows `GENESIS`. Whoever
writes down the hash of the newest event can tell later whether anything before it was changed: a chain alone
does not stop somebody who writes all of it anew, and the head that stands beside it can be changed, too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from fairway.registry.records import Event, Head

GENESIS = "0" * 64
"""What the first event follows."""

EMPTY = Head(0, GENESIS)
"""The head of a registry in which nothing has happened."""


@dataclasses.dataclass(frozen=True, slots=True)
class Broken:
    """The first place where the record does not hold.

    Attributes:
        seq: The event that is not as it was recorded, or the first one that is missing.
        why: What is wrong with it, in a sentence.
    """

    seq: int
    why: str


def canonical(event: Event) -> bytes:
    """Return the bytes of an event that its hash is made of: all fields but the hash, in one spelling.

    JSON with sorted keys and without spaces, UTF-8. Fields that a later fairway adds are left out while they
    are empty, so that older events keep their hash.
    """
    kept = {name: getattr(event, name) for name in _EMPTY if getattr(event, name) != _EMPTY[name]}
    return json_text(kept).encode()


def _empty_fields() -> dict[str, Any]:
    """Return what each field of an event is while it is empty; anything else is part of the hash."""
    empty: dict[str, Any] = {}
    for field in dataclasses.fields(Event):
        known = field.default if field.default is not dataclasses.MISSING else None
        empty[field.name] = {} if field.name == "details" else known
    del empty["hash"], empty["seq"]
    return {**empty, "seq": None}


_EMPTY = _empty_fields()


def json_text(value: object) -> str:
    """Return the one spelling of a JSON value.

    Raises:
        ValueError: It holds NaN or an infinity, which JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def chain_hash(previous: str, event: Event) -> str:
    """Return the hash of an event that has its `seq` and follows an event of the hash *previous*."""
    return hashlib.sha256(previous.encode() + canonical(event)).hexdigest()


def chained(event: Event, head: Head) -> Event:
    """Return an event as it is recorded next after a head: numbered and hashed."""
    numbered = dataclasses.replace(event, seq=head.seq + 1, hash="")
    return dataclasses.replace(numbered, hash=chain_hash(head.hash, numbered))


def verify(events: Iterable[Event], head: Head) -> Broken | None:
    """Return the first event that was edited, deleted, inserted or swapped; None if the record holds.

    Args:
        events: All events by rising `seq`.
        head: What the registry says was recorded last.
    """
    last = EMPTY
    for event in events:
        if event.seq <= last.seq:
            return Broken(event.seq, f"event {event.seq} was added beside the record")
        if event.seq != last.seq + 1:
            return Broken(last.seq + 1, f"event {last.seq + 1} is missing")
        if not _follows(event, last):
            return Broken(event.seq, f"event {event.seq} is not the one that was recorded")
        last = Head(event.seq, event.hash)
    if last.seq < head.seq:
        return Broken(last.seq + 1, f"event {last.seq + 1} is missing; {head.seq} were recorded")
    if last != head:
        return Broken(
            head.seq + 1, f"event {head.seq + 1} was added beside the record, or its head was changed"
        )
    return None


def _follows(event: Event, last: Head) -> bool:
    try:
        return event.hash == chain_hash(last.hash, event)
    except (TypeError, ValueError):  # a database may hold bytes, or half a character, where a text was
        return False
