"""What the handlers of management requests share: the registry, the home folder, and what one call asks."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fairway.gates import GateRules

if TYPE_CHECKING:  # a server loads the registry's libraries with the first management request
    from fairway.registry.registry import Registry
    from fairway.server.access import Identity

CHUNK_BYTES = 16 * 2**20
"""Largest chunk of an upload."""

JSON_BYTES = 2**20
"""Largest JSON body."""

TABLE_BYTES = 64 * 2**20
"""Largest table that a version is checked with."""

UPLOAD_BYTES = 2 * 2**30
"""Largest bundle."""


class Office:
    """The registry of this server, opened when it is first needed, and what holds for every call.

    Args:
        open_registry: Opens the registry; called again after it failed.
        home: The home folder, whose trust store holds the keys.
        policy: Setting `trust.policy`, which foreign bundles are taken in under.
        gates: Rules of the gates, by model.
        predictor: Setting `server.predictor`, which answers when a version is checked.
    """

    def __init__(
        self,
        open_registry: Callable[[], Registry],
        *,
        home: Path,
        policy: str,
        gates: Mapping[str, GateRules],
        predictor: str,
    ) -> None:
        self._open_registry = open_registry
        self._opening = threading.Lock()
        self._opened: Registry | None = None
        self.home = home
        self.policy = policy
        self.gates = gates
        self.predictor = predictor

    @property
    def registry(self) -> Registry:
        """The registry. Waits for its database: never ask for it on the event loop."""
        with self._opening:
            if self._opened is None:
                self._opened = self._open_registry()
            return self._opened

    def greet(self) -> None:
        """Ask the registry for something small, to know whether it is there."""
        self.registry.head()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One management request, read and checked.

    Attributes:
        office: What holds for every call.
        path: Values of the placeholders of the path.
        query: Values of the query by name.
        body: Values of the JSON body by name; empty for other bodies.
        raw: A body that is not JSON, as bytes.
        content_type: Its media type.
        caller: Who asks.
        headers: Headers that matter to the handler, by lower-case name.
    """

    office: Office
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]
    raw: bytes = b""
    content_type: str = ""
    caller: Identity
    headers: Mapping[str, str]

    @property
    def registry(self) -> Registry:
        """The registry."""
        return self.office.registry

    @property
    def actor(self) -> str:
        """How the audit names who asks."""
        return self.caller.actor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a handler answers.

    Attributes:
        document: What is sent as JSON.
        status: HTTP status.
        headers: Further headers.
        file: A file that is sent instead of a document, and removed afterwards.
    """

    document: Any = None
    status: int = 200
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    file: Path | None = None

    def encoded(self) -> bytes:
        """Return the document as JSON."""
        return msgspec.json.encode(self.document)
