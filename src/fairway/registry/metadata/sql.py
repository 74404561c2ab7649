"""Models, versions, attachments and events in a relational database, in plain statements of SQLAlchemy."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from fairway.errors import SchemaNewer
from fairway.registry.metadata.base import Change, Metadata, View
from fairway.registry.metadata.schema import REVISIONS, attachments, events, models, versions
from fairway.registry.metadata.sqlite import SqliteDatabase
from fairway.registry.records import AttachmentRecord, Event, ModelSummary, Version

_MIGRATIONS = Path(__file__).parent / "migrations"


class SqlView(View):
    """Reads on one connection, in the transaction that it is in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def models(self) -> list[ModelSummary]:
        """Return every model, sorted by name; see `View.models`."""
        aliases: dict[str, dict[str, int]] = {}
        for model, alias, version in self._connection.execute(_current_targets()):
            aliases.setdefault(model, {})[alias] = version
        rows = self._connection.execute(
            select(models.c.name, models.c.latest, models.c.created_at, func.count())
            .join_from(models, versions)
            .group_by(models.c.name, models.c.latest, models.c.created_at)
            .order_by(models.c.name)
        )
        return [
            ModelSummary(name, latest=latest, aliases=aliases.get(name, {}), n_versions=n, created_at=at)
            for name, latest, at, n in rows
        ]

    def latest(self, model: str) -> int | None:
        """Return the highest version number; see `View.latest`."""
        return self._connection.execute(select(models.c.latest).where(models.c.name == model)).scalar()

    def version(self, model: str, number: int) -> Version | None:
        """Return one version or None; see `View.version`."""
        found = self._versions(model, select(versions).where(versions.c.version == number))
        return found[0] if found else None

    def versions(self, model: str) -> list[Version]:
        """Return the versions by rising number; see `View.versions`."""
        return self._versions(model, select(versions).order_by(versions.c.version))

    def targets(self, model: str) -> dict[str, int]:
        """Return the version number by alias; see `View.targets`."""
        rows = self._connection.execute(_current_targets(model))
        return {alias: version for _, alias, version in rows}

    def events(self, model: str, *, alias: str | None = None) -> list[Event]:
        """Return the events by rising `seq`; see `View.events`."""
        query = select(events).where(events.c.model == model).order_by(events.c.seq)
        if alias is not None:
            query = query.where(events.c.alias == alias)
        return [Event(**row) for row in self._connection.execute(query).mappings()]

    def attachments(self, subject: str) -> dict[str, AttachmentRecord]:
        """Return what was attached last under each name; see `View.attachments`."""
        newest = (
            select(func.max(attachments.c.seq))
            .where(attachments.c.subject == subject)
            .group_by(attachments.c.name)
        )
        columns = [column for column in attachments.columns if column.name != "seq"]
        query = select(*columns).where(attachments.c.seq.in_(newest)).order_by(attachments.c.name)
        rows = self._connection.execute(query).mappings()
        return {row["name"]: AttachmentRecord(**row) for row in rows}

    def _versions(self, model: str, query: Select[*tuple[Any, ...]]) -> list[Version]:
        """Return the versions of *model* that *query* selects, each with the aliases that point to it."""
        rows = self._connection.execute(query.where(versions.c.model == model)).mappings().all()
        aliases: dict[int, list[str]] = {}
        for alias, number in self.targets(model).items() if rows else ():
            aliases.setdefault(number, []).append(alias)
        return [Version(**row, aliases=tuple(aliases.get(row["version"], ()))) for row in rows]


class SqlChange(SqlView, Change):
    """Reads and writes on one connection, in a transaction that holds the write lock."""

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
            yield SqlView(connection)

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


def _current_targets(model: str | None = None) -> Select[str, str, int]:
    """Select model, alias and version of every alias that stands, of one model or of all.

    The newest event of an alias decides; if that event removed it, there is no target and no row.
    """
    newest = select(func.max(events.c.seq)).where(events.c.alias.is_not(None))
    if model is not None:
        newest = newest.where(events.c.model == model)
    newest = newest.group_by(events.c.model, events.c.alias)
    return (
        select(events.c.model, events.c.alias, events.c.to_version)
        .where(events.c.seq.in_(newest), events.c.to_version.is_not(None))
        .order_by(events.c.model, events.c.alias)
    )
