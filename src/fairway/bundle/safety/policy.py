"""What whoever loads a model file trusts: a policy, and types beyond it by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

from fairway.errors import UsageError

Policy = Literal["safe-only", "allowlist", "trusted"]
POLICIES: tuple[Policy, ...] = ("safe-only", "allowlist", "trusted")


@dataclasses.dataclass(frozen=True)
class Trust:
    """What a model file may construct when it is loaded.

    Attributes:
        policy: `safe-only` takes formats that run no code, `allowlist` also pickles of known types, `trusted`
            these and the types that are named.
        types: Qualified names of further types (`module.Class`) that may be constructed.
    """

    policy: Policy = "allowlist"
    types: frozenset[str] = frozenset()

    @classmethod
    def default(cls) -> Trust:
        """Return the trust in a file of which nobody said anything."""
        return cls()

    @classmethod
    def naming(cls, types: Iterable[str], *, policy: str = "allowlist") -> Trust:
        """Return the trust of somebody who names types, where *policy* is what holds without them.

        Raises:
            ArtifactUnsafe: A name is one that nobody may trust.
            UsageError: The policy is unknown, or does not allow to name any.
        """
        from fairway.bundle.safety.judge import check_trusted

        named = frozenset(types)
        chosen = next((known for known in POLICIES if known == policy), None)
        if chosen is None:
            raise UsageError(f"{policy!r} is no policy", hint=f"use one of: {', '.join(POLICIES)}")
        if named and chosen == "safe-only":
            raise UsageError(
                "the policy safe-only lets nobody trust a type", hint="FAIRWAY_TRUST_POLICY=allowlist"
            )
        check_trusted(named)
        return cls("trusted" if named else chosen, named)
