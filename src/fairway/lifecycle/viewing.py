"""What is known of a version and its model, put together from the registry and the bundle."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairway.bundle.environment import Difference
    from fairway.bundle.manifest import Manifest
    from fairway.bundle.signature import Signature
    from fairway.registry.records import Event, Version
    from fairway.registry.registry import Registry


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


def view_of(registry: Registry, reference: str) -> ModelView:
    """Return everything about the version that a reference stands for, and about its model."""
    from fairway.bundle.environment import compare_environment
    from fairway.inference.predictors import choices_of
    from fairway.lifecycle.compiling import report_of

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
