"""Bundles on disk: the same bytes always, and not one of them can change unnoticed."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairway.bundle.bundle import Bundle, build_bundle, is_bundle, open_bundle
from fairway.bundle.manifest import Manifest
from fairway.errors import (
    ArtifactCorrupt,
    ArtifactDigest,
    ArtifactEmpty,
    ArtifactPath,
    BundleError,
    FairwayError,
)

Build = Callable[..., Bundle]
CHECKSUM_BYTES = 71


def contents_of(bundle: Bundle) -> dict[str, bytes]:
    """Return every file of a bundle."""
    return {path: bundle.read(path) for path in bundle.manifest.files}


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of members in order; names may repeat."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that repeat
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def members_of(bundle: Bundle) -> list[tuple[str, bytes]]:
    """Return what a bundle's file holds."""
    return [("manifest.json", bundle.manifest.to_bytes()), *contents_of(bundle).items()]


@pytest.mark.parametrize("name", ["coffee", "coffee.fairway"])
def test_a_saved_bundle_opens_with_the_same_bytes(tmp_path: Path, small_bundle: Build, name: str) -> None:
    """As a folder and as one file: files, digest, card, code and signature are those that were packed."""
    bundle = small_bundle()
    opened = open_bundle(bundle.save(tmp_path / "new" / name))
    assert contents_of(opened) == contents_of(bundle)
    assert (opened.digest, opened.manifest, opened.signature) == (
        bundle.digest,
        bundle.manifest,
        bundle.signature,
    )
    assert opened.card == "# Kaffee für Ada\n"
    assert opened.code == {"features.py": b"X = 1\n"}
    assert is_bundle(tmp_path / "new" / name)


def test_the_same_bundle_gives_the_same_file(tmp_path: Path, small_bundle: Build) -> None:
    """Byte for byte, also from a folder, at another time and with the files in another order."""
    bundle = small_bundle()
    first = bundle.save(tmp_path / "a.fairway").read_bytes()
    folder = open_bundle(bundle.save(tmp_path / "folder"))
    reversed_files = build_bundle(
        dict(reversed(contents_of(bundle).items())),
        **{f: getattr(bundle.manifest, f) for f in bundle.manifest.__struct_fields__ if f != "files"},
    )
    assert first == folder.save(tmp_path / "b.fairway").read_bytes()
    assert first == reversed_files.save(tmp_path / "c.fairway").read_bytes()


def test_the_digest_is_that_of_the_manifest_file(tmp_path: Path, small_bundle: Build) -> None:
    """Anybody can compute it with sha256sum."""
    folder = small_bundle().save(tmp_path / "coffee")
    assert open_bundle(folder).digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["taken", "taken.fairway"])
@pytest.mark.parametrize("kind", ["file", "folder", "link to nothing"])
def test_nothing_is_ever_overwritten(tmp_path: Path, small_bundle: Build, name: str, kind: str) -> None:
    """Whatever is at the path stays, and nothing is left beside it."""
    path = tmp_path / name
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nothing")
    with pytest.raises(BundleError, match="exists and is not overwritten"):
        small_bundle().save(path)
    assert [path] == list(tmp_path.iterdir())
    assert kind != "file" or path.read_text() == "mine"


def test_a_failed_save_leaves_nothing(tmp_path: Path, small_bundle: Build) -> None:
    """A bundle whose files turn out to be damaged is not half written."""
    bundle = small_bundle()
    broken = Bundle(bundle.manifest, lambda _: b"other")
    with pytest.raises(ArtifactDigest):
        broken.save(tmp_path / "coffee.fairway")
    assert not list(tmp_path.iterdir())


# -- damage --


def assert_refused_or_equal(path: Path, bundle: Bundle) -> bool:
    """Open a damaged copy: an error of ours, or (where the damage meant nothing) the very same content."""
    try:
        opened = open_bundle(path)
    except FairwayError:
        return True
    assert opened.digest == bundle.digest
    assert contents_of(opened) == contents_of(bundle)
    return False


def test_every_flipped_byte_of_a_folder_is_found(tmp_path: Path, small_bundle: Build) -> None:
    """In every file, anywhere, before anything is used."""
    bundle = small_bundle()
    folder = bundle.save(tmp_path / "coffee")
    for name in bundle.manifest.files:
        data = (folder / name).read_bytes()
        for place in range(0, len(data), 2):
            flipped = bytearray(data)
            flipped[place] ^= 1 << place % 8
            (folder / name).write_bytes(flipped)
            with pytest.raises(ArtifactDigest, match="differs from what was packed"):
                open_bundle(folder)
        (folder / name).write_bytes(data)
    open_bundle(folder)


def test_a_flipped_byte_of_the_manifest_is_another_bundle_or_none(
    tmp_path: Path, small_bundle: Build
) -> None:
    """The manifest vouches for the files; who vouches for the manifest compares its digest."""
    bundle = small_bundle()
    data = bundle.manifest.to_bytes()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        try:
            assert Manifest.from_bytes(bytes(flipped)).digest != bundle.digest
        except FairwayError:
            continue


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_byte_of_a_file_is_found_or_means_nothing(
    tmp_path: Path, small_bundle: Build, method: int
) -> None:
    """Everywhere in the archive: an error of ours, or (a time stamp, say) the same content."""
    bundle = small_bundle()
    data = zipped(*members_of(bundle), method=method)
    path = tmp_path / "coffee.fairway"
    found = 0
    for place in range(0, len(data), 5):
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        # A flip inside of the manifest may make another valid bundle: its digest tells.
        try:
            if open_bundle(path).digest != bundle.digest:
                found += 1
                continue
        except FairwayError:
            pass
        found += assert_refused_or_equal(path, bundle)
    assert found > len(data) / 5 * 0.7


def test_every_truncation_is_found(tmp_path: Path, small_bundle: Build) -> None:
    """A copy that was cut off anywhere does not open."""
    data = small_bundle().save(tmp_path / "whole.fairway").read_bytes()
    path = tmp_path / "cut.fairway"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises((ArtifactCorrupt, ArtifactDigest) if length else ArtifactEmpty):
            open_bundle(path)
        # What lacks a part of its checksum only is still told to be a bundle, and refused as one.
        assert not is_bundle(path) or length > len(data) - CHECKSUM_BYTES


def test_a_member_without_a_name_is_refused(tmp_path: Path) -> None:
    """The zeros that ended up in its place are an error of ours like any other damage."""
    path = tmp_path / "x.fairway"
    path.write_bytes(zipped(("manifest.json", b"{}")).replace(b"manifest.json", b"\0anifest.json"))
    assert not is_bundle(path)
    with pytest.raises(ArtifactCorrupt, match="is not a bundle"):
        open_bundle(path)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_gives_an_error_of_ours(data: st.DataObject) -> None:
    """Blocks overwritten, removed or repeated: never another exception, never other content."""
    bundle = build_bundle({"model.bin": b"m" * 50}, **FACTS)
    content = bytearray(zipped(*members_of(bundle), method=data.draw(st.sampled_from([0, 8]))))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        content[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.fairway"
        path.write_bytes(content)
        is_bundle(path)
        try:
            opened = open_bundle(path)
        except FairwayError:
            return
    assert opened.digest != bundle.digest or contents_of(opened) == contents_of(bundle)


FACTS: dict[str, Any] = dict.fromkeys(["flavor", "created", "model_type", "python", "fairway"], "") | {
    "name": "x"
}


@pytest.mark.parametrize("name", ["coffee", "coffee.fairway"])
def test_a_missing_file_is_found(tmp_path: Path, small_bundle: Build, name: str) -> None:
    """It is named."""
    bundle = small_bundle()
    path = tmp_path / name
    if path.suffix:
        path.write_bytes(zipped(*(m for m in members_of(bundle) if m[0] != "card.md")))
    else:
        (bundle.save(path) / "card.md").unlink()
    with pytest.raises(ArtifactDigest, match=r"'card\.md' of the bundle 'coffee' is missing"):
        open_bundle(path)


def test_a_file_that_the_manifest_does_not_list_is_refused(tmp_path: Path, small_bundle: Build) -> None:
    """In one file there is nothing but what was packed."""
    path = tmp_path / "coffee.fairway"
    path.write_bytes(zipped(*members_of(small_bundle()), ("code/evil.py", b"")))
    with pytest.raises(ArtifactDigest, match=r"holds 'code/evil\.py', which its manifest does not list"):
        open_bundle(path)


def test_a_file_that_lies_in_the_folder_is_never_used(tmp_path: Path, small_bundle: Build) -> None:
    """File managers leave their own files in folders; what is not listed is not part of the bundle."""
    folder = small_bundle().save(tmp_path / "coffee")
    (folder / "code" / "evil.py").write_text("boom")
    bundle = open_bundle(folder)
    assert bundle.code == {"features.py": b"X = 1\n"}
    with pytest.raises(ArtifactCorrupt, match=r"has no file 'code/evil\.py'"):
        bundle.read("code/evil.py")


def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path, small_bundle: Build) -> None:
    """It could point elsewhere between two reads."""
    folder = small_bundle().save(tmp_path / "coffee")
    (folder / "card.md").rename(tmp_path / "card.md")
    (folder / "card.md").symlink_to(tmp_path / "card.md")
    with pytest.raises(ArtifactCorrupt, match=r"a file of the bundle .* cannot be read"):
        open_bundle(folder)


def test_a_file_changed_after_opening_is_found_when_it_is_read(tmp_path: Path, small_bundle: Build) -> None:
    """Whoever reads a file gets the bytes that were packed, or an error."""
    folder = small_bundle().save(tmp_path / "coffee")
    bundle = open_bundle(folder)
    (folder / "model" / "model.bin").write_bytes(b"the m0del")
    with pytest.raises(ArtifactDigest, match="differs from what was packed") as caught:
        bundle.read("model/model.bin")
    assert "roll back" in caught.value.hint


# -- hostile archives --


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\evil", "nul", "a\u202eb"]
)
def test_a_member_that_leaves_the_bundle_is_refused(tmp_path: Path, small_bundle: Build, name: str) -> None:
    """Before anything is read, and nothing is ever unpacked."""
    path = tmp_path / "coffee.fairway"
    path.write_bytes(zipped(*members_of(small_bundle()), (name, b"evil")))
    with pytest.raises(ArtifactPath):
        open_bundle(path)
    assert [path] == list(tmp_path.iterdir())


def test_two_members_of_one_name_are_refused(tmp_path: Path, small_bundle: Build) -> None:
    """Readers disagree which of them counts."""
    path = tmp_path / "coffee.fairway"
    path.write_bytes(zipped(*members_of(small_bundle()), ("card.md", b"other")))
    with pytest.raises(ArtifactPath, match=r"names 'card\.md' twice"):
        open_bundle(path)


def test_an_archive_that_unpacks_to_far_more_is_refused(tmp_path: Path) -> None:
    """More than a hundred-fold, before it is unpacked."""
    path = tmp_path / "bomb.fairway"
    path.write_bytes(zipped(("a", bytes(2 * 2**20)), method=zipfile.ZIP_DEFLATED))
    with pytest.raises(ArtifactCorrupt, match=r"unpacks to 1 files and 2097152 bytes, which is beyond"):
        open_bundle(path)


def test_an_archive_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    """The sizes in the directory of the archive are looked at first."""
    data = bytearray(zipped(("a", b"x" * 2**21)))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 20 : directory + 28] = struct.pack("<LL", 2**31 - 1, 2**31 + 1)
    (tmp_path / "x.fairway").write_bytes(data)
    with pytest.raises(ArtifactCorrupt, match="beyond the limits"):
        open_bundle(tmp_path / "x.fairway")


def test_an_archive_of_too_many_files_is_refused(tmp_path: Path) -> None:
    """Ten thousand are enough."""
    (tmp_path / "x.fairway").write_bytes(zipped(*((str(n), b"") for n in range(10_001))))
    with pytest.raises(ArtifactCorrupt, match="unpacks to 10001 files"):
        open_bundle(tmp_path / "x.fairway")


def test_an_encrypted_archive_is_refused(tmp_path: Path, small_bundle: Build) -> None:
    """There is no way to give a password."""
    data = bytearray(zipped(*members_of(small_bundle())))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.fairway").write_bytes(data)
    with pytest.raises(ArtifactCorrupt, match=r"is not a bundle: .*encrypted"):
        open_bundle(tmp_path / "x.fairway")


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", ArtifactEmpty, "is empty"),
        (b"PK", ArtifactCorrupt, "is not a bundle"),
        (b"\x80\x04K\x01.", ArtifactCorrupt, "is not a bundle"),
        (zipped(("a", b"")), ArtifactCorrupt, r"is not a bundle: it has no manifest\.json"),
    ],
)
def test_a_file_that_is_no_bundle_says_so(
    tmp_path: Path, data: bytes, error: type[FairwayError], message: str
) -> None:
    """By its content, whatever its name is."""
    (tmp_path / "x.fairway").write_bytes(data)
    assert not is_bundle(tmp_path / "x.fairway")
    with pytest.raises(error, match=message):
        open_bundle(tmp_path / "x.fairway")


def test_a_path_without_a_bundle_says_so(tmp_path: Path) -> None:
    """Nothing there, an empty folder, a folder that is no bundle."""
    with pytest.raises(ArtifactCorrupt, match="cannot be read: No such file"):
        open_bundle(tmp_path / "gone")
    with pytest.raises(ArtifactCorrupt, match=r"is not a bundle: it has no manifest\.json"):
        open_bundle(tmp_path)
    assert not is_bundle(tmp_path)
    assert not is_bundle(tmp_path / "gone")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_document_that_is_none_is_named(small_bundle: Build, data: bytes) -> None:
    """Profile, environment, golden examples and signature are JSON objects."""
    bundle = small_bundle({"profile.json": data})
    with pytest.raises(ArtifactCorrupt, match=r"'profile\.json' of the bundle 'coffee' is not (a )?JSON"):
        _ = bundle.profile


def test_documents_are_read_once_asked_for(small_bundle: Build) -> None:
    """The environment and the profile as they were written."""
    bundle = small_bundle({"profile.json": b'{"rows":1}', "environment.json": b'{"python":"3.11"}'})
    assert bundle.profile == {"rows": 1}
    assert bundle.environment == {"python": "3.11"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_saving_where_nothing_can_be_written_is_an_os_error(tmp_path: Path, small_bundle: Build) -> None:
    """The command line says it in words; there is nothing to add here."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        small_bundle().save(tmp_path / "file" / "coffee.fairway")
