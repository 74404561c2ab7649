"""The registry against a dict that does the same: any order of verbs, with reopening in between."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from fairway.bundle.bundle import Bundle, build_bundle
from fairway.errors import AliasNotFound, ModelNotFound, NothingToRollBack, VersionNotFound
from fairway.registry.registry import Registry, open_registry

MODELS = st.sampled_from(["coffee", "tea"])
ALIASES = st.sampled_from(["production", "challenger"])
NUMBERS = st.integers(0, 4)


def tiny_bundle(content: int) -> Bundle:
    """Return a bundle of one file."""
    return build_bundle(
        {"model.bin": b"%d" % content},
        name="coffee",
        flavor="sklearn",
        created="",
        model_type="Ridge",
        python="",
        fairway="",
    )


class RegistryStates(RuleBasedStateMachine):
    """Drives a real registry and a plain model of it side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="registry-")
        self.registry: Registry = open_registry(Path(self.folder.name))
        self.digests: dict[str, list[str]] = {}
        self.stacks: dict[tuple[str, str], list[int]] = {}
        self.removed: set[tuple[str, str]] = set()
        self.kinds: dict[str, list[str]] = {}
        self.moments = (datetime(2030, 1, 1, tzinfo=UTC) - timedelta(days=n) for n in range(10_000))
        self.reopen()

    def teardown(self) -> None:
        """Close the registry and remove its folder."""
        self.registry.close()
        self.folder.cleanup()

    def target(self, model: str, alias: str) -> int | None:
        """Return where the plain model says that an alias points."""
        key = (model, alias)
        return None if key in self.removed or key not in self.stacks else self.stacks[key][-1]

    @rule()
    def reopen(self) -> None:
        """A new process with a clock that runs backwards."""
        self.registry.close()
        opened = open_registry(Path(self.folder.name))
        self.registry = Registry(opened.metadata, opened.artifacts, clock=lambda: next(self.moments))

    @rule(model=MODELS, content=st.integers(0, 2))
    def register(self, model: str, content: int) -> None:
        """The next number, whatever the bytes."""
        token = self.registry.change_token()
        bundle = tiny_bundle(content)
        version = self.registry.register(bundle, name=model, actor="ada")
        self.digests.setdefault(model, []).append(bundle.digest)
        self.kinds.setdefault(model, []).append("register")
        assert version.version == len(self.digests[model])
        assert self.registry.change_token() != token

    @rule(model=MODELS, alias=ALIASES, number=NUMBERS)
    def move(self, model: str, alias: str, number: int) -> None:
        """To a version that is there, or refused."""
        if not 0 < number <= len(self.digests.get(model, ())):
            with pytest.raises(VersionNotFound if model in self.digests else ModelNotFound):
                self.registry.move_alias(model, alias, number, actor="ada")
            return
        before = self.target(model, alias)
        move = self.registry.move_alias(model, alias, number, actor="ada")
        assert (move.from_version, move.to_version) == (before, number)
        stack = self.stacks.setdefault((model, alias), [])
        if stack[-1:] != [number]:
            stack.append(number)
        if before != number:
            self.kinds[model].append("alias")
        self.removed.discard((model, alias))

    @rule(model=MODELS, alias=ALIASES)
    def remove(self, model: str, alias: str) -> None:
        """An alias that is there, or refused."""
        before = self.target(model, alias)
        if before is None:
            with pytest.raises(AliasNotFound if model in self.digests else ModelNotFound):
                self.registry.remove_alias(model, alias, actor="ada")
            return
        move = self.registry.remove_alias(model, alias, actor="ada")
        assert (move.from_version, move.to_version) == (before, None)
        self.removed.add((model, alias))
        self.kinds[model].append("alias_removed")

    @rule(model=MODELS, alias=ALIASES)
    def rollback(self, model: str, alias: str) -> None:
        """One step further back each time, until nothing is left."""
        key = (model, alias)
        before = self.target(model, alias)
        if key not in self.stacks:
            with pytest.raises(AliasNotFound if model in self.digests else ModelNotFound):
                self.registry.rollback(model, alias, actor="ada")
            return
        if before is not None and len(self.stacks[key]) == 1:
            with pytest.raises(NothingToRollBack):
                self.registry.rollback(model, alias, actor="ada")
            return
        if before is not None:
            self.stacks[key].pop()
        self.removed.discard(key)
        self.kinds[model].append("rollback")
        move = self.registry.rollback(model, alias, actor="ada")
        assert (move.from_version, move.to_version) == (before, self.stacks[key][-1])

    @invariant()
    def models_agree(self) -> None:
        """Names, highest numbers and aliases."""
        expected: dict[str, dict[str, int]] = {model: {} for model in sorted(self.digests)}
        for model, alias in sorted(self.stacks):
            if (to := self.target(model, alias)) is not None:
                expected[model][alias] = to
        found = {summary.name: summary for summary in self.registry.models()}
        assert {name: summary.aliases for name, summary in found.items()} == expected
        assert all(found[name].latest == len(digests) for name, digests in self.digests.items())

    @invariant()
    def versions_agree(self) -> None:
        """Numbers, contents, and what a bare name stands for; every version opens."""
        for model, digests in self.digests.items():
            versions = self.registry.versions(model)
            assert [(version.version, version.digest) for version in versions] == list(enumerate(digests, 1))
            bare = self.registry.resolve(model)
            assert bare.version == (self.target(model, "production") or len(digests))
            assert self.registry.open(bare).digest == bare.digest

    @invariant()
    def histories_agree(self) -> None:
        """One event per change, in their order."""
        for model, kinds in self.kinds.items():
            events = self.registry.history(model)
            assert [event.kind for event in events] == kinds
            assert [event.seq for event in events] == sorted({event.seq for event in events})


TestRegistryStates = RegistryStates.TestCase
TestRegistryStates.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)
