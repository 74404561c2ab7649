"""Attachments in the registry: they come whole, the newest counts, and older homes learn of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fairway.bundle.attachment import Attachment, build_attachment
from fairway.bundle.bundle import Bundle
from fairway.errors import ArtifactDigest, StorageFull
from fairway.registry.artifacts.local import LocalArtifacts
from fairway.registry.registry import Registry, open_registry

MakeBundle = Callable[..., Bundle]
OLDER = Path(__file__).resolve().parents[2] / "fixtures" / "registries" / "0001.sql"


def attachment_of(bundle: Bundle, text: str = "first", name: str = "compiled") -> Attachment:
    """Return an attachment of two files."""
    return build_attachment(bundle.digest, name, {"report.json": text.encode(), "numpy/program.json": b"[]"})


def text_of(bundle: Bundle, name: str = "compiled") -> bytes:
    return bundle.attachments[name].read("report.json")


def test_what_a_bundle_brings_is_registered_with_it(registry: Registry, make_bundle: MakeBundle) -> None:
    """By one transaction; opening the version gives it back."""
    bundle = make_bundle()
    version = registry.register(bundle.with_attachments([attachment_of(bundle)]), actor="ada")
    assert text_of(registry.open(version)) == b"first"
    assert registry.open(version, attachments=False).attachments == {}
    assert registry.check() == []


def test_the_newest_counts_for_every_version_of_the_content(
    registry: Registry, make_bundle: MakeBundle
) -> None:
    """An attachment belongs to a digest, whatever its versions are called."""
    bundle = make_bundle()
    versions = [registry.register(bundle, name=name, actor="ada") for name in ("coffee", "tea")]
    for text in ("first", "second"):
        registry.attach(attachment_of(bundle, text), actor="ada")
    registry.attach(attachment_of(bundle, "why", name="explained"), actor="ada")
    for version in versions:
        opened = registry.open(version)
        assert (text_of(opened), text_of(opened, "explained")) == (b"second", b"why")
    found = registry.attachment(bundle.digest, "compiled")
    assert found is not None
    assert found.read("report.json") == b"second"
    assert registry.attachment(bundle.digest, "nothing") is None


def test_attaching_shows_in_the_change_token(registry: Registry, make_bundle: MakeBundle) -> None:
    """So whoever polls sees it."""
    before = registry.change_token()
    registry.attach(attachment_of(make_bundle()), actor="ada")
    assert registry.change_token() != before


@pytest.mark.parametrize("path", ["numpy/program.json", "manifest"])
def test_a_damaged_attachment_is_found(
    home: Path, registry: Registry, make_bundle: MakeBundle, path: str
) -> None:
    """By `check` and by whoever opens the version; without its attachments the version opens."""
    bundle = make_bundle()
    attachment = attachment_of(bundle)
    version = registry.register(bundle.with_attachments([attachment]), actor="ada")
    digest = attachment.digest if path == "manifest" else attachment.manifest.files[path].sha256
    (home / "artifacts" / "sha256" / digest[:2] / digest).write_bytes(b"{}")
    (problem,) = registry.check()
    assert problem.startswith("coffee:1: ")
    assert "'compiled'" in problem
    with pytest.raises(ArtifactDigest, match="attachment 'compiled'"):
        registry.open(version)
    assert registry.open(version, attachments=False).digest == bundle.digest


class FullDisk(LocalArtifacts):
    """A store that has no space for one blob."""

    def __init__(self, folder: Path, refused: bytes) -> None:
        super().__init__(folder)
        self._refused = refused

    def put(self, data: bytes) -> str:
        if data == self._refused:
            raise StorageFull("no space is left")
        return super().put(data)


def test_a_full_disk_leaves_neither_version_nor_attachment(
    home: Path, registry: Registry, make_bundle: MakeBundle
) -> None:
    """The files of the attachment are safe before the version is made known."""
    bundle = make_bundle()
    attachment = attachment_of(bundle)
    full = Registry(registry.metadata, FullDisk(home / "artifacts", attachment.manifest.to_bytes()))
    with pytest.raises(StorageFull):
        full.register(bundle.with_attachments([attachment]), actor="ada")
    assert registry.models() == []
    assert registry.attachment(bundle.digest, "compiled") is None


def test_an_older_registry_is_migrated_when_it_is_opened(home: Path) -> None:
    """One that was written before there were attachments keeps what it holds, and takes some."""
    home.mkdir()
    connection = sqlite3.connect(home / "registry.db")
    connection.executescript(OLDER.read_text(encoding="utf-8"))
    connection.close()
    for _ in range(2):
        with open_registry(home) as registry:
            version = registry.resolve("coffee")
            assert (version.version, version.aliases, version.actor) == (1, ("production",), "ada")
            assert [event.reason for event in registry.history("coffee")] == ["try 1", "try 2", ""]
            registry.attach(build_attachment(version.digest, "compiled", {"report.json": b"{}"}), actor="ada")
            assert registry.attachment(version.digest, "compiled") is not None
