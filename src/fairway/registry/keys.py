"""API keys: added, revoked and looked up; what a key looks like is said in `api_keys.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fairway.errors import KeyNotFound
from fairway.registry.ledger import Ledger, check_texts, text_of
from fairway.registry.metadata.base import Change, View
from fairway.registry.records import Event, EventKind, KeyRecord


class Keys(Ledger):
    """The part of a registry that keeps API keys; every change of one is an event."""

    def keys(self) -> list[KeyRecord]:
        """Return all API keys, oldest first, with those that are void."""
        with self.metadata.read() as view:
            return view.keys()

    def key(self, key_id: str) -> KeyRecord:
        """Return one API key.

        Raises:
            KeyNotFound: There is none of this id.
        """
        with self.metadata.read() as view:
            return _find_key(view, key_id)

    def add_key(self, record: KeyRecord, *, actor: str, reason: str = "") -> None:
        """Add an API key; durable when this returns. The event holds all of it but the hash of the secret."""
        check_texts(actor, reason)
        details = {
            "name": record.name,
            "role": record.role,
            "models": list(record.models),
            "expires_at": record.expires_at,
        }
        with self.metadata.write() as change:
            change.add_key(record)
            self._record_key(change, "key_created", record.id, details, actor=actor, reason=reason)

    def revoke_key(self, key_id: str, *, actor: str, reason: str = "") -> KeyRecord:
        """Revoke an API key for good and return it; nothing is recorded if it is revoked already.

        Raises:
            KeyNotFound: There is none of this id.
        """
        check_texts(actor, reason)
        with self.metadata.write() as change:
            if _find_key(change, key_id).revoked_at is None:
                change.revoke_key(key_id, at=self.timestamp())
                self._record_key(change, "key_revoked", key_id, {}, actor=actor, reason=reason)
            return _find_key(change, key_id)

    def expire_key(self, key_id: str, *, at: datetime, actor: str, reason: str = "") -> KeyRecord:
        """Let an API key expire at a time, unless it expires before, and return it.

        Raises:
            KeyNotFound: There is none of this id.
        """
        check_texts(actor, reason)
        with self.metadata.write() as change:
            before = _find_key(change, key_id)
            change.expire_key(key_id, at=text_of(at))
            after = _find_key(change, key_id)
            if after != before:
                details = {"expires_at": after.expires_at}
                self._record_key(change, "key_revoked", key_id, details, actor=actor, reason=reason)
            return after

    def _record_key(
        self,
        change: Change,
        kind: EventKind,
        key_id: str,
        details: Mapping[str, Any],
        *,
        actor: str,
        reason: str,
    ) -> None:
        event = Event(
            kind=kind,
            model=None,
            subject=key_id,
            details=details,
            at=self.timestamp(),
            actor=actor,
            reason=reason,
        )
        change.append(event)

    def note_key_uses(self, uses: Mapping[str, str]) -> None:
        """Note when keys were used last; see `Metadata.note_key_uses`."""
        self.metadata.note_key_uses(uses)


def _find_key(view: View, key_id: str) -> KeyRecord:
    found = view.key(key_id)
    if found is None:
        raise KeyNotFound(key_id, hint="fairway keys list shows every key")
    return found
