"""The record of a registry: what happened, in order, and who did it.

Everything that changes a registry appends an event in the transaction of the change; what is here reads that
record, proves it, and appends events that change nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fairway.errors import UsageError
from fairway.registry.artifacts.base import Artifacts
from fairway.registry.audit import Broken, verify
from fairway.registry.lookup import find_latest, find_version
from fairway.registry.metadata.base import Metadata, View
from fairway.registry.records import MOVES, Event, EventKind, Head

_MAX_ACTOR_CHARS = 200
_MAX_REASON_CHARS = 2_000
_CHANGING = frozenset({"register", "attach", *MOVES, "delete", "key_created", "key_revoked"})


def _now() -> datetime:
    return datetime.now(UTC)


def text_of(when: datetime) -> str:
    """Return a time as events hold it, which can be compared as text."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Ledger:
    """Rows and files of a registry, and the record of what happened to them.

    Args:
        metadata: Where models, versions and events are kept.
        artifacts: Where the files of bundles are kept.
        clock: Gives the time that is written down for people to read. Nothing is ordered by it.
    """

    def __init__(
        self, metadata: Metadata, artifacts: Artifacts, *, clock: Callable[[], datetime] = _now
    ) -> None:
        self.metadata = metadata
        self.artifacts = artifacts
        self._clock = clock

    def history(self, model: str) -> list[Event]:
        """Return everything that happened to a model, oldest first.

        Raises:
            ModelNotFound: No model has this name.
        """
        with self.metadata.read() as view:
            find_latest(view, model)
            return view.events(model)

    def record(
        self,
        kind: EventKind,
        *,
        actor: str,
        reason: str = "",
        model: str | None = None,
        version: int | None = None,
        alias: str | None = None,
        subject: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> int:
        """Record an event that changes nothing else, such as a check or an approval, and return its `seq`.

        Raises:
            ModelNotFound: No model has this name.
            VersionNotFound: The model has no such version.
            UsageError: A text cannot be kept, or the kind is one that changes something.
        """
        if kind in _CHANGING:
            raise UsageError(f"an event {kind!r} is recorded with the change that it tells of")
        check_texts(actor, reason)
        with self.metadata.write() as change:
            if model is not None:
                find_latest(change, model)
                if version is not None:
                    find_version(change, model, version)
            event = Event(
                kind=kind,
                model=model,
                version=version,
                alias=alias,
                subject=subject,
                details=details or {},
                at=self.timestamp(),
                actor=actor,
                reason=reason,
            )
            return change.append(event)

    def audit(self, *, after: int = 0, limit: int | None = None, model: str | None = None) -> list[Event]:
        """Return events of all kinds, oldest first.

        Args:
            after: Only events with a higher `seq`.
            limit: Most events to return; None for all.
            model: Only events of this model.
        """
        with self.metadata.read() as view:
            if model is not None:
                find_latest(view, model)
            return view.audit(after=after, limit=limit, model=model)

    def head(self) -> Head:
        """Return the newest event's number and hash; kept elsewhere, it proves the record up to there."""
        with self.metadata.read() as view:
            return view.head()

    def verify_audit(self) -> Broken | None:
        """Return the first event that is not as it was recorded, or None if all of them are."""
        with self.metadata.read() as view:
            return verify_record(view)

    def change_token(self) -> object:
        """Return a value that differs once anybody has changed the registry; cheap enough to poll."""
        return self.metadata.change_token()

    def timestamp(self) -> str:
        """Return the time of now as events hold it."""
        return text_of(self._clock())


def verify_record(view: View) -> Broken | None:
    """Return the first event that is not as it was recorded, or whose version is not; None if all are."""
    events = view.audit()
    return verify(events, view.head()) or _differing_version(view, events)


def _differing_version(view: View, events: Sequence[Event]) -> Broken | None:
    """Return the first `register` event whose version now has other content than it tells of."""
    contents = {
        (version.model, version.version): version.digest
        for model in {event.model for event in events if event.kind == "register"}
        for version in view.versions(model or "", deleted=True)
    }
    for event in events:
        told = event.details.get("digest") if event.kind == "register" else None
        if told and contents.get((event.model or "", event.version or 0)) != told:
            return Broken(
                event.seq, f"{event.model}:{event.version} is not what event {event.seq} registered"
            )
    return None


def check_texts(actor: str, reason: str) -> None:
    """Refuse what no database can hold, before anything is written."""
    for name, text, limit in (("actor", actor, _MAX_ACTOR_CHARS), ("reason", reason, _MAX_REASON_CHARS)):
        if len(text) > limit:
            raise UsageError(f"the {name} has {len(text)} characters; the limit is {limit}")
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise UsageError(f"the {name} holds a NUL character or bytes that are not UTF-8")
