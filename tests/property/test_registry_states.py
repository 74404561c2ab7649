"""The registry against dicts that do the same: any order of verbs and crashes, the same on both databases.

After every step the whole registry is compared with the plain model, every version that is there is opened,
and the chain of events is verified. `FAIRWAY_TEST_STATES=200x50` runs 200 examples of up to 50 steps.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from fairway.bundle.bundle import Bundle, build_bundle
from fairway.errors import (
    AliasNotFound,
    Conflict,
    ModelNotFound,
    NothingToRollBack,
    VersionLive,
    VersionNotFound,
)
from fairway.registry.collecting import collect
from fairway.registry.records import Event, KeyRecord, Version
from fairway.registry.registry import Registry, open_registry

EXAMPLES, STEPS = map(int, os.environ.get("FAIRWAY_TEST_STATES", "6x20").split("x"))

MODELS = st.sampled_from(["coffee", "tea"])
ALIASES = st.sampled_from(["production", "challenger"])
NUMBERS = st.integers(0, 4)
CONTENTS = st.integers(0, 2)


class CrashedError(Exception):
    """The process is gone in the middle of a transaction."""


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

    def __init__(self, database: str) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="registry-")
        self.database = database
        self.moments = (datetime(2030, 1, 1, tzinfo=UTC) - timedelta(days=n) for n in range(10_000))
        self.registry = self.opened()
        self.abandoned: list[Registry] = []
        self.latest: dict[str, int] = {}
        self.digests: dict[str, dict[int, str]] = {}
        self.stacks: dict[tuple[str, str], list[int]] = {}
        self.removed: set[tuple[str, str]] = set()
        self.keys: dict[str, bool] = {}
        self.kinds: list[tuple[str, str | None]] = []

    def teardown(self) -> None:
        """Close what is open and remove the folder."""
        for registry in (self.registry, *self.abandoned):
            registry.close()
        self.folder.cleanup()

    def opened(self) -> Registry:
        """Return the registry as a new process opens it, with a clock that runs backwards."""
        registry = open_registry(Path(self.folder.name), database=self.database)
        return Registry(registry.metadata, registry.artifacts, clock=lambda: next(self.moments))

    def target(self, model: str, alias: str) -> int | None:
        """Return where the plain model says that an alias points."""
        key = (model, alias)
        return None if key in self.removed or key not in self.stacks else self.stacks[key][-1]

    def absent(self, model: str, otherwise: type[Exception]) -> type[Exception]:
        """Return the error about something that a model lacks, if it is not the model that is not there."""
        return otherwise if model in self.latest else ModelNotFound

    # -- processes come and go ---------------------------------------------------------------------------

    @rule()
    def reopen(self) -> None:
        """A process ends as it should, and another starts."""
        self.registry.close()
        self.registry = self.opened()

    @rule(model=MODELS, content=CONTENTS)
    def crash(self, model: str, content: int) -> None:
        """A process dies before its commit: files are stored, the connection is gone, nothing happened."""
        bundle = tiny_bundle(content)
        self.registry._store(bundle)
        with pytest.raises(CrashedError):
            self.write_and_die(model, bundle.digest)
        self.abandoned.append(self.registry)
        self.registry = self.opened()

    def write_and_die(self, model: str, digest: str) -> None:
        """Do everything but the commit."""
        moment = "2026-01-01T00:00:00.000Z"
        with self.registry.metadata.write() as change:
            number = change.claim_number(model, at=moment)
            facts = {"flavor": "sklearn", "model_type": "", "created_at": moment, "actor": "eve", "size": 1}
            change.add_version(Version(model, number, digest=digest, tags={}, metrics={}, **facts))
            change.append(Event(kind="register", model=model, version=number, at=moment, actor="eve"))
            change._connection.invalidate()
            raise CrashedError

    # -- verbs -------------------------------------------------------------------------------------------

    @rule(model=MODELS, content=CONTENTS)
    def register(self, model: str, content: int) -> None:
        """The next number, whatever the bytes; a number that was deleted or lost never returns."""
        token = self.registry.change_token()
        bundle = tiny_bundle(content)
        version = self.registry.register(bundle, name=model, actor="ada")
        self.latest[model] = self.latest.get(model, 0) + 1
        self.digests.setdefault(model, {})[self.latest[model]] = bundle.digest
        self.kinds.append(("register", model))
        assert version.version == self.latest[model]
        assert self.registry.change_token() != token

    @rule(model=MODELS, number=NUMBERS)
    def check(self, model: str, number: int) -> None:
        """A report about a version that is there, or refused."""
        if number not in self.digests.get(model, {}):
            with pytest.raises(self.absent(model, VersionNotFound)):
                self.registry.record("check", model=model, version=number, actor="ada")
            return
        seq = self.registry.record(
            "check", model=model, version=number, actor="ada", details={"passed": True, "auc": 0.5}
        )
        self.kinds.append(("check", model))
        assert seq == len(self.kinds)

    @rule(model=MODELS, alias=ALIASES, number=NUMBERS)
    def move(self, model: str, alias: str, number: int) -> None:
        """To a version that is there, or refused."""
        before = self.target(model, alias)
        if number not in self.digests.get(model, {}):
            with pytest.raises(self.absent(model, VersionNotFound)):
                self.registry.move_alias(model, alias, number, actor="ada")
            return
        move = self.registry.move_alias(model, alias, number, actor="ada")
        assert (move.from_version, move.to_version) == (before, number)
        self.moved("alias", model, alias, number)

    @rule(model=MODELS, alias=ALIASES, number=NUMBERS, expected=st.one_of(st.none(), NUMBERS))
    def promote(self, model: str, alias: str, number: int, expected: int | None) -> None:
        """Only over the version that it was compared with."""
        before = self.target(model, alias)
        if number not in self.digests.get(model, {}):
            error = self.absent(model, VersionNotFound)
        elif before != expected:
            error = Conflict
        else:
            move = self.registry.promote(model, number, alias=alias, actor="ada", expected=expected)
            assert (move.from_version, move.to_version) == (before, number)
            self.moved("promote", model, alias, number)
            return
        with pytest.raises(error):
            self.registry.promote(model, number, alias=alias, actor="ada", expected=expected)

    @rule(model=MODELS, alias=ALIASES, number=st.integers(1, 4))
    def promote_over_what_is_live(self, model: str, alias: str, number: int) -> None:
        """As a gate does that has just looked."""
        self.promote(model, alias, number, self.target(model, alias))

    def moved(self, kind: str, model: str, alias: str, number: int) -> None:
        """Note a move; one that leads nowhere else is no event."""
        if self.target(model, alias) != number:
            self.kinds.append((kind, model))
        stack = self.stacks.setdefault((model, alias), [])
        if stack[-1:] != [number]:
            stack.append(number)
        self.removed.discard((model, alias))

    @rule(model=MODELS, alias=ALIASES)
    def remove(self, model: str, alias: str) -> None:
        """An alias that is there, or refused."""
        before = self.target(model, alias)
        if before is None:
            with pytest.raises(self.absent(model, AliasNotFound)):
                self.registry.remove_alias(model, alias, actor="ada")
            return
        move = self.registry.remove_alias(model, alias, actor="ada")
        assert (move.from_version, move.to_version) == (before, None)
        self.removed.add((model, alias))
        self.kinds.append(("alias_removed", model))

    @rule(model=MODELS, alias=ALIASES)
    def rollback(self, model: str, alias: str) -> None:
        """One step further back each time, past what was deleted, until nothing is left."""
        key = (model, alias)
        if key not in self.stacks:
            with pytest.raises(self.absent(model, AliasNotFound)):
                self.registry.rollback(model, alias, actor="ada")
            return
        before = self.target(model, alias)
        left = self.stacks[key][:-1] if before is not None else list(self.stacks[key])
        while left and (left[-1] not in self.digests[model] or left[-1] == before):
            left.pop()
        if not left:
            with pytest.raises(NothingToRollBack):
                self.registry.rollback(model, alias, actor="ada")
            return
        move = self.registry.rollback(model, alias, actor="ada")
        assert (move.from_version, move.to_version) == (before, left[-1])
        self.stacks[key] = left
        self.removed.discard(key)
        self.kinds.append(("rollback", model))

    @rule(model=MODELS, number=NUMBERS)
    def delete(self, model: str, number: int) -> None:
        """A version that no alias points to, or refused."""
        live = {self.target(model, alias) for _, alias in self.stacks}
        if number not in self.digests.get(model, {}):
            error = self.absent(model, VersionNotFound)
        elif number in live:
            error = VersionLive
        else:
            self.registry.delete(model, number, actor="ada")
            del self.digests[model][number]
            self.kinds.append(("delete", model))
            return
        with pytest.raises(error):
            self.registry.delete(model, number, actor="ada")

    @rule()
    def gc(self) -> None:
        """What nothing refers to is removed; that every version still opens is checked after each step."""
        if collect(self.registry, older_than_s=0, actor="ada").files:
            self.kinds.append(("gc", None))

    @rule()
    def create_key(self) -> None:
        """Another key."""
        key = KeyRecord(
            id=f"{len(self.keys):08d}",
            name="",
            secret_hash="0" * 64,
            role="read",
            models=(),
            created_at="",
            created_by="ada",
        )
        self.registry.add_key(key, actor="ada")
        self.keys[key.id] = True
        self.kinds.append(("key_created", None))

    @rule(number=NUMBERS)
    def revoke_key(self, number: int) -> None:
        """For good; the second time is no event."""
        key = f"{number:08d}"
        if key in self.keys:
            self.registry.revoke_key(key, actor="ada")
            if self.keys[key]:
                self.kinds.append(("key_revoked", None))
            self.keys[key] = False

    # -- what holds after every step ---------------------------------------------------------------------

    @invariant()
    def models_agree(self) -> None:
        """Names, highest numbers and aliases, each of which points to one version that is there."""
        expected = {model: {} for model in sorted(self.digests) if self.digests[model]}
        for model, alias in sorted(self.stacks):
            if (to := self.target(model, alias)) is not None:
                expected[model][alias] = to
                assert to in self.digests[model]
        found = {summary.name: summary for summary in self.registry.models()}
        assert {name: summary.aliases for name, summary in found.items()} == expected
        assert all(found[name].latest == max(self.digests[name]) for name in expected)

    @invariant()
    def versions_agree(self) -> None:
        """Numbers, contents, and what a bare name stands for; every version opens, which hashes its files."""
        for model, digests in self.digests.items():
            versions = self.registry.versions(model)
            assert [(version.version, version.digest) for version in versions] == sorted(digests.items())
            everything = self.registry.versions(model, deleted=True)
            assert [version.version for version in everything] == list(range(1, self.latest[model] + 1))
            for version in versions:
                assert self.registry.open(version).digest == version.digest
            if digests:
                bare = self.registry.resolve(model)
                assert bare.version == (self.target(model, "production") or max(digests))

    @invariant()
    def the_record_agrees(self) -> None:
        """One event per change, in their order and without gaps, in a chain that holds."""
        events = self.registry.audit()
        assert [(event.kind, event.model) for event in events] == self.kinds
        assert [event.seq for event in events] == list(range(1, len(self.kinds) + 1))
        assert self.registry.verify_audit() is None
        assert self.registry.head().seq == len(self.kinds)
        for model in self.latest:
            assert self.registry.history(model) == [event for event in events if event.model == model]

    @invariant()
    def keys_agree(self) -> None:
        """Every key that was made, and whether it is revoked."""
        found = {key.id: key.revoked_at is None for key in self.registry.keys()}  # noqa: SIM118 - no dict
        assert found == self.keys


@pytest.fixture(params=["postgres", "sqlite"])
def new_database(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Give the function that returns the address of an empty database; empty for one in the home folder."""
    if request.param == "sqlite":
        return str
    return request.getfixturevalue("postgres").url


def test_a_registry_does_what_dicts_do(new_database: Callable[[], str]) -> None:
    """In any order of verbs, restarts and crashes."""
    run_state_machine_as_test(
        lambda: RegistryStates(new_database()),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
