"""A registry in a real PostgreSQL: what is refused, what is waited for, and what happens while it is away."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import sql

from fairway.bundle.bundle import build_bundle
from fairway.errors import (
    FairwayError,
    RegistryBusy,
    RegistryInvalid,
    SchemaNewer,
    SettingsError,
    StoreUnavailable,
)
from fairway.registry.metadata.base import Metadata
from fairway.registry.metadata.postgres import PostgresDatabase
from fairway.registry.metadata.schema import tables
from fairway.registry.metadata.sql import SqlMetadata, open_postgres
from fairway.registry.metadata.views import REVISIONS
from fairway.registry.registry import open_registry

Server = Any  # tests/conftest.py: Postgres

pytestmark = pytest.mark.service("postgres")

AT = "2026-01-01T00:00:00.000Z"
TOLD_S = 7.0  # five seconds, and some for a busy machine


@pytest.fixture
def url(postgres: Server) -> str:
    """Give the address of an empty schema."""
    return str(postgres.url())


@pytest.fixture
def store(url: str) -> Iterator[SqlMetadata]:
    """Give an empty store."""
    opened = open_postgres(url)
    yield opened
    opened.close()


@contextlib.contextmanager
def session(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Open a session of somebody else."""
    with psycopg.connect(url) as connection:
        yield connection


def content(url: str) -> list[Any]:
    """Return every table and row of a schema."""
    with session(url) as connection:
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
        ).fetchall()
        everything = [sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)) for (name,) in names]
        return [(query, connection.execute(query).fetchall()) for query in everything]


def add_model(store: Metadata, name: str) -> None:
    """Commit something."""
    with store.write() as change:
        change.claim_number(name, at=AT)


def wait_for(holds: Callable[[], bool], limit_s: float = 30.0) -> float:
    """Return how long it took until something held."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < limit_s, "it did not come to hold"
        time.sleep(0.02)
    return time.monotonic() - started


def answers(store: SqlMetadata) -> bool:
    """Say whether the store can be read, written and followed."""
    try:
        store.change_token()
        point(store)
        with store.read() as view:
            view.models()
    except StoreUnavailable:
        return False
    return True


def end_sessions(postgres: Server) -> None:
    """Have the server end every session of ours, as an administrator does."""
    ours = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'fairway'"
    postgres.execute(ours)


def ask_everything(store: Metadata) -> list[Callable[[], object]]:
    """Return the ways to ask a store."""

    def read() -> None:
        with store.read() as view:
            view.models()

    return [read, lambda: add_model(store, "late"), store.change_token]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("synchronous_commit", "on"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("transaction_isolation", "repeatable read"),
        ("transaction_read_only", "on"),
        ("client_encoding", "UTF8"),
        ("application_name", "fairway"),
    ],
)
def test_a_reading_session_is_set_up_for_safety(postgres: Server, setting: str, expected: str) -> None:
    """Whatever the server's own settings are."""
    database = PostgresDatabase(postgres.url())
    with database.reading() as connection:
        assert connection.exec_driver_sql(f"SHOW {setting}").scalar() == expected
    database.close()


def test_a_stricter_durability_is_kept(postgres: Server) -> None:
    """Whoever waits for replicas goes on waiting for them."""
    database = PostgresDatabase(postgres.url() + "%20-csynchronous_commit%3Dremote_apply")
    with database.reading() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "remote_apply"
    database.close()


def test_the_migrations_make_the_tables_that_the_code_reads(store: SqlMetadata, url: str) -> None:
    """Nothing is left for Alembic to propose."""
    database = PostgresDatabase(url)
    assert database.revision() == REVISIONS[-1]
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables) == []
    database.close()


def test_registries_share_a_database_in_schemas(postgres: Server) -> None:
    """Each has its own tables, its own lock, and its own news."""
    first, second = open_postgres(postgres.url()), open_postgres(postgres.url())
    token = second.change_token()
    with second.write():
        add_model(first, "coffee")
    second_token = second.change_token()
    with first.read() as of_first, second.read() as of_second:
        assert (of_first.latest("coffee"), of_second.latest("coffee")) == (1, None)
    assert second_token == token
    first.close()
    second.close()


def test_another_programs_database_is_left_untouched(url: str) -> None:
    """Even one that uses Alembic as well."""
    with session(url) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num text)")
        connection.execute("CREATE TABLE experiments (id int)")
    before = content(url)

    with pytest.raises(RegistryInvalid, match="something else") as caught:
        open_postgres(url)

    assert content(url) == before
    assert "FAIRWAY_REGISTRY" in caught.value.hint


@pytest.mark.parametrize("revision", ["9999", ""])
def test_a_registry_of_a_newer_release_is_left_untouched(url: str, revision: str) -> None:
    """An unknown revision is refused before anything is written, with the way out."""
    open_postgres(url).close()
    with session(url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))
    before = content(url)

    with pytest.raises(SchemaNewer) as caught:
        open_postgres(url)

    assert content(url) == before
    assert "upgrade" in caught.value.hint


def test_a_schema_that_is_not_there_is_named(postgres: Server) -> None:
    """It is not made behind anybody's back."""
    with pytest.raises(StoreUnavailable, match="is not there") as caught:
        open_postgres(postgres.url("nowhere"))

    assert "CREATE SCHEMA" in caught.value.hint


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Server) -> None:
    """Its encoding is looked at, not found out by the first model with an accent."""
    postgres.execute(
        "CREATE DATABASE old ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
    )

    with pytest.raises(RegistryInvalid, match="LATIN1"):
        open_postgres(postgres.url("public").replace("/postgres?", "/old?"))


def test_a_user_who_may_not_make_tables_is_told_so(postgres: Server) -> None:
    """An error of ours, with the server's reason."""
    postgres.execute("CREATE SCHEMA closed; GRANT USAGE ON SCHEMA closed TO PUBLIC; CREATE ROLE reader LOGIN")

    with pytest.raises(StoreUnavailable, match="permission denied"):
        open_postgres(postgres.url("closed", user="reader"))


def test_a_migration_is_made_whole_or_not_at_all(url: str) -> None:
    """A process that dies in the middle leaves an empty schema."""
    database = PostgresDatabase(url)

    def stop_in_the_middle() -> None:
        with database.migrating() as connection:
            connection.exec_driver_sql("CREATE TABLE models (name text)")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_in_the_middle()
    assert database.revision() is None
    database.close()
    open_postgres(url).close()


def test_a_lock_of_somebody_else_is_waited_for_and_then_said(url: str) -> None:
    """For as long as was said, and with what to look for; nothing was changed."""
    store = open_postgres(url, busy_timeout_s=0.3)
    with session(url) as other:
        other.execute("LOCK TABLE models, events, chain")
        for ask in ask_everything(store):
            started = time.monotonic()
            with pytest.raises(RegistryBusy, match="locked by another session") as caught:
                ask()
            assert 0.25 < time.monotonic() - started < TOLD_S
            assert "pg_stat_activity" in caught.value.hint
    assert answers(store)
    store.close()


def test_a_lock_whose_row_was_replaced_meanwhile_is_still_the_lock(store: SqlMetadata, url: str) -> None:
    """A restore deletes the row and writes it anew, while a writer waits for it."""
    done = threading.Event()

    def write() -> None:
        point(store)
        done.set()

    with session(url) as other:
        rows = other.execute("DELETE FROM chain RETURNING id, seq, hash").fetchall()
        thread = threading.Thread(target=write)
        thread.start()
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        with session(url) as watcher:
            watcher.autocommit = True
            wait_for(lambda: watcher.execute(waits).fetchone() != (0,))
        other.execute("INSERT INTO chain VALUES (%s, %s, %s)", rows[0])
    thread.join(30)

    assert done.is_set()


def test_a_registry_without_its_head_is_damaged(store: SqlMetadata, url: str) -> None:
    """Nobody may write where nobody can be locked out."""
    with session(url) as other:
        other.execute("DELETE FROM chain")

    with pytest.raises(RegistryInvalid, match="head of its events"):
        point(store)


def test_others_are_waited_for_five_seconds(url: str) -> None:
    """The default of every caller."""
    assert PostgresDatabase(url).busy_timeout_s == 5.0


def test_a_server_that_is_away_is_told_at_once_and_found_again(
    postgres: Server, home: Path, url: str
) -> None:
    """Reading, writing and following fail in the same way; the same registry goes on when it is back."""
    facts = {"flavor": "sklearn", "created": "", "model_type": "", "python": "", "fairway": ""}
    bundle = build_bundle({"model.bin": b"weights"}, name="coffee", **facts)
    with open_registry(home, database=url) as registry:
        registry.register(bundle, actor="ada")
        token = registry.change_token()
        postgres.stop()
        try:
            for ask in (
                *ask_everything(registry.metadata),
                lambda: registry.promote("coffee", 1, actor="ada", expected=None),
                lambda: registry.resolve("coffee"),
            ):
                started = time.monotonic()
                with pytest.raises(StoreUnavailable) as caught:
                    ask()
                assert time.monotonic() - started < TOLD_S
                assert caught.value.code == "registry_unavailable"
                assert f"127.0.0.1:{postgres.port}/postgres" in caught.value.detail
                assert "\n" not in caught.value.detail
        finally:
            postgres.start()
        assert registry.change_token() == token
        assert registry.promote("coffee", 1, actor="ada", expected=None).seq == 2
        assert registry.change_token() != token
        assert registry.open(registry.resolve("coffee@production")).digest == bundle.digest
        assert registry.verify_audit() is None
        assert registry.check() == []


def test_a_server_that_hangs_is_told_and_found_again(postgres: Server, store: SqlMetadata) -> None:
    """It takes connections, as its system does that for it, and says nothing more."""
    store.change_token()
    with store.read() as view:
        view.models()
    postgres.freeze()
    try:
        for ask in ask_everything(store)[:2]:
            started = time.monotonic()
            with pytest.raises(StoreUnavailable):
                ask()
            assert time.monotonic() - started < TOLD_S
    finally:
        postgres.thaw()

    assert wait_for(lambda: answers(store)) < 10


def test_a_transaction_whose_server_dies_is_undone(postgres: Server, store: SqlMetadata) -> None:
    """The block raises an error of ours, and what was not committed is not there."""

    def lose_it_in_the_middle() -> None:
        with store.write() as change:
            change.claim_number("coffee", at=AT)
            end_sessions(postgres)
            change.claim_number("coffee", at=AT)

    with pytest.raises(StoreUnavailable):
        lose_it_in_the_middle()
    with store.read() as view:
        assert view.models() == []
        assert view.latest("coffee") is None


def test_a_commit_without_an_answer_is_said_to_be_in_doubt(postgres: Server, store: SqlMetadata) -> None:
    """Neither done nor undone can be promised, so nothing is."""

    def lose_it_before_the_end() -> None:
        with store.write() as change:
            change.claim_number("coffee", at=AT)
            end_sessions(postgres)

    with pytest.raises(StoreUnavailable, match="not known") as caught:
        lose_it_before_the_end()
    assert "history" in caught.value.hint


def test_a_lost_listener_hides_nothing(postgres: Server, url: str) -> None:
    """The connection is ended by the server, or receives no notices: changes show all the same, and soon."""
    store, other = open_postgres(url), open_postgres(url)
    tokens = [store.change_token()]
    end_sessions(postgres)
    assert store.change_token() == tokens[-1]
    for deafen in (False, True):
        if deafen:
            connection = store._database._watch._connection  # type: ignore[attr-defined]
            connection.execute("UNLISTEN *")
        point(other)
        assert wait_for(lambda: store.change_token() != tokens[-1]) < TOLD_S
        tokens.append(store.change_token())
    store.close()
    other.close()


def point(store: SqlMetadata) -> None:
    """Commit a change of which the token tells."""
    from fairway.registry.records import AttachmentRecord

    with store.write() as change:
        change.attach(AttachmentRecord("a" * 64, "compiled", "b" * 64, AT, "ada"))


def test_the_token_costs_no_question_while_nothing_happens(store: SqlMetadata, url: str) -> None:
    """A hundred polls are at most a few statements."""
    watch = store._database._watch  # type: ignore[attr-defined]
    store.change_token()
    asked = []
    connection = watch._connection
    execute = connection.execute
    connection.execute = lambda *query: asked.append(query) or execute(*query)
    started = time.monotonic()
    for _ in range(100):
        store.change_token()

    assert len(asked) <= 1 + (time.monotonic() - started) / 2


def test_a_password_is_nowhere_to_be_read(postgres: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Not in what is said, nor in what caused it, nor in a log, however wrong the address is."""
    caplog.set_level(logging.DEBUG)
    port = postgres.port
    right = f"postgresql://guarded:s3cret%2Fword@127.0.0.1:{port}/postgres"
    said = []
    for address in (
        right.replace("s3cret", "s3cretly"),
        right.replace("/postgres", "/nowhere"),
        right.replace(str(port), "1"),
        right.replace("%2F", "%zz"),
        right.replace("%2F", "@"),
        right.replace(str(port), "port"),
        right.replace("postgresql:", "mysql:"),
        right + "?password=s3cret",
        right + "?nonsense=s3cret",
        "postgresql:/guarded:s3cret/word",
    ):
        try:
            open_postgres(address).close()
        except FairwayError as error:
            seen: BaseException | None = error
            while seen is not None:
                said.append(f"{seen!r} {seen} {getattr(seen, 'hint', '')} {vars(seen)}")
                seen = seen.__cause__ or seen.__context__
    assert len(said) > 8
    for text in [*said, caplog.text]:
        assert "s3cret" not in text
    store = open_postgres(right + f"?options=-csearch_path%3D{postgres.url().rpartition('%3D')[2]}")
    assert answers(store)
    assert "s3cret" not in repr(store._database.engine)  # type: ignore[attr-defined]
    store.close()


@pytest.mark.parametrize(
    "address", ["postgresql://", "postgresql://host", "mysql://host/x", "", "postgresql://a:b@c:d/e"]
)
def test_an_address_that_cannot_be_read_is_a_wrong_setting(address: str) -> None:
    """With how one is written."""
    with pytest.raises(SettingsError) as caught:
        open_postgres(address)

    assert "postgresql://user:password@host" in caught.value.hint


def test_without_the_driver_the_extra_is_named(url: str) -> None:
    """The line for pip, and not a traceback."""
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from fairway.errors import MissingExtra\n"
        "from fairway.registry.metadata.sql import open_postgres\n"
        "try: open_postgres(sys.argv[1])\n"
        "except MissingExtra as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", program, url], capture_output=True, text=True, check=True)

    assert done.stdout == "pip install 'fairway[postgres]'\n"


def test_check_finds_rows_that_refer_to_nothing(store: SqlMetadata, url: str) -> None:
    """Somebody restored half of a backup."""
    assert store.check() == []
    with session(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("INSERT INTO versions VALUES ('tea', 1, '', '', '', '', '', 0, '{}', '{}')")

    (found,) = store.check()

    assert "1 rows of versions refer to no row of models" in found


def test_check_says_that_a_table_is_gone(store: SqlMetadata, url: str) -> None:
    """The finding is returned, not raised."""
    with session(url) as connection:
        connection.execute("DROP TABLE attachments")

    (found,) = store.check()

    assert "is damaged" in found


def test_a_closed_store_opens_again(store: SqlMetadata) -> None:
    """As before a fork: what is closed holds no connection, and the next call makes one."""
    token = store.change_token()
    store.close()

    assert store.change_token() == token
    assert answers(store)


def test_many_threads_share_the_token(store: SqlMetadata) -> None:
    """Beside writers, and nobody sees an older state after a newer one of its own."""
    failures: list[BaseException] = []

    def write_and_look() -> None:
        try:
            for _ in range(5):
                before = store.change_token()
                point(store)
                assert store.change_token() != before
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=write_and_look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
