"""Everything in which two versions differ: what their clients meet, and what their bundles say."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from fairway.bundle.bundle import Bundle
from fairway.lifecycle.compatibility import Compatibility, compare


@dataclasses.dataclass(frozen=True, slots=True)
class FactChange:
    """One fact that two bundles state otherwise.

    Attributes:
        kind: What it is about: `metric`, `hyperparameter`, `tag`, `package`, `lineage`, or `bundle`.
        name: Name of the metric, the package and so on.
        old: What the older one says; None if it says nothing.
        new: What the newer one says; None if it says nothing.
    """

    kind: str
    name: str
    old: Any
    new: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions side by side.

    Attributes:
        old: The older version's reference.
        new: The newer version's reference.
        same: Whether every packed byte is the same.
        compatibility: What changes for clients.
        facts: What the bundles state otherwise.
        card: Lines of the model cards that differ, in the manner of `diff`.
    """

    old: str
    new: str
    same: bool
    compatibility: Compatibility
    facts: tuple[FactChange, ...]
    card: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        return {
            "old": self.old,
            "new": self.new,
            "same": self.same,
            "compatibility": self.compatibility.to_dict(),
            "facts": [dataclasses.asdict(fact) for fact in self.facts],
            "card": list(self.card),
        }


def compare_versions(old: Bundle, new: Bundle, *, names: tuple[str, str]) -> Comparison:
    """Return everything in which two bundles differ.

    Args:
        old: What there is.
        new: What may take its place.
        names: What to call the two.

    Raises:
        BundleError: A file of a bundle is missing or damaged.
    """
    card = difflib.unified_diff(old.card.splitlines(), new.card.splitlines(), *names, lineterm="", n=0)
    return Comparison(
        *names,
        same=old.digest == new.digest,
        compatibility=compare(old, new, names=names),
        facts=tuple(_facts(old, new)),
        card=tuple(card),
    )


def _facts(old: Bundle, new: Bundle) -> Iterator[FactChange]:
    before, now = old.manifest, new.manifest
    yield from _differing("metric", before.metrics, now.metrics)
    yield from _differing("bundle", _about(old), _about(new))
    yield from _differing("hyperparameter", before.hyperparameters, now.hyperparameters)
    yield from _differing("package", _packages(old), _packages(new))
    yield from _differing("tag", before.tags, now.tags)
    yield from _differing("lineage", before.lineage, now.lineage)


def _about(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "flavor": manifest.flavor,
        "model type": manifest.model_type,
        "size": manifest.size,
        "description": manifest.description,
        "author": manifest.author,
        "own code": ", ".join(sorted(bundle.code)),
        "trusted types": ", ".join(sorted(manifest.trusted)),
        "fairway": manifest.fairway,
    }


def _packages(bundle: Bundle) -> dict[str, str]:
    lock = bundle.environment
    place = {
        name: str(lock[key]) for name, key in (("Python", "python"), ("platform", "platform")) if key in lock
    }
    return place | {name: str(version) for name, version in lock.get("packages", {}).items()}


def _differing(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FactChange]:
    for name in dict.fromkeys([*old, *new]):
        before, now = old.get(name), new.get(name)
        if type(before) is not type(now) or before != now:
            yield FactChange(kind, name, before, now)
