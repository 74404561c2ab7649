"""What whoever loads a model file trusts: a policy, and types beyond it by name."""

from __future__ import annotations

import dataclasses
from typing import Literal

Policy = Literal["safe-only", "allowlist", "trusted"]
POLICIES: tuple[Policy, ...] = ("safe-only", "allowlist", "trusted")


@dataclasses.dataclass(frozen=True)
class Trust:
    """What a model file may construct when it is loaded.

    Attributes:
        policy: `safe-only` takes formats that run no code, `allowlist` also pickles of known types, `trusted`
            any.
        types: Qualified names of further types (`module.Class`) that may be constructed.
    """

    policy: Policy = "allowlist"
    types: frozenset[str] = frozenset()

    @classmethod
    def default(cls) -> Trust:
        """Return the trust in a file of which nobody said anything."""
        return cls()
