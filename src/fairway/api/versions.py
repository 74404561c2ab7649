"""What the registry holds, and which version an alias stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fairway.api._common import actor, backend
from fairway.errors import UsageError
from fairway.lifecycle.viewing import ModelView, view_of

if TYPE_CHECKING:
    from fairway.registry.records import ModelSummary, Move


PRODUCTION = "production"

__all__ = ["PRODUCTION", "ModelView", "alias", "list_models", "remove_alias", "rollback", "show"]


def list_models(
    *, home: str | Path | None = None, server: str | None = None, key: str | None = None
) -> list[ModelSummary]:
    """Return a summary of every model, by name.

    Args:
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.
    """
    with backend(home, server, key) as registry:
        return registry.models()


def show(
    reference: str, *, home: str | Path | None = None, server: str | None = None, key: str | None = None
) -> ModelView:
    """Return everything about the version that a reference stands for, and about its model.

    Args:
        reference: A model, a version or an alias.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.
    """
    from fairway.client.management import RemoteRegistry

    with backend(home, server, key) as registry:
        return (
            registry.view(reference) if isinstance(registry, RemoteRegistry) else view_of(registry, reference)
        )


def alias(
    reference: str,
    alias: str,
    *,
    reason: str = "",
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Move:
    """Let an alias stand for the version that *reference* stands for now.

    Args:
        reference: Usually a version, such as `coffee:2`.
        alias: Name such as `production`.
        reason: Why; kept in the history.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.
    """
    with backend(home, server, key) as registry:
        version = registry.resolve(reference)
        return registry.move_alias(version.model, alias, version.version, actor=actor(), reason=reason)


def remove_alias(
    reference: str,
    *,
    reason: str = "",
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Move:
    """Take an alias away; its history stays.

    Args:
        reference: The alias, such as `coffee@challenger`.
        reason: Why; kept in the history.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.
    """
    from fairway.bundle.names import parse_reference

    parsed = parse_reference(reference)
    if parsed.alias is None:
        raise UsageError(f"{reference!r} names no alias", hint="write it like coffee@challenger")
    with backend(home, server, key) as registry:
        return registry.remove_alias(parsed.model, parsed.alias, actor=actor(), reason=reason)


def rollback(
    model: str,
    alias: str = PRODUCTION,
    *,
    to: int | None = None,
    reason: str = "",
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Move:
    """Let an alias stand for what it stood for before; done again it goes further back.

    No gate stands in the way, and no approval is needed.

    Args:
        model: Name of the model.
        alias: The alias to step back.
        to: How far back: the number of a version that it stood for before. Default: one step.
        reason: Why; kept in the history.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.

    Raises:
        NothingToRollBack: The alias has no earlier target, or *to* is none.
    """
    with backend(home, server, key) as registry:
        return registry.rollback(model, alias, to=to, actor=actor(), reason=reason)
