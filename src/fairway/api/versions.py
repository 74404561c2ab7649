"""What the registry holds, and which version an alias stands for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairway.api._common import actor, open_registry, settings_of
from fairway.errors import UsageError

if TYPE_CHECKING:
    from fairway.bundle.environment import Difference
    from fairway.bundle.manifest import Manifest
    from fairway.bundle.signature import Signature
    from fairway.registry.records import Event, ModelSummary, Move, Version


PRODUCTION = "production"


@dataclasses.dataclass(frozen=True)
class ModelView:
    """Everything about one version and its model.

    Attributes:
        version: The version.
        manifest: What its bundle says of itself.
        signature: Its inputs and outputs.
        card: The model card, in Markdown.
        predictor: What answers for it where everything is installed: a compiler's name, or `native`.
        reason: Why this one, in a sentence.
        compilation: The report of its compilation; None if it was not compiled.
        differences: What differs between this environment and the one that it was packed in.
        versions: All versions of the model, oldest first.
        aliases: Version number by alias.
        history: Everything that happened to the model, oldest first.
    """

    version: Version
    manifest: Manifest
    signature: Signature
    card: str
    predictor: str
    reason: str
    compilation: dict[str, Any] | None
    differences: list[Difference]
    versions: list[Version]
    aliases: dict[str, int]
    history: list[Event]

    def _repr_html_(self) -> str:
        from fairway.bundle.display import html_of_view

        return html_of_view(self)


def list_models(*, home: str | Path | None = None) -> list[ModelSummary]:
    """Return a summary of every model, by name."""
    with open_registry(settings_of(home)) as registry:
        return registry.models()


def show(reference: str, *, home: str | Path | None = None) -> ModelView:
    """Return everything about the version that a reference stands for, and about its model."""
    from fairway.bundle.environment import compare_environment
    from fairway.inference.predictors import choices_of
    from fairway.lifecycle.compiling import report_of

    with open_registry(settings_of(home)) as registry:
        version = registry.resolve(reference)
        bundle = registry.open(version)
        choice = choices_of(bundle)[0]
        summaries = {summary.name: summary for summary in registry.models()}
        return ModelView(
            version=version,
            manifest=bundle.manifest,
            signature=bundle.signature,
            card=bundle.card,
            predictor=choice.name,
            reason=choice.reason,
            compilation=report_of(bundle),
            differences=compare_environment(bundle.environment),
            versions=registry.versions(version.model),
            aliases=summaries[version.model].aliases,
            history=registry.history(version.model),
        )


def alias(reference: str, alias: str, *, reason: str = "", home: str | Path | None = None) -> Move:
    """Let an alias stand for the version that *reference* stands for now.

    Args:
        reference: Usually a version, such as `coffee:2`.
        alias: Name such as `production`.
        reason: Why; kept in the history.
        home: Folder of the registry.
    """
    with open_registry(settings_of(home)) as registry:
        version = registry.resolve(reference)
        return registry.move_alias(version.model, alias, version.version, actor=actor(), reason=reason)


def remove_alias(reference: str, *, reason: str = "", home: str | Path | None = None) -> Move:
    """Take an alias away; its history stays.

    Args:
        reference: The alias, such as `coffee@challenger`.
        reason: Why; kept in the history.
        home: Folder of the registry.
    """
    from fairway.bundle.names import parse_reference

    parsed = parse_reference(reference)
    if parsed.alias is None:
        raise UsageError(f"{reference!r} names no alias", hint="write it like coffee@challenger")
    with open_registry(settings_of(home)) as registry:
        return registry.remove_alias(parsed.model, parsed.alias, actor=actor(), reason=reason)


def rollback(
    model: str,
    alias: str = PRODUCTION,
    *,
    to: int | None = None,
    reason: str = "",
    home: str | Path | None = None,
) -> Move:
    """Let an alias stand for what it stood for before; done again it goes further back.

    No gate stands in the way, and no approval is needed.

    Args:
        model: Name of the model.
        alias: The alias.
        to: How far back: the number of a version that it stood for before. Default: one step.
        reason: Why; kept in the history.
        home: Folder of the registry.

    Raises:
        NothingToRollBack: The alias has no earlier target, or *to* is none.
    """
    with open_registry(settings_of(home)) as registry:
        return registry.rollback(model, alias, to=to, actor=actor(), reason=reason)
