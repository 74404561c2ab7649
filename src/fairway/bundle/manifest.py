"""The manifest: what a bundle holds, the hash of every file, and with its own hash the version's digest.

Raising the format number
-------------------------
`FORMAT` is the number that this release writes; `_READERS` names every number that it reads.

1. Raise `FORMAT` for every change of what a manifest or another file of the bundle may hold, also for a new
   key: a reader refuses keys that it does not know, because it could not keep the digest with them.
2. Add a function to `_READERS` that turns the document of the *previous* number into today's; older numbers
   go through the chain one step at a time. Never edit a reader that was released.
3. Pack a bundle with the last release and add it to `tests/fixtures/bundles/format-<n>/`; the test
   `tests/unit/bundle/test_manifest.py` opens every one of them.
4. Describe the change in `docs/reference/bundle-format.md` and in the changelog under *Changed*.

Files below `attachments/` are no part of what was packed: no manifest lists them, the digest does not cover
them, and their format has a number of its own (`attachment.py`).
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from fairway.bundle.names import check_name
from fairway.errors import ArtifactCorrupt, ArtifactDigest, ArtifactPath, BundleTooNew

FORMAT = 1

TARGET = "target"
"""The entry of a bundle's lineage that names the column which the model was said to predict."""

_MAX_PATH_BYTES = 255
_MAX_PATH_SEGMENTS = 8
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))]
)


class FileEntry(msgspec.Struct, frozen=True):
    """Hash (SHA-256, hex) and size in bytes of one file of a bundle."""

    sha256: str
    size: int

    @classmethod
    def of(cls, data: bytes) -> FileEntry:
        """Return the entry of a file with these bytes."""
        return cls(sha256=hashlib.sha256(data).hexdigest(), size=len(data))

    def fits(self, data: bytes) -> bool:
        """Tell whether these are the bytes that the entry was made of."""
        return len(data) == self.size and hashlib.sha256(data).hexdigest() == self.sha256


def read_verified(
    entries: Mapping[str, FileEntry],
    read: Callable[[str], bytes],
    path: str,
    *,
    whole: str,
    done: str,
    hint: str,
) -> bytes:
    """Return the bytes of one file after they were compared with its entry; whoever loads it loads these.

    Args:
        entries: The files that the manifest names.
        read: Gives the raw bytes of a file, once.
        path: The file.
        whole: What it is a file of, for messages: `the bundle 'coffee'`.
        done: What was done with the file then: packed, or attached.
        hint: What to do about bytes that differ.

    Raises:
        ArtifactCorrupt: The manifest names no such file.
        ArtifactDigest: The bytes differ from the manifest, or the file is missing.
    """
    entry = entries.get(path)
    if entry is None:
        raise ArtifactCorrupt(f"{whole} has no file {path!r}")
    try:
        data = read(path)
    except (FileNotFoundError, KeyError) as cause:
        raise ArtifactDigest(f"{path!r} of {whole} is missing") from cause
    if not entry.fits(data):
        raise ArtifactDigest(f"{path!r} of {whole} differs from what was {done}", hint=hint)
    return data


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bundle says of itself.

    Attributes:
        format: Number of the bundle format.
        name: Name that the model was packed under.
        flavor: Framework that made the model.
        created: When it was packed, ISO 8601 in UTC.
        model_type: Class of the model, and of the last step for a pipeline.
        framework: Package versions that the model was made with.
        python: Python version that packed it.
        fairway: fairway version that packed it.
        hyperparameters: Main hyperparameters read from the estimator.
        metrics: Figures that the author gave, by name.
        tags: Free key-value pairs.
        author: Who packed it.
        description: What the model is for, in the author's words.
        lineage: Where it comes from (data, commit, run), by name.
        options: What the flavor needs to know to call the model.
        trusted: Types that the author allowed the model file to construct, by qualified name.
        preprocess: Function that turns a record into what the model takes; empty if there is none.
        postprocess: Function that turns the model's answer into the outputs; empty if there is none.
        vectorised: Whether these two take whole lists instead of one after the other.
        files: Every file of the bundle but the manifest itself.
    """

    name: str
    flavor: str
    created: str
    model_type: str
    python: str
    fairway: str
    files: dict[str, FileEntry]
    framework: dict[str, str] = {}
    hyperparameters: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    author: str = ""
    description: str = ""
    lineage: dict[str, str] = {}
    options: dict[str, Any] = {}
    trusted: list[str] = []
    preprocess: str = ""
    postprocess: str = ""
    vectorised: bool = False
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """Return the canonical JSON: keys sorted at every level, no spaces, UTF-8."""
        return msgspec.json.encode(msgspec.to_builtins(self), order="sorted")

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical manifest: the identity of a version's content."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(entry.size for entry in self.files.values())

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest of this or an earlier format.

        Raises:
            ArtifactCorrupt: The bytes are not a manifest.
            ArtifactDigest: They say the same as a manifest, but are not the bytes that its digest stands for.
            ArtifactPath: A file name could lead outside of the bundle.
            BundleTooNew: The format is newer than this release reads.
            NameInvalid: The name is outside the grammar of names.
        """
        try:
            document = msgspec.json.decode(data)
            number = document["format"]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError) as cause:
            raise ArtifactCorrupt("manifest.json is not the manifest of a bundle") from cause
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ArtifactCorrupt(f"manifest.json has the format {number!r}, which is not a positive integer")
        if number > FORMAT:
            raise BundleTooNew(
                f"the bundle has format {number}; this release reads up to {FORMAT}",
                hint="pip install --upgrade fairway",
            )
        for step in range(number, FORMAT):
            document = _READERS[step](document)
        try:
            manifest = msgspec.convert(document, cls)
        except msgspec.ValidationError as cause:
            raise ArtifactCorrupt(f"manifest.json is not valid: {cause}") from cause
        check_name("model", manifest.name)
        check_members(manifest.files)
        if number == FORMAT and manifest.to_bytes() != data:
            raise ArtifactDigest(
                "manifest.json is not written as manifests are", hint="fetch the bundle again: it was changed"
            )
        return manifest


_READERS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def check_members(paths: Iterable[str]) -> None:
    """Refuse names that a packed file cannot have.

    Raises:
        ArtifactPath: A name could lead outside of the bundle, or stands for what is attached later.
    """
    paths = list(paths)
    check_paths(paths)
    for path in paths:
        if path.casefold().split("/")[0] == "attachments":
            raise ArtifactPath(f"{path!a} cannot be packed: attachments/ holds what is attached later")


def check_paths(paths: Iterable[str]) -> None:
    """Refuse member names that could leave the bundle or clash on some file system.

    Raises:
        ArtifactPath: The first offending name.
    """
    seen: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        if not _is_safe(path):
            raise ArtifactPath(f"the file name {path!a} is not allowed in a bundle")
        folded = path.casefold()
        if folded in seen:
            raise ArtifactPath(f"the bundle names {path!a} twice")
        seen.add(folded)
        segments = folded.split("/")
        folders.update("/".join(segments[:n]) for n in range(1, len(segments)))
    if both := sorted(seen & folders):
        raise ArtifactPath(f"{both[0]!a} is both a file and a folder of the bundle")


def _is_safe(path: str) -> bool:
    segments = path.split("/")
    # Not printable are control characters and half surrogate pairs, too; only NFC is one name on every disk.
    if not path.isprintable() or not unicodedata.is_normalized("NFC", path):
        return False
    if len(path.encode()) > _MAX_PATH_BYTES or len(segments) > _MAX_PATH_SEGMENTS:
        return False
    if any(character in path for character in '\\:*?"<>|'):
        return False
    return all(
        # Windows drops dots and spaces at the end, so "..", "a." and "a " would be other names there.
        segment
        and not segment.endswith((".", " "))
        and segment.split(".")[0].rstrip().casefold() not in _WINDOWS_DEVICES
        for segment in segments
    )
