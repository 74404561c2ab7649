"""A registry behind a server: the questions and changes of `Registry`, asked over HTTP.

What a server refuses is raised as the error that the registry itself would have raised. Calls that may be
sent twice are tried again, for a moment, while the server or what it depends on is away.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from fairway.bundle.bundle import Bundle, open_bundle
from fairway.bundle.environment import Difference
from fairway.bundle.manifest import Manifest
from fairway.bundle.names import Reference, check_name, parse_reference
from fairway.bundle.signature import Signature
from fairway.client import _wire
from fairway.client._wire import Request
from fairway.client.transport import Transport
from fairway.errors import (
    ArtifactDigest,
    AuthInvalid,
    AuthRequired,
    FairwayError,
    Fault,
    RemoteError,
    UploadIncomplete,
    UsageError,
    error_of,
)
from fairway.lifecycle.viewing import ModelView
from fairway.registry.aliases import ANY, Anything
from fairway.registry.audit import Broken
from fairway.registry.records import Event, Head, KeyRecord, ModelSummary, Move, Version

if TYPE_CHECKING:
    from fairway.lifecycle.approval import Approval
    from fairway.lifecycle.promote import Promotion
    from fairway.lifecycle.reporting.document import CheckReport
    from fairway.registry.history import Protection

CHUNK_BYTES = 4 * 2**20
"""Small enough for a slow line to send it in the minute that a server gives to a body."""

UPLOAD_BYTES = 2 * 2**30
LONG_S = 1_800.0

ATTEMPTS = 4
_FIRST_PAUSE_S = 0.2
_MAX_PAUSE_S = 5.0
_UNAVAILABLE = frozenset((0, 502, 503))  # 0: no reply came
_PAGE = 1_000
_PRODUCTION = "production"
_JSON = {"content-type": "application/json"}

Kind = TypeVar("Kind")
Tell = Callable[[int, int], None]
"""Gets how many bytes of an upload are there, and how many there are in all."""


class RemoteRegistry:
    """The registry of a server; close it after use.

    Args:
        url: Address of the server.
        key: API key.
        timeout_s: Longest wait for the connection, and for any next byte of a reply.
        chunk_bytes: How much of an upload is sent at a time.

    Raises:
        UsageError: *url* is not an http or https URL, or the key cannot be one.
    """

    def __init__(
        self, url: str, *, key: str | None = None, timeout_s: float = 30.0, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self._chunk_bytes = chunk_bytes
        headers = {"accept": "application/json", "user-agent": "fairway", **_wire.key_headers(key)}
        self._transport = Transport(url, timeout_s=timeout_s, headers=headers)

    # -- what there is -----------------------------------------------------------------------------------

    def models(self) -> list[ModelSummary]:
        """Return every model, sorted by name."""
        return _list(self._get("/models")["models"], ModelSummary)

    def resolve(self, reference: str | Reference) -> Version:
        """Return the version that a reference means now."""
        return _one(self._get(f"{_place(reference)}/version"), Version)

    def versions(self, model: str) -> list[Version]:
        """Return the versions of a model by rising number."""
        return _list(self._get(f"/models/{_quoted(model)}/versions")["versions"], Version)

    def history(self, model: str) -> list[Event]:
        """Return everything that happened to a model, oldest first."""
        return _list(self._get(f"/models/{_quoted(model)}/history")["events"], Event)

    def at(self, model: str, when: datetime) -> dict[str, int]:
        """Return where the aliases of a model pointed at a time, by alias."""
        query = urlencode({"at": when.isoformat()})
        found: dict[str, int] = self._get(f"/models/{_quoted(model)}/history?{query}")["aliases"]
        return found

    def audit(self, *, after: int = 0, limit: int | None = None, model: str | None = None) -> list[Event]:
        """Return events of all kinds, oldest first; a page after the other until there are enough."""
        events: list[Event] = []
        while limit is None or len(events) < limit:
            asked = {"after": after, "limit": min(_PAGE, _PAGE if limit is None else limit - len(events))}
            page = self._get(f"/audit?{urlencode(asked | ({} if model is None else {'model': model}))}")
            events += _list(page["events"], Event)
            if page["next"] is None:
                break
            after = page["next"]
        return events

    def head(self) -> Head:
        """Return the newest event's number and hash."""
        return _one(self._get("/audit/head"), Head)

    def verify_audit(self) -> Broken | None:
        """Return the first event that is not as it was recorded, or None if all of them are."""
        found = self._ask("GET", "/audit/verify", again=True, timeout_s=LONG_S)["broken"]
        return None if found is None else _one(found, Broken)

    def view(self, reference: str) -> ModelView:
        """Return everything about the version that a reference stands for, and about its model."""
        document = self._get(_place(reference))
        return ModelView(
            version=_one(document["version"], Version),
            manifest=_one(document["manifest"], Manifest),
            signature=Signature.from_dict(document["signature"]),
            card=document["card"],
            predictor=document["predictor"],
            reason=document["reason"],
            compilation=document["compilation"],
            differences=_list(document["differences"], Difference),
            versions=_list(document["versions"], Version),
            aliases=document["aliases"],
            history=_list(document["history"], Event),
        )

    # -- changes -----------------------------------------------------------------------------------------

    def move_alias(
        self,
        model: str,
        alias: str,
        version: int,
        *,
        actor: str = "",  # noqa: ARG002 - the server knows who calls
        reason: str = "",
        expected: int | Anything | None = ANY,
    ) -> Move:
        """Point an alias to a version; the alias is made if it is not there."""
        body: dict[str, Any] = {"version": version, "reason": reason}
        if expected is not ANY:
            body["expected"] = expected
        return _one(self._ask("PUT", _alias_place(model, alias), body, again=True), Move)

    def remove_alias(
        self,
        model: str,
        alias: str,
        *,
        actor: str = "",  # noqa: ARG002 - the server knows who calls
        reason: str = "",
    ) -> Move:
        """Take an alias away; a rollback brings it back to where it pointed."""
        query = f"?{urlencode({'reason': reason})}" if reason else ""
        return _one(self._ask("DELETE", _alias_place(model, alias) + query), Move)

    def rollback(
        self,
        model: str,
        alias: str = _PRODUCTION,
        *,
        to: int | None = None,
        actor: str = "",  # noqa: ARG002 - the server knows who calls
        reason: str = "",
    ) -> Move:
        """Point an alias to where it pointed before its last move."""
        body = {"alias": alias, "to": to, "reason": reason}
        return _one(self._ask("POST", f"/models/{_quoted(model)}/rollback", body), Move)

    def delete(
        self,
        model: str,
        version: int,
        *,
        actor: str = "",  # noqa: ARG002 - the server knows who calls
        reason: str = "",
    ) -> Version:
        """Delete a version that no alias points to."""
        query = f"?{urlencode({'reason': reason})}" if reason else ""
        return _one(self._ask("DELETE", f"/models/{_quoted(model)}/versions/{version}{query}"), Version)

    def promote_through_gate(
        self, reference: str, *, alias: str, reason: str, dry_run: bool, allow_schema_change: bool
    ) -> Promotion:
        """Point an alias to a version that passes its gate; see `fairway.lifecycle.promote.promote`."""
        from fairway.lifecycle.promote import Promotion

        body = {
            "alias": alias,
            "reason": reason,
            "dry_run": dry_run,
            "allow_schema_change": allow_schema_change,
        }
        return _one(self._ask("POST", f"{_place(reference)}/promote", body, timeout_s=LONG_S), Promotion)

    def approve(self, reference: str, *, alias: str, reason: str = "") -> Approval:
        """Approve that a version becomes what an alias points to."""
        from fairway.lifecycle.approval import Approval

        body = {"alias": alias, "reason": reason}
        return _one(self._ask("POST", f"{_place(reference)}/approve", body, again=True), Approval)

    def protect(
        self, model: str, alias: str, *, on: bool, approvals: int, reason: str = ""
    ) -> Protection | None:
        """Protect an alias, or end that."""
        from fairway.registry.history import Protection

        body = {"protected": on, "approvals": approvals, "reason": reason}
        target = f"{_alias_place(model, alias)}/protection"
        found = self._ask("PUT", target, body, again=True)["protection"]
        return None if found is None else _one(found, Protection)

    def check_version(
        self, reference: str, table: bytes, kind: str, name: str, wishes: Mapping[str, str | int]
    ) -> CheckReport:
        """Prove a version on a table; see `fairway.lifecycle.check.check_version`.

        Args:
            reference: The version.
            table: The table as a file holds it.
            kind: Its media type.
            name: What to call it in the report.
            wishes: Values of the query: `against`, `target`, `by`, `seed`, `reason`.
        """
        from fairway.lifecycle.reporting.document import CheckReport

        query = urlencode({"data": name} | {wish: value for wish, value in wishes.items() if value != ""})
        target = f"{_place(reference)}/checks?{query}"
        found = self._ask("POST", target, table, timeout_s=LONG_S, kind=kind)
        return CheckReport.from_bytes(msgspec.json.encode(found))

    # -- keys --------------------------------------------------------------------------------------------

    def keys(self) -> list[KeyRecord]:
        """Return all API keys, oldest first, with those that are void, without their hashes."""
        return _list(self._get("/keys")["keys"], KeyRecord)

    def key(self, key_id: str) -> KeyRecord:
        """Return one API key."""
        return _one(self._get(f"/keys/{quote(key_id, safe='')}"), KeyRecord)

    def add_key(
        self,
        record: KeyRecord,
        *,
        actor: str = "",  # noqa: ARG002 - the server knows who calls
        reason: str = "",
    ) -> None:
        """Add an API key; only the hash of its secret is sent."""
        names = ("id", "secret_hash", "name", "role", "expires_at")
        body = {name: getattr(record, name) for name in names}
        self._ask("POST", "/keys", body | {"models": list(record.models), "reason": reason})

    def revoke_key(
        self,
        key_id: str,
        *,
        actor: str = "",  # noqa: ARG002 - the server knows who calls
        reason: str = "",
    ) -> KeyRecord:
        """Revoke an API key for good and return it."""
        query = f"?{urlencode({'reason': reason})}" if reason else ""
        return _one(self._ask("DELETE", f"/keys/{quote(key_id, safe='')}{query}", again=True), KeyRecord)

    def expire_key(
        self,
        key_id: str,
        *,
        at: datetime,
        actor: str = "",  # noqa: ARG002 - the server knows who calls
        reason: str = "",
    ) -> KeyRecord:
        """Let an API key expire at a time, unless it expires before, and return it."""
        body = {"expires_at": at.isoformat(), "reason": reason}
        return _one(self._ask("PATCH", f"/keys/{quote(key_id, safe='')}", body, again=True), KeyRecord)

    # -- bundles -----------------------------------------------------------------------------------------

    def open(self, version: Version, *, attachments: bool = True) -> Bundle:
        """Return the bundle of a version, every file compared with its hash.

        Args:
            version: The version.
            attachments: Whether to open the attachments, too.
        """
        with self.download(version.reference) as bundle:  # its files are in memory
            return bundle if attachments else bundle.with_attachments([])

    @contextlib.contextmanager
    def download(self, reference: str) -> Iterator[Bundle]:
        """Give the bundle of a version for the length of the block; an interrupted download goes on.

        Raises:
            ArtifactDigest: What came is not what the server announced.
        """
        with tempfile.TemporaryDirectory(prefix="fairway-pull-") as folder:
            path = Path(folder) / "bundle.fairway"
            headers = self._download(f"{_place(reference)}/bundle", path)
            bundle = open_bundle(path)
            if bundle.digest != headers.get("fairway-digest"):
                raise ArtifactDigest(
                    f"the server sent another bundle than that of {reference}", hint="pull it again"
                )
            yield bundle

    def _download(self, target: str, path: Path) -> Mapping[str, str]:
        tag = ""
        for attempt in range(ATTEMPTS):
            done = path.stat().st_size if path.exists() else 0
            resumed = {"range": f"bytes={done}-", "if-range": tag} if done and tag else {}
            try:
                status, headers, body = self._transport.fetch(
                    Request("GET", f"/api/v1{target}", headers={"accept": "*/*", **resumed}), path
                )
                if status not in {200, 206}:
                    _wire.read_reply(status, headers, body)
            except RemoteError as error:
                if error.status_code not in _UNAVAILABLE or attempt == ATTEMPTS - 1:
                    raise _own(error) from None
                tag = self._tag_of(target, attempt)
                continue
            return headers
        raise AssertionError("unreachable")  # pragma: no cover - the last attempt returns or raises

    def _tag_of(self, target: str, attempt: int) -> str:
        """Wait a moment and ask which bytes the server would send now."""
        _pause(attempt)
        with contextlib.suppress(RemoteError):
            headers = self._transport.send(Request("HEAD", f"/api/v1{target}"))[1]
            return headers.get("etag", "")
        return ""

    def upload(
        self,
        path: Path,
        model: str,
        *,
        reason: str = "",
        mode: str = "auto",
        tell: Tell | None = None,
    ) -> Version:
        """Register a bundle file as the next version of a model; only what the server lacks is sent.

        Args:
            path: The `.fairway` file.
            model: Name of the model.
            reason: Why; kept in the history.
            mode: What the server does about a compiled predictor.
            tell: Gets the progress.

        Raises:
            UsageError: The file is larger than any bundle.
            BundleError: The server does not take it in.
        """
        chunks, whole, size = _hashed(path, self._chunk_bytes)
        body = {
            "chunks": [digest for digest, _ in chunks],
            "sha256": whole,
            "size": size,
            "reason": reason,
            "compile": mode,
            "upload": secrets.token_hex(16),
        }
        for is_last in (False, True):
            self._send_chunks(path, chunks, tell)
            try:
                target = f"/models/{_quoted(model)}/versions"
                return _one(self._ask("POST", target, body, again=True, timeout_s=LONG_S), Version)
            except UploadIncomplete:  # what was stored long ago may have been cleared away meanwhile
                if is_last:
                    raise
        raise AssertionError("unreachable")  # pragma: no cover - the last round returns or raises

    def _send_chunks(self, path: Path, chunks: list[tuple[str, int]], tell: Tell | None) -> None:
        wanted = {"chunks": list(dict.fromkeys(digest for digest, _ in chunks))}
        missing = set(self._ask("POST", "/uploads/missing", wanted, again=True)["missing"])
        total = sum(size for _, size in chunks)
        done = total - sum(size for digest, size in chunks if digest in missing)
        with path.open("rb") as file:
            for digest, size in chunks:
                if tell is not None:
                    tell(done, total)
                data = file.read(size)
                if digest not in missing:
                    continue
                self._ask("PUT", f"/chunks/{digest}", data, again=True)
                missing.discard(digest)
                done += size
        if tell is not None:
            tell(total, total)

    # -- the way to the server ---------------------------------------------------------------------------

    def _get(self, target: str) -> Any:
        return self._ask("GET", target, again=True)

    def _ask(
        self,
        method: str,
        target: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        again: bool = False,
        timeout_s: float | None = None,
        kind: str = "application/octet-stream",
    ) -> Any:
        """Return the document that answers a request.

        Args:
            method: HTTP method.
            target: Path and query below `/api/v1`.
            body: Fields of a JSON body, or bytes that are sent as they are.
            again: Whether it does no harm to ask twice.
            timeout_s: Longest wait for this one.
            kind: Media type of bytes.
        """
        if isinstance(body, bytes):
            request = Request(method, f"/api/v1{target}", body, {"content-type": kind})
        elif body is None:
            request = Request(method, f"/api/v1{target}")
        else:
            request = Request(method, f"/api/v1{target}", msgspec.json.encode(body), _JSON)
        for attempt in range(ATTEMPTS):
            try:
                return _wire.read_reply(*self._transport.send(request, timeout_s=timeout_s))
            except RemoteError as error:
                if not again or error.status_code not in _UNAVAILABLE or attempt == ATTEMPTS - 1:
                    raise _own(error) from None
            _pause(attempt)
        raise AssertionError("unreachable")  # pragma: no cover - the last attempt returns or raises

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        """Return the registry, which is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()


def _pause(attempt: int) -> None:
    """Wait before the next attempt: ever longer, and never as long as everybody else who waits."""
    longest = min(_FIRST_PAUSE_S * 2**attempt, _MAX_PAUSE_S)
    time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - nobody guards anything with it


def _own(error: RemoteError) -> FairwayError:
    """Return what a server refused as an error of its own class; what no class has the code of, as it is."""
    problem = error.problem
    found = error_of(
        str(problem.get("code", "")),
        str(problem.get("detail", error.detail)),
        str(problem.get("hint", "")),
        below=FairwayError,
        otherwise=RemoteError,
    )
    if type(found) is RemoteError:
        return error
    if isinstance(found, AuthRequired | AuthInvalid):
        # The server speaks of headers, which nobody writes here.
        found.hint = "put the key into the variable FAIRWAY_API_KEY, or into a file: --key-file FILE"
    found.faults = [
        Fault(
            **{name: str(fault.get(name, "")) for name in ("pointer", "code", "message", "expected", "got")}
        )
        for fault in problem.get("errors", ())
        if isinstance(fault, dict)
    ]
    return found


def _hashed(path: Path, chunk_bytes: int) -> tuple[list[tuple[str, int]], str, int]:
    """Return hash and size of every chunk of a file, and of all of it."""
    whole, chunks, size = hashlib.sha256(), [], 0
    with path.open("rb") as file:
        while data := file.read(chunk_bytes):
            whole.update(data)
            chunks.append((hashlib.sha256(data).hexdigest(), len(data)))
            size += len(data)
    if size > UPLOAD_BYTES:
        raise UsageError(f"the bundle has {size} bytes; the limit of an upload is {UPLOAD_BYTES}")
    return chunks, whole.hexdigest(), size


def _place(reference: str | Reference) -> str:
    parsed = parse_reference(reference) if isinstance(reference, str) else reference
    return f"/models/{quote(str(parsed), safe=':@')}"


def _quoted(name: str) -> str:
    """Return a name as part of a path; one outside the grammar is refused before anything is sent."""
    return check_name("model", name)


def _alias_place(model: str, alias: str) -> str:
    return f"/models/{check_name('model', model)}/aliases/{check_name('alias', alias)}"


def _one(document: Any, kind: type[Kind]) -> Kind:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as cause:
        raise RemoteError(
            {
                "code": RemoteError.code,
                "title": RemoteError.title,
                "detail": f"the server answered something else than a {kind.__name__}: {cause}",
                "hint": "do server and client have the same release of fairway?",
            },
            200,
        ) from cause


def _list(documents: Any, kind: type[Kind]) -> list[Kind]:
    return [_one(document, kind) for document in documents]
