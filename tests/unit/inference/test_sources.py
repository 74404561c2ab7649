"""What a registry tells a server: where references point, what was attached, and what a server tells it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway.bundle.attachment import Attachment, build_attachment
from fairway.bundle.names import Reference
from fairway.errors import AliasNotFound, ModelNotFound
from fairway.inference.sources import Entry, Refusal, RegistrySource
from fairway.registry.registry import Registry, open_registry

Make = Callable[..., Any]


@pytest.fixture
def registry(home: Path, bundles: Make) -> Iterator[Registry]:
    """Give a registry with coffee:1, coffee:2 and tea:1."""
    opened = open_registry(home)
    for bundle in (bundles(1.0), bundles(2.0), bundles(3.0, "tea")):
        opened.register(bundle, actor="ada")
    yield opened
    opened.close()


@pytest.fixture
def source(registry: Registry) -> RegistrySource:
    """Give it as a source of the server `here:1`."""
    return RegistrySource(lambda: registry, server="here:1")


def entry_of(registry: Registry, reference: str, attached: str = "") -> Entry:
    version = registry.resolve(reference)
    return Entry(version.model, version.version, version.digest, attached)


def attach(registry: Registry, name: str, content: bytes) -> Attachment:
    digest = registry.resolve("coffee:1").digest
    attachment = build_attachment(digest, name, {"file": content})
    registry.attach(attachment, actor="ada")
    return attachment


def test_everything_that_can_move_is_looked_at(registry: Registry, source: RegistrySource) -> None:
    """Bare names and aliases of all models, or of those that are named."""
    registry.move_alias("coffee", "production", 1, actor="ada")
    look = source.look([])
    assert look.required == ("coffee", "tea")
    assert look.found == {
        "coffee": entry_of(registry, "coffee:1"),
        "coffee@production": entry_of(registry, "coffee:1"),
        "tea": entry_of(registry, "tea:1"),
    }
    named = source.look([Reference("coffee", 2), Reference("coffee", alias="gone"), Reference("milk")])
    assert named.required == ("coffee:2", "coffee@gone", "milk")
    assert named.found["coffee:2"] == entry_of(registry, "coffee:2")
    assert isinstance(named.found["coffee@gone"], AliasNotFound)
    assert isinstance(named.found["milk"], ModelNotFound)


def test_a_second_look_asks_for_what_has_changed_alone(registry: Registry, source: RegistrySource) -> None:
    """A thousand models that stand still cost a server nothing when one moves."""
    asked: list[str] = []
    resolve = source._resolve
    source._resolve = lambda reference: asked.append(str(reference)) or resolve(reference)  # type: ignore[method-assign, func-returns-value]
    source.look([])
    source.look([])
    registry.move_alias("tea", "production", 1, actor="ada")
    look = source.look([])
    assert asked == ["coffee", "tea", "tea", "tea@production"]
    assert look.found["tea@production"] == entry_of(registry, "tea:1")


def test_what_is_attached_tells_two_entries_apart(registry: Registry, source: RegistrySource) -> None:
    """What decides by what a version is answered, that is; a report of a check decides nothing."""
    before = source.resolve(Reference("coffee", 1))
    attach(registry, "check", b"a report")
    assert source.resolve(Reference("coffee", 1)) == before
    attach(registry, "compiled", b"a predictor")
    after = source.resolve(Reference("coffee", 1))
    assert after != before
    assert dataclasses.replace(after, attached="") == before
    assert source.look([Reference("coffee", 1)]).found["coffee:1"] == after
    attach(registry, "compiled", b"another predictor")
    assert source.resolve(Reference("coffee", 1)) not in (before, after)


def refusals(registry: Registry) -> list[tuple[int | None, str | None, str, str, str]]:
    return [
        (event.version, event.alias, event.actor, event.reason, event.details["code"])
        for event in registry.history("coffee")
        if event.kind == "refused"
    ]


def test_a_refusal_is_one_event_until_somebody_moves_the_alias(
    registry: Registry, source: RegistrySource
) -> None:
    """Of each server, for each reason."""
    registry.move_alias("coffee", "production", 2, actor="ada")
    refusal = Refusal(entry_of(registry, "coffee:2"), "production", "artifact_digest", "It was altered")
    expected = (2, "production", "here:1", "It was altered", "artifact_digest")
    source.refuse(refusal)
    source.refuse(refusal)
    assert refusals(registry) == [expected]
    RegistrySource(lambda: registry, server="there:1").refuse(refusal)
    source.refuse(refusal)
    assert [actor for _, _, actor, _, _ in refusals(registry)] == ["here:1", "there:1"]
    source.refuse(dataclasses.replace(refusal, code="packed_model_differs"))
    assert len(refusals(registry)) == 3
    registry.move_alias("coffee", "production", 1, actor="ada")
    registry.move_alias("coffee", "production", 2, actor="ada")
    source.refuse(refusal)
    assert len(refusals(registry)) == 4
    assert registry.resolve("coffee@production").version == 2


def test_a_refusal_of_the_highest_version_has_no_alias(registry: Registry, source: RegistrySource) -> None:
    """Once, too."""
    refusal = Refusal(entry_of(registry, "coffee:2"), None, "artifact_digest", "It was altered")
    source.refuse(refusal)
    source.refuse(refusal)
    assert [alias for _, alias, *_ in refusals(registry)] == [None]


def test_the_mark_of_an_entry_is_never_nothing(registry: Registry) -> None:
    """Another one for each."""
    marks = {entry_of(registry, reference).mark for reference in ("coffee:1", "coffee:2", "tea:1")}
    assert len(marks) == 3
    assert 0 not in marks
