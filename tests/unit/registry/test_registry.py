"""The registry's verbs: what they do, record, refuse and say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fairway.bundle.bundle import Bundle
from fairway.bundle.names import Reference
from fairway.errors import (
    AliasNotFound,
    ArtifactDigest,
    FairwayError,
    ModelNotFound,
    NameInvalid,
    NothingToRollBack,
    UsageError,
    VersionNotFound,
)
from fairway.registry.registry import Registry, open_registry

MakeBundle = Callable[..., Bundle]


def push(registry: Registry, bundle: Bundle, *, times: int = 1) -> None:
    """Register a bundle several times."""
    for _ in range(times):
        registry.register(bundle, actor="ada")


def point(registry: Registry, *versions: int, alias: str = "production") -> None:
    """Move an alias of coffee to one version after the other."""
    for version in versions:
        registry.move_alias("coffee", alias, version, actor="ada")


def blobs(home: Path) -> list[Path]:
    """Return every file below the artifacts folder."""
    return [path for path in (home / "artifacts").rglob("*") if path.is_file()]


class TestRegister:
    def test_a_version_says_what_was_registered(self, registry: Registry, make_bundle: MakeBundle) -> None:
        """Everything about the version comes from the bundle, the number from the registry."""
        bundle = make_bundle(tags={"team": "beans"}, metrics={"r2": 0.5})

        version = registry.register(bundle, actor="ada", reason="first try")

        assert ("coffee", 1, bundle.digest) == (version.model, version.version, version.digest)
        assert (version.flavor, version.model_type, version.actor) == ("sklearn", "Ridge", "ada")
        assert (version.tags, version.metrics) == ({"team": "beans"}, {"r2": 0.5})
        assert sum(entry.size for entry in bundle.manifest.files.values()) == version.size
        assert version.reference == "coffee:1"
        assert registry.resolve("coffee:1") == version

    def test_numbers_grow_by_one_per_model(self, registry: Registry, make_bundle: MakeBundle) -> None:
        """Each model counts for itself, also when the bytes are the same."""
        numbers = [registry.register(make_bundle(), name=name, actor="ada").version for name in "aabab"]

        assert numbers == [1, 2, 1, 3, 2]

    def test_the_same_bytes_are_stored_once(
        self, registry: Registry, make_bundle: MakeBundle, home: Path
    ) -> None:
        """Two versions of one content share every file."""
        push(registry, make_bundle(), times=2)

        assert len(blobs(home)) == len(make_bundle().manifest.files) + 1

    @pytest.mark.parametrize(
        "name", ["../x", "a/b", "CON", "con", "", "a" * 65, "☕", "<script>alert(1)</script>"]
    )
    def test_a_bad_name_leaves_no_trace(
        self, registry: Registry, make_bundle: MakeBundle, home: Path, name: str
    ) -> None:
        """The name is checked before the first byte is written."""
        with pytest.raises(NameInvalid):
            registry.register(make_bundle(), name=name, actor="ada")

        assert registry.models() == []
        assert blobs(home) == []

    @pytest.mark.parametrize(
        ("actor", "reason"),
        [("ada", "caf\udce9"), ("ada", "a\0b"), ("ada", "x" * 2_001), ("x" * 201, ""), ("\udc80", "")],
    )
    def test_text_that_no_database_holds_is_refused_before_anything_is_written(
        self, registry: Registry, make_bundle: MakeBundle, home: Path, actor: str, reason: str
    ) -> None:
        """Broken bytes from a command line are a usage error, not a fault of the store."""
        with pytest.raises(UsageError):
            registry.register(make_bundle(), actor=actor, reason=reason)

        assert registry.models() == []
        assert blobs(home) == []

    def test_a_bundle_that_does_not_hold_what_its_manifest_names_is_refused(
        self, registry: Registry, make_bundle: MakeBundle
    ) -> None:
        """The bytes that were stored are compared with the manifest once more."""

        class Forged(Bundle):
            def read(self, path: str) -> bytes:
                return b"not the file " + path.encode()

        with pytest.raises(ArtifactDigest, match="is not the file that the manifest names"):
            registry.register(Forged(make_bundle().manifest, bytes), actor="ada")

        assert registry.models() == []

    def test_a_stopped_register_makes_no_version(
        self, registry: Registry, make_bundle: MakeBundle, home: Path
    ) -> None:
        """Ctrl-C between two files leaves no row and no temporary file."""

        class Stopped(Bundle):
            def read(self, path: str) -> bytes:
                if path == "signature.json":
                    raise KeyboardInterrupt
                return super().read(path)

        whole = make_bundle()
        with pytest.raises(KeyboardInterrupt):
            registry.register(Stopped(whole.manifest, whole.files), actor="ada")

        assert registry.models() == []
        assert not list((home / "artifacts").glob(".*"))


class TestResolve:
    def test_a_bare_name_is_the_highest_version_until_production_is_set(
        self, registry: Registry, make_bundle: MakeBundle
    ) -> None:
        """The first push sets no alias; once production is there, it decides."""
        push(registry, make_bundle(), times=3)
        assert registry.resolve("coffee").version == 3

        point(registry, 2)
        assert registry.resolve("coffee").version == 2
        assert registry.resolve(Reference("coffee")).aliases == ("production",)

        registry.remove_alias("coffee", "production", actor="ada")
        assert registry.resolve("coffee").version == 3

    def test_an_alias_and_a_number_mean_one_version(
        self, registry: Registry, make_bundle: MakeBundle
    ) -> None:
        """The version lists its aliases, sorted."""
        push(registry, make_bundle(), times=2)
        point(registry, 1)
        point(registry, 1, alias="blue")

        assert registry.resolve("coffee@blue") == registry.resolve("coffee:1")
        assert registry.resolve("coffee:1").aliases == ("blue", "production")
        assert registry.resolve("coffee:2").aliases == ()

    @pytest.mark.parametrize(
        ("reference", "error", "hint"),
        [
            ("cofee", ModelNotFound, "did you mean 'coffee'?"),
            ("tea", ModelNotFound, "fairway list shows every model"),
            ("coffee:2", VersionNotFound, "the highest version is coffee:1"),
            ("coffee:0", VersionNotFound, "the highest version is coffee:1"),
            (Reference("coffee", 10**30), VersionNotFound, "the highest version is coffee:1"),
            ("coffee@prodution", AliasNotFound, "did you mean 'coffee@production'?"),
            ("coffee@x", AliasNotFound, "there is coffee@production"),
            ("coffee:x", NameInvalid, "a version is a number"),
        ],
    )
    def test_what_is_not_there_is_answered_with_what_is(
        self,
        registry: Registry,
        make_bundle: MakeBundle,
        reference: str | Reference,
        error: type[FairwayError],
        hint: str,
    ) -> None:
        """The hint names the similar thing, or how to find it."""
        push(registry, make_bundle())
        point(registry, 1)

        with pytest.raises(error) as caught:
            registry.resolve(reference)

        assert hint in caught.value.hint

    def test_in_an_empty_registry_the_first_push_is_proposed(self, registry: Registry) -> None:
        """A newcomer is told what to do."""
        with pytest.raises(ModelNotFound) as caught:
            registry.resolve("coffee")

        assert "fairway push" in caught.value.hint

    def test_a_model_without_aliases_is_answered_with_the_command_that_sets_one(
        self, registry: Registry, make_bundle: MakeBundle
    ) -> None:
        """The hint can be copied."""
        push(registry, make_bundle())

        with pytest.raises(AliasNotFound) as caught:
            registry.resolve("coffee@production")

        assert "fairway alias coffee:1 production" in caught.value.hint


class TestOpen:
    def test_the_bundle_comes_back_byte_for_byte(self, registry: Registry, make_bundle: MakeBundle) -> None:
        """What is opened is what was registered, with the same digest."""
        bundle = make_bundle()
        version = registry.register(bundle, actor="ada")

        opened = registry.open(version)

        assert opened.digest == bundle.digest == version.digest
        assert {path: opened.read(path) for path in opened.manifest.files} == {
            path: bundle.read(path) for path in bundle.manifest.files
        }

    def test_a_flipped_bit_is_refused(self, registry: Registry, make_bundle: MakeBundle, home: Path) -> None:
        """Every file is compared with its hash, the manifest too, and `check` names the version."""
        version = registry.register(make_bundle(), actor="ada")
        for path in blobs(home):
            whole = path.read_bytes()
            path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
            with pytest.raises(ArtifactDigest):
                registry.open(version)
            assert len(registry.check()) == 1
            assert registry.check()[0].startswith("coffee:1: ")
            path.write_bytes(whole)

        assert registry.check() == []

    def test_a_missing_file_is_named(self, registry: Registry, make_bundle: MakeBundle, home: Path) -> None:
        """The message holds the digest of the file that has to be brought back."""
        version = registry.register(make_bundle(), actor="ada")
        entry = make_bundle().manifest.files["model/model.bin"]
        (home / "artifacts" / "sha256" / entry.sha256[:2] / entry.sha256).unlink()

        with pytest.raises(ArtifactDigest, match=entry.sha256):
            registry.open(version)

    def test_registering_again_heals_a_damaged_file(
        self, registry: Registry, make_bundle: MakeBundle, home: Path
    ) -> None:
        """A push never counts on bytes that it did not look at."""
        version = registry.register(make_bundle(), actor="ada")
        for path in blobs(home):
            path.write_bytes(path.read_bytes()[:-1])

        push(registry, make_bundle())

        assert registry.open(version).digest == version.digest


class TestAliases:
    def test_a_move_tells_from_and_to(self, registry: Registry, make_bundle: MakeBundle) -> None:
        """The first move comes from nowhere, the next from where the alias was."""
        push(registry, make_bundle(), times=2)

        first = registry.move_alias("coffee", "production", 1, actor="ada")
        second = registry.move_alias("coffee", "production", 2, actor="ada")

        assert (first.from_version, first.to_version) == (None, 1)
        assert (second.from_version, second.to_version) == (1, 2)
        assert second.seq > first.seq

    def test_rollback_steps_further_back_and_never_toggles(
        self, registry: Registry, make_bundle: MakeBundle
    ) -> None:
        """Three moves, two rollbacks, then nothing is left to go back to."""
        push(registry, make_bundle(), times=3)
        point(registry, 1, 2, 3)

        moves = [registry.rollback("coffee", actor="bob") for _ in range(2)]

        assert [(move.from_version, move.to_version) for move in moves] == [(3, 2), (2, 1)]
        with pytest.raises(NothingToRollBack):
            registry.rollback("coffee", actor="bob")
        assert registry.resolve("coffee").version == 1

    def test_a_removed_alias_comes_back_by_rollback(
        self, registry: Registry, make_bundle: MakeBundle
    ) -> None:
        """Taking an alias away can be undone like any move."""
        push(registry, make_bundle(), times=2)
        point(registry, 1, 2)

        gone = registry.remove_alias("coffee", "production", actor="ada")
        back = registry.rollback("coffee", actor="ada")

        assert (gone.from_version, gone.to_version) == (2, None)
        assert (back.from_version, back.to_version) == (None, 2)
        assert registry.rollback("coffee", actor="ada").to_version == 1

    def test_a_move_to_the_same_version_records_nothing(
        self, registry: Registry, make_bundle: MakeBundle
    ) -> None:
        """An alias that is there already stays, and its history keeps one entry."""
        push(registry, make_bundle())
        first = registry.move_alias("coffee", "production", 1, actor="ada")

        again = registry.move_alias("coffee", "production", 1, actor="bob")

        assert (1, 1, first.seq) == (again.from_version, again.to_version, again.seq)
        assert len(registry.history("coffee")) == 2

    @pytest.mark.parametrize(
        ("model", "alias", "version", "error"),
        [
            ("tea", "production", 1, ModelNotFound),
            ("coffee", "production", 2, VersionNotFound),
            ("coffee", "production", 0, VersionNotFound),
            ("coffee", "production", 2**70, VersionNotFound),
            ("coffee", "Prod", 1, NameInvalid),
            ("../coffee", "production", 1, NameInvalid),
        ],
    )
    def test_a_refused_move_changes_nothing(
        self,
        registry: Registry,
        make_bundle: MakeBundle,
        model: str,
        alias: str,
        version: int,
        error: type[FairwayError],
    ) -> None:
        """No alias and no event is left by a move that was refused."""
        push(registry, make_bundle())

        with pytest.raises(error):
            registry.move_alias(model, alias, version, actor="ada")

        assert [event.kind for event in registry.history("coffee")] == ["register"]
        assert registry.models()[0].aliases == {}

    def test_an_alias_that_never_was_is_not_found(self, registry: Registry, make_bundle: MakeBundle) -> None:
        """Rollback and removal of an unknown alias say so."""
        push(registry, make_bundle())

        with pytest.raises(AliasNotFound):
            registry.rollback("coffee", "production", actor="ada")
        with pytest.raises(AliasNotFound):
            registry.remove_alias("coffee", "production", actor="ada")
        with pytest.raises(ModelNotFound):
            registry.rollback("tea", actor="ada")


class TestHistory:
    def test_every_change_is_told_with_who_why_from_and_to(
        self, registry: Registry, make_bundle: MakeBundle
    ) -> None:
        """The story of a model, oldest first."""
        push(registry, make_bundle(), times=2)
        registry.move_alias("coffee", "production", 1, actor="ada", reason="go")
        registry.move_alias("coffee", "production", 2, actor="bob", reason="better")
        registry.rollback("coffee", actor="eve", reason="it was not")
        registry.remove_alias("coffee", "production", actor="eve")

        told = [
            (event.kind, event.actor, event.version, event.from_version, event.to_version, event.reason)
            for event in registry.history("coffee")
        ]

        assert told == [
            ("register", "ada", 1, None, None, ""),
            ("register", "ada", 2, None, None, ""),
            ("alias", "ada", None, None, 1, "go"),
            ("alias", "bob", None, 1, 2, "better"),
            ("rollback", "eve", None, 2, 1, "it was not"),
            ("alias_removed", "eve", None, 1, None, ""),
        ]

    def test_the_order_does_not_depend_on_the_clock(
        self, registry: Registry, make_bundle: MakeBundle
    ) -> None:
        """A clock that goes back by an hour at every look spoils the times, not the order."""
        moments = (datetime(2026, 5, 3, 12, tzinfo=UTC) - timedelta(hours=n) for n in range(100))
        backwards = Registry(registry.metadata, registry.artifacts, clock=lambda: next(moments))
        push(backwards, make_bundle(), times=3)
        point(backwards, 1, 2, 3)
        backwards.rollback("coffee", actor="ada")

        events = backwards.history("coffee")

        assert sorted((event.at for event in events), reverse=True) == [event.at for event in events]
        assert events[0].at == "2026-05-03T12:00:00.000Z"
        assert [version.version for version in backwards.versions("coffee")] == [1, 2, 3]
        assert backwards.resolve("coffee").version == 2

    def test_models_are_summed_up(self, registry: Registry, make_bundle: MakeBundle) -> None:
        """One line per model, sorted by name, with its aliases."""
        push(registry, make_bundle(name="tea"))
        push(registry, make_bundle(), times=2)
        point(registry, 1)

        coffee, tea = registry.models()

        assert (
            coffee.name,
            coffee.latest,
            coffee.aliases,
            coffee.n_versions,
        ) == ("coffee", 2, {"production": 1}, 2)
        assert (tea.name, tea.latest, tea.aliases, tea.n_versions) == ("tea", 1, {}, 1)
        assert registry.versions("coffee")[0].created_at == coffee.created_at

    @pytest.mark.parametrize("verb", ["versions", "history"])
    def test_an_unknown_model_has_no_story(self, registry: Registry, verb: str) -> None:
        """An empty list would say that the model is there."""
        with pytest.raises(ModelNotFound):
            getattr(registry, verb)("coffee")


class TestReopened:
    def test_everything_is_there_after_closing(self, home: Path, make_bundle: MakeBundle) -> None:
        """A registry lives in its folder, not in the process."""
        with open_registry(home) as registry:
            push(registry, make_bundle(), times=2)
            point(registry, 1, 2)
            before = (registry.models(), registry.versions("coffee"), registry.history("coffee"))

        with open_registry(home) as registry:
            assert (registry.models(), registry.versions("coffee"), registry.history("coffee")) == before
            assert registry.register(make_bundle(), actor="ada").version == 3

    def test_a_version_cannot_be_changed(self, registry: Registry, make_bundle: MakeBundle) -> None:
        """What the registry hands out is a record."""
        version = registry.register(make_bundle(), actor="ada")

        with pytest.raises(dataclasses.FrozenInstanceError):
            version.digest = "0" * 64  # type: ignore[misc]
