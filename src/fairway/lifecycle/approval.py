"""What keeps an alias from being moved by one person alone: protection, and the approval of another."""

from __future__ import annotations

import dataclasses

from fairway.bundle.names import check_name
from fairway.errors import UsageError
from fairway.registry.history import Protection, approvals, protection
from fairway.registry.registry import PRODUCTION, Registry

MAX_APPROVALS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Approval:
    """An approval that counts.

    Attributes:
        reference: The version.
        alias: What it may become the target of.
        actor: Who approved.
        approvals: Everybody whose approval counts now.
        seq: The event that says so.
    """

    reference: str
    alias: str
    actor: str
    approvals: tuple[str, ...]
    seq: int


def approve(
    registry: Registry, reference: str, *, alias: str = PRODUCTION, actor: str, reason: str = ""
) -> Approval:
    """Approve that a version becomes what an alias points to; somebody else has to promote it.

    An approval is for exactly this version and this alias, and is used up once the alias has followed.
    Approving twice is the same as approving once.

    Args:
        registry: The registry.
        reference: The version, such as `coffee:2`.
        alias: The alias.
        actor: Who approves.
        reason: Why; kept in the history.

    Raises:
        UsageError: The alias points to the version already.
        VersionNotFound: The model has no such version.
    """
    version = registry.resolve(reference)
    check_name("alias", alias)
    name = f"{version.model}@{alias}"
    if alias in version.aliases:
        raise UsageError(
            f"{name} points to {version.reference} already; there is nothing to approve",
            hint=f"name the version that is to follow, such as {version.model}:{version.version + 1}",
        )
    standing = approvals(registry.history(version.model), version.version, alias)
    if actor in standing:
        seq = standing[actor].seq
    else:
        seq = registry.record(
            "approve", model=version.model, version=version.version, alias=alias, actor=actor, reason=reason
        )
    return Approval(version.reference, alias, actor, tuple(sorted({*standing, actor})), seq)


def protect(
    registry: Registry,
    model: str,
    alias: str = PRODUCTION,
    *,
    on: bool = True,
    approvals: int = 0,
    actor: str,
    reason: str = "",
) -> Protection | None:
    """Protect an alias, so that promotions and rollbacks alone move it, or end that.

    Nothing is recorded if it is so already.

    Args:
        registry: The registry.
        model: Name of the model.
        alias: The alias; it need not be there yet.
        on: Whether it is protected from now on.
        approvals: How many others have to approve a version before it is promoted.
        actor: Who says so.
        reason: Why; kept in the history.

    Returns:
        What protects the alias now.

    Raises:
        ModelNotFound: No model has this name.
        UsageError: *approvals* is out of range.
    """
    check_name("alias", alias)
    if not 0 <= approvals <= MAX_APPROVALS:
        raise UsageError(f"approvals cannot be {approvals}; use 0 to {MAX_APPROVALS}")
    before = protection(registry.history(model), alias)
    if (before is not None) == on and (before is None or before.approvals == approvals):
        return before
    details = {"protected": True, "approvals": approvals} if on else {"protected": False}
    registry.record("protect", model=model, alias=alias, actor=actor, reason=reason, details=details)
    return protection(registry.history(model), alias)
