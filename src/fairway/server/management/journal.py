"""The record of all changes: read in pages, proven, and asked for a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fairway.errors import MalformedRequest
from fairway.server.management.office import Answer, Asked

PAGE = 1_000


def read(asked: Asked) -> Answer:
    """Answer events of all kinds, oldest first, and where the next page begins."""
    limit = asked.query["limit"]
    events = asked.registry.audit(after=asked.query["after"], limit=limit, model=asked.query["model"])
    following = events[-1].seq if len(events) == limit else None
    return Answer(document={"events": events, "next": following})


def head(asked: Asked) -> Answer:
    """Answer number and hash of the newest event."""
    return Answer(document=asked.registry.head())


def verify(asked: Asked) -> Answer:
    """Answer the first event that is not as it was recorded."""
    newest = asked.registry.head()
    return Answer(document={"head": newest, "broken": asked.registry.verify_audit()})


def history(asked: Asked) -> Answer:
    """Answer what happened to a model or one of its aliases; with a time, also where the aliases pointed."""
    name, alias, at = asked.path["name"], asked.query["alias"], asked.query["at"]
    events = [event for event in asked.registry.history(name) if alias in {None, event.alias}]
    document: dict[str, Any] = {"events": events}
    if at is not None:
        document["aliases"] = asked.registry.at(name, read_time(at))
    return Answer(document=document)


def read_time(text: str) -> datetime:
    """Return a time as people and programs write it; one without a zone is in UTC.

    Raises:
        MalformedRequest: It is none.
    """
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedRequest(
            "query_invalid", f"{text[:80]!a} is no time", hint="write it like 2026-05-03T12:00:00Z"
        ) from None
