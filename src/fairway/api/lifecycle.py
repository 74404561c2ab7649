"""What happens to a version after it was pushed: compared, promoted, deleted; and the record of all of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.api._common import actor, backend, settings_of
from fairway.errors import UsageError

if TYPE_CHECKING:
    from fairway.bundle.bundle import Bundle
    from fairway.lifecycle.approval import Approval
    from fairway.lifecycle.comparison import Comparison
    from fairway.lifecycle.promote import Promotion
    from fairway.lifecycle.record import Moment, Proof
    from fairway.registry.history import Protection
    from fairway.registry.records import Event, Version

_PRODUCTION = "production"


def diff(
    old: str | Path,
    new: str | Path,
    *,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Comparison:
    """Return everything in which two versions differ, and whether clients of the one break at the other.

    Args:
        old: What clients know: a reference, or the path of a bundle.
        new: What may take its place: a reference, or the path of a bundle.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.

    Raises:
        BundleError: A bundle is missing or damaged.
    """
    from fairway.lifecycle.comparison import compare_versions

    place = (home, server, key)
    (before, was), (now, is_) = _opened(old, *place), _opened(new, *place)
    return compare_versions(before, now, names=(was, is_))


def _opened(
    reference: str | Path, home: str | Path | None, server: str | None, key: str | None
) -> tuple[Bundle, str]:
    """Return a bundle and what to call it."""
    from fairway.bundle.bundle import looks_like_path, open_bundle

    if looks_like_path(str(reference)):
        return open_bundle(reference, attachments=False), str(reference)
    with backend(home, server, key) as registry:
        version = registry.resolve(str(reference))
        return registry.open(version, attachments=False), version.reference


def promote(
    reference: str,
    *,
    alias: str = _PRODUCTION,
    reason: str = "",
    dry_run: bool = False,
    allow_schema_change: bool = False,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Promotion:
    """Let an alias stand for a version, once the version has passed its gate; running servers follow.

    Args:
        reference: The version, such as `coffee:2`.
        alias: The alias.
        reason: Why; kept in the history.
        dry_run: Whether to tell what would happen and change nothing.
        allow_schema_change: Whether clients of what is live may break.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.

    Raises:
        GateRefused: The rules ask for a check, and there is none that counts, or it was not passed.
        SchemaChanged: Clients of what is live would break.
        ApprovalMissing: Others have to approve first.
        Conflict: Somebody else has moved the alias meanwhile.
    """
    from fairway.bundle.names import parse_reference
    from fairway.client.management import RemoteRegistry
    from fairway.gates import rules_of
    from fairway.lifecycle.promote import promote as promote_version

    with backend(home, server, key) as registry:
        if isinstance(registry, RemoteRegistry):  # whose gate it is
            return registry.promote_through_gate(
                reference,
                alias=alias,
                reason=reason,
                dry_run=dry_run,
                allow_schema_change=allow_schema_change,
            )
        return promote_version(
            registry,
            reference,
            alias=alias,
            actor=actor(),
            reason=reason,
            rules=rules_of(settings_of(home).gates, parse_reference(reference).model),
            dry_run=dry_run,
            allow_schema_change=allow_schema_change,
        )


def approve(
    reference: str,
    *,
    alias: str = _PRODUCTION,
    reason: str = "",
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Approval:
    """Approve that a version becomes what an alias stands for; somebody else has to promote it.

    Args:
        reference: The version, such as `coffee:2`.
        alias: The alias.
        reason: Why; kept in the history.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.
    """
    from fairway.client.management import RemoteRegistry
    from fairway.lifecycle.approval import approve as approve_version

    with backend(home, server, key) as registry:
        if isinstance(registry, RemoteRegistry):
            return registry.approve(reference, alias=alias, reason=reason)
        return approve_version(registry, reference, alias=alias, actor=actor(), reason=reason)


def protect(
    reference: str,
    *,
    on: bool = True,
    approvals: int = 0,
    reason: str = "",
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Protection | None:
    """Protect an alias, so that promotions and rollbacks alone move it, or end that.

    Args:
        reference: The alias, such as `coffee@production`.
        on: Whether it is protected from now on.
        approvals: How many others have to approve a version before it is promoted.
        reason: Why; kept in the history.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.

    Returns:
        What protects the alias now; None if nothing does.
    """
    from fairway.bundle.names import parse_reference
    from fairway.client.management import RemoteRegistry
    from fairway.lifecycle.approval import protect as protect_alias

    parsed = parse_reference(reference)
    if parsed.alias is None:
        raise UsageError(f"{reference!r} names no alias", hint=f"write it like {parsed.model}@production")
    with backend(home, server, key) as registry:
        if isinstance(registry, RemoteRegistry):
            return registry.protect(parsed.model, parsed.alias, on=on, approvals=approvals, reason=reason)
        return protect_alias(
            registry, parsed.model, parsed.alias, on=on, approvals=approvals, actor=actor(), reason=reason
        )


def delete(
    reference: str,
    *,
    reason: str = "",
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Version:
    """Delete a version; its number is never given again, and its history stays.

    Args:
        reference: The version by its number, such as `coffee:2`.
        reason: Why; kept in the history.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.

    Raises:
        VersionLive: An alias stands for it.
    """
    from fairway.bundle.names import parse_reference

    parsed = parse_reference(reference)
    if parsed.version is None:
        raise UsageError(
            f"{reference!r} names no version by its number, and only such a one is deleted",
            hint=f"write it like {parsed.model}:2",
        )
    with backend(home, server, key) as registry:
        return registry.delete(parsed.model, parsed.version, actor=actor(), reason=reason)


def history(
    reference: str, *, home: str | Path | None = None, server: str | None = None, key: str | None = None
) -> list[Event]:
    """Return everything that happened to the model of a reference, oldest first."""
    from fairway.bundle.names import parse_reference

    with backend(home, server, key) as registry:
        return registry.history(parse_reference(reference).model)


def live_at(
    reference: str,
    when: datetime | str,
    *,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Moment:
    """Return what there was of a model at a time: its versions, and what its aliases stood for.

    Args:
        reference: The model.
        when: The time. A text is ISO 8601, or how long ago, such as `7d`; without an offset it is local time.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.
    """
    from fairway.bundle.names import parse_reference
    from fairway.lifecycle.record import at, read_time

    moment = read_time(when) if isinstance(when, str) else when
    with backend(home, server, key) as registry:
        return at(registry, parse_reference(reference).model, moment)


def audit(
    model: str | None = None,
    *,
    since: datetime | str | None = None,
    actor: str | None = None,
    kind: str | None = None,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> list[Event]:
    """Return the record of all changes, oldest first.

    Args:
        model: Only events of this model.
        since: Only events from this time on; see `live_at`.
        actor: Only events of this actor; a pattern such as `ci*`.
        kind: Only events of this kind, such as `promote`.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.
    """
    from fairway.lifecycle.record import read_time, select

    start = read_time(since) if isinstance(since, str) else since
    with backend(home, server, key) as registry:
        return select(registry.audit(model=model), since=start, actor=actor, kind=kind)


def verify_audit(
    *,
    head: str | None = None,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Proof:
    """Examine every event of the record: whether any was edited, deleted, inserted, swapped or cut off.

    Args:
        head: A head that was written down earlier, as `NUMBER:HASH`. Without it nobody can tell whether the
            newest events were cut off.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.
    """
    from fairway.lifecycle.record import prove, read_head

    kept = None if head is None else read_head(head)
    with backend(home, server, key) as registry:
        return prove(registry, kept=kept)
