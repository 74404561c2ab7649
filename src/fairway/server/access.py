"""Who may call what: the table of all routes with the role that each needs, and the identity of a caller.

Nothing is allowed that does not stand in the table: a route without an entry answers nobody. What a key is
and which roles there are is decided in `fairway.registry.api_keys`; `guard.py` finds out who calls and
enforces it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fairway.errors import AuthRequired, ModelNotFound, RoleDenied
from fairway.registry.api_keys import PREDICT, READ, ROLES, covers
from fairway.server.management.operations import OPERATIONS

IDENTITY = "fairway_identity"
"""Where the identity of the caller lies in the scope of a request."""

ANYBODY = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What a route needs.

    Attributes:
        role: What the caller's role must allow: `read`, `predict`, `deploy`, `admin`, or `ANYBODY`.
        model: Name of the path parameter that holds a reference; the key must be for that model.
        every_model: Whether the answer speaks of all models at once, so that the key must be for all.
        form: Whether it belongs to the web form, which `server.public_form` opens to everybody.
        manage: Whether it changes what is served. Without keys only this machine's users may.
    """

    role: str
    model: str = ""
    every_model: bool = False
    form: bool = False
    manage: bool = False


_PUBLIC = Rule(ANYBODY)

ROUTES: dict[str, Rule] = {
    "POST /predict": Rule(PREDICT),
    "POST /models/{ref}/predict": Rule(PREDICT, model="ref"),
    "POST /explain": Rule(PREDICT),
    "POST /models/{ref}/explain": Rule(PREDICT, model="ref"),
    "POST /invocations": Rule(PREDICT),
    "GET /models": Rule(READ),
    "GET /models/{name}": Rule(READ, model="name", form=True),
    "POST /models/{name}": Rule(PREDICT, model="name", form=True),
    "GET /": Rule(READ, form=True),
    "GET /docs": Rule(READ),
    "GET /openapi.json": Rule(READ),
    "GET /metrics": Rule(READ, every_model=True),
    # Whoever is refused can read why, and probes know no key: they learn the state and nothing else.
    "GET /livez": _PUBLIC,
    "GET /readyz": _PUBLIC,
    "GET /health": _PUBLIC,
    "GET /ping": _PUBLIC,
    "POST /ping": _PUBLIC,
    "GET /execution-parameters": _PUBLIC,
    "GET /docs/errors": _PUBLIC,
    "GET /docs/errors/{code}": _PUBLIC,
    "GET /static": _PUBLIC,
    "GET /login": _PUBLIC,
    "POST /login": _PUBLIC,
    "POST /logout": _PUBLIC,
    **{
        f"{operation.method} {operation.path}": Rule(
            operation.role,
            model=next((name for name in operation.placeholders if name in {"ref", "name"}), ""),
            every_model=operation.every_model,
            manage=True,
        )
        for operation in OPERATIONS
    },
}
"""Every route of the server: method and path as it is registered, and what it needs."""


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Who calls.

    Attributes:
        actor: How the audit names them: name and id of the key, or the user of this machine.
        key_id: Id of the key; empty without one.
        allowed: What they may do; see `ROLES`.
        models: Patterns of the names of the models that they may see; empty for all.
        form_token: What the forms of their session hold; empty for whoever has shown a key, or nothing.
    """

    actor: str
    key_id: str = ""
    allowed: frozenset[str] = frozenset()
    models: tuple[str, ...] = ()
    form_token: str = ""

    def sees(self, model: str) -> bool:
        """Tell whether there is such a model for them, by its name."""
        return covers(self.models, model)

    @property
    def sees_all(self) -> bool:
        """Whether they may be told of every model."""
        return READ in self.allowed and not self.models


def identify(scope: Mapping[str, Any]) -> Identity:
    """Return who sends a request; the guard has found it out before the route was reached.

    Raises:
        AuthRequired: Nobody has: the request did not come through the guard.
    """
    identity = scope.get(IDENTITY)
    if not isinstance(identity, Identity):
        raise AuthRequired("this call needs an API key")
    return identity


def require(identity: Identity, role: str, model: str = "") -> None:
    """Refuse who may not do this.

    Args:
        identity: Who.
        role: What their role must allow: `read`, `predict`, `deploy` or `admin`.
        model: Name or reference of the model that it is about; empty if it is about none.

    Raises:
        ModelNotFound: The key is for other models: for its holder this one does not exist.
        RoleDenied: The key's role does not allow it.
    """
    # First what they may do at all: the answer to that does not tell which models there are.
    if role != ANYBODY and role not in identity.allowed:
        enough = ", ".join(name for name, allowed in ROLES.items() if role in allowed)
        raise RoleDenied(
            f"this call needs a key whose role allows {role!r}", hint=f"roles that allow it: {enough}"
        )
    name = name_in(model)
    if name and not identity.sees(name):
        raise ModelNotFound(name[:80])


def name_in(reference: str) -> str:
    """Return the name of the model in a reference that need not be valid."""
    return reference.partition(":")[0].partition("@")[0]


def rule_of(method: str, path: str, routes: Mapping[str, Rule] = ROUTES) -> Rule | None:
    """Return what a route needs, or None if the table does not have it.

    Args:
        method: HTTP method; HEAD is answered as GET.
        path: Path as the route was registered.
        routes: The table.
    """
    return routes.get(f"{'GET' if method == 'HEAD' else method} {path}")
