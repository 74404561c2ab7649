"""The interface of a metadata store: rows of models, versions, attachments and events, in transactions.

A store decides nothing. Which version a rollback leads to, what is refused and what is recorded is the
registry's business; a store keeps its promises about order, atomicity and durability.

Every method may raise `StoreUnavailable` (or `RegistryBusy`, `StorageFull`, `RegistryInvalid`, all of which
are errors of fairway) and never an error of the engine behind it.
"""

from __future__ import annotations

import abc
from contextlib import AbstractContextManager

from fairway.registry.records import AttachmentRecord, Event, ModelSummary, Version


class View(abc.ABC):
    """What the registry knows at one moment; later commits of others do not show in it."""

    @abc.abstractmethod
    def models(self) -> list[ModelSummary]:
        """Return every model, sorted by name."""

    @abc.abstractmethod
    def latest(self, model: str) -> int | None:
        """Return the highest version number of a model, or None if there is no such model."""

    @abc.abstractmethod
    def version(self, model: str, number: int) -> Version | None:
        """Return one version, or None if there is none of this number."""

    @abc.abstractmethod
    def versions(self, model: str) -> list[Version]:
        """Return the versions of a model by rising number; none if there is no such model."""

    @abc.abstractmethod
    def targets(self, model: str) -> dict[str, int]:
        """Return the version number by alias, sorted by alias; removed aliases are absent."""

    @abc.abstractmethod
    def events(self, model: str, *, alias: str | None = None) -> list[Event]:
        """Return the events of a model, or of one of its aliases, by rising `seq`."""

    @abc.abstractmethod
    def attachments(self, subject: str) -> dict[str, AttachmentRecord]:
        """Return what was attached last under each name to the bundle of this digest, sorted by name."""


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
        """Append an event and return its `seq`, which is higher than that of every event before."""

    @abc.abstractmethod
    def attach(self, record: AttachmentRecord) -> None:
        """Add an attachment, which counts from now on; those before it stay on record."""


class Metadata(abc.ABC):
    """A store of models, versions, attachments and events."""

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
    def change_token(self) -> object:
        """Return a value that differs from the one before if anybody committed in between; cheap.

        Safe to call from any thread. Tokens of one opened store can be compared, others cannot.
        """

    @abc.abstractmethod
    def check(self) -> list[str]:
        """Examine the whole store and return what is wrong with it, one sentence each; slow."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give back every connection. Closing twice is the same as closing once."""
