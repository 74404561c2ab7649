"""What every metadata store promises; add a store to `STORES` and all of this runs on it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairway.errors import RegistryBusy, StoreUnavailable
from fairway.registry.audit import verify
from fairway.registry.metadata.base import Metadata
from fairway.registry.metadata.sql import open_postgres, open_sqlite
from fairway.registry.metadata.views import open_reader
from fairway.registry.records import AttachmentRecord, Event, KeyRecord, ModelSummary, Version

Open = Callable[..., Metadata]


def sqlite_store(request: pytest.FixtureRequest) -> Open:
    """Return what opens a store in a file."""
    path = request.getfixturevalue("tmp_path") / "registry.db"
    return lambda **options: open_sqlite(path, **options)


def postgres_store(request: pytest.FixtureRequest) -> Open:
    """Return what opens a store in a schema of a real server."""
    url = request.getfixturevalue("postgres").url()
    return lambda **options: open_postgres(url, **options)


STORES = {"postgres": postgres_store, "sqlite": sqlite_store}
AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture(params=sorted(STORES))
def reopen(request: pytest.FixtureRequest) -> Open:
    """Give the function that opens one and the same store again."""
    return STORES[request.param](request)


@pytest.fixture
def store(reopen: Open) -> Iterator[Metadata]:
    """Give an empty store."""
    opened = reopen()
    yield opened
    opened.close()


def version(model: str, number: int) -> Version:
    """Return a version whose fields tell it from others."""
    return Version(
        model,
        number,
        digest=f"{number:064x}",
        flavor="sklearn",
        model_type="Ridge",
        created_at=AT,
        actor="ada",
        size=2**40 + number,
        tags={"größe": "☕"},
        metrics={"r2": 0.1 + number},
    )


def register(store: Metadata, model: str = "coffee") -> int:
    """Add the next version of a model, with its event."""
    with store.write() as change:
        number = change.claim_number(model, at=AT)
        change.add_version(version(model, number))
        change.append(Event(kind="register", model=model, version=number, at=AT, actor="ada"))
    return number


def point(store: Metadata, alias: str, to: int | None, model: str = "coffee") -> int:
    """Append the event of an alias that moves."""
    with store.write() as change:
        kind = "alias" if to else "alias_removed"
        return change.append(Event(kind=kind, model=model, alias=alias, to_version=to, at=AT, actor="ada"))


def wait_for(holds: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Return once something holds."""
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.005)


def test_an_empty_store_knows_nothing(store: Metadata) -> None:
    """Questions about what is not there are answered with nothing, not with an error."""
    with store.read() as view:
        assert view.models() == []
        assert view.latest("coffee") is None
        assert view.version("coffee", 1) is None
        assert view.versions("coffee") == []
        assert view.targets("coffee") == {}
        assert view.events("coffee") == []
        assert view.attachments("0" * 64) == {}
    assert store.check() == []


def test_a_version_comes_back_as_it_was_written(store: Metadata) -> None:
    """Every field survives, large sizes and any script included."""
    register(store)
    register(store)

    with store.read() as view:
        assert view.version("coffee", 2) == version("coffee", 2)
        assert view.versions("coffee") == [version("coffee", 1), version("coffee", 2)]


def test_numbers_rise_by_one_for_each_model(store: Metadata) -> None:
    """Models count for themselves."""
    assert [register(store, model) for model in "aabab"] == [1, 2, 1, 3, 2]
    with store.read() as view:
        assert (view.latest("a"), view.latest("b")) == (3, 2)


def test_an_event_comes_back_as_it_was_written(store: Metadata) -> None:
    """Every field survives, and the store gives the place in the order."""
    register(store)
    event = Event(
        kind="alias",
        model="coffee",
        at=AT,
        actor="Zoë",
        reason="line\nbreak ☕ 'quoted'",
        alias="production",
        from_version=7,
        to_version=1,
    )
    with store.write() as change:
        seq = change.append(event)

    with store.read() as view:
        (found,) = view.events("coffee", alias="production")

    assert (event.kind, event.actor, event.reason) == (found.kind, found.actor, found.reason)
    assert (event.from_version, event.to_version, seq) == (found.from_version, found.to_version, found.seq)


def test_events_come_in_the_order_of_their_seq(store: Metadata) -> None:
    """`seq` rises over all models, whatever their times say."""
    for model in ("coffee", "tea", "coffee"):
        register(store, model)
    seqs = [point(store, "a", 1), point(store, "b", 2), point(store, "a", 2)]

    with store.read() as view:
        told = [event.seq for event in view.events("coffee")]
        of_alias = [event.seq for event in view.events("coffee", alias="a")]

    assert told == sorted(told)
    assert told[-3:] == seqs
    assert of_alias == [seqs[0], seqs[2]]


def test_an_alias_points_where_its_newest_event_says(store: Metadata) -> None:
    """Targets are the newest per alias; a removed one is gone; other models do not matter."""
    for model in ("coffee", "coffee", "tea"):
        register(store, model)
    for alias, to in (("b", 1), ("a", 1), ("b", 2), ("gone", 1), ("gone", None)):
        point(store, alias, to)
    point(store, "a", 1, model="tea")

    with store.read() as view:
        assert list(view.targets("coffee").items()) == [("a", 1), ("b", 2)]
        assert [found.aliases for found in view.versions("coffee")] == [("a",), ("b",)]
        assert view.models() == [
            ModelSummary("coffee", latest=2, aliases={"a": 1, "b": 2}, n_versions=2, created_at=AT),
            ModelSummary("tea", latest=1, aliases={"a": 1}, n_versions=1, created_at=AT),
        ]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_raises_changes_nothing(store: Metadata, error: type[BaseException]) -> None:
    """All of a transaction or none of it, also when it is stopped from the keyboard."""

    def stop_in_the_middle() -> None:
        with store.write() as change:
            change.add_version(version("coffee", change.claim_number("coffee", at=AT)))
            change.append(Event(kind="register", model="coffee", version=2, at=AT, actor="ada"))
            raise error

    register(store)
    with pytest.raises(error):
        stop_in_the_middle()

    with store.read() as view:
        assert view.latest("coffee") == 1
        assert len(view.events("coffee")) == 1
    assert register(store) == 2


def test_rows_that_refer_to_nothing_are_refused(store: Metadata) -> None:
    """An event cannot name a version that is not there; the error is one of fairway."""
    register(store)
    with pytest.raises(StoreUnavailable), store.write() as change:
        change.append(Event(kind="alias", model="coffee", alias="a", to_version=9, at=AT, actor="ada"))

    with store.read() as view:
        assert view.targets("coffee") == {}


def test_a_version_is_never_written_twice(store: Metadata) -> None:
    """A number that is taken stays as it is."""
    register(store)
    with pytest.raises(StoreUnavailable), store.write() as change:
        change.add_version(version("coffee", 1))


def test_a_view_does_not_see_later_commits(store: Metadata, reopen: Open) -> None:
    """What is read in one block belongs together, and a reader does not hold up a writer."""
    register(store)
    other = reopen()
    with store.read() as view:
        before = view.latest("coffee")
        register(other)
        assert (view.latest("coffee"), len(view.versions("coffee"))) == (before, 1)
    with store.read() as view:
        assert view.latest("coffee") == 2
    other.close()


def test_a_second_writer_is_told_that_the_store_is_busy(store: Metadata, reopen: Open) -> None:
    """After the given time, and without having changed anything; then it succeeds."""
    hasty = reopen(busy_timeout_s=0.05)
    with store.write():
        with pytest.raises(RegistryBusy) as caught, hasty.write():
            pytest.fail("two writers at once")
        with hasty.read() as view:
            assert view.models() == []
    assert "locked" in caught.value.detail
    assert register(hasty) == 1
    hasty.close()


def test_the_token_tells_of_every_commit(store: Metadata, reopen: Open) -> None:
    """Ours, those of others, registers and aliases; and of nothing else."""
    other = reopen()
    tokens = [store.change_token()]
    for change in (
        lambda: register(store),
        lambda: register(other),
        lambda: point(store, "a", 1),
        lambda: point(other, "a", 2),
        lambda: point(store, "a", None),
    ):
        change()
        wait_for(lambda: store.change_token() != tokens[-1])  # word of what others did may be on its way
        tokens.append(store.change_token())
        with store.read() as view:
            view.models()
        assert store.change_token() == tokens[-1]
    assert len(set(tokens)) == len(tokens)
    other.close()


def test_the_token_can_be_asked_for_from_any_thread(store: Metadata) -> None:
    """A server polls beside the thread that writes."""
    seen: list[object] = [store.change_token()]
    done = threading.Event()

    def poll() -> None:
        while not done.is_set():
            token = store.change_token()
            if token != seen[-1]:
                seen.append(token)

    threads = [threading.Thread(target=poll) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        register(store)
    done.set()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert store.change_token() not in seen[:1]


def test_threads_share_a_store(store: Metadata) -> None:
    """Writers in several threads each get a number of their own."""
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda: numbers.extend(register(store) for _ in range(5))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(numbers) == list(range(1, 21))


def test_what_was_written_is_there_after_closing(store: Metadata, reopen: Open) -> None:
    """Closing twice does no harm."""
    register(store)
    store.close()
    store.close()

    again = reopen()
    with again.read() as view:
        assert view.versions("coffee") == [version("coffee", 1)]
    assert again.check() == []
    again.close()


def test_names_are_sorted_by_their_letters_alone(store: Metadata) -> None:
    """Whatever language the database sorts by."""
    names = ["a-b", "a.b", "a0", "a_b", "ab", "b"]
    for name in reversed(names):
        register(store, name)
    for name in reversed(names):
        point(store, name, 1, model="b")
        with store.write() as change:
            change.attach(attachment("1", name=name))

    with store.read() as view:
        assert [model.name for model in view.models()] == names
        assert list(view.targets("b")) == names
        assert list(view.attachments("a" * 64)) == names
        assert [record.name for record in view.all_attachments()] == names


def test_events_of_all_kinds_are_a_chain(store: Metadata) -> None:
    """Numbered without gaps, also after a transaction that was undone; the head is the last."""

    def undone() -> None:
        with store.write() as change:
            change.append(Event(kind="check", model="coffee", version=1, at=AT, actor="eve"))
            raise KeyError

    register(store)
    with pytest.raises(KeyError):
        undone()
    told = Event(
        kind="export", model=None, at=AT, actor="Zoë", subject="a.zip", details={"ü": [1, None, 0.1]}
    )
    with store.write() as change:
        assert change.append(told) == 2
    register(store, "tea")

    with store.read() as view:
        events = view.audit()
        assert [event.seq for event in events] == [1, 2, 3]
        assert view.audit(after=1, limit=1) == [events[1]]
        assert view.audit(model="tea") == [events[2]]
        assert verify(events, view.head()) is None
        assert (view.head().seq, view.head().hash) == (3, events[-1].hash)
    assert dataclasses.replace(events[1], seq=0, hash="") == told


def test_a_deleted_version_is_only_seen_by_who_asks_for_it(store: Metadata) -> None:
    """Its row stays, and its number is not given again."""
    register(store)
    register(store)
    with store.write() as change:
        change.delete_version("coffee", 2, at=AT)

    with store.read() as view:
        assert view.versions("coffee") == [version("coffee", 1)]
        assert view.version("coffee", 2) is None
        assert view.version("coffee", 2, deleted=True) == dataclasses.replace(
            version("coffee", 2), deleted_at=AT
        )
        assert view.digests() == {version("coffee", 1).digest}
        assert view.models()[0].latest == 1
    assert register(store) == 3


def test_keys_are_kept_without_their_secret(store: Metadata) -> None:
    """As they were made, with what happened to them since; the first revocation counts."""
    made = [
        KeyRecord(
            id=name * 8,
            name="größer",
            secret_hash="0" * 64,
            role="predict",
            models=("coffee*", "tea"),
            created_at=AT,
            created_by="ada",
        )
        for name in ("a", "B")
    ]
    with store.write() as change:
        for record in made:
            change.add_key(record)
    for at in ("2026-02", "2026-03"):
        with store.write() as change:
            change.revoke_key("aaaaaaaa", at=at)
    store.note_key_uses({"BBBBBBBB": "2026-04", "nobody": "2026-04"})

    with store.read() as view:
        used = dataclasses.replace(made[1], last_used_at="2026-04")
        assert view.keys() == [used, dataclasses.replace(made[0], revoked_at="2026-02")]
        assert view.key("BBBBBBBB") == used
        assert view.key("nobody") is None


def attachment(digest: str, *, subject: str = "a" * 64, name: str = "compiled") -> AttachmentRecord:
    """Return a row that attaches something."""
    return AttachmentRecord(subject, name, digest=digest * 64, at=AT, actor="ada")


def test_the_newest_attachment_of_a_name_counts(store: Metadata, reopen: Open) -> None:
    """Each subject and name has its own; what was attached before is not told any more."""
    for record in (
        attachment("1"),
        attachment("2", name="explained"),
        attachment("3"),
        attachment("4", subject="b" * 64),
    ):
        with store.write() as change:
            change.attach(record)
    other = reopen()
    with other.read() as view:
        assert view.attachments("a" * 64) == {
            "compiled": attachment("3"),
            "explained": attachment("2", name="explained"),
        }
        assert view.attachments("b" * 64) == {"compiled": attachment("4", subject="b" * 64)}
    other.close()


def test_an_attachment_comes_with_its_version_or_not_at_all(store: Metadata) -> None:
    """A transaction that fails leaves neither."""

    def both() -> None:
        with store.write() as change:
            change.add_version(version("coffee", change.claim_number("coffee", at=AT)))
            change.attach(attachment("1"))
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        both()
    with store.read() as view:
        assert view.models() == []
        assert view.attachments("a" * 64) == {}


def test_a_reader_sees_what_the_store_sees(tmp_path: Path) -> None:
    """A look-up without SQLAlchemy answers every question alike, and shows what was committed since."""
    store = open_sqlite(tmp_path / "registry.db")
    reader = open_reader(tmp_path / "registry.db")
    assert reader is not None
    with reader.read() as view:
        assert view.models() == []
    for model in ("coffee", "coffee", "tea"):
        register(store, model)
    with store.write() as change:
        for alias, to in (("production", 1), ("old", 1), ("production", 2), ("old", None)):
            moved = Event(kind="alias", model="coffee", alias=alias, to_version=to, at=AT, actor="ada")
            change.append(moved)
        for name in ("compiled", "card", "compiled"):
            change.attach(AttachmentRecord("ab" * 32, name, name[0] * 64, AT, "ada"))
    with store.read() as expected, reader.read() as found:
        assert expected.models() == found.models()
        for model in ("coffee", "tea", "water"):
            assert expected.latest(model) == found.latest(model)
            assert expected.versions(model) == found.versions(model)
            assert expected.version(model, 1) == found.version(model, 1)
            assert expected.targets(model) == found.targets(model)
            assert expected.events(model) == found.events(model)
            assert expected.events(model, alias="production") == found.events(model, alias="production")
        assert expected.attachments("ab" * 32) == found.attachments("ab" * 32)
    store.close()
