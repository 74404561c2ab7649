"""API keys: the caller makes them, the server keeps their hashes; no secret is ever sent."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from typing import Any

from fairway.errors import Conflict, Fault, FieldsInvalid, KeyNotFound
from fairway.registry.api_keys import as_text, make_key
from fairway.registry.records import KeyRecord
from fairway.server.management.fields import pointer_to
from fairway.server.management.office import Answer, Asked

_ID = re.compile(r"[0-9a-z]{8}")


def list_keys(asked: Asked) -> Answer:
    """Answer all keys, without the hashes of their secrets."""
    records = asked.registry.keys()
    return Answer(document={"keys": [shown(record) for record in records]})


def show(asked: Asked) -> Answer:
    """Answer one key."""
    return Answer(document=shown(asked.registry.key(asked.path["id"])))


def create(asked: Asked) -> Answer:
    """Keep a key that the caller has made."""
    body = asked.body
    if not _ID.fullmatch(body["id"]):
        raise FieldsInvalid([Fault(pointer_to("id"), "value_format", "an id has 8 of 0-9 and a-z")])
    now = datetime.now(UTC)
    expires_at = None if body["expires_at"] is None else _time(body["expires_at"], pointer_to("expires_at"))
    made = make_key(  # for what it refuses; id and secret are the caller's
        body["name"],
        role=body["role"],
        models=body["models"],
        expires_at=expires_at,
        created_by=asked.actor,
        created_at=as_text(now),
    )
    record = dataclasses.replace(made.record, id=body["id"], secret_hash=body["secret_hash"])
    try:
        asked.registry.key(record.id)
    except KeyNotFound:
        asked.registry.add_key(record, actor=asked.actor, reason=body["reason"])
        return Answer(document=shown(record), status=201)
    raise Conflict(f"there is a key with the id {record.id} already", hint="make another one")


def revoke(asked: Asked) -> Answer:
    """Make a key void for good."""
    record = asked.registry.revoke_key(asked.path["id"], actor=asked.actor, reason=asked.query["reason"])
    return Answer(document=shown(record))


def expire(asked: Asked) -> Answer:
    """Let a key end at a time, unless it ends before."""
    record = asked.registry.expire_key(
        asked.path["id"],
        at=datetime.fromisoformat(_time(asked.body["expires_at"], pointer_to("expires_at"))),
        actor=asked.actor,
        reason=asked.body["reason"],
    )
    return Answer(document=shown(record))


def shown(record: KeyRecord) -> dict[str, Any]:
    """Return a key without the hash of its secret."""
    return dataclasses.asdict(record) | {"secret_hash": ""}


def _time(text: str, pointer: str) -> str:
    try:
        found = datetime.fromisoformat(text)
        return as_text((found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC))
    except (ValueError, OverflowError):
        fault = Fault(pointer, "value_format", "a time is written like 2026-05-03T12:00:00Z")
        raise FieldsInvalid([fault]) from None
