"""The interface of a metadata store: models, versions, attachments, events and keys, in transactions.

A store decides nothing. Which version a rollback leads to, what is refused and what is recorded is the
registry's business; a store keeps its promises about order, atomicity and durability.

Every method may raise `StoreUnavailable` (or `RegistryBusy`, `StorageFull`, `RegistryInvalid`, all of which
are errors of fairway) and never an error of the engine behind it.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from fairway.registry.records import AttachmentRecord, Event, Head, KeyRecord, ModelSummary, Version


class View(abc.ABC):
    """What the registry knows at one moment; later commits of others do not show in it."""

    @abc.abstractmethod
    def models(self) -> list[ModelSummary]:
        """Return every model that has a version which is not deleted, sorted by name."""

    @abc.abstractmethod
    def latest(self, model: str) -> int | None:
        """Return the highest number that a version of a model ever had, or None if there is no such model."""

    @abc.abstractmethod
    def version(self, model: str, number: int, *, deleted: bool = False) -> Version | None:
        """Return one version, or None if there is none of this number.

        Args:
            model: Name of the model.
            number: Number of the version.
            deleted: Whether one that was deleted counts.
        """

    @abc.abstractmethod
    def versions(self, model: str, *, deleted: bool = False) -> list[Version]:
        """Return the versions of a model by rising number; none if there is no such model.

        Args:
            model: Name of the model.
            deleted: Whether those that were deleted are among them.
        """

    @abc.abstractmethod
    def targets(self, model: str) -> dict[str, int]:
        """Return the version number by alias, sorted by alias; removed aliases are absent."""

    @abc.abstractmethod
    def events(self, model: str, *, alias: str | None = None) -> list[Event]:
        """Return the events of a model, or those about one of its aliases, by rising `seq`."""

    @abc.abstractmethod
    def attachments(self, subject: str) -> dict[str, AttachmentRecord]:
        """Return what was attached last under each name to the bundle of this digest, sorted by name."""

    @abc.abstractmethod
    def all_attachments(self) -> list[AttachmentRecord]:
        """Return what was attached last under each name to each content, sorted by both."""

    @abc.abstractmethod
    def digests(self) -> set[str]:
        """Return the digests of all versions that are not deleted."""

    @abc.abstractmethod
    def audit(self, *, after: int = 0, limit: int | None = None, model: str | None = None) -> list[Event]:
        """Return events of all kinds by rising `seq`.

        Args:
            after: Only events with a higher `seq`.
            limit: Most events to return; None for all.
            model: Only events of this model.
        """

    @abc.abstractmethod
    def head(self) -> Head:
        """Return what was recorded last."""

    @abc.abstractmethod
    def dump(self) -> dict[str, list[dict[str, Any]]]:
        """Return every row by table, with values as JSON has them; a table after those it refers to."""

    @abc.abstractmethod
    def keys(self) -> list[KeyRecord]:
        """Return all API keys, oldest first, with those that are void."""

    @abc.abstractmethod
    def key(self, key_id: str) -> KeyRecord | None:
        """Return one API key, or None if there is none of this id."""


class Change(View):
    """One transaction that writes. No other writer is at work meanwhile, so what it read stays true."""

    @abc.abstractmethod
    def claim_number(self, model: str, *, at: str) -> int:
        """Return the next version number of a model, which is created at its first version.

        Numbers of one model rise by one and are never given twice, but a transaction that fails gives its
        number back.

        Args:
            model: Name of the model.
            at: The moment to record if the model is new.
        """

    @abc.abstractmethod
    def add_version(self, version: Version) -> None:
        """Add a version under a number that this transaction claimed; `aliases` is not stored."""

    @abc.abstractmethod
    def append(self, event: Event) -> int:
        """Append an event to the chain and return its `seq`, which is one more than that of the last one.

        Args:
            event: The event; its `seq` and `hash` are given by the store.
        """

    @abc.abstractmethod
    def attach(self, record: AttachmentRecord) -> None:
        """Add an attachment, which counts from now on; those before it stay on record."""

    @abc.abstractmethod
    def fill(self, rows: Mapping[str, list[dict[str, Any]]]) -> None:
        """Write what `dump` gave, of this store or of another one, into an empty store.

        Raises:
            RegistryInvalid: The rows are not those of a registry.
        """

    @abc.abstractmethod
    def delete_version(self, model: str, number: int, *, at: str) -> None:
        """Mark a version as deleted; its row, its number and its events stay."""

    @abc.abstractmethod
    def add_key(self, record: KeyRecord) -> None:
        """Add an API key."""

    @abc.abstractmethod
    def revoke_key(self, key_id: str, *, at: str) -> None:
        """Mark an API key as revoked; the first time counts."""

    @abc.abstractmethod
    def expire_key(self, key_id: str, *, at: str) -> None:
        """Let an API key expire at a time, unless it expires before."""


class Metadata(abc.ABC):
    """A store of models, versions, attachments, events and keys."""

    @abc.abstractmethod
    def read(self) -> AbstractContextManager[View]:
        """Open a view of one moment."""

    @abc.abstractmethod
    def write(self) -> AbstractContextManager[Change]:
        """Open a transaction; it is durable when the block ends and undone if the block raises.

        Raises:
            RegistryBusy: Another writer kept the registry for too long.
        """

    @abc.abstractmethod
    def note_key_uses(self, uses: Mapping[str, str]) -> None:
        """Note when keys were used last, in a transaction of its own; no event tells of it.

        Args:
            uses: The minute, ISO 8601 in UTC, by the key's id.
        """

    @abc.abstractmethod
    def change_token(self) -> object:
        """Return a value that differs from the one before if anybody committed in between; cheap.

        What this store committed shows at once; of what others did, word may be on its way for a moment.
        Safe to call from any thread. Tokens of one opened store can be compared, others cannot.
        """

    @abc.abstractmethod
    def check(self) -> list[str]:
        """Examine the whole store and return what is wrong with it, one sentence each; slow."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give back every connection. Closing twice is the same as closing once."""
