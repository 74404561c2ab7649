"""Whether anybody has changed a registry in PostgreSQL: a connection that listens, and at times asks."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from psycopg import Connection, Error, OperationalError, sql

CHANNEL = "'fairway_' || current_schema()::regnamespace::oid"
"""The channel of a registry, in SQL. Registries may share a database, each in a schema of its own."""

_STATE = "SELECT seq, hash, (SELECT max(seq) FROM attachments) FROM chain WHERE id = 1"
_LOOK_EVERY_S = 2.0
_PATIENCE_S = 5.0


class Watch:
    """Tells the state of a registry by a token, and asks for it only when there is reason to.

    A commit sends a notice to the channel, which costs nothing to look for. What no notice tells of is found
    all the same within two seconds: a connection can be dead without knowing it, and a connection pooler may
    pass no notices on. Safe to use from any thread.

    Args:
        connect: Opens a connection in autocommit mode.
    """

    def __init__(self, connect: Callable[[], Connection[Any]]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: Connection[Any] | None = None
        self._has_news = True
        self._token: object = None
        self._look_at = 0.0

    def note(self, _notice: object = None) -> None:
        """Take note of a change, told by the server or made by ourselves: the next token looks."""
        self._has_news = True

    def token(self) -> object:
        """Return the state of the registry, which differs after each of our commits at once.

        Raises:
            psycopg.Error: The server cannot be asked.
        """
        if not self._lock.acquire(timeout=_PATIENCE_S):
            raise OperationalError("another thread is still waiting for the server")
        try:
            if self._connection is not None:
                try:
                    return self._followed(self._connection)
                except Error:
                    self._drop()  # the server may be back by now
            return self._started()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the connection; the next token opens another."""
        with self._lock:
            self._drop()

    def _followed(self, connection: Connection[Any]) -> object:
        """Take in what has arrived, without waiting, and look if there is reason to."""
        for _ in range(2):  # the first may take the last words of a connection, the second finds it closed
            connection.pgconn.consume_input()
        while connection.pgconn.notifies():
            self.note()
        if self._has_news or time.monotonic() >= self._look_at:
            self._look(connection)
        return self._token

    def _started(self) -> object:
        """Listen on a new connection, and only then look: so nothing falls between the two."""
        connection = self._connect()
        try:
            connection.add_notify_handler(self.note)
            (channel,) = connection.execute(f"SELECT {CHANNEL}").fetchone() or ("",)
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            self._look(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return self._token

    def _look(self, connection: Connection[Any]) -> None:
        # Before the question, so that what is committed while it is answered is looked at again.
        self._has_news = False
        try:
            self._token = connection.execute(_STATE).fetchone()
        except BaseException:
            self._has_news = True
            raise
        self._look_at = time.monotonic() + _LOOK_EVERY_S

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Error):
                self._connection.close()
            self._connection = None
