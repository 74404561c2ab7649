"""One SQLite file: how it is recognised, opened, locked and watched, and what its errors mean.

All that is special about SQLite is here, so that `sql.py` holds plain statements for any engine.
"""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from fairway.errors import FairwayError, RegistryBusy, RegistryInvalid, StorageFull, StoreUnavailable
from fairway.registry.metadata.database import Database
from fairway.registry.metadata.schema import FIRST_TABLES

_PRAGMAS = (
    "synchronous = FULL",  # a commit survives a loss of power; it costs 0.3 ms
    "foreign_keys = ON",
    "trusted_schema = OFF",
    "cell_size_check = ON",
)


class SqliteDatabase(Database):
    """A registry in one SQLite file.

    Connections do not survive a fork: open the database after it.

    Args:
        path: The file; made by the first connection if it is not there.
        busy_timeout_s: How long to wait for other writers.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0) -> None:
        self.path = path.absolute()
        self.label = str(self.path)
        self.busy_timeout_s = busy_timeout_s
        self.engine = self._make_engine()
        self._watch: sqlite3.Connection | None = None
        self._watch_lock = threading.Lock()

    def revision(self) -> str | None:
        """Return the migration that the file stands at, or None if there is nothing in it yet.

        The file is opened for reading only, so what is not a registry stays as it is; by SQLite alone, for
        whoever else closes a file takes away all locks that this process has on it (POSIX), and with them the
        reason for which other processes leave the write-ahead log of an open registry where it is.

        Raises:
            RegistryInvalid: The path is something else than a registry.
        """
        with self.mapped_errors():
            if not self._has_content():
                return None
            try:
                return self._read_revision("ro")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
                    raise
                # A process that was killed left a transaction to be undone, which needs to write.
                return self._read_revision("rw")

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that reads; see `Database.reading`."""
        with self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that holds the write lock; see `Database.writing`."""
        with self.engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                yield connection

    def migrating(self) -> AbstractContextManager[Connection]:
        """Open a transaction like any other that writes: the lock is on the whole file."""
        return self.writing()

    def change_token(self) -> int:
        """Return a number that differs once anybody has committed, here or in another process.

        The number is that of one connection which is kept for this and never writes, so that our own commits,
        made on others, show in it as well.
        """
        with self._watch_lock, self.mapped_errors():
            if self._watch is None:
                self._watch = sqlite3.connect(
                    self.path, timeout=self.busy_timeout_s, check_same_thread=False, isolation_level=None
                )
            (number,) = self._watch.execute("PRAGMA data_version").fetchone()
        return int(number)

    def check(self) -> list[str]:
        """Read the whole file and return what is damaged, one sentence each."""
        try:
            with self.mapped_errors(), self.engine.connect() as connection:
                answers = connection.exec_driver_sql("PRAGMA quick_check").scalars().all()
                if damages := [answer for answer in answers if answer != "ok"]:
                    return [f"{self.path}: {damage}" for damage in damages]
                orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        except RegistryInvalid as error:  # damaged in a place without which nothing can be checked
            return [str(error)]
        return [f"{self.path}: row {row[1]} of {row[0]} refers to no row of {row[2]}" for row in orphans]

    def close(self) -> None:
        """Close every connection."""
        with self._watch_lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        self.engine.dispose()

    @contextlib.contextmanager
    def mapped_errors(self) -> Iterator[None]:
        """Turn errors of SQLite, SQLAlchemy and the file system into errors of fairway."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError) as cause:
            raise self._translated(cause) from cause

    def _read_revision(self, mode: str) -> str | None:
        address = f"{self.path.as_uri()}?mode={mode}"
        with contextlib.closing(
            sqlite3.connect(address, uri=True, timeout=self.busy_timeout_s)
        ) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            found = {name for (name,) in rows}
            if not found:
                return None
            if not {"alembic_version", *FIRST_TABLES} <= found:
                raise self._invalid("is an SQLite database, but not a registry")
            (number,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        return str(number)

    def _translated(self, cause: Exception) -> FairwayError:
        origin = getattr(cause, "orig", None) or cause
        code = getattr(origin, "sqlite_errorcode", 0) & 0xFF  # the upper bits only say where it happened
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return RegistryBusy(
                f"{self.path} was locked by another process for more than {self.busy_timeout_s:g} seconds",
                hint="try again; if it stays locked, look for a process that hangs while it writes",
            )
        if code == sqlite3.SQLITE_FULL:
            return StorageFull(
                f"no space is left for {self.path}",
                hint="free some space and do it again; nothing was changed",
            )
        if code == sqlite3.SQLITE_NOTADB:
            return self._invalid("is not an SQLite database")
        if code == sqlite3.SQLITE_CORRUPT:
            return self._invalid(f"is damaged ({origin})")
        return StoreUnavailable(
            f"the registry {self.path} cannot be used: {origin}",
            hint="check the disk, and that the folder may be read and written",
        )

    def _invalid(self, what: str) -> RegistryInvalid:
        return RegistryInvalid(
            f"{self.path} {what}; it was left untouched",
            hint="choose another home folder (FAIRWAY_HOME), or put a registry from a backup in its place",
        )

    def _has_content(self) -> bool:
        """Say whether the file holds a database; a first start that was killed may leave an empty one."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        except NotADirectoryError:
            raise self._invalid("lies inside a file, not a folder") from None
        mode, size = found.st_mode, found.st_size
        if not stat.S_ISREG(mode):
            raise self._invalid("is a folder, not a file" if stat.S_ISDIR(mode) else "is not a regular file")
        return size > 0

    def _make_engine(self) -> Engine:
        engine = create_engine(
            URL.create("sqlite", database=str(self.path)),
            connect_args={"timeout": self.busy_timeout_s, "check_same_thread": False},
        )
        event.listen(engine, "connect", self._prepare)
        event.listen(engine, "begin", _begin)
        return engine

    def _prepare(self, connection: sqlite3.Connection, _record: Any) -> None:
        """Set up a new connection; `_begin` alone decides about its transactions."""
        try:
            connection.isolation_level = None
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            self._use_wal(connection)
        except BaseException:
            connection.close()
            raise

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Switch the file to write-ahead logging, for good, unless it is there already.

        SQLite does not wait for others in this one statement (two first starts at once collide in 5 of 100
        cases), so we do.
        """
        deadline = time.monotonic() + self.busy_timeout_s
        while True:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
            else:
                break
        if mode != "wal":
            raise StoreUnavailable(
                f"{self.path} lies on a file system without shared memory (mode {mode!r})",
                hint="keep the home folder on a local disk",
            )


def _begin(connection: Connection) -> None:
    """Begin a transaction; one that will write takes the lock first, so what it reads stays true."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
