"""Attachments: what hangs on a bundle is verified like the bundle, and changes nothing of it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fairway.bundle.attachment import Attachment, AttachmentManifest, build_attachment
from fairway.bundle.bundle import Bundle, open_bundle
from fairway.errors import (
    ArtifactCorrupt,
    ArtifactDigest,
    ArtifactPath,
    BundleTooNew,
    FairwayError,
    NameInvalid,
)

Build = Callable[..., Bundle]
FILES = {"report.json": b"{}", "numpy/program.json": b"[1]"}


@pytest.fixture
def attached(small_bundle: Build) -> Bundle:
    """Give a bundle with one attachment."""
    bundle = small_bundle()
    return bundle.with_attachments([build_attachment(bundle.digest, "compiled", FILES)])


def contents_of(attachment: Attachment) -> dict[str, bytes]:
    return {path: attachment.read(path) for path in attachment.manifest.files}


def rezipped(path: Path, **changes: bytes | None) -> Path:
    """Write the archive again with other members; None takes one away, `__` in a name stands for a slash."""
    with zipfile.ZipFile(path) as archive:
        contents: dict[str, bytes | None] = {name: archive.read(name) for name in archive.namelist()}
    contents |= {name.replace("__", "/"): data for name, data in changes.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            if data is not None:
                archive.writestr(name, data)
    return path


@pytest.mark.parametrize("name", ["coffee", "coffee.fairway"])
def test_a_saved_bundle_opens_with_its_attachments(tmp_path: Path, attached: Bundle, name: str) -> None:
    """As a folder and as one file; the digest of the bundle is what it was without."""
    opened = open_bundle(attached.save(tmp_path / name))
    assert opened.digest == attached.digest
    assert opened.attachments.keys() == {"compiled"}
    found = opened.attachments["compiled"]
    assert contents_of(found) == FILES
    assert (found.subject, found.digest) == (attached.digest, attached.attachments["compiled"].digest)
    assert open_bundle(tmp_path / name, attachments=False).attachments == {}


@pytest.mark.parametrize("name", ["coffee", "coffee.fairway"])
def test_attachments_are_written_into_a_bundle_that_is_there(
    tmp_path: Path, small_bundle: Build, name: str
) -> None:
    """Once, and again in place of the first; nothing else changes and nothing temporary stays."""
    bundle = small_bundle()
    path = bundle.save(tmp_path / name)
    for text in (b"first", b"second"):
        bundle.with_attachments([build_attachment(bundle.digest, "compiled", {"a": text})]).save_attachments(
            path
        )
        opened = open_bundle(path)
        assert contents_of(opened.attachments["compiled"]) == {"a": text}
        assert opened.read("card.md") == bundle.read("card.md")
    places = [path, *([path, path / "attachments"] if path.is_dir() else [])]
    assert not [entry for place in places for entry in place.parent.iterdir() if entry.name.startswith(".")]


def test_the_same_attachment_gives_the_same_file(tmp_path: Path, attached: Bundle) -> None:
    """Byte for byte, whatever the order of its files."""
    again = attached.with_attachments(
        [build_attachment(attached.digest, "compiled", dict(reversed(FILES.items())))]
    )
    first, second = attached.save(tmp_path / "a.fairway"), again.save(tmp_path / "b.fairway")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"attachments__compiled__report.json": b"[]"}, ArtifactDigest, "differs from what was attached"),
        ({"attachments__compiled__report.json": None}, ArtifactDigest, "is missing"),
        ({"attachments__compiled__more.json": b"{}"}, ArtifactDigest, "which no attachment lists"),
        ({"attachments__compiled__manifest.json": None}, ArtifactCorrupt, "has no manifest.json"),
        (
            {"attachments__compiled__manifest.json": b"{"},
            ArtifactCorrupt,
            "not the manifest of an attachment",
        ),
        ({"attachments__other__report.json": b"{}"}, ArtifactCorrupt, "has no manifest.json"),
        ({"attachments": b"{}"}, ArtifactPath, "both a file and a folder"),
        ({"Attachments__x": b"{}"}, ArtifactDigest, "which its manifest does not list"),
    ],
)
def test_a_damaged_attachment_is_refused(
    tmp_path: Path,
    attached: Bundle,
    changes: dict[str, bytes | None],
    error: type[FairwayError],
    message: str,
) -> None:
    """Nothing of it is used, and nothing unlisted comes in with it."""
    path = rezipped(attached.save(tmp_path / "coffee.fairway"), **changes)
    with pytest.raises(error, match=message):
        open_bundle(path)


def test_an_attachment_of_another_bundle_is_refused(
    tmp_path: Path, attached: Bundle, small_bundle: Build
) -> None:
    """Laid into an archive or handed over: the subject has to be this bundle."""
    other = build_attachment("0" * 64, "compiled", {"report.json": b"{}"})
    with pytest.raises(ArtifactDigest, match="belongs to another bundle"):
        small_bundle().with_attachments([other])
    path = attached.save(tmp_path / "coffee")
    (path / "attachments" / "compiled" / "manifest.json").write_bytes(other.manifest.to_bytes())
    with pytest.raises(ArtifactDigest, match="belongs to another bundle"):
        open_bundle(path)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"format": 2}, BundleTooNew),
        ({"format": 0}, ArtifactCorrupt),
        ({"surprise": 1}, ArtifactCorrupt),
        ({"name": "../up"}, NameInvalid),
        ({"files": {"../up": {"sha256": "", "size": 0}}}, ArtifactPath),
        ({"files": {"manifest.json": {"sha256": "", "size": 0}}}, ArtifactPath),
    ],
)
def test_a_manifest_that_says_more_is_refused(
    attached: Bundle, changes: dict[str, object], error: type[FairwayError]
) -> None:
    """Newer formats, unknown keys, names that lead elsewhere."""
    document = msgspec.to_builtins(attached.attachments["compiled"].manifest) | changes
    with pytest.raises(error):
        AttachmentManifest.from_bytes(msgspec.json.encode(document))


def test_nothing_is_packed_where_attachments_lie(small_bundle: Build) -> None:
    """Or an attachment could take the place of what was packed."""
    with pytest.raises(ArtifactPath, match="holds what is attached later"):
        small_bundle({"Attachments/compiled/report.json": b"{}"})
