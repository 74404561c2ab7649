"""Find what a name means in a view of the registry, or say what there is instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from fairway.bundle.names import check_name
from fairway.errors import AliasNotFound, ModelNotFound, VersionNotFound
from fairway.registry.metadata.base import View
from fairway.registry.records import Version


def find_latest(view: View, model: str) -> int:
    """Return the highest number that a version of a model ever had.

    Raises:
        NameInvalid: The name is outside the grammar, so no model can have it.
        ModelNotFound: No model has this name.
    """
    latest = view.latest(check_name("model", model))
    if latest is None:
        names = [summary.name for summary in view.models()]
        fallback = (
            "fairway list shows every model" if names else "there is no model yet; fairway push adds one"
        )
        raise ModelNotFound(model, hint=_did_you_mean(model, names) or fallback)
    return latest


def find_version(view: View, model: str, number: int) -> Version:
    """Return one version of a model that is there.

    Raises:
        VersionNotFound: The model has no version of this number.
    """
    latest = find_latest(view, model)
    # The comparison comes first because a database takes no integer of any size.
    found = view.version(model, number) if 0 < number <= latest else None
    if found is None:
        gone = view.version(model, number, deleted=True) if 0 < number <= latest else None
        deleted = gone.deleted_at if gone is not None else None
        hint = f"it was deleted at {deleted}; its story: fairway show {model} --history"
        hint = hint if deleted else f"the highest version is {model}:{latest}"
        raise VersionNotFound(model, number, hint=hint)
    return found


def alias_not_found(model: str, alias: str, known: Iterable[str]) -> AliasNotFound:
    """Return the error for an alias that a model does not have, with those that it has."""
    shown = [f"{model}@{name}" for name in known]
    fallback = f"there is {', '.join(shown)}" if shown else f"set it with: fairway alias {model}:1 {alias}"
    similar = _did_you_mean(f"{model}@{alias}", shown)
    return AliasNotFound(model, alias, hint=similar or fallback)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that names the most similar known name, or the empty string."""
    similar = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {similar[0]!r}?" if similar else ""
