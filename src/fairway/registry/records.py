"""What the registry tells: versions, attachments, events, moves of aliases, and a summary per model."""

from __future__ import annotations

import dataclasses
from typing import Literal

EventKind = Literal["register", "alias", "rollback", "alias_removed"]


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """One immutable version of a model.

    Attributes:
        model: Name of the model.
        version: Its number; numbers only grow and are never given twice.
        digest: SHA-256 of the bundle's manifest, which names the hash of every file.
        flavor: Framework that made the model.
        model_type: Class of the model.
        created_at: When it was registered, ISO 8601 in UTC. For people to read; nothing is ordered by it.
        actor: Who registered it.
        size: Bytes of all files of the bundle together.
        tags: Free key-value pairs of the bundle.
        metrics: Figures that the author gave, by name.
        aliases: Aliases that point here at the moment of asking, sorted.
    """

    model: str
    version: int
    digest: str
    flavor: str
    model_type: str
    created_at: str
    actor: str
    size: int
    tags: dict[str, str]
    metrics: dict[str, float]
    aliases: tuple[str, ...] = ()

    @property
    def reference(self) -> str:
        """The version as a person writes it, such as `coffee:3`."""
        return f"{self.model}:{self.version}"

    def _repr_html_(self) -> str:
        from fairway.bundle.display import html_of_version

        return html_of_version(self)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of the registry, as it was recorded with the change itself.

    Attributes:
        kind: `register`, `alias`, `rollback` or `alias_removed`.
        model: Name of the model.
        at: When, ISO 8601 in UTC. A clock may be wrong, *seq* never is.
        actor: Who.
        reason: Why, in the actor's words; may be empty.
        version: The new version of a `register`, else None.
        alias: The alias that moved, or None for a `register`.
        from_version: Where the alias pointed before, or None.
        to_version: Where it points from now on, or None once it is removed.
        seq: Place in the order of all events; only grows. 0 until the event is recorded.
    """

    kind: EventKind
    model: str
    at: str
    actor: str
    reason: str = ""
    version: int | None = None
    alias: str | None = None
    from_version: int | None = None
    to_version: int | None = None
    seq: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class AttachmentRecord:
    """What was attached to the content of versions; the newest of one subject and name counts.

    Attributes:
        subject: Digest of the bundle that it belongs to.
        name: What it is, such as `compiled`.
        digest: SHA-256 of the attachment's manifest, which names the hash of every file.
        at: When it was attached, ISO 8601 in UTC. For people to read; nothing is ordered by it.
        actor: Who attached it.
    """

    subject: str
    name: str
    digest: str
    at: str
    actor: str


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """What an alias pointed to and points to now.

    Attributes:
        model: Name of the model.
        alias: The alias.
        from_version: Number of the version before, or None if the alias was not there.
        to_version: Number of the version now, or None if the alias was removed.
        seq: The event that says so. Equal numbers on both sides mean that nothing had to move; then it is
            the event that brought the alias there.
    """

    model: str
    alias: str
    from_version: int | None
    to_version: int | None
    seq: int


@dataclasses.dataclass(frozen=True, slots=True)
class ModelSummary:
    """One line about a model.

    Attributes:
        name: Name of the model.
        latest: Its highest version number.
        aliases: Version number by alias, sorted by alias.
        n_versions: How many versions there are.
        created_at: When its first version was registered, ISO 8601 in UTC.
    """

    name: str
    latest: int
    aliases: dict[str, int]
    n_versions: int
    created_at: str
