"""Models, versions, attachments and events in a relational database, in plain statements of SQLAlchemy."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, insert, text, update

from fairway.errors import SchemaNewer
from fairway.registry.metadata.base import Change, Metadata
from fairway.registry.metadata.schema import attachments, events, models, versions
from fairway.registry.metadata.sqlite import SqliteDatabase
from fairway.registry.metadata.views import REVISIONS, Execute, SqlView
from fairway.registry.records import AttachmentRecord, Event, Version

_MIGRATIONS = Path(__file__).parent / "migrations"


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
        row = {column.name: getattr(event, column.name) for column in events.columns if column.name != "seq"}
        return int(self._connection.execute(insert(events).values(row).returning(events.c.seq)).scalar_one())

    def attach(self, record: AttachmentRecord) -> None:
        """Add an attachment; see `Change.attach`."""
        self._connection.execute(insert(attachments).values(dataclasses.asdict(record)))


class SqlMetadata(Metadata):
    """A store of models, versions, attachments and events in a relational database.

    Args:
        database: The database, migrated to today's tables; `open_sqlite` gives one.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    @contextlib.contextmanager
    def read(self) -> Iterator[SqlView]:
        """Open a view of one moment; see `Metadata.read`."""
        with self._database.mapped_errors(), self._database.engine.begin() as connection:
            yield SqlView(_reads_on(connection))

    @contextlib.contextmanager
    def write(self) -> Iterator[SqlChange]:
        """Open a transaction; see `Metadata.write`."""
        with self._database.mapped_errors(), self._writing() as connection:
            yield SqlChange(connection)

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
        with self._database.mapped_errors(), self._writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._database.engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                yield connection


def open_sqlite(path: Path, *, busy_timeout_s: float = 5.0) -> SqlMetadata:
    """Open the registry in an SQLite file, which is made or migrated as needed.

    Args:
        path: The file. Its folder is there.
        busy_timeout_s: How long to wait for other writers.

    Raises:
        RegistryInvalid: The path is something else than a registry; it is left untouched.
        SchemaNewer: A newer fairway has migrated it; it is left untouched.
    """
    database = SqliteDatabase(path, busy_timeout_s=busy_timeout_s)
    revision = database.revision()
    if revision is not None and revision not in REVISIONS:
        raise SchemaNewer(
            f"{path} stands at revision {revision!r}; this fairway knows up to {REVISIONS[-1]!r}",
            hint="pip install --upgrade fairway",
        )
    metadata = SqlMetadata(database)
    if revision != REVISIONS[-1]:
        try:
            metadata.migrate()
        except BaseException:
            metadata.close()
            raise
    return metadata
