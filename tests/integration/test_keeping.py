"""Clean-up, backup and exchange, on every kind of store, while others write, and with damaged files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fairway.bundle.attachment import build_attachment
from fairway.errors import (
    ArtifactCorrupt,
    ArtifactDigest,
    FairwayError,
    RegistryInvalid,
    RegistryNotEmpty,
    UsageError,
)
from fairway.registry.artifacts.local import LocalArtifacts
from fairway.registry.backup import back_up, restore
from fairway.registry.collecting import collect
from fairway.registry.records import KeyRecord
from fairway.registry.registry import Registry, open_registry

from .kill9 import tiny_bundle

OpenPlace = Callable[[str], Registry]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenPlace]:
    """Give the function that opens an empty registry by the kind of its stores."""
    opened: list[Registry] = []

    def open_place(kind: str) -> Registry:
        home = tmp_path / f"home-{len(opened)}"
        options: dict[str, Any] = {}
        if kind == "s3":
            options["artifacts"] = f"{request.getfixturevalue('s3_url')}/{len(opened)}"
        if kind == "postgres":
            try:
                options["database"] = request.getfixturevalue("postgres").url()
            except pytest.FixtureLookupError:
                pytest.skip("service 'postgres': no test starts it here")
        opened.append(open_registry(home, **options))
        return opened[-1]

    yield open_place
    for registry in opened:
        registry.close()


@pytest.fixture
def registry(place: OpenPlace) -> Registry:
    """Give a registry on the local disk in which something of every kind has happened."""
    return fill(place("local"))


def fill(registry: Registry) -> Registry:
    """Let something of every kind happen."""
    for content, model in enumerate(("coffee", "coffee", "tea", "coffee")):
        registry.register(tiny_bundle(content, model), actor="ada", reason="größer")
    for version in (1, 2, 3):
        registry.promote("coffee", version, actor="bob", reason="", expected=version - 1 or None)
    registry.rollback("coffee", actor="ada")
    report = {"report.json": b'{"verdict": "new"}'}
    registry.attach(build_attachment(tiny_bundle(1, "coffee").digest, "report", report), actor="ada")
    registry.delete("coffee", 3, actor="ada")
    registry.record("check", model="tea", version=1, actor="ada", details={"passed": True, "auc": 0.5})
    key = KeyRecord(
        id="k1",
        name="ci",
        secret_hash="0" * 64,
        role="deploy",
        models=("coffee*",),
        created_at="2026-01-01T00:00:00Z",
        created_by="ada",
    )
    registry.add_key(key, actor="ada")
    return registry


def rows_of(registry: Registry) -> dict[str, list[dict[str, Any]]]:
    """Return every row; attachments without the numbers that a database gives by itself."""
    with registry.metadata.read() as view:
        rows = view.dump()
    for row in rows["attachments"]:
        del row["seq"]
    return rows


def contents_of(registry: Registry) -> dict[str, dict[str, bytes]]:
    """Return every file of every version, each compared with its hash."""
    found = {}
    for summary in registry.models():
        for version in registry.versions(summary.name):
            bundle = registry.open(version)
            files = {path: bundle.read(path) for path in bundle.manifest.files}
            for attachment in bundle.attachments.values():
                files |= attachment.members()
            found[version.reference] = files
    return found


def is_sound(registry: Registry) -> bool:
    """Tell whether every row, every file and the record of events hold."""
    return registry.check() == [] and registry.verify_audit() is None


class TestBackup:
    @pytest.mark.parametrize(
        ("source", "target", "name"),
        [
            ("local", "local", "backup.zip"),
            ("local", "local", "folder"),
            pytest.param("local", "s3", "backup.zip", marks=pytest.mark.service("moto")),
            pytest.param("s3", "local", "folder", marks=pytest.mark.service("moto")),
            ("local", "postgres", "backup.zip"),
            ("postgres", "local", "folder"),
        ],
    )
    def test_what_was_backed_up_comes_back(
        self, place: OpenPlace, tmp_path: Path, source: str, target: str, name: str
    ) -> None:
        """From any kind of store into any other: every row, every file, and the chain of events goes on."""
        old, new = fill(place(source)), place(target)
        rows = rows_of(old)

        done = back_up(old, tmp_path / name, actor="ada")
        again = restore(new, tmp_path / name, actor="bob")

        assert again == done
        assert (done.models, done.versions) == (2, 3)
        restored = rows_of(new)
        assert restored["events"].pop()["kind"] == "restore"
        assert restored.pop("chain") != rows.pop("chain")  # by that event
        assert restored == rows
        assert contents_of(new) == contents_of(old)
        assert is_sound(new)
        assert [event.kind for event in old.audit()][-1] == "backup"
        assert new.register(tiny_bundle(9, "coffee"), actor="bob").version == 4
        newer = build_attachment(tiny_bundle(1, "coffee").digest, "report", {"report.json": b"{}"})
        new.attach(newer, actor="bob")
        attached = new.attachment(newer.subject, "report")
        assert attached is not None
        assert attached.digest == newer.digest
        assert is_sound(new)

    def test_a_registry_in_which_something_happened_is_never_restored_over(
        self, registry: Registry, place: OpenPlace, tmp_path: Path
    ) -> None:
        """Also if all of its models are gone; it stays as it was."""
        back_up(registry, tmp_path / "backup.zip", actor="ada")
        other = place("local")
        other.register(tiny_bundle(7, "tea"), actor="bob")
        other.delete("tea", 1, actor="bob")
        before = rows_of(other)

        with pytest.raises(RegistryNotEmpty, match="2 events"):
            restore(other, tmp_path / "backup.zip", actor="ada")

        assert rows_of(other) == before

    def test_nothing_is_overwritten(self, registry: Registry, tmp_path: Path) -> None:
        """Whatever lies at the path stays; so do folders."""
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken.zip").write_bytes(b"mine")

        for name in ("taken", "taken.zip"):
            with pytest.raises(UsageError, match="is not overwritten"):
                back_up(registry, tmp_path / name, actor="ada")

        assert (tmp_path / "taken.zip").read_bytes() == b"mine"

    def test_it_is_of_one_moment_while_others_write(
        self, registry: Registry, place: OpenPlace, tmp_path: Path
    ) -> None:
        """Pushes, deletions and clean-ups go on meanwhile; every backup is sound by itself."""
        ended = threading.Event()

        def write() -> None:
            content = 100
            while not ended.is_set():
                version = registry.register(tiny_bundle(content, "coffee"), actor="eve")
                registry.move_alias("coffee", "production", version.version, actor="eve")
                content += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            backups = [back_up(registry, tmp_path / f"{n}.zip", actor="ada") for n in range(3)]
        finally:
            ended.set()
            writer.join(60)

        assert sorted({done.head.seq for done in backups}) == [done.head.seq for done in backups]
        for done in backups[::2]:
            restored = place("local")
            restore(restored, Path(done.path), actor="bob")
            assert restored.head().seq == done.head.seq + 1
            assert is_sound(restored)

    @pytest.mark.parametrize("name", ["backup.zip", "folder"])
    def test_a_damaged_backup_is_refused_and_leaves_an_empty_registry(
        self, registry: Registry, place: OpenPlace, tmp_path: Path, name: str
    ) -> None:
        """A file that was cut off, changed, taken away or added; a list that was changed to fit."""
        whole = tmp_path / name
        back_up(registry, whole, actor="ada")
        new = place("local")
        for number, damage in enumerate(damages_of(whole)):
            copy = tmp_path / f"{number}-{name}"
            shutil.copytree(whole, copy) if whole.is_dir() else shutil.copy(whole, copy)
            damage(copy)

            with pytest.raises((ArtifactCorrupt, ArtifactDigest, RegistryInvalid)):
                restore(new, copy, actor="bob")

            assert (new.models(), new.head().seq, new.keys()) == ([], 0, [])
        restore(new, whole, actor="bob")
        assert is_sound(new)

    def test_a_record_that_does_not_hold_is_not_restored(
        self, registry: Registry, place: OpenPlace, tmp_path: Path
    ) -> None:
        """Somebody who changed an event and every hash of the file has not changed the chain of events."""
        whole = tmp_path / "folder"
        back_up(registry, whole, actor="ada")
        rows = json.loads((whole / "rows.json").read_bytes())
        rows["events"][4]["actor"] = "mallory"
        replace_member(whole, "rows.json", json.dumps(rows).encode())
        new = place("local")

        with pytest.raises(RegistryInvalid, match="event 5 is not the one that was recorded"):
            restore(new, whole, actor="bob")

        assert (new.models(), new.head().seq) == ([], 0)

    def test_rows_of_no_registry_are_refused(
        self, registry: Registry, place: OpenPlace, tmp_path: Path
    ) -> None:
        """Whatever stands in them is an error of ours, and nothing is written."""
        whole = tmp_path / "folder"
        back_up(registry, whole, actor="ada")
        rows = json.loads((whole / "rows.json").read_bytes())
        new = place("local")
        for wrong in (
            {},
            rows | {"models": []},
            rows | {"models": [{"name": 1}]},
            rows | {"models": [*rows["models"], *rows["models"]]},
            rows | {"versions": [row | {"digest": "../x"} for row in rows["versions"]]},
            rows | {"chain": []},
            rows | {"events": [row | {"details": "{"} for row in rows["events"]]},
            rows | {"strange": []},
            [],
        ):
            replace_member(whole, "rows.json", json.dumps(wrong).encode())
            with pytest.raises(FairwayError) as refused:
                restore(new, whole, actor="bob")
            assert refused.value.code in {"registry_invalid", "artifact_corrupt", "artifact_digest"}
            assert (new.models(), new.head().seq) == ([], 0)


def damages_of(whole: Path) -> Iterator[Callable[[Path], object]]:
    """Yield functions that damage a copy of a backup, each in another way."""
    if not whole.is_dir():
        size = whole.stat().st_size
        yield lambda path: path.write_bytes(b"")
        yield lambda path: os.truncate(path, size // 2)
        yield lambda path: os.truncate(path, size - 1)
        for place in (100, size // 3, size // 2):
            yield lambda path, place=place: flip(path, place)
        return
    blob = next(path.relative_to(whole) for path in sorted((whole / "sha256").rglob("*")) if path.is_file())
    yield lambda path: flip(path / blob, 3)
    yield lambda path: (path / blob).unlink()
    yield lambda path: (path / "rows.json").unlink()
    yield lambda path: (path / "contents.json").unlink()
    yield lambda path: (path / "contents.json").write_bytes(b"[]")
    yield lambda path: (path / "contents.json").write_bytes(b'{"kind":"backup"}')
    yield lambda path: (path / "more").write_bytes(b"")
    yield lambda path: flip(path / "rows.json", 50)
    yield lambda path: replace_member(path, "../outside", b"")
    yield lambda path: ((path / blob).unlink(), (path / blob).symlink_to("/etc/hostname"))


def flip(path: Path, place: int) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def replace_member(folder: Path, name: str, data: bytes) -> None:
    """Replace a member of a backup and its hash in the list of contents, as somebody would who means harm."""
    (folder / name).write_bytes(data)
    contents = json.loads((folder / "contents.json").read_bytes())
    contents["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "contents.json").write_text(json.dumps(contents))


class TestCollecting:
    @pytest.mark.parametrize("kind", ["local", pytest.param("s3", marks=pytest.mark.service("moto"))])
    def test_what_nothing_refers_to_goes_and_nothing_else(self, place: OpenPlace, kind: str) -> None:
        """Files of a deleted version and of attachments that were replaced; not what others share."""
        registry = fill(place(kind))
        orphan = registry.artifacts.put(b"of a push that was killed")
        before = contents_of(registry)

        planned = collect(registry, older_than_s=0, dry_run=True, actor="ada")
        assert registry.artifacts.missing([orphan]) == set()
        done = collect(registry, older_than_s=0, actor="ada", reason="spring")

        assert done == planned
        assert orphan in done.digests
        assert tiny_bundle(3, "coffee").digest in done.digests
        assert tiny_bundle(2, "tea").digest not in done.digests
        assert registry.artifacts.missing(done.digests) == set(done.digests)
        assert contents_of(registry) == before
        assert is_sound(registry)
        event = registry.audit()[-1]
        assert (event.kind, event.actor, event.reason) == ("gc", "ada", "spring")
        assert event.details == {"files": done.files, "size": done.size}
        assert collect(registry, older_than_s=0, actor="ada").files == 0
        assert registry.audit()[-1] == event  # nothing was done, nothing is recorded

    def test_a_deleted_version_loses_its_files_and_keeps_its_number(self, registry: Registry) -> None:
        """The same model pushed again brings the files back, under a new number."""
        registry.delete("tea", 1, actor="ada")

        done = collect(registry, older_than_s=0, actor="ada")

        assert tiny_bundle(2, "tea").digest in done.digests
        assert registry.register(tiny_bundle(2, "tea"), actor="ada").version == 2
        assert is_sound(registry)

    def test_the_young_are_spared(self, registry: Registry) -> None:
        """A push that is under way need not store its files twice."""
        registry.artifacts.put(b"just now")

        assert collect(registry, older_than_s=3600, actor="ada").files == 0

    def test_with_a_damaged_manifest_nothing_is_removed(self, registry: Registry) -> None:
        """What that version refers to is not known, so everything may be of use."""
        registry.artifacts.put(b"nobody's")
        digest = registry.resolve("tea:1").digest
        folder = registry.artifacts.folder  # type: ignore[attr-defined]
        flip(folder / "sha256" / digest[:2] / digest, 0)
        before = {blob.digest for blob in registry.artifacts.list()}

        with pytest.raises(ArtifactDigest, match=digest) as refused:
            collect(registry, older_than_s=0, actor="ada")

        assert "nothing was removed" in refused.value.hint
        assert {blob.digest for blob in registry.artifacts.list()} == before

    @pytest.mark.parametrize("n_times", [1, 2])
    def test_a_push_under_way_stores_again_what_was_removed(self, registry: Registry, n_times: int) -> None:
        """The clean-up comes when all files are there and nothing refers to them; the version is whole."""
        bundle = tiny_bundle(77, "coffee")

        class Interrupted(LocalArtifacts):
            left = n_times

            def put(self, data: bytes) -> str:
                digest = super().put(data)
                if self.left and digest == bundle.digest:  # the last one
                    type(self).left -= 1
                    collect(registry, older_than_s=0, actor="eve")
                return digest

        folder = registry.artifacts.folder  # type: ignore[attr-defined]
        pushing = Registry(registry.metadata, Interrupted(folder))

        version = pushing.register(bundle, actor="ada")

        assert Interrupted.left == 0
        assert "compiled" in registry.open(version).attachments
        assert is_sound(registry)

    def test_pushes_and_clean_ups_at_once_lose_nothing(self, place: OpenPlace, tmp_path: Path) -> None:
        """Two writers push the same contents again and again while a third removes whatever it may."""
        registry = place("local")
        failures: list[BaseException] = []

        def write(model: str) -> None:
            try:
                with open_registry(tmp_path / "home-0") as own:
                    for number in range(12):
                        version = own.register(tiny_bundle(number % 3, model), actor=model)
                        own.delete(model, version.version, actor=model)
                    own.register(tiny_bundle(1, model), actor=model)
            except BaseException as error:  # noqa: BLE001 - told by the test
                failures.append(error)

        writers = [threading.Thread(target=write, args=(model,)) for model in ("coffee", "tea")]
        for writer in writers:
            writer.start()
        removed = 0
        while any(writer.is_alive() for writer in writers):
            removed += collect(registry, older_than_s=0, actor="eve").files
        for writer in writers:
            writer.join()

        assert failures == []
        assert removed > 0
        assert is_sound(registry)
        collect(registry, older_than_s=0, actor="eve")
        assert is_sound(registry)
        assert len(contents_of(registry)) == 2


def test_a_zip_says_what_it_is(registry: Registry, tmp_path: Path) -> None:
    """Any unpacker opens it; the list of contents has a digest that covers every byte."""
    done = back_up(registry, tmp_path / "backup.zip", actor="ada")

    with zipfile.ZipFile(tmp_path / "backup.zip") as archive:
        assert archive.testzip() is None
        assert hashlib.sha256(archive.read("contents.json")).hexdigest() == done.digest
        facts = json.loads(archive.read("contents.json"))
    assert (facts["kind"], facts["format"], facts["actor"]) == ("backup", 1, "ada")
    assert facts["facts"]["head"] == dataclasses.asdict(done.head)


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither fork nor SIGKILL")
def test_a_kill_at_any_moment_of_a_clean_up_or_a_backup_breaks_nothing() -> None:
    """A few cycles of `kill9_keeping.py`, which can be run by hand for as many as one likes."""
    driver = Path(__file__).with_name("kill9_keeping.py")

    command = [sys.executable, str(driver), "--cycles", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["cycles"] == 8
    assert figures["acknowledged"] >= 8


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
@pytest.mark.parametrize("verb", ["register", "backup", "restore"])
def test_a_full_disk_is_said_and_changes_nothing(registry: Registry, tmp_path: Path, verb: str) -> None:
    """The same command works once there is space."""
    registry.register(tiny_bundle(9, "coffee"), actor="ada")  # of a megabyte
    back_up(registry, tmp_path / "whole.zip", actor="ada")
    home = tmp_path / ("empty" if verb == "restore" else "home-0")
    with open_registry(home) as before:
        rows = rows_of(before)
    program = """
import resource, signal, sys
from pathlib import Path
from fairway.errors import StorageFull
from fairway.registry.backup import back_up, restore
from fairway.registry.registry import open_registry
from fairway.bundle.bundle import build_bundle
verb, home, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
facts = {"flavor": "sklearn", "created": "", "model_type": "Ridge", "python": "", "fairway": ""}
bundle = build_bundle({"model/model.bin": bytes(3_000_000), "signature.json": b"{}"}, name="big", **facts)
verbs = {
    "register": lambda registry: registry.register(bundle, actor="ada"),
    "backup": lambda registry: back_up(registry, folder / "new.zip", actor="ada"),
    "restore": lambda registry: restore(registry, folder / "whole.zip", actor="ada"),
}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_registry(home) as registry:
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
    try:
        verbs[verb](registry)
    except StorageFull as error:
        print(error.code)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
    command = [sys.executable, "-c", program, verb, str(home), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert (done.stdout, done.stderr, done.returncode) == ("storage_full\n", "", 0)
    assert not list(tmp_path.rglob(".write-*"))
    assert not (tmp_path / "new.zip").exists()
    with open_registry(home) as after:
        assert rows_of(after) == rows
        assert is_sound(after)
        if verb == "restore":
            restore(after, tmp_path / "whole.zip", actor="ada")
            assert is_sound(after)
