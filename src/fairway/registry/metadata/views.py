"""The statements that read a registry, in plain SQL: for SQLAlchemy, and for SQLite without it.

To import SQLAlchemy takes longer than to load most models, and a command that only looks a version up needs
nothing of it.
"""

# ruff: noqa: S608 - only names of columns and fixed conditions are put together, never values

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from fairway.errors import StoreUnavailable
from fairway.registry.audit import json_text
from fairway.registry.metadata.base import Change, Metadata, View
from fairway.registry.records import MOVES, AttachmentRecord, Event, Head, KeyRecord, ModelSummary, Version

Execute: TypeAlias = Callable[[str, Mapping[str, Any]], Iterable[Sequence[Any]]]
"""Runs a statement with parameters of the form `:name`, and gives its rows."""

REVISIONS = ("0001", "0002", "0003")
"""Every migration, oldest first. Kept here so that opening a current registry does not import Alembic."""

_VERSION = (
    "version",
    "digest",
    "flavor",
    "model_type",
    "created_at",
    "actor",
    "size",
    "tags",
    "metrics",
    "deleted_at",
)
_EVENT = (
    "seq",
    "at",
    "actor",
    "kind",
    "model",
    "version",
    "alias",
    "from_version",
    "to_version",
    "reason",
    "subject",
    "details",
    "hash",
)
_KEY = (
    "id",
    "name",
    "secret_hash",
    "role",
    "models",
    "created_at",
    "created_by",
    "expires_at",
    "revoked_at",
    "last_used_at",
)
_MOVES = ", ".join(f"'{kind}'" for kind in MOVES)
_ATTACHMENT = ("subject", "name", "digest", "at", "actor")


class SqlView(View):
    """Reads in the transaction in which *execute* runs its statements."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def models(self) -> list[ModelSummary]:
        """Return every model, sorted by name; see `View.models`."""
        aliases: dict[str, dict[str, int]] = {}
        for model, alias, version in self._targets():
            aliases.setdefault(model, {})[alias] = version
        rows = self._execute(
            "SELECT models.name, max(versions.version), models.created_at, count(*) FROM models"
            " JOIN versions ON versions.model = models.name AND versions.deleted_at IS NULL"
            " GROUP BY models.name, models.created_at",
            {},
        )
        return [
            ModelSummary(name, latest=latest, aliases=aliases.get(name, {}), n_versions=n, created_at=at)
            for name, latest, at, n in sorted(map(tuple, rows))
        ]

    def latest(self, model: str) -> int | None:
        """Return the highest number ever given; see `View.latest`."""
        rows = self._execute("SELECT latest FROM models WHERE name = :model", {"model": model})
        return next((latest for (latest,) in rows), None)

    def version(self, model: str, number: int, *, deleted: bool = False) -> Version | None:
        """Return one version or None; see `View.version`."""
        found = self._versions(model, f"AND version = :number{_alive(deleted)}", number=number)
        return found[0] if found else None

    def versions(self, model: str, *, deleted: bool = False) -> list[Version]:
        """Return the versions by rising number; see `View.versions`."""
        return self._versions(model, f"{_alive(deleted)} ORDER BY version")

    def targets(self, model: str) -> dict[str, int]:
        """Return the version number by alias; see `View.targets`."""
        return {alias: version for _, alias, version in self._targets(model)}

    def events(self, model: str, *, alias: str | None = None) -> list[Event]:
        """Return the events by rising `seq`; see `View.events`."""
        rows = self._execute(
            f"SELECT {', '.join(_EVENT)} FROM events WHERE model = :model"
            f"{'' if alias is None else ' AND alias = :alias'} ORDER BY seq",
            {"model": model} if alias is None else {"model": model, "alias": alias},
        )
        return [_event(row) for row in rows]

    def audit(self, *, after: int = 0, limit: int | None = None, model: str | None = None) -> list[Event]:
        """Return events of all kinds by rising `seq`; see `View.audit`."""
        # No condition where all are meant: an event that somebody gave the number 0 is to be found, too.
        values: dict[str, Any] = {"after": after} if after > 0 else {}
        values |= {} if limit is None else {"most": limit}
        values |= {} if model is None else {"model": model}
        rows = self._execute(
            f"SELECT {', '.join(_EVENT)} FROM events WHERE {'seq > :after' if after > 0 else 'true'}"
            f"{'' if model is None else ' AND model = :model'} ORDER BY seq"
            f"{'' if limit is None else ' LIMIT :most'}",
            values,
        )
        return [_event(row) for row in rows]

    def head(self) -> Head:
        """Return what was recorded last; see `View.head`."""
        (row,) = self._execute("SELECT seq, hash FROM chain WHERE id = 1", {})
        return Head(*row)

    def digests(self) -> set[str]:
        """Return the digests of all versions; see `View.digests`."""
        rows = self._execute("SELECT DISTINCT digest FROM versions WHERE deleted_at IS NULL", {})
        return {digest for (digest,) in rows}

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        """Return every row by table; see `View.dump`."""
        from sqlalchemy import JSON

        from fairway.registry.metadata.schema import tables

        found: dict[str, list[dict[str, Any]]] = {}
        for table in tables.sorted_tables:
            names = [column.name for column in table.columns]
            keys = ", ".join(column.name for column in table.primary_key)
            rows = self._execute(f"SELECT {', '.join(names)} FROM {table.name} ORDER BY {keys}", {})
            texts = {column.name for column in table.columns if isinstance(column.type, JSON)}
            found[table.name] = [
                {
                    name: json.loads(value) if name in texts and isinstance(value, str) else value
                    for name, value in zip(names, row, strict=True)
                }
                for row in rows
            ]
        return found

    def keys(self) -> list[KeyRecord]:
        """Return all API keys; see `View.keys`."""
        rows = self._execute(f"SELECT {', '.join(_KEY)} FROM keys", {})
        return sorted(map(_key, rows), key=lambda record: (record.created_at, record.id))

    def key(self, key_id: str) -> KeyRecord | None:
        """Return one API key or None; see `View.key`."""
        rows = self._execute(f"SELECT {', '.join(_KEY)} FROM keys WHERE id = :id", {"id": key_id})
        return next((_key(row) for row in rows), None)

    def attachments(self, subject: str) -> dict[str, AttachmentRecord]:
        """Return what was attached last under each name; see `View.attachments`."""
        rows = self._execute(
            f"SELECT {', '.join(_ATTACHMENT)} FROM attachments WHERE seq IN"
            " (SELECT max(seq) FROM attachments WHERE subject = :subject GROUP BY name)",
            {"subject": subject},
        )
        records = [AttachmentRecord(**dict(zip(_ATTACHMENT, row, strict=True))) for row in rows]
        return {record.name: record for record in sorted(records, key=lambda record: record.name)}

    def all_attachments(self) -> list[AttachmentRecord]:
        """Return what was attached last, of every content; see `View.all_attachments`."""
        rows = self._execute(
            f"SELECT {', '.join(_ATTACHMENT)} FROM attachments WHERE seq IN"
            " (SELECT max(seq) FROM attachments GROUP BY subject, name)",
            {},
        )
        records = [AttachmentRecord(**dict(zip(_ATTACHMENT, row, strict=True))) for row in rows]
        return sorted(records, key=lambda record: (record.subject, record.name))

    def _versions(self, model: str, rest: str, **values: Any) -> list[Version]:
        """Return the versions of *model* that *rest* selects, each with the aliases that point to it."""
        rows = list(
            self._execute(
                f"SELECT {', '.join(_VERSION)} FROM versions WHERE model = :model {rest}",
                {"model": model, **values},
            )
        )
        aliases: dict[int, list[str]] = {}
        for alias, number in self.targets(model).items() if rows else ():
            aliases.setdefault(number, []).append(alias)
        return [_version(model, row, aliases) for row in rows]

    def _targets(self, model: str | None = None) -> Iterable[Sequence[Any]]:
        """Return model, alias and version of every alias that stands, of one model or of all.

        The newest move of an alias decides; if that one removed it, there is no target and no row.
        """
        rows = self._execute(
            "SELECT model, alias, to_version FROM events WHERE to_version IS NOT NULL AND seq IN"
            f" (SELECT max(seq) FROM events WHERE alias IS NOT NULL AND kind IN ({_MOVES})"
            f"{'' if model is None else ' AND model = :model'} GROUP BY model, alias)",
            {} if model is None else {"model": model},
        )
        return sorted(map(tuple, rows))  # here, because databases sort text by the rules of a language


def _alive(deleted: bool) -> str:  # noqa: FBT001 - one of two conditions
    return "" if deleted else " AND deleted_at IS NULL"


def _event(row: Sequence[Any]) -> Event:
    fields = dict(zip(_EVENT, row, strict=True))
    fields["details"] = _details(fields["details"])
    return Event(**fields)


def _details(text: Any) -> Any:
    """Return what the details of an event say; as they stand, if we did not write them: the chain tells."""
    try:
        details = json.loads(text)
        return details if json_text(details) == text else {"unreadable": str(text)}
    except (TypeError, ValueError, RecursionError):
        return {"unreadable": str(text)}


def _key(row: Sequence[Any]) -> KeyRecord:
    fields = dict(zip(_KEY, row, strict=True))
    models = fields["models"]
    fields["models"] = tuple(json.loads(models) if isinstance(models, str) else models)
    return KeyRecord(**fields)


def _version(model: str, row: Sequence[Any], aliases: Mapping[int, list[str]]) -> Version:
    fields = dict(zip(_VERSION, row, strict=True))
    for name in ("tags", "metrics"):
        if isinstance(fields[name], str):  # some engines give JSON as it is kept, some as values
            fields[name] = json.loads(fields[name])
    return Version(model, **fields, aliases=tuple(aliases.get(fields["version"], ())))


class SqliteReader(Metadata):
    """A registry in an SQLite file that is read, and never written.

    Every view is a connection of its own, so that this survives a fork.

    Args:
        path: The file, which stands at the newest revision; `open_reader` looks.
    """

    def __init__(self, path: Path) -> None:
        self._address = f"{path.absolute().as_uri()}?mode=ro"
        self._path = path

    @contextlib.contextmanager
    def read(self) -> Iterator[SqlView]:
        """Open a view of one moment; see `Metadata.read`."""
        try:
            with contextlib.closing(self._connect()) as connection:
                connection.execute("BEGIN")
                yield SqlView(connection.execute)
        except sqlite3.Error as cause:
            raise StoreUnavailable(
                f"the registry {self._path} cannot be read: {cause}",
                hint="check the disk, and that the folder may be read and written",
            ) from cause

    def revision(self) -> str:
        """Return the migration that the file stands at.

        Raises:
            sqlite3.Error: It cannot be read in this way, whatever the reason is.
        """
        with contextlib.closing(self._connect()) as connection:
            (number,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        return str(number)

    def write(self) -> AbstractContextManager[Change]:
        """Refuse; see `Metadata.write`."""
        return self._refuse()

    def note_key_uses(self, _: Mapping[str, str]) -> None:
        """Refuse; see `Metadata.note_key_uses`."""
        self._refuse()

    def change_token(self) -> object:
        """Refuse: whoever waits for changes opens the registry for good."""
        return self._refuse()

    def check(self) -> list[str]:
        """Refuse: an examination looks at everything."""
        return self._refuse()

    def close(self) -> None:
        """Do nothing: no connection is kept."""

    def _refuse(self) -> NoReturn:
        raise StoreUnavailable(f"the registry {self._path} was opened only to look something up")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._address, uri=True, timeout=5.0, isolation_level=None)
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}")
        return connection


def open_reader(path: Path) -> SqliteReader | None:
    """Open a registry to look something up.

    Returns:
        None if that cannot be done as it is: it is not there, has to be migrated or repaired, or is something
        else. Whoever opens it for good finds out which.
    """
    reader = SqliteReader(path)
    try:
        return reader if reader.revision() == REVISIONS[-1] else None
    except sqlite3.Error:
        return None
