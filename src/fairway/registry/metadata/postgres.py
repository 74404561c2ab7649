"""One PostgreSQL database: how it is recognised, opened, locked and watched, and what its errors mean.

All that is special about PostgreSQL is here and in `watching.py`, so that `sql.py` holds plain statements for
any engine. No message holds a password: none is ever built from the address, only from its host, port and
database.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import URL, Connection, Engine, and_, create_engine, event, func, make_url, not_, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fairway.errors import (
    FairwayError,
    RegistryBusy,
    RegistryInvalid,
    SettingsError,
    StorageFull,
    StoreUnavailable,
)
from fairway.registry.metadata.database import Database
from fairway.registry.metadata.schema import FIRST_TABLES, tables
from fairway.registry.metadata.watching import CHANNEL, Watch

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")

# What an address may say otherwise. A server that has gone without a word is found out by the system within
# seconds, one that hangs by `_Connection`.
_CONNECT_OPTIONS: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 4_000,
    "application_name": "fairway",
}
_PING_S = 1.0  # then there is time left for a new connection
_WATCH_S = 2.0
_GRACE_S = 2.0

# The server ends what nobody waits for any more, and gives the write lock of a vanished machine back.
_SESSION = """
SELECT set_config('synchronous_commit',
           CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END,
           false),
       set_config('lock_timeout', %(lock)s, false),
       set_config('statement_timeout', '30s', false),
       set_config('idle_in_transaction_session_timeout', '60s', false),
       set_config('tcp_keepalives_idle', '10', false),
       set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '3', false)
"""

# Two-part keys are a space of their own among the advisory locks; the first part is ours.
_LOCK_SPACE = 0x0FA1_4A49
_MIGRATION_LOCK = (
    f"SELECT pg_advisory_xact_lock({_LOCK_SPACE}, hashtext(current_schema())),"
    " set_config('statement_timeout', '0', true)"
)
# The head of the chain is what every writer changes, so its row is the lock. The notice goes with the commit.
_WRITE_LOCK = f"SELECT pg_notify({CHANNEL}, '') FROM chain WHERE id = 1 FOR UPDATE"  # noqa: S608 - ours

_CONTENT = """
SELECT current_schema(), current_setting('server_encoding'), array(
    SELECT relname::text FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'f'))
"""

_BUSY = {"55P03", "40P01", "40001"}  # lock not available, deadlock, serialization
_DAMAGED = {"XX001", "XX002", "42P01", "42703"}  # damaged data, damaged index, a table or column is gone

Result = TypeVar("Result")


class _Connection(psycopg.Connection[Any]):
    """A connection that gives up on a server which says nothing for too long.

    libpq waits for an answer forever, and a machine that hangs still acknowledges every packet.
    """

    silence_s: float | None = _CONNECT_OPTIONS["connect_timeout"]

    def wait(self, gen: PQGen[Result], *args: Any, **options: Any) -> Result:
        if self.silence_s is None:
            return super().wait(gen, *args, **options)
        return super().wait(self._impatient(gen, self.silence_s), *args, **options)

    def _impatient(self, gen: PQGen[Result], silence_s: float) -> PQGen[Result]:
        """Yield what *gen* waits for, until the server has been silent for so long."""
        deadline = time.monotonic() + silence_s
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    deadline = time.monotonic() + silence_s
                elif time.monotonic() > deadline:
                    # An answer that comes later would be taken for that of the next question.
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"the server has said nothing for {silence_s:g} seconds")
                wanted = gen.send(ready)
        except StopIteration as end:
            result: Result = end.value
            return result


class PostgresDatabase(Database):
    """A registry in a schema of a PostgreSQL database.

    Args:
        address: `postgresql://user:password@host:port/database`. Parameters of libpq may follow, such as
            `?sslmode=verify-full` or, for another schema than `public`, `?options=-csearch_path%3Dfairway`.
        busy_timeout_s: How long to wait for other writers.

    Raises:
        SettingsError: The address cannot be read.
    """

    def __init__(self, address: str, *, busy_timeout_s: float = 5.0) -> None:
        url = _parse(address)
        self.label = _label(url)
        self.busy_timeout_s = busy_timeout_s
        self._silence_s = busy_timeout_s + _GRACE_S
        self._secrets = [str(secret) for secret in (url.password, url.query.get("password")) if secret]
        self.engine = self._make_engine(url)
        self._watch = Watch(self._connect_to_watch)

    def revision(self) -> str | None:
        """Return the migration that the schema stands at, or None if there is nothing in it yet.

        Raises:
            RegistryInvalid: The schema holds tables of something else; nothing was changed.
        """
        with self.mapped_errors(), self.reading() as connection:
            schema, encoding, names = connection.execute(text(_CONTENT)).one()
            if schema is None:
                raise StoreUnavailable(
                    f"the schema that the address of {self.label} names is not there",
                    hint="make it with CREATE SCHEMA, or correct search_path in the address",
                )
            if encoding != "UTF8":
                raise self._invalid(f"is encoded in {encoding}, which cannot hold every text")
            found = set(names)
            if not found:
                return None
            if not {"alembic_version", *FIRST_TABLES} <= found:
                raise self._invalid(f"holds tables of something else in the schema {schema!r}")
            number = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return str(number or "")

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a snapshot; see `Database.reading`."""
        with self.engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that took the write lock, and tell everybody of it when it ends.

        The lock comes before anything is read, and every statement sees what was committed before it.
        """
        with self.engine.connect() as connection, connection.begin() as transaction:
            self._lock(connection)
            yield connection
            try:
                transaction.commit()
            except DBAPIError as cause:
                if cause.connection_invalidated:
                    raise self._doubtful(cause) from cause
                raise
            finally:
                self._watch.note()

    @contextlib.contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Open a transaction in which tables change; see `Database.migrating`."""
        with self.engine.connect() as connection, connection.begin():
            connection.execute(text(_MIGRATION_LOCK))
            with _patient(connection):
                yield connection

    def change_token(self) -> object:
        """Return the state of the registry; see `Database.change_token`.

        Commits of others show when their notice has arrived, which takes milliseconds; without it, within
        two seconds.
        """
        with self.mapped_errors():
            return self._watch.token()

    def check(self) -> list[str]:
        """Read every row and return what is damaged or refers to nothing, one sentence each."""
        found: list[str] = []
        try:
            with self.mapped_errors(), self.reading() as connection, _patient(connection):
                connection.execute(text("SELECT set_config('statement_timeout', '0', true)"))
                for table in tables.sorted_tables:
                    # As text, so that no part of a row is left unread.
                    connection.execute(text(f"SELECT max(length(t::text)) FROM {table.name} AS t"))  # noqa: S608
                    found += self._orphans(connection, table)
        except RegistryInvalid as error:
            return [str(error)]
        return found

    def close(self) -> None:
        """Close every connection."""
        self._watch.close()
        self.engine.dispose()

    @contextlib.contextmanager
    def mapped_errors(self) -> Iterator[None]:
        """Turn errors of psycopg and SQLAlchemy into errors of fairway."""
        try:
            yield
        except (SQLAlchemyError, psycopg.Error) as cause:
            raise self._translated(cause) from cause

    def _lock(self, connection: Connection) -> None:
        """Take the write lock; the row of a restore that went before us is found at the second look."""
        if not any(connection.execute(text(_WRITE_LOCK)).first() for _ in range(2)):
            raise self._invalid("is damaged (the head of its events is missing)")

    def _orphans(self, connection: Connection, table: Any) -> Iterator[str]:
        """Yield what is said of rows that refer to no row; only a restore that went wrong leaves some."""
        for key in table.foreign_key_constraints:
            parent = key.referred_table.alias()
            matches = and_(*(parent.c[part.column.name] == part.parent for part in key.elements))
            whole = and_(*(part.parent.is_not(None) for part in key.elements))
            orphans = (
                select(func.count())
                .select_from(table)
                .where(whole, not_(select(parent).where(matches).exists()))
            )
            if n := connection.execute(orphans).scalar():
                yield f"{self.label}: {n} rows of {table.name} refer to no row of {key.referred_table.name}"

    def _translated(self, cause: Exception) -> FairwayError:
        origin = getattr(cause, "orig", None) or cause
        state = getattr(origin, "sqlstate", None) or ""
        if state in _BUSY or isinstance(cause, PoolTimeoutError):
            return RegistryBusy(
                f"{self.label} was locked by another session for more than {self.busy_timeout_s:g} seconds",
                hint="try again; if it stays locked, look for a session that hangs (pg_stat_activity)",
            )
        if state == "53100":
            return StorageFull(
                f"no space is left for {self.label}",
                hint="free some space on the database server and do it again; nothing was changed",
            )
        if state in _DAMAGED:
            return self._invalid(f"is damaged ({self._first_line(origin)})")
        return StoreUnavailable(
            f"the registry {self.label} cannot be used: {self._first_line(origin)}",
            hint="check that PostgreSQL runs, can be reached, and lets this user read and write the schema",
        )

    def _doubtful(self, cause: DBAPIError) -> StoreUnavailable:
        reason = self._first_line(cause.orig or cause)
        return StoreUnavailable(
            f"{self.label} was lost during a commit, and whether the change was made is not known: {reason}",
            hint="look whether the history shows it before you do it again",
        )

    def _invalid(self, what: str) -> RegistryInvalid:
        return RegistryInvalid(
            f"{self.label} {what}; it was left untouched",
            hint="give it a database or schema of its own (FAIRWAY_REGISTRY), or restore it from a backup",
        )

    def _first_line(self, origin: object) -> str:
        """Return the first line of a message, in which a driver might have quoted part of the address."""
        line = next(iter(str(origin).strip().splitlines()), "") or type(origin).__name__
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line

    def _make_engine(self, url: URL) -> Engine:
        engine = create_engine(
            url,
            connect_args={name: value for name, value in _CONNECT_OPTIONS.items() if name not in url.query},
            isolation_level="READ COMMITTED",
            use_native_hstore=False,
            hide_parameters=True,  # an error would tell the hash of a key
            pool_pre_ping=True,
            pool_timeout=self.busy_timeout_s,
        )
        event.listen(engine, "do_connect", self._connect)
        event.listen(engine, "connect", self._prepare)
        event.listen(engine, "checkout", self._expect_work)
        event.listen(engine, "checkin", _expect_ping)  # codespell:ignore checkin
        return engine

    def _connect(
        self, _dialect: object, _record: object, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> _Connection:
        try:
            return _Connection.connect(*arguments, **options)
        except psycopg.Error as error:
            reason = self._first_line(error)
        # Anew: psycopg's own error carries every option of the connection, the password among them.
        raise psycopg.OperationalError(reason)

    def _connect_to_watch(self) -> psycopg.Connection[Any]:
        """Open a connection of its own: one of the pool would carry notices to whoever gets it next."""
        arguments, options = self.engine.dialect.create_connect_args(self.engine.url)
        options.pop("context", None)
        options = {**_CONNECT_OPTIONS, **options, "autocommit": True}
        connection = self._connect(None, None, tuple(arguments), options)
        try:
            self._prepare(connection, None)
        except BaseException:
            connection.close()
            raise
        connection.silence_s = _WATCH_S
        return connection

    def _prepare(self, connection: psycopg.Connection[Any], _record: object) -> None:
        """Set up a new session, outside of any transaction, which might undo it."""
        before = connection.autocommit
        connection.autocommit = True
        connection.execute(_SESSION, {"lock": f"{max(1, self.busy_timeout_s * 1e3):.0f}ms"})
        connection.autocommit = before

    def _expect_work(self, connection: _Connection, _record: object, _proxy: object) -> None:
        connection.silence_s = self._silence_s


def _expect_ping(connection: _Connection | None, _record: object) -> None:
    """Have a connection that waits in the pool be given up soon if it does not answer the next ping."""
    if connection is not None:
        connection.silence_s = _PING_S


@contextlib.contextmanager
def _patient(connection: Connection) -> Iterator[None]:
    """Wait for as long as it takes: no row may arrive for minutes."""
    driver: Any = connection.connection.driver_connection
    before, driver.silence_s = driver.silence_s, None
    try:
        yield
    finally:
        driver.silence_s = before


def _parse(address: str) -> URL:
    """Return the address with the driver that we use.

    Raises:
        SettingsError: It cannot be read. Neither message nor cause repeats it: it holds a password.
    """
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in _SCHEMES or not url.database or "@" in (url.host or ""):
        raise SettingsError(
            "the address of the PostgreSQL database cannot be read",
            hint="write postgresql://user:password@host:5432/database;"
            " in the password, write @ as %40, : as %3A, / as %2F and % as %25",
        )
    return url.set(drivername="postgresql+psycopg")


def _label(url: URL) -> str:
    host = url.host or url.query.get("host") or "localhost"
    hosts = host if isinstance(host, str) else ",".join(host)
    return f"postgresql://{hosts}{f':{url.port}' if url.port else ''}/{url.database}"
