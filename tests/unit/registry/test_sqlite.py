"""The SQLite file: its settings, its migrations, its one query for aliases, and its errors."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

from fairway.errors import RegistryBusy, RegistryInvalid, StorageFull, StoreUnavailable
from fairway.registry.artifacts.local import LocalArtifacts
from fairway.registry.metadata import sql
from fairway.registry.metadata.schema import tables
from fairway.registry.metadata.sqlite import SqliteDatabase
from fairway.registry.metadata.views import REVISIONS, SqliteReader, SqlView, open_reader
from fairway.registry.registry import Registry

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a new registry."""
    path = tmp_path / "registry.db"
    sql.open_sqlite(path).close()
    return path


@pytest.fixture
def database(path: Path) -> Iterator[SqliteDatabase]:
    """Give an opened database."""
    opened = SqliteDatabase(path, busy_timeout_s=0.05)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("pragma", "expected"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("busy_timeout", 50),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
    ],
)
def test_every_connection_is_set_up_for_safety(
    database: SqliteDatabase, pragma: str, expected: object
) -> None:
    """A commit survives a loss of power; a hostile file runs no code."""
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == expected


def test_others_are_waited_for_five_seconds(path: Path) -> None:
    """The default of every caller."""
    assert SqliteDatabase(path).busy_timeout_s == 5.0


def test_the_migrations_make_the_tables_that_the_code_reads(database: SqliteDatabase) -> None:
    """Nothing is left for Alembic to propose."""
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables) == []


def test_the_list_of_revisions_is_that_of_the_files() -> None:
    """Opening looks at the list only; a forgotten entry would be a registry that cannot be opened."""
    script = ScriptDirectory(str(Path(sql.__file__).parent / "migrations"))

    assert tuple(reversed([found.revision for found in script.walk_revisions()])) == REVISIONS


def test_a_migration_that_is_not_needed_changes_nothing(path: Path) -> None:
    """Whoever comes second in a race of first starts finds the work done."""
    metadata = sql.open_sqlite(path)
    token = metadata.change_token()

    metadata.migrate()

    assert metadata.change_token() == token
    metadata.close()


def test_a_migration_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    """A fault in the last step undoes the first: the next start finds an empty file and begins again."""
    path = tmp_path / "registry.db"
    database = SqliteDatabase(path)
    metadata = sql.SqlMetadata(database)

    def fail(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "INDEX" in statement:
            raise sqlite3.OperationalError("no more")

    event.listen(database.engine, "before_cursor_execute", fail)
    with pytest.raises(StoreUnavailable):
        metadata.migrate()
    metadata.close()

    assert SqliteDatabase(path).revision() is None
    sql.open_sqlite(path).close()
    assert SqliteDatabase(path).revision() == REVISIONS[-1]


def test_targets_are_one_query_over_the_index(path: Path) -> None:
    """No table is read from end to end, however long the history."""
    asked: list[Any] = []
    SqlView(lambda *query: asked.append(query) or []).targets("coffee")
    ((query, values),) = asked
    with contextlib.closing(sqlite3.connect(path)) as connection:
        plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", values)]

    assert any("events_by_alias" in step for step in plan)
    assert not [step for step in plan if step.startswith("SCAN")]


def test_a_full_disk_is_said_and_nothing_is_changed(database: SqliteDatabase) -> None:
    """What SQLite calls full is `storage_full`; afterwards the file is sound and can be read."""
    metadata = sql.SqlMetadata(database)
    event.listen(
        database.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1")
    )

    def write_much() -> None:
        with metadata.write() as change:
            for n in range(1_000):
                change.claim_number(f"model-{n:040}", at=AT)

    with pytest.raises(StorageFull):
        write_much()

    with metadata.read() as view:
        assert view.models() == []
    assert metadata.check() == []


def test_a_damaged_page_is_a_damaged_registry(path: Path) -> None:
    """A reader is told that the file is damaged."""
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xaa" * (len(whole) - 4096))
    metadata = sql.SqlMetadata(SqliteDatabase(path))

    with pytest.raises(RegistryInvalid, match="is damaged"), metadata.read() as view:
        view.models()
    metadata.close()


@pytest.mark.parametrize("page", range(1, 9))
def test_check_finds_damage_on_any_page(path: Path, page: int) -> None:
    """It returns its findings also where the damage stops it."""
    whole = path.read_bytes()
    path.write_bytes(whole[: 4096 * page] + b"\xaa" * 4096 + whole[4096 * (page + 1) :])
    with Registry(sql.SqlMetadata(SqliteDatabase(path)), LocalArtifacts(path.parent)) as registry:
        found = registry.check()

    assert found
    assert all(finding.startswith(str(path)) for finding in found)


def test_a_row_that_refers_to_nothing_is_found_by_check(path: Path, database: SqliteDatabase) -> None:
    """Somebody wrote into the file with another program."""
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO versions VALUES ('tea', 1, '', '', '', '', '', 0, '{}', '{}', NULL)")
    connection.commit()
    connection.close()

    assert database.check() == [f"{path}: row 1 of versions refers to no row of models"]


def test_a_lock_while_opening_is_waited_for_and_then_said(path: Path, database: SqliteDatabase) -> None:
    """Switching to the write-ahead log needs the file for itself; that wait is ours and it ends."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(RegistryBusy), sql.SqlMetadata(database).read():
        pytest.fail("the lock was not respected")

    other.execute("ROLLBACK")
    other.close()
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_first_start_beside_a_lock_is_said(tmp_path: Path) -> None:
    """Whoever cannot make the tables in time gives up cleanly, and succeeds later."""
    path = tmp_path / "registry.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(RegistryBusy):
        sql.open_sqlite(path, busy_timeout_s=0.05)

    other.close()
    sql.open_sqlite(path).close()


def test_a_locked_file_is_busy_before_it_is_recognised(path: Path) -> None:
    """Looking at the revision waits for an exclusive lock, and says so when it waited in vain."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(RegistryBusy):
        sql.open_sqlite(path, busy_timeout_s=0.05)

    other.close()


def test_a_file_system_without_shared_memory_is_refused(database: SqliteDatabase) -> None:
    """There the write-ahead log cannot be had, and with it neither readers beside a writer."""
    with (
        contextlib.closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(StoreUnavailable, match="shared memory"),
    ):
        database._use_wal(connection)


def test_a_file_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    """Errors of the file system are mapped like those of SQLite."""
    with pytest.raises(StoreUnavailable):
        SqliteDatabase(tmp_path / ("x" * 300)).revision()
    with pytest.raises(StoreUnavailable):
        SqliteDatabase(tmp_path / "no" / "folder.db").change_token()


def test_a_database_inside_a_file_is_no_registry(tmp_path: Path) -> None:
    """The path leads through something that is not a folder."""
    (tmp_path / "file").touch()

    with pytest.raises(RegistryInvalid):
        SqliteDatabase(tmp_path / "file" / "registry.db").revision()


def test_a_reader_is_for_a_current_registry_only(path: Path, tmp_path: Path) -> None:
    """What is absent, older, newer or something else is left to whoever opens it for good."""
    assert isinstance(open_reader(path), SqliteReader)
    assert open_reader(tmp_path / "absent.db") is None
    assert not (tmp_path / "absent.db").exists()
    (tmp_path / "text.db").write_text("no database at all, but long enough to be looked at")
    assert open_reader(tmp_path / "text.db") is None
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    assert open_reader(path) is None


def test_a_reader_refuses_to_write(path: Path) -> None:
    """It says so; and a table that is gone is an error of fairway, not of SQLite."""
    reader = SqliteReader(path)
    for refused in (reader.write, reader.change_token, reader.check):
        with pytest.raises(StoreUnavailable, match="only to look something up"):
            refused()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE attachments")
    with pytest.raises(StoreUnavailable, match="cannot be read"), reader.read() as view:
        view.attachments("ab" * 32)
