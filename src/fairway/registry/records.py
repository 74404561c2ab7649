"""What the registry tells: versions, attachments, events, moves of aliases, and a summary per model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

EventKind = Literal[
    "register",
    "attach",
    "alias",
    "alias_removed",
    "promote",
    "rollback",
    "check",
    "approve",
    "protect",
    "delete",
    "refused",
    "key_created",
    "key_revoked",
    "export",
    "import",
    "backup",
    "restore",
    "gc",
    "configuration",
]

MOVES = ("alias", "alias_removed", "promote", "rollback")
"""The kinds of events that move an alias; other events may speak of one, too."""


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
        deleted_at: When it was deleted, or None. Its number and its history stay.
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
    deleted_at: str | None = None

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
        kind: What happened, such as `register` or `promote`.
        model: Name of the model; None if it is not about one.
        at: When, ISO 8601 in UTC. A clock may be wrong, *seq* never is.
        actor: Who.
        reason: Why, in the actor's words; may be empty.
        version: The version that it is about, or None; a move says `from_version` and `to_version` instead.
        alias: The alias that moved, or that it is about.
        from_version: Where the alias pointed before, or None.
        to_version: Where it points from now on, or None once it is removed.
        subject: What else it is about: the id of a key, the digest of a content, the name of a file.
        details: Facts of its kind, as JSON has them.
        seq: Place in the order of all events, without gaps. 0 until the event is recorded.
        hash: What chains it to all events before; see `fairway.registry.audit`. Empty until it is recorded.
    """

    kind: EventKind
    model: str | None
    at: str
    actor: str
    reason: str = ""
    version: int | None = None
    alias: str | None = None
    from_version: int | None = None
    to_version: int | None = None
    subject: str = ""
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seq: int = 0
    hash: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """The newest event of a registry: whoever keeps it elsewhere can prove later that nothing before changed.

    Attributes:
        seq: Its number; 0 if nothing has happened yet.
        hash: Its hash, 64 hex digits.
    """

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """An API key as it is kept: everything but the secret.

    Attributes:
        id: The part of the key that may be shown, 8 characters.
        name: What it is for, in the words of whoever made it.
        secret_hash: SHA-256 of the secret, in hex.
        role: `read`, `predict`, `deploy` or `admin`.
        models: Patterns of the names of the models that it is for, such as `coffee*`; empty for all.
        created_at: When it was made, ISO 8601 in UTC.
        created_by: Who made it.
        expires_at: From when on it is void, or None.
        revoked_at: When it was revoked, or None.
        last_used_at: The minute in which it was used last, or None.
    """

    id: str
    name: str
    secret_hash: str
    role: str
    models: tuple[str, ...] = ()
    created_at: str
    created_by: str
    expires_at: str | None = None
    revoked_at: str | None = None
    last_used_at: str | None = None


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
        protected: Whether only promotions and rollbacks move the alias.
    """

    model: str
    alias: str
    from_version: int | None
    to_version: int | None
    seq: int
    protected: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class ModelSummary:
    """One line about a model.

    Attributes:
        name: Name of the model.
        latest: Its highest version that is not deleted.
        aliases: Version number by alias, sorted by alias.
        n_versions: How many versions there are, without deleted ones.
        created_at: When its first version was registered, ISO 8601 in UTC.
    """

    name: str
    latest: int
    aliases: dict[str, int]
    n_versions: int
    created_at: str
