"""The manifest: canonical bytes, a stable digest, safe names, formats old and new."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairway.bundle import manifest as manifest_module
from fairway.bundle.manifest import FORMAT, FileEntry, Manifest, check_paths
from fairway.errors import ArtifactCorrupt, ArtifactPath, BundleTooNew, FairwayError, NameInvalid

GIVEN: dict[str, Any] = {
    "name": "coffee",
    "flavor": "sklearn",
    "created": "2026-02-28T12:00:00.000+00:00",
    "model_type": "Ridge",
    "python": "3.11.7",
    "fairway": "0.1.0",
    "files": {"b.bin": FileEntry("00", 1), "a.bin": FileEntry("11", 2)},
    "tags": {"z": "1", "a": "größe"},
    "hyperparameters": {"tol": float("nan"), "alpha": 0.1, "deep": {"b": 1, "a": [True, None]}},
}
MANIFEST = Manifest(**GIVEN)


def document(**changes: Any) -> bytes:
    """Return the bytes of a manifest with other values."""
    return json.dumps(json.loads(MANIFEST.to_bytes()) | changes).encode()


def test_the_bytes_are_canonical() -> None:
    """Sorted at every level, no spaces, UTF-8, the same however the manifest was put together."""
    data = MANIFEST.to_bytes()
    assert (
        json.dumps(json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        == data.decode()
    )
    shuffled = GIVEN | {"files": dict(reversed(GIVEN["files"].items())), "tags": {"a": "größe", "z": "1"}}
    assert data == Manifest(**dict(reversed(shuffled.items()))).to_bytes()


def test_the_digest_does_not_change_from_release_to_release() -> None:
    """The digest of one manifest, written down: whoever changes it changes the identity of every version."""
    assert Manifest(**GIVEN | {"hyperparameters": {"alpha": 0.1}}).digest == DIGEST
    assert Manifest.from_bytes(MANIFEST.to_bytes()).digest == MANIFEST.digest


DIGEST = "ef8cd762a575265a2eae257cd23e025815a4fde77d8bb305079c9637fa592e24"


@pytest.mark.parametrize(
    "field", sorted(set(GIVEN) | {"author", "description", "lineage", "metrics", "options"})
)
def test_the_digest_covers_every_field(field: str) -> None:
    """Nothing of a version can be changed without changing its digest."""
    other = {str: "other", dict: {"other": 1.5}}.get(type(getattr(MANIFEST, field)))
    if field == "files":
        other = {}
    elif field in {"tags", "lineage"}:
        other = {"other": "x"}
    assert msgspec.structs.replace(MANIFEST, **{field: other}).digest != MANIFEST.digest


def test_the_size_is_that_of_all_files() -> None:
    """The manifest itself is not counted."""
    assert MANIFEST.size == 3


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", ArtifactCorrupt, "manifest.json is not the manifest of a bundle"),
        (b"{", ArtifactCorrupt, "manifest.json is not the manifest of a bundle"),
        (b"[]", ArtifactCorrupt, "manifest.json is not the manifest of a bundle"),
        (b"{}", ArtifactCorrupt, "manifest.json is not the manifest of a bundle"),
        (b"\xff", ArtifactCorrupt, "manifest.json is not the manifest of a bundle"),
        (b"[" * 100_000, ArtifactCorrupt, "manifest.json is not the manifest of a bundle"),
        (document(format="1"), ArtifactCorrupt, "has the format '1', which is not a positive integer"),
        (document(format=True), ArtifactCorrupt, "has the format True"),
        (document(format=0), ArtifactCorrupt, "has the format 0"),
        (
            document(format=FORMAT + 1),
            BundleTooNew,
            f"has format {FORMAT + 1}; this release reads up to {FORMAT}",
        ),
        (document(format=FORMAT + 1, files=3), BundleTooNew, "this release reads up to"),
        (document(files=3), ArtifactCorrupt, r"manifest.json is not valid: .* at `\$.files`"),
        (document(metrics={"auc": None}), ArtifactCorrupt, "manifest.json is not valid"),
        (document(surprise=1), ArtifactCorrupt, "unknown field `surprise`"),
        (document(name="../coffee"), NameInvalid, "'../coffee' is not a valid model name"),
        (document(name="a\r\nset-cookie: x"), NameInvalid, "is not a valid model name"),
        (document(files={"../x": {"sha256": "", "size": 0}}), ArtifactPath, "'../x' is not allowed"),
    ],
)
def test_what_is_no_manifest_says_why(data: bytes, error: type[FairwayError], message: str) -> None:
    """The number of the format is looked at before anything else."""
    with pytest.raises(error, match=message):
        Manifest.from_bytes(data)


def test_a_newer_bundle_says_what_to_do() -> None:
    """Its reader is a newer release."""
    with pytest.raises(BundleTooNew) as caught:
        Manifest.from_bytes(document(format=99))
    assert caught.value.hint == "pip install --upgrade fairway"


def test_every_earlier_format_has_a_reader() -> None:
    """Whoever raises FORMAT adds the step that reads the one before."""
    assert set(manifest_module._READERS) == set(range(1, FORMAT))


@given(st.one_of(st.binary(max_size=40), st.integers(0, 300).map(lambda n: MANIFEST.to_bytes()[:n])))
def test_any_bytes_are_a_manifest_or_refused(data: bytes) -> None:
    """Nothing but a FairwayError comes out."""
    with pytest.raises(FairwayError):
        Manifest.from_bytes(data)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "a//b",
        "a/",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "...",
        "a\\b",
        "C:a",
        "a\x00b",
        "a\nb",
        "a\x7f",
        "a\u202eb",
        "a?",
        "a*",
        "a|b",
        "<a>",
        'a"b',
        "con",
        "CON.txt",
        "a/nul",
        "lpt1.tar.gz",
        "con .txt",
        "a.",
        "a ",
        "a./b",
        "e\u0301",
        "\ud800",
        "x" * 256,
        "ü" * 128,
        "/".join("abcdefghi"),
    ],
)
def test_a_name_that_could_leave_the_bundle_is_refused(path: str) -> None:
    """Or that names another file on some system: checked before any file is written or read."""
    with pytest.raises(ArtifactPath, match="is not allowed in a bundle"):
        check_paths(["fine", path])


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["a", "a"], "names 'a' twice"),
        (["model/A.bin", "model/a.bin"], "names 'model/a.bin' twice"),
        (["straße", "STRASSE"], "names 'STRASSE' twice"),
        (["a/b", "a"], "'a' is both a file and a folder"),
        (["a", "A/b"], "'a' is both a file and a folder"),
    ],
)
def test_two_names_for_one_file_are_refused(paths: list[str], message: str) -> None:
    """Also where only the case differs, which macOS and Windows do not see."""
    with pytest.raises(ArtifactPath, match=message):
        check_paths(paths)


def test_ordinary_names_are_fine() -> None:
    """Letters of any script, dots inside, hidden files, spaces inside."""
    check_paths(
        [
            "model/model.joblib",
            ".hidden",
            "größe.py",
            "a b",
            "a..b",
            "console",
            "/".join("abcdefgh"),
            "x" * 255,
        ]
    )
