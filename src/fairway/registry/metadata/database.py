"""What an engine has to give so that `sql.py` can keep a registry in it."""

from __future__ import annotations

import abc
from contextlib import AbstractContextManager

from sqlalchemy import Connection


class Database(abc.ABC):
    """How one database is recognised, opened, locked and watched, and what its errors mean.

    Connections do not survive a fork: close the database before it. The next call opens them again.

    Attributes:
        label: The database as it is called in messages; never holds a secret.
    """

    label: str

    @abc.abstractmethod
    def revision(self) -> str | None:
        """Return the migration that the database stands at, or None if there is nothing in it yet.

        Raises:
            RegistryInvalid: It holds something else than a registry; it was left untouched.
        """

    @abc.abstractmethod
    def reading(self) -> AbstractContextManager[Connection]:
        """Open a transaction that sees one moment and writes nothing."""

    @abc.abstractmethod
    def writing(self) -> AbstractContextManager[Connection]:
        """Open a transaction that holds the write lock, so what it reads stays true until it commits.

        Raises:
            RegistryBusy: Another writer kept the lock for too long.
        """

    @abc.abstractmethod
    def migrating(self) -> AbstractContextManager[Connection]:
        """Open a transaction in which tables are made and changed, by one process at a time."""

    @abc.abstractmethod
    def change_token(self) -> object:
        """Return a value that differs after a commit; see `Metadata.change_token`."""

    @abc.abstractmethod
    def check(self) -> list[str]:
        """Return what is wrong with the database, one sentence each; slow."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close every connection."""

    @abc.abstractmethod
    def mapped_errors(self) -> AbstractContextManager[None]:
        """Turn errors of the engine and of SQLAlchemy into errors of fairway."""
