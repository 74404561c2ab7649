"""Make, list, rotate and revoke API keys, in the registry or in a file for servers without one."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fairway.api._common import actor, backend
from fairway.errors import UsageError

if TYPE_CHECKING:
    from fairway.client.management import RemoteRegistry
    from fairway.registry.api_keys import NewKey
    from fairway.registry.key_file import KeyFile
    from fairway.registry.records import KeyRecord
    from fairway.registry.registry import Registry


def create_key(  # noqa: PLR0913 - all but the name by name
    name: str,
    *,
    role: str,
    models: Sequence[str] = (),
    expires: str | None = None,
    environment: str = "live",
    file: str | Path | None = None,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> NewKey:
    """Make an API key; servers know it within two seconds.

    Args:
        name: What it is for, such as the program that will send it.
        role: `read` lists models and sees their facts, `predict` asks for predictions and nothing else,
            `deploy` does both and registers and promotes versions, `admin` does everything.
        models: Patterns of the names of the models that it is for, such as `coffee*`. Default: all.
        expires: When it becomes void: a duration such as `90d`, or a time. Default: never.
        environment: Word in the key that says where it belongs.
        file: Key file to add it to, instead of the registry; made if it is not there.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.

    Returns:
        The key: its `text`, which nothing shows again, and its `record`.

    Raises:
        UsageError: One of these is not what it must be.
    """
    from fairway.registry.api_keys import as_text, expiry, make_key

    now = datetime.datetime.now(datetime.UTC)
    made = make_key(
        name,
        role=role,
        models=models,
        expires_at=None if expires is None else expiry(expires, now),
        created_by=actor(),
        created_at=as_text(now),
        environment=environment,
    )
    with _store(file, home, server, key) as store:
        store.add(made.record)
    return made


def list_keys(
    *,
    file: str | Path | None = None,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> list[KeyRecord]:
    """Return all API keys without their secrets, with those that are revoked or expired.

    Args:
        file: Key file to read, instead of the registry.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.
    """
    with _store(file, home, server, key) as store:
        return store.keys()


def revoke_key(
    key_id: str,
    *,
    reason: str = "",
    file: str | Path | None = None,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> KeyRecord:
    """Make an API key void for good, within five seconds on every server that reaches its registry.

    Args:
        key_id: Its id, or the whole key.
        reason: Why; kept in the history of the registry.
        file: Key file that holds it, instead of the registry.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.

    Raises:
        KeyNotFound: There is none of this id.
    """
    with _store(file, home, server, key) as store:
        return store.revoke(_id_in(key_id), reason)


def rotate_key(
    key_id: str,
    *,
    overlap: str = "24h",
    environment: str = "live",
    file: str | Path | None = None,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> NewKey:
    """Make a key with the rights of another one, which goes on being valid for a while.

    Args:
        key_id: Id of the old key, or the whole of it.
        overlap: How long the old one is valid still, such as `24h`.
        environment: As for `create_key`.
        file: Key file that holds it, instead of the registry.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.

    Returns:
        The new key. It lives as long as the old one was made to live.

    Raises:
        KeyNotFound: There is none of this id.
        UsageError: The old key is void already.
    """
    from fairway.registry.api_keys import as_text, expiry, make_key, state_of

    now = datetime.datetime.now(datetime.UTC)
    until = expiry(overlap, now)
    with _store(file, home, server, key) as store:
        old = store.key(_id_in(key_id))
        state = state_of(old, now)
        if state != "active":
            raise UsageError(
                f"the key {old.id} is {state}",
                hint=f"make a new one: fairway keys create NAME --role {old.role}",
            )
        made = make_key(
            old.name,
            role=old.role,
            models=old.models,
            expires_at=_lived_again(old, now),
            created_by=actor(),
            created_at=as_text(now),
            environment=environment,
        )
        store.add(made.record)
        store.expire(old.id, datetime.datetime.fromisoformat(until), f"replaced by {made.record.id}")
    return made


def _lived_again(old: KeyRecord, now: datetime.datetime) -> str | None:
    from fairway.registry.api_keys import as_text

    if old.expires_at is None:
        return None
    made, ends = map(datetime.datetime.fromisoformat, (old.created_at, old.expires_at))
    return as_text(now + (ends - made))


def _id_in(given: str) -> str:
    from fairway.registry.api_keys import split_key

    parts = split_key(given.strip())
    return parts[0] if parts else given.strip()


class _Store(Protocol):
    """Where keys are kept: the registry, or a file."""

    def add(self, record: KeyRecord) -> None: ...
    def keys(self) -> list[KeyRecord]: ...
    def key(self, key_id: str) -> KeyRecord: ...
    def revoke(self, key_id: str, reason: str) -> KeyRecord: ...
    def expire(self, key_id: str, at: datetime.datetime, reason: str) -> None: ...


class _InRegistry:
    def __init__(self, registry: Registry | RemoteRegistry) -> None:
        self._registry = registry
        self.keys = registry.keys
        self.key = registry.key

    def add(self, record: KeyRecord) -> None:
        self._registry.add_key(record, actor=actor())

    def revoke(self, key_id: str, reason: str) -> KeyRecord:
        return self._registry.revoke_key(key_id, actor=actor(), reason=reason)

    def expire(self, key_id: str, at: datetime.datetime, reason: str) -> None:
        self._registry.expire_key(key_id, at=at, actor=actor(), reason=reason)


class _InFile:
    def __init__(self, file: KeyFile) -> None:
        self._file = file
        self.add = file.add
        self.keys = file.keys
        self.key = file.key

    def revoke(self, key_id: str, reason: str) -> KeyRecord:  # noqa: ARG002 - a file has no history
        from fairway.registry.api_keys import as_text

        return self._file.revoke(key_id, at=as_text(datetime.datetime.now(datetime.UTC)))

    def expire(self, key_id: str, at: datetime.datetime, reason: str) -> None:  # noqa: ARG002 - as above
        from fairway.registry.api_keys import as_text

        self._file.expire(key_id, at=as_text(at))


@contextlib.contextmanager
def _store(
    file: str | Path | None, home: str | Path | None, server: str | None, key: str | None
) -> Iterator[_Store]:
    if file is not None and server is not None:
        raise UsageError("a key file and a server exclude each other", hint="leave one of them out")
    if file is not None:
        from fairway.registry.key_file import KeyFile

        yield _InFile(KeyFile(Path(file)))
        return
    with backend(home, server, key) as registry:
        yield _InRegistry(registry)
