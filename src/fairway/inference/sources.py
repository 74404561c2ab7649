"""Where a pool gets its models: a registry that changes, or bundles that do not."""

from __future__ import annotations

import dataclasses
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from fairway.bundle.attachment import SEAL_PREFIX
from fairway.bundle.bundle import Bundle
from fairway.bundle.names import Reference
from fairway.compilers.report import ATTACHMENT
from fairway.errors import AliasNotFound, FairwayError, ModelNotFound, UsageError, VersionNotFound

if TYPE_CHECKING:  # a bundle is served without the registry's libraries
    from fairway.registry.records import AttachmentRecord, Event, ModelSummary
    from fairway.registry.registry import Registry


HEAD_INTERVAL_S = 60.0
"""The head of the record is told no more often."""


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """What a reference stands for at this moment.

    Attributes:
        model: Name of the model.
        version: Its number; 0 for a bundle file.
        digest: SHA-256 of the manifest.
        attached: What was attached later and decides by what the version is answered; differs when that does.
    """

    model: str
    version: int
    digest: str
    attached: str = ""

    @property
    def reference(self) -> str:
        """The version as a person writes it, such as `coffee:3`."""
        return f"{self.model}:{self.version}" if self.version else self.model

    @property
    def mark(self) -> int:
        """A number that stands for the entry where there is room for no more; never 0."""
        return zlib.crc32(repr(self).encode()) or 1


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What a server should serve, as of one look at the source.

    Attributes:
        required: References that must be served, the default first.
        found: What each movable reference stands for, or why it stands for nothing.
    """

    required: tuple[str, ...] = ()
    found: Mapping[str, Entry | FairwayError] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """A version that a server was told to serve and does not.

    Attributes:
        entry: The version.
        alias: The alias that points to it, or None.
        code: Code of the error.
        title: What is wrong, in words that hold no path and no value.
    """

    entry: Entry
    alias: str | None
    code: str
    title: str


class Source(Protocol):
    """Where models come from.

    Attributes:
        is_fixed: Whether its models never change.
    """

    is_fixed: bool

    def look(self, names: Sequence[Reference]) -> Look:
        """Return what every movable reference stands for: what is named, and the aliases of bare names.

        Args:
            names: What is to be served; empty for every model of the source.

        Raises:
            StoreUnavailable: The registry cannot be asked.
        """

    def resolve(self, reference: Reference) -> Entry:
        """Return what a reference stands for.

        Raises:
            RegistryError: It stands for nothing, or the registry cannot be asked.
        """

    def open(self, entry: Entry) -> Bundle:
        """Return the verified bundle of an entry."""

    def refuse(self, refusal: Refusal) -> None:
        """Put on record that this server refused a version; once for each time that somebody moved to it.

        Raises:
            FairwayError: It cannot be put on record.
        """

    def token(self) -> object:
        """Return a value that differs after any change; cheap."""

    def close(self) -> None:
        """Let go of every connection; the next question opens them again."""


class RegistrySource:
    """Implement `Source` for a registry.

    Args:
        open_registry: Opens the registry; called when it is first asked, and again after `close`.
        server: Name of this server, for the history.
        notify: Gets the head of the record (`audit.head`) at the start and when it has changed: in a log that
            is kept elsewhere it shows later whether the record was cut off or written anew.
        clock: Gives monotonic seconds.
    """

    is_fixed = False

    def __init__(
        self,
        open_registry: Callable[[], Registry],
        *,
        server: str = "a server",
        notify: Callable[..., None] = lambda *_, **__: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_registry = open_registry
        self._server = server
        self._notify = notify
        self._clock = clock
        self._seen: object = self  # no token is equal to it
        self._told: object = None
        self._next = clock()
        self._opening = threading.Lock()
        self._opened: Registry | None = None
        self._known: dict[str, tuple[ModelSummary, dict[str, Entry | FairwayError]]] = {}

    @property
    def _registry(self) -> Registry:
        with self._opening:
            if self._opened is None:
                self._opened = self._open_registry()
            return self._opened

    def look(self, names: Sequence[Reference]) -> Look:
        """Ask the registry; a model whose summary is as it was is not looked up again."""
        summaries = {summary.name: summary for summary in self._registry.models()}
        wanted = list(names) or [Reference(name, None, None) for name in summaries]
        found: dict[str, Entry | FairwayError] = {}
        known: dict[str, tuple[ModelSummary, dict[str, Entry | FairwayError]]] = {}
        for name in wanted:
            summary = summaries.get(name.model)
            references = _movable(name, summary)
            if summary is None:
                found |= {str(reference): self._try(reference) for reference in references}
                continue
            before, entries = self._known.get(name.model, (None, {}))
            if before != summary:
                entries = {}
            for reference in references:
                text = str(reference)
                entry = entries.get(text)
                found[text] = self._try(reference) if entry is None else entry
            kept = known.setdefault(name.model, (summary, {}))[1]
            kept |= {str(r): found[str(r)] for r in references if isinstance(found[str(r)], Entry)}
        self._known = known
        with self._registry.metadata.read() as view:
            attached = _by_subject(view.all_attachments())
        for text, entry in found.items():
            if isinstance(entry, Entry) and entry.digest in attached:
                found[text] = dataclasses.replace(entry, attached=attached[entry.digest])
        return Look(tuple(map(str, wanted)), found)

    def resolve(self, reference: Reference) -> Entry:
        """Ask the registry."""
        entry = self._resolve(reference)
        with self._registry.metadata.read() as view:
            records = view.attachments(entry.digest).values()
        return dataclasses.replace(entry, attached=_by_subject(records).get(entry.digest, ""))

    def _resolve(self, reference: Reference) -> Entry:
        version = self._registry.resolve(reference)
        return Entry(version.model, version.version, version.digest)

    def _try(self, reference: Reference) -> Entry | FairwayError:
        try:
            return self._resolve(reference)
        except (ModelNotFound, VersionNotFound, AliasNotFound) as error:
            return error

    def open(self, entry: Entry) -> Bundle:
        """Open the stored bundle; every hash is verified."""
        reference = Reference(entry.model, entry.version, None)
        return self._registry.open(self._registry.resolve(reference))

    def refuse(self, refusal: Refusal) -> None:
        """Append an event, unless this server has said so since the alias, or the model, was last moved."""
        entry = refusal.entry
        if self._is_told(self._registry.history(entry.model), refusal):
            return
        self._registry.record(
            "refused",
            model=entry.model,
            version=entry.version,
            alias=refusal.alias,
            actor=self._server,
            reason=refusal.title,
            details={"code": refusal.code, "server": self._server},
        )

    def _is_told(self, events: Sequence[Event], refusal: Refusal) -> bool:
        for event in reversed(events):
            is_about = event.version == refusal.entry.version and event.alias == refusal.alias
            if event.kind == "refused" and is_about and event.details.get("server") == self._server:
                return event.details.get("code") == refusal.code
            if event.to_version is not None and event.alias == refusal.alias:
                return False  # somebody has moved the alias since
        return False

    def token(self) -> object:
        """Return the registry's change token."""
        token = self._registry.change_token()
        if token != self._seen and self._clock() >= self._next:
            self._tell_head()
            self._seen = token
        return token

    def _tell_head(self) -> None:
        head = self._registry.head()
        if head != self._told:
            self._notify("audit.head", seq=head.seq, hash=head.hash)
            self._told, self._next = head, self._clock() + HEAD_INTERVAL_S

    def close(self) -> None:
        """Close the registry."""
        with self._opening:
            if self._opened is not None:
                self._opened.close()
                self._opened = None


def _movable(name: Reference, summary: ModelSummary | None) -> list[Reference]:
    """Return a name, and for a bare one the aliases of its model."""
    if name.version is not None or name.alias is not None or summary is None:
        return [name]
    return [name, *(Reference(name.model, None, alias) for alias in summary.aliases)]


def _by_subject(records: Iterable[AttachmentRecord]) -> dict[str, str]:
    """Return one text per content for the attachments that decide by what it is answered, if at all."""
    found: dict[str, list[str]] = {}
    for record in records:
        if record.name == ATTACHMENT or record.name.startswith(SEAL_PREFIX):
            found.setdefault(record.subject, []).append(f"{record.name}={record.digest}")
    return {subject: ",".join(sorted(texts)) for subject, texts in found.items()}


class BundleSource:
    """Implement `Source` for bundle files and folders."""

    is_fixed = True

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        self._bundles: dict[str, Bundle] = {}
        for bundle in bundles:
            if bundle.manifest.name in self._bundles:
                raise UsageError(
                    f"two bundles are called {bundle.manifest.name!r}",
                    hint="serve each by a server of its own",
                )
            self._bundles[bundle.manifest.name] = bundle

    def look(self, names: Sequence[Reference]) -> Look:
        """Return the bundles by their names; a bundle has no aliases."""
        wanted = list(names) or [Reference(name, None, None) for name in self._bundles]
        return Look(tuple(map(str, wanted)), {str(name): self.resolve(name) for name in wanted})

    def resolve(self, reference: Reference) -> Entry:
        """Return the bundle of this name, as version 0."""
        bundle = self._bundles.get(reference.model)
        if bundle is None or reference.alias is not None:
            raise ModelNotFound(str(reference), hint=f"served here: {', '.join(self._bundles)}")
        if reference.version:
            raise VersionNotFound(reference.model, reference.version, hint="a bundle file has no number")
        return Entry(reference.model, 0, bundle.digest)

    def open(self, entry: Entry) -> Bundle:
        """Return the bundle, verified when it was opened."""
        return self._bundles[entry.model]

    def refuse(self, refusal: Refusal) -> None:
        """Bundles have no history."""

    def token(self) -> object:
        """Bundles do not change."""
        return None

    def close(self) -> None:
        """Nothing is open."""
