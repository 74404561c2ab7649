"""The keys that a server knows: a copy in memory of those of the registry and of the key file.

The copy is renewed when the source has changed, and every two seconds in any case. While a source is away its
last copy stays in force, so that predictions go on; what was revoked meanwhile is void when it is back.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import math
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from fairway.errors import FairwayError
from fairway.log import timestamp
from fairway.registry.api_keys import ROLES, is_secret_of, split_key
from fairway.registry.records import KeyRecord
from fairway.server.access import Identity

if TYPE_CHECKING:  # a bundle is served without the registry's libraries
    from fairway.registry.registry import Registry

LOOK_S = 0.5
RENEW_S = 2.0
EXPIRE_S = 0.25
NOTE_S = 60.0
MAX_PROVEN = 10_000


class KeySource(Protocol):
    """Where keys come from."""

    def token(self) -> object:
        """Return a value that differs after any change; cheap."""

    def keys(self) -> list[KeyRecord]:
        """Return every key, revoked and expired ones included.

        Raises:
            FairwayError: They cannot be read now.
        """


class RegistryKeys:
    """Implement `KeySource` for a registry, which also keeps when a key was used.

    Args:
        open_registry: Opens the registry; called when it is first asked, and again after `close`.
    """

    def __init__(self, open_registry: Callable[[], Registry]) -> None:
        self._open_registry = open_registry
        self._opening = threading.Lock()
        self._opened: Registry | None = None

    @property
    def _registry(self) -> Registry:
        with self._opening:
            if self._opened is None:
                self._opened = self._open_registry()
            return self._opened

    def token(self) -> object:
        """Return the registry's change token."""
        return self._registry.change_token()

    def keys(self) -> list[KeyRecord]:
        """Return the keys of the registry."""
        return list(self._registry.keys())

    def note_key_uses(self, uses: dict[str, str]) -> None:
        """Keep the minute in which each key was used last, by its id."""
        self._registry.note_key_uses(uses)

    def close(self) -> None:
        """Close the registry; the next question opens it again."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


class HeldKey:
    """A key in memory.

    Attributes:
        identity: Who holds it.
        is_used: Whether it was used since somebody noted its uses.
    """

    __slots__ = ("_hash", "_until", "identity", "is_revoked", "is_used")

    def __init__(self, record: KeyRecord) -> None:
        self._hash = bytes.fromhex(record.secret_hash)
        self._until = _seconds(record.expires_at) if record.expires_at else math.inf
        self.is_revoked = record.revoked_at is not None
        self.is_used = False
        self.identity = Identity(
            actor=f"{record.name} ({record.id})",
            key_id=record.id,
            allowed=ROLES.get(record.role, frozenset()),
            models=record.models,
        )

    def opens_with(self, secret: str) -> bool:
        """Tell whether this is its secret."""
        return is_secret_of(secret, self._hash)

    def is_valid(self, now: float) -> bool:
        """Tell whether it is neither revoked nor expired."""
        return not self.is_revoked and now < self._until

    def expires_between(self, before: float, now: float) -> bool:
        """Tell whether it has expired meanwhile."""
        return before < self._until <= now


class KeyRing:
    """The keys of a server.

    Args:
        sources: Where they come from, by what to call it in the log.
        store: The source among them that keeps when keys were used, or None.
        notify: Gets an event name and its fields, for the log.
    """

    def __init__(
        self,
        sources: dict[str, KeySource],
        *,
        store: RegistryKeys | None = None,
        notify: Callable[..., None] = lambda *_, **__: None,
    ) -> None:
        self._sources = sources
        self._store = store
        self._notify = notify
        self._records: dict[str, list[KeyRecord]] = {}
        self._tokens: dict[str, object] = {}
        self._away: set[str] = set()
        self._keys: dict[str, HeldKey] = {}
        self._proven: dict[bytes, HeldKey] = {}  # by the hash of the whole text that was found right
        self._clock = _Clock()
        self._seen = self._clock.now()
        self.has_keys = False
        self.stamp = object()
        """Another object whenever a verdict may have changed."""

    def load(self) -> None:
        """Read all keys, before the first request.

        Raises:
            FairwayError: A source cannot be read.
        """
        for name, source in self._sources.items():
            self._take(name, source, renew=True)
        self._settle()

    def let_go(self) -> None:
        """Let go of the store before a fork, which no connection survives."""
        if self._store is not None:
            self._store.close()

    def look_again(self) -> None:
        """Read the keys again, before the first request of a process that was forked long after the start."""
        if self._look(renew=True):
            self._settle()

    def tasks(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Return what runs while the server does."""
        return [self.follow, self.expire, self.note_uses] if self._sources else []

    # -- checking ----------------------------------------------------------------------------------------

    def find(self, text: str) -> HeldKey | None:
        """Return the valid key that a text is, or None.

        A text that is no key costs what a wrong secret costs: one hash and one comparison.
        """
        mark = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        held = self._proven.get(mark)
        if held is None and (held := self._prove(text)) is not None:
            if len(self._proven) >= MAX_PROVEN:
                self._proven.clear()
            self._proven[mark] = held
        return held if held is not None and held.is_valid(self._clock.now()) else None

    def _prove(self, text: str) -> HeldKey | None:
        """Return the key that a text is, valid or not."""
        parts = split_key(text)
        held = self._keys.get(parts[0]) if parts is not None else None
        if parts is None or held is None:
            is_secret_of(text, None)
            return None
        return held if held.opens_with(parts[1]) else None

    def by_id(self, key_id: str) -> HeldKey | None:
        """Return a valid key by its id, for whoever has shown it before."""
        held = self._keys.get(key_id)
        return held if held is not None and held.is_valid(self._clock.now()) else None

    # -- following ---------------------------------------------------------------------------------------

    async def follow(self, interval_s: float = LOOK_S) -> None:
        """Follow the sources until cancelled."""
        renewed = -RENEW_S  # at once: keys may have changed since the copy was made
        while True:
            now = time.monotonic()
            renew = now - renewed >= RENEW_S
            if renew:
                renewed = now
            try:
                if await asyncio.to_thread(self._look, renew=renew):
                    self._settle()
            except Exception as error:  # noqa: BLE001 - whatever it is, the server must go on following
                self._notify("keys.failed", level="error", cause=error)
            await asyncio.sleep(interval_s)

    def _look(self, *, renew: bool) -> bool:
        """Look at every source; tell whether any has other keys now."""
        changed = False
        for name, source in self._sources.items():
            try:
                changed |= self._take(name, source, renew=renew)
            except Exception as error:  # noqa: BLE001 - one source that is away must not silence the others
                if name not in self._away:  # told once, not twice per second
                    self._away.add(name)
                    self._notify("keys.failed", level="error", source=name, **_words(error))
            else:
                if name in self._away:
                    self._away.discard(name)
                    self._notify("keys.followed", source=name)
        return changed

    def _take(self, name: str, source: KeySource, *, renew: bool) -> bool:
        token = source.token()
        if not renew and token == self._tokens.get(name):
            return False
        records = source.keys()
        self._tokens[name] = token
        if _facts(records) == _facts(self._records.get(name, ())) and name in self._records:
            return False
        self._records[name] = records
        return True

    def _settle(self) -> None:
        """Put what was read in force: one assignment each, between two requests."""
        before = self._keys
        keys = {record.id: HeldKey(record) for records in self._records.values() for record in records}
        for key_id, held in keys.items():
            held.is_used = key_id in before and before[key_id].is_used
        self._keys, self._proven = keys, {}
        # Once there were keys there are some: to lose the last one must not open the server.
        self.has_keys = self.has_keys or bool(keys)
        self.stamp = object()

    async def expire(self, interval_s: float = EXPIRE_S) -> None:
        """Forget every verdict when a key expires, until cancelled; needs no source."""
        while True:
            await asyncio.sleep(interval_s)
            now, before = self._clock.now(), self._seen
            self._seen = now
            if any(held.expires_between(before, now) for held in self._keys.values()):
                self.stamp = object()

    async def note_uses(self, interval_s: float = NOTE_S) -> None:
        """Tell the store once per minute which keys were used, until cancelled; and then once more."""
        if self._store is None:
            return
        try:
            while True:
                await asyncio.sleep(interval_s)
                await asyncio.to_thread(self._note_uses, self._store)
        finally:
            self._note_uses(self._store)

    def _note_uses(self, store: RegistryKeys) -> None:
        used = [held for held in self._keys.values() if held.is_used]
        for held in used:
            held.is_used = False
        minute = timestamp()[:16] + ":00Z"
        try:
            if used:
                store.note_key_uses({held.identity.key_id: minute for held in used})
        except Exception as error:  # noqa: BLE001 - a convenience; it is tried again a minute later
            for held in used:
                held.is_used = True
            self._notify("keys.failed", level="warning", **_words(error))


class _Clock:
    """The time of day, which never goes back: an expired key stays so when somebody sets the clock."""

    def __init__(self) -> None:
        self._began, self._began_steady = time.time(), time.monotonic()

    def now(self) -> float:
        return max(time.time(), self._began + time.monotonic() - self._began_steady)


def _facts(records: Sequence[KeyRecord]) -> set[tuple[object, ...]]:
    """Return what verdicts depend on; when a key was used is none of it."""
    return {(r.id, r.name, r.secret_hash, r.role, r.models, r.expires_at, r.revoked_at) for r in records}


def _seconds(moment: str) -> float:
    """Return a moment in seconds; one that cannot be read has passed."""
    try:
        return datetime.datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return -math.inf


def _words(error: Exception) -> dict[str, Any]:
    if isinstance(error, FairwayError):
        return {"code": error.code, "detail": error.detail}
    return {"cause": error}
