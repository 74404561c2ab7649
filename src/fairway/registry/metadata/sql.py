"""Models, versions, attachments, events and keys in a relational database, by plain SQLAlchemy statements."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, text, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from fairway.errors import MissingExtra, RegistryInvalid, SchemaNewer, UsageError
from fairway.registry.audit import chained, json_text
from fairway.registry.metadata.base import Change, Metadata
from fairway.registry.metadata.database import Database
from fairway.registry.metadata.schema import attachments, chain, events, keys, models, tables, versions
from fairway.registry.metadata.sqlite import SqliteDatabase
from fairway.registry.metadata.views import REVISIONS, Execute, SqlView
from fairway.registry.records import AttachmentRecord, Event, KeyRecord, Version
from fairway.settings import masked

_MIGRATIONS = Path(__file__).parent / "migrations"
_POSTGRES = ("postgresql:", "postgresql+psycopg:", "postgres:")


def _reads_on(connection: Connection) -> Execute:
    return lambda statement, values: connection.execute(text(statement), values)


class SqlChange(SqlView, Change):
    """Reads and writes on one connection, in a transaction that holds the write lock."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(_reads_on(connection))
        self._connection = connection

    def claim_number(self, model: str, *, at: str) -> int:
        """Return the next version number; see `Change.claim_number`."""
        raised = (
            update(models)
            .where(models.c.name == model)
            .values(latest=models.c.latest + 1)
            .returning(models.c.latest)
        )
        number = self._connection.execute(raised).scalar()
        if number is None:
            number = 1
            self._connection.execute(insert(models).values(name=model, latest=number, created_at=at))
        return number

    def add_version(self, version: Version) -> None:
        """Add a version; see `Change.add_version`."""
        row = {column.name: getattr(version, column.name) for column in versions.columns}
        self._connection.execute(insert(versions).values(row))

    def append(self, event: Event) -> int:
        """Append an event and return its `seq`; see `Change.append`."""
        recorded = chained(event, self.head())
        row = {column.name: getattr(recorded, column.name) for column in events.columns}
        self._connection.execute(insert(events).values(row | {"details": json_text(recorded.details)}))
        self._connection.execute(update(chain).values(seq=recorded.seq, hash=recorded.hash))
        return recorded.seq

    def attach(self, record: AttachmentRecord) -> None:
        """Add an attachment; see `Change.attach`."""
        self._connection.execute(insert(attachments).values(dataclasses.asdict(record)))

    def fill(self, rows: Mapping[str, list[dict[str, Any]]]) -> None:
        """Write every row of another store; see `Change.fill`."""
        if rows.keys() != tables.tables.keys():
            raise RegistryInvalid(f"these are not the tables of a registry: {', '.join(sorted(rows))[:200]}")
        if [row.get("id") for row in rows["chain"]] != [1]:
            raise RegistryInvalid("the rows do not say what was recorded last")
        self._connection.execute(delete(chain))
        try:
            for table in tables.sorted_tables:
                # Where a database counts by itself it has to do so here, too, or it would give numbers twice.
                counted = table.autoincrement_column
                found = [
                    {name: value for name, value in row.items() if counted is None or name != counted.name}
                    for row in rows[table.name]
                ]
                if found:
                    self._connection.execute(insert(table), found)
        except (SQLAlchemyError, TypeError, ValueError, AttributeError) as cause:
            if isinstance(cause, DBAPIError) and not isinstance(cause, IntegrityError | DataError):
                raise
            raise RegistryInvalid("the rows do not fit together, or into the tables of a registry") from cause

    def delete_version(self, model: str, number: int, *, at: str) -> None:
        """Mark a version as deleted; see `Change.delete_version`."""
        rows = (versions.c.model == model) & (versions.c.version == number)
        self._connection.execute(update(versions).where(rows).values(deleted_at=at))

    def add_key(self, record: KeyRecord) -> None:
        """Add an API key; see `Change.add_key`."""
        row = {column.name: getattr(record, column.name) for column in keys.columns}
        self._connection.execute(insert(keys).values(row | {"models": list(record.models)}))

    def revoke_key(self, key_id: str, *, at: str) -> None:
        """Mark an API key as revoked; see `Change.revoke_key`."""
        rows = (keys.c.id == key_id) & keys.c.revoked_at.is_(None)
        self._connection.execute(update(keys).where(rows).values(revoked_at=at))

    def expire_key(self, key_id: str, *, at: str) -> None:
        """Let an API key expire; see `Change.expire_key`."""
        rows = (keys.c.id == key_id) & (keys.c.expires_at.is_(None) | (keys.c.expires_at > at))
        self._connection.execute(update(keys).where(rows).values(expires_at=at))


class SqlMetadata(Metadata):
    """A store of models, versions, attachments, events and keys in a relational database.

    Args:
        database: The database, migrated to today's tables; `open_sqlite` and `open_postgres` give one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextlib.contextmanager
    def read(self) -> Iterator[SqlView]:
        """Open a view of one moment; see `Metadata.read`."""
        with self._database.mapped_errors(), self._database.reading() as connection:
            yield SqlView(_reads_on(connection))

    @contextlib.contextmanager
    def write(self) -> Iterator[SqlChange]:
        """Open a transaction; see `Metadata.write`."""
        with self._database.mapped_errors(), self._database.writing() as connection:
            yield SqlChange(connection)

    def note_key_uses(self, uses: Mapping[str, str]) -> None:
        """Note when keys were used last; see `Metadata.note_key_uses`."""
        with self._database.mapped_errors(), self._database.writing() as connection:
            for key_id, at in uses.items():
                connection.execute(update(keys).where(keys.c.id == key_id).values(last_used_at=at))

    def change_token(self) -> object:
        """Return a value that differs after any commit; see `Metadata.change_token`."""
        return self._database.change_token()

    def check(self) -> list[str]:
        """Return what is wrong with the database; see `Metadata.check`."""
        return self._database.check()

    def close(self) -> None:
        """Give back every connection; see `Metadata.close`."""
        self._database.close()

    def migrate(self) -> None:
        """Bring the tables to the newest revision, all steps or none.

        Does nothing if another process was faster: which steps are left is looked up under the write lock.
        """
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        with self._database.mapped_errors(), self._database.migrating() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def open_metadata(address: str, *, home: Path) -> SqlMetadata:
    """Open the database of a registry.

    Args:
        address: Its address; empty for `registry.db` in the home folder.
        home: The home folder, which is there.

    Raises:
        UsageError: There is no such kind of database.
        FairwayError: As `open_sqlite` and `open_postgres` do.
    """
    if not address:
        return open_sqlite(home / "registry.db")
    if address.startswith(_POSTGRES):
        return open_postgres(address)
    raise UsageError(
        f"a registry cannot be kept in {masked(address)!r}",
        hint="use an address like postgresql://user@host/name",
    )


def open_sqlite(path: Path, *, busy_timeout_s: float = 5.0) -> SqlMetadata:
    """Open the registry in an SQLite file, which is made or migrated as needed.

    Args:
        path: The file. Its folder is there.
        busy_timeout_s: How long to wait for other writers.

    Raises:
        RegistryInvalid: The path is something else than a registry; it is left untouched.
        SchemaNewer: A newer fairway has migrated it; it is left untouched.
    """
    return _open(SqliteDatabase(path, busy_timeout_s=busy_timeout_s))


def open_postgres(url: str, *, busy_timeout_s: float = 5.0) -> SqlMetadata:
    """Open the registry in a PostgreSQL database, whose tables are made or migrated as needed.

    Args:
        url: `postgresql://user:password@host:port/database`, with parameters of libpq.
        busy_timeout_s: How long to wait for other writers.

    Raises:
        MissingExtra: The driver is not installed.
        SettingsError: The address cannot be read.
        RegistryInvalid: The database holds something else than a registry; it is left untouched.
        SchemaNewer: A newer fairway has migrated it; it is left untouched.
        StoreUnavailable: The server does not answer or lets nobody in.
    """
    try:
        from fairway.registry.metadata.postgres import PostgresDatabase
    except ImportError as cause:
        raise MissingExtra("psycopg", "postgres", purpose="a registry in PostgreSQL") from cause
    return _open(PostgresDatabase(url, busy_timeout_s=busy_timeout_s))


def _open(database: Database) -> SqlMetadata:
    """Look at what the database holds, and only then bring it to the newest revision."""
    metadata = SqlMetadata(database)
    try:
        revision = database.revision()
        _check_known(revision, database.label)
        if revision != REVISIONS[-1]:
            metadata.migrate()
    except BaseException:
        metadata.close()
        raise
    return metadata


def _check_known(revision: str | None, label: str) -> None:
    if revision is not None and revision not in REVISIONS:
        raise SchemaNewer(
            f"{label} stands at revision {revision!r}; this fairway knows up to {REVISIONS[-1]!r}",
            hint="pip install --upgrade fairway",
        )
