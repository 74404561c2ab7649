"""Whatever is done to the record around the registry is found, and the first event that broke is named."""

# ruff: noqa: S608 - statements of somebody who tampers, made of our own words

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

from fairway.bundle.bundle import build_bundle
from fairway.registry.metadata.schema import events
from fairway.registry.records import KeyRecord
from fairway.registry.registry import Registry, open_registry

Row = tuple[Any, ...]

COLUMNS = tuple(column.name for column in events.columns)
NULLABLE = {"model", "version", "alias", "from_version", "to_version"}
NUMBERS = {"version", "from_version", "to_version"}
N_EVENTS = 10


class Rows(Protocol):
    """The rows of a registry, reached around it, by somebody whom no foreign key stops."""

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Run one statement, with `?` for each value."""


class SqliteRows:
    """Rows in a file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(statement, values).fetchall()


class PostgresRows:
    """Rows on a server."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._connection.execute("SET session_replication_role = replica")

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        done = self._connection.execute(statement.replace("?", "%s"), values)
        return done.fetchall() if done.description else []


@pytest.fixture(scope="module", params=["postgres", "sqlite"])
def story(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Registry, Rows]]:
    """Give a registry in which things of all kinds have happened, and its rows."""
    home = tmp_path_factory.mktemp("home")
    url = request.getfixturevalue("postgres").url() if request.param == "postgres" else ""
    with open_registry(home, database=url) as registry, rows_of(home, url) as rows:
        tell(registry)
        assert len(registry.audit()) == N_EVENTS
        yield registry, rows


@contextlib.contextmanager
def rows_of(home: Path, url: str) -> Iterator[Rows]:
    """Open the rows of a registry."""
    if url:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            yield PostgresRows(connection)
    else:
        with contextlib.closing(sqlite3.connect(home / "registry.db", isolation_level=None)) as file:
            yield SqliteRows(file)


def tell(registry: Registry) -> None:
    """Let things happen."""
    facts = {"flavor": "sklearn", "created": "", "model_type": "Ridge", "python": "", "fairway": ""}
    bundle = build_bundle({"model.bin": b"weights"}, name="coffee", **facts)
    key = KeyRecord(
        id="abcdefgh",
        name="dashboard",
        secret_hash="0" * 64,
        role="predict",
        models=("coffee*",),
        created_at="2026-01-01T00:00:00.000Z",
        created_by="ada",
    )
    for actor in ("ada", "bob", "Zoë"):
        registry.register(bundle, name="coffee", actor=actor, reason="größer ☕")
    registry.move_alias("coffee", "production", 1, actor="ada")
    registry.record("check", model="coffee", version=2, actor="bob", details={"passed": True, "rmse": 0.1})
    registry.promote("coffee", 2, actor="ada", expected=1, details={"check": 5})
    registry.rollback("coffee", actor="bob", reason="slow")
    registry.delete("coffee", 3, actor="ada")
    registry.add_key(key, actor="ada")
    registry.revoke_key(key.id, actor="bob", reason="leaked")


@contextlib.contextmanager
def undone(rows: Rows) -> Iterator[None]:
    """Put the record back afterwards."""
    record = rows.run(f"SELECT {', '.join(COLUMNS)} FROM events ORDER BY seq")
    head = rows.run("SELECT id, seq, hash FROM chain")
    try:
        yield
    finally:
        rows.run("BEGIN")
        rows.run("DELETE FROM events")
        rows.run("DELETE FROM chain")
        for event in record:
            add(rows, event)
        for row in head:
            rows.run("INSERT INTO chain (id, seq, hash) VALUES (?, ?, ?)", row)
        rows.run("COMMIT")


def add(rows: Rows, event: Row) -> None:
    """Insert a row of an event."""
    rows.run(f"INSERT INTO events ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})", event)


def event_of(rows: Rows, seq: int) -> Row:
    """Return the row of an event."""
    ((*values,),) = rows.run(f"SELECT {', '.join(COLUMNS)} FROM events WHERE seq = ?", (seq,))
    return tuple(values)


def found_after(story: tuple[Registry, Rows], change: Callable[[Rows], None]) -> int | None:
    """Make a change around the registry, and return which event it says is broken."""
    registry, rows = story
    with undone(rows):
        change(rows)
        broken = registry.verify_audit()
    assert registry.verify_audit() is None
    return None if broken is None else broken.seq


def other_values(column: str, value: Any) -> list[Any]:
    """Return what a field might be changed into, little differences first."""
    if column in NUMBERS:
        return [1 if value is None else value + 1, 0, *([] if value is None else [None])]
    if value is None:
        return ["", "x"]
    if column == "hash":
        return ["0" * 64, value[::-1], value[:-1], value.upper(), ""]
    changed = [f"{value} ", f" {value}", value[:-1], value.upper(), ""]
    if column == "details":
        changed += ["", "not JSON", '{"passed": true}', "null", "[]", value.replace("true", "false")]
    return [text for text in changed if text != value] + ([None] if column in NULLABLE else [])


@pytest.mark.parametrize("column", COLUMNS[1:])
def test_any_edited_field_of_any_event_is_found(story: tuple[Registry, Rows], column: str) -> None:
    """From nothing to an empty text, by a space, in the spelling of its JSON: the event is named."""
    tried = 0
    for seq in range(1, N_EVENTS + 1):
        for value in other_values(column, event_of(story[1], seq)[COLUMNS.index(column)]):
            statement = f"UPDATE events SET {column} = ? WHERE seq = ?"
            found = found_after(story, lambda rows, edit=(statement, value, seq): rows.run(edit[0], edit[1:]))
            assert found == seq, f"{column} of event {seq} became {value!r}"
            tried += 1
    assert tried >= N_EVENTS


@pytest.mark.parametrize("seq", range(1, N_EVENTS + 1))
def test_a_deleted_event_is_found(story: tuple[Registry, Rows], seq: int) -> None:
    """The first, one in the middle, the last; also when those after it move up."""
    assert found_after(story, lambda rows: rows.run("DELETE FROM events WHERE seq = ?", (seq,))) == seq

    def close_the_gap(rows: Rows) -> None:
        rows.run("DELETE FROM events WHERE seq = ?", (seq,))
        for later in range(seq + 1, N_EVENTS + 1):
            rows.run("UPDATE events SET seq = ? WHERE seq = ?", (later - 1, later))

    assert found_after(story, close_the_gap) == seq


@pytest.mark.parametrize("seq", [-1, 0, 1, 5, N_EVENTS, N_EVENTS + 1, N_EVENTS + 7])
def test_an_inserted_event_is_found(story: tuple[Registry, Rows], seq: int) -> None:
    """Before the first, in between with the others moved on, after the last."""

    def insert(rows: Rows) -> None:
        copied = event_of(rows, 4)
        for later in range(N_EVENTS, max(seq, 1) - 1, -1) if seq > 0 else ():
            rows.run("UPDATE events SET seq = ? WHERE seq = ?", (later + 1, later))
        add(rows, (seq, *copied[1:]))

    assert found_after(story, insert) == min(seq, N_EVENTS + 1)


@pytest.mark.parametrize("distance", [1, 3])
def test_swapped_events_are_found(story: tuple[Registry, Rows], distance: int) -> None:
    """Each is whole, but stands where the other was."""
    for first in range(1, N_EVENTS + 1 - distance):

        def swap(rows: Rows, first: int = first) -> None:
            for to, seq in ((99, first), (first, first + distance), (first + distance, 99)):
                rows.run("UPDATE events SET seq = ? WHERE seq = ?", (to, seq))

        assert found_after(story, swap) == first


def test_bytes_in_place_of_a_text_are_found(story: tuple[Registry, Rows]) -> None:
    """One of the databases lets a column hold anything."""
    edit = "UPDATE events SET actor = ? WHERE seq = 3"
    assert found_after(story, lambda rows: rows.run(edit, (b"\xff",))) == 3


def test_an_end_that_was_cut_off_together_with_its_head_shows_in_a_head_kept_elsewhere(
    story: tuple[Registry, Rows],
) -> None:
    """The chain itself is whole then: that is what the head in the log is for."""
    registry, rows = story
    kept = registry.head()
    with undone(rows):
        rows.run("DELETE FROM events WHERE seq = ?", (N_EVENTS,))
        rows.run("UPDATE chain SET seq = ?, hash = ?", (N_EVENTS - 1, event_of(rows, N_EVENTS - 1)[-1]))
        assert registry.verify_audit() is None
        assert registry.head() != kept
    assert registry.head() == kept
