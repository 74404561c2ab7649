"""The chain of events: whatever is done to the rows of the past is found, and where."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fairway.bundle.bundle import Bundle
from fairway.errors import Conflict, KeyNotFound, ModelNotFound, UsageError, VersionLive, VersionNotFound
from fairway.registry.records import Event, Head, KeyRecord
from fairway.registry.registry import Registry, open_registry

KEY = KeyRecord(
    id="abcdefgh",
    name="dashboard",
    secret_hash="0" * 64,
    role="predict",
    models=("coffee*",),
    created_at="2026-01-01T00:00:00.000Z",
    created_by="ada",
)


COPY = """
    INSERT INTO events SELECT 8, at, actor, kind, model, version, alias, from_version, to_version, reason,
    subject, details, hash FROM events WHERE seq = 7
"""


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    """Give a small bundle."""
    return make_bundle()


@pytest.fixture
def story(registry: Registry, bundle: Bundle) -> Registry:
    """Give a registry in which a few things have happened, an event for each."""
    registry.register(bundle, name="coffee", actor="ada")
    registry.register(bundle, name="coffee", actor="bob", reason="größer ☕")
    registry.move_alias("coffee", "production", 1, actor="ada")
    registry.record("check", model="coffee", version=2, actor="bob", details={"passed": True, "rmse": 0.1})
    registry.promote("coffee", 2, actor="ada", expected=1, details={"check": 4})
    registry.add_key(KEY, actor="ada")
    registry.revoke_key(KEY.id, actor="bob", reason="leaked")
    return registry


def test_an_untouched_record_holds(story: Registry) -> None:
    """Every change is one event; the numbers have no gaps and the head is the last of them."""
    events = story.audit()
    kinds = ["register", "register", "alias", "check", "promote", "key_created", "key_revoked"]
    assert [event.kind for event in events] == kinds
    assert [event.seq for event in events] == list(range(1, 8))
    assert story.verify_audit() is None
    assert story.head() == Head(7, events[-1].hash)
    assert [event.seq for event in story.audit(after=3, limit=2)] == [4, 5]
    assert [event.kind for event in story.audit(model="coffee")] == kinds[:5]


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE events SET actor = 'eve' WHERE seq = 3", 3),
        ("UPDATE events SET reason = '' WHERE seq = 2", 2),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000Z' WHERE seq = 1", 1),
        ("UPDATE events SET to_version = 1 WHERE seq = 5", 5),
        ("UPDATE events SET details = '{}' WHERE seq = 4", 4),
        ("UPDATE events SET hash = '00' WHERE seq = 7", 7),
        ("UPDATE events SET subject = 'x' WHERE seq = 6", 6),
        ("DELETE FROM events WHERE seq = 1", 1),
        ("DELETE FROM events WHERE seq = 4", 4),
        ("DELETE FROM events WHERE seq = 7", 7),
        (COPY, 8),
        ("UPDATE events SET seq = CASE seq WHEN 99 THEN 3 ELSE 99 END WHERE seq IN (3, 99)", 3),
        ("UPDATE chain SET seq = 6", 7),
        ("UPDATE versions SET digest = 'f' WHERE version = 2", 2),
    ],
)
def test_what_somebody_did_to_the_rows_is_found(
    story: Registry, home: Path, statement: str, seq: int
) -> None:
    """Edited, deleted, added, moved: the first event that does not hold is named."""
    with sqlite3.connect(home / "registry.db") as connection:
        connection.execute(statement)
    broken = story.verify_audit()
    assert broken is not None
    assert broken.seq == seq


def test_two_events_that_changed_places_are_found(story: Registry, home: Path) -> None:
    """Their contents are whole, but not where they were."""
    with sqlite3.connect(home / "registry.db") as connection:
        for statement in (
            "SET seq = 99 WHERE seq = 3",
            "SET seq = 3 WHERE seq = 4",
            "SET seq = 4 WHERE seq = 99",
        ):
            connection.execute(f"UPDATE events {statement}")
    broken = story.verify_audit()
    assert broken is not None
    assert broken.seq == 3


def test_of_two_that_decide_at_once_one_is_told(story: Registry) -> None:
    """A promotion that was decided upon another live version changes nothing."""
    before = story.head()
    with pytest.raises(Conflict, match="coffee:2"):
        story.promote("coffee", 1, actor="eve", expected=1)
    assert story.head() == before
    assert story.promote("coffee", 1, actor="ada", expected=2).from_version == 2


def test_a_live_version_stays_and_a_deleted_number_never_returns(story: Registry, bundle: Bundle) -> None:
    """The history tells of a deleted version, and nothing else does."""
    with pytest.raises(VersionLive, match="production"):
        story.delete("coffee", 2, actor="ada")
    story.delete("coffee", 1, actor="ada", reason="too old")
    assert [version.version for version in story.versions("coffee")] == [2]
    assert [version.version for version in story.versions("coffee", deleted=True)] == [1, 2]
    with pytest.raises(VersionNotFound) as caught:
        story.resolve("coffee:1")
    assert caught.value.hint.startswith("it was deleted at 2")
    assert story.history("coffee")[-1].kind == "delete"
    assert story.register(bundle, name="coffee", actor="ada").version == 3
    assert story.verify_audit() is None


def test_a_model_without_versions_is_only_history(registry: Registry, bundle: Bundle) -> None:
    """It is not listed; its number goes on where it stopped."""
    registry.register(bundle, name="coffee", actor="ada")
    registry.delete("coffee", 1, actor="ada")
    assert registry.models() == []
    with pytest.raises(VersionNotFound, match="coffee"):
        registry.resolve("coffee")
    assert registry.register(bundle, name="coffee", actor="ada").version == 2
    assert registry.resolve("coffee").version == 2


def test_a_rollback_passes_over_deleted_versions(registry: Registry, bundle: Bundle) -> None:
    """It leads to what was live before and is still there."""
    for number in (1, 2, 3):
        registry.register(bundle, name="coffee", actor="ada")
        registry.move_alias("coffee", "production", number, actor="ada")
    registry.delete("coffee", 2, actor="ada")
    assert registry.rollback("coffee", actor="ada").to_version == 1


def test_the_past_is_looked_up_by_time(home: Path, bundle: Bundle) -> None:
    """Everything up to the last event that is not younger counts, also where the clock was set back."""
    noon = datetime(2026, 5, 3, 12, tzinfo=UTC)
    times = iter(noon + timedelta(hours=hours) for hours in (0, 0, 1, 2, -3, 4))
    with open_registry(home) as opened:
        registry = Registry(opened.metadata, opened.artifacts, clock=lambda: next(times))
        for _ in range(2):
            registry.register(bundle, name="coffee", actor="ada")
        registry.move_alias("coffee", "production", 1, actor="ada")
        registry.move_alias("coffee", "production", 2, actor="ada")
        registry.move_alias("coffee", "challenger", 1, actor="ada")  # with a clock that is five hours late
        registry.remove_alias("coffee", "challenger", actor="ada")

        assert registry.at("coffee", noon - timedelta(hours=4)) == {}
        assert registry.at("coffee", noon + timedelta(hours=3)) == {"challenger": 1, "production": 2}
        assert registry.at("coffee", noon + timedelta(hours=4)) == {"production": 2}
        with pytest.raises(ModelNotFound):
            registry.at("tea", noon)


def test_only_events_that_change_nothing_are_recorded_alone(story: Registry) -> None:
    """A move without its event, or an event without its move, cannot be made."""
    with pytest.raises(UsageError):
        story.record("promote", model="coffee", version=1, actor="eve")
    with pytest.raises(VersionNotFound):
        story.record("check", model="coffee", version=9, actor="eve")
    assert story.record("export", subject="coffee.fairway", actor="ada") == 8


def test_keys_are_kept_and_revoked_once(story: Registry) -> None:
    """The second revocation changes nothing; a use is noted without an event."""
    (key,) = story.keys()
    assert key.models == ("coffee*",)
    assert key.revoked_at is not None
    before = story.head()
    assert story.revoke_key(key.id, actor="ada") == key
    story.note_key_uses({key.id: "2026-05-03T12:00Z"})
    assert story.key(key.id).last_used_at == "2026-05-03T12:00Z"
    assert story.head() == before
    with pytest.raises(KeyNotFound):
        story.revoke_key("nothing", actor="ada")


def test_a_key_may_be_made_to_expire_earlier_and_never_later(story: Registry) -> None:
    """What replaces a key lets it end; the event says when, and nothing is recorded where nothing changed."""
    key = KeyRecord(**{**dataclasses.asdict(KEY), "id": "other123", "expires_at": None})
    story.add_key(key, actor="ada")
    end = datetime(2026, 6, 1, tzinfo=UTC)
    assert story.expire_key(key.id, at=end, actor="ada").expires_at == "2026-06-01T00:00:00.000Z"
    event = story.audit()[-1]
    assert (event.kind, event.subject) == ("key_revoked", key.id)
    assert event.details == {"expires_at": "2026-06-01T00:00:00.000Z"}
    before = story.head()
    assert story.expire_key(key.id, at=end + timedelta(days=1), actor="ada") == story.key(key.id)
    assert story.head() == before
    assert (
        story.expire_key(key.id, at=end - timedelta(days=1), actor="ada").expires_at
        == "2026-05-31T00:00:00.000Z"
    )
    with pytest.raises(KeyNotFound):
        story.expire_key("nothing", at=end, actor="ada")


def test_an_event_keeps_its_hash_while_later_fields_are_empty() -> None:
    """What was recorded before an event could hold more is chained in the same way."""
    from fairway.registry.audit import GENESIS, canonical, chain_hash

    event = Event(kind="alias", model="coffee", at="2026", actor="ada", alias="a", to_version=1, seq=1)
    assert canonical(event) == (
        b'{"actor":"ada","alias":"a","at":"2026","kind":"alias","model":"coffee","seq":1,"to_version":1}'
    )
    assert chain_hash(GENESIS, event) == "fd850adc3230911895421aee86502221a8bfd72a3986352829d74b785dbcb138"
