"""What is made for a bundle after it was packed: files keyed by its digest, outside it, hashed on their own.

A bundle never changes, and its digest covers what was packed. A compiled predictor with its proof is made
later and may be made again; it hangs on the bundle as an attachment. In a bundle folder or file it lies below
`attachments/<name>/` with a manifest of its own, and the hash of that manifest is the attachment's digest.

`FORMAT` is the number of that manifest. It is raised as the one of bundles is (see `manifest.py`), but on its
own: an attachment that cannot be read is made again, a bundle cannot.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping

import msgspec

from fairway.bundle.manifest import FileEntry, check_paths, read_verified
from fairway.bundle.names import check_name
from fairway.errors import ArtifactCorrupt, ArtifactDigest, BundleTooNew

FORMAT = 1
FOLDER = "attachments/"
MANIFEST = "manifest.json"
SEAL_PREFIX = "seal-"
"""How the names of seals begin (`signing.py`): signatures, which no compiler makes anew."""

REPORTS = frozenset({"check"})
"""Attachments that tell of a bundle and decide nothing of what it answers: no seal need cover them."""


class AttachmentManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an attachment says of itself.

    Attributes:
        format: Number of the attachment format.
        subject: Digest of the bundle that it belongs to.
        name: What it is, such as `compiled`; a bundle has at most one of each name.
        files: Every file of the attachment but this manifest.
    """

    subject: str
    name: str
    files: dict[str, FileEntry]
    format: int = FORMAT

    def to_bytes(self) -> bytes:
        """Return the canonical JSON: keys sorted at every level, no spaces, UTF-8."""
        return msgspec.json.encode(msgspec.to_builtins(self), order="sorted")

    @classmethod
    def from_bytes(cls, data: bytes) -> AttachmentManifest:
        """Read a manifest.

        Raises:
            ArtifactCorrupt: The bytes are not the manifest of an attachment.
            ArtifactDigest: They say the same as one, but are not the bytes that its digest stands for.
            ArtifactPath: A file name could lead outside of the attachment.
            BundleTooNew: The format is newer than this release reads.
        """
        try:
            number = msgspec.json.decode(data)["format"]
            if isinstance(number, int) and number > FORMAT:
                raise BundleTooNew(
                    f"the attachment has format {number}; this release reads up to {FORMAT}",
                    hint="pip install --upgrade fairway",
                )
            manifest = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError) as cause:
            raise ArtifactCorrupt(f"this is not the manifest of an attachment: {cause}") from cause
        if manifest.format != FORMAT:
            raise ArtifactCorrupt(f"the attachment has the unknown format {manifest.format}")
        check_name("attachment", manifest.name)
        check_paths([f"{FOLDER}{manifest.name}/{path}" for path in (MANIFEST, *manifest.files)])
        if manifest.to_bytes() != data:
            raise ArtifactDigest(
                f"the manifest of the attachment {manifest.name!r} is not written as manifests are",
                hint=_remedy(manifest.name),
            )
        return manifest


@dataclasses.dataclass(frozen=True)
class Attachment:
    """Files that belong to a bundle without being part of it.

    Attributes:
        manifest: What the attachment says of itself.
        files: Function that returns the raw bytes of one file.
    """

    manifest: AttachmentManifest
    files: Callable[[str], bytes] = dataclasses.field(repr=False)

    @classmethod
    def from_files(cls, manifest: AttachmentManifest, read: Callable[[str], bytes]) -> Attachment:
        """Return an attachment whose files come from *read*.

        Raises:
            ArtifactDigest: A file differs from the manifest, or is missing.
        """
        attachment = cls(manifest, read)
        for path in manifest.files:
            attachment.read(path)
        return attachment

    @property
    def subject(self) -> str:
        """Digest of the bundle that it belongs to."""
        return self.manifest.subject

    @property
    def name(self) -> str:
        """What it is, such as `compiled`."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest: covers the subject, the name and every file."""
        return hashlib.sha256(self.manifest.to_bytes()).hexdigest()

    def read(self, path: str) -> bytes:
        """Return the verified bytes of one file.

        Raises:
            ArtifactDigest: The bytes differ from the manifest, or the file is missing.
        """
        return read_verified(
            self.manifest.files,
            self.files,
            path,
            whole=f"the attachment {self.name!r}",
            done="attached",
            hint=_remedy(self.name),
        )

    def members(self) -> dict[str, bytes]:
        """Return its files and its manifest by their paths in a bundle."""
        contents = {path: self.read(path) for path in self.manifest.files}
        contents[MANIFEST] = self.manifest.to_bytes()
        return {f"{FOLDER}{self.name}/{path}": data for path, data in contents.items()}


def build_attachment(subject: str, name: str, contents: Mapping[str, bytes]) -> Attachment:
    """Return an attachment of the files in *contents*.

    Args:
        subject: Digest of the bundle that it belongs to.
        name: What it is.
        contents: Bytes by path.

    Raises:
        ArtifactPath: A path could lead outside of the attachment.
    """
    files = {path: FileEntry.of(data) for path, data in sorted(contents.items())}
    manifest = AttachmentManifest(subject=subject, name=name, files=files)
    kept = dict(contents)
    return Attachment(AttachmentManifest.from_bytes(manifest.to_bytes()), kept.__getitem__)


def find_attachments(
    subject: str, names: Iterable[str], read: Callable[[str], bytes]
) -> dict[str, Attachment]:
    """Return the attachments of a bundle by name, every byte verified.

    Args:
        subject: Digest of the bundle that they have to belong to.
        names: Names of the folders below `attachments/`.
        read: Gives the raw bytes of a file by its path in the bundle.

    Raises:
        ArtifactDigest: A file differs from its manifest, or an attachment belongs to another bundle.
    """
    return {name: _find_one(subject, name, read) for name in names}


def _remedy(name: str) -> str:
    made_by = "fairway sign" if name.startswith(SEAL_PREFIX) else "fairway compile"
    made_by = "fairway check" if name in REPORTS else made_by
    return f"make the attachment again with {made_by}"


def _find_one(subject: str, name: str, read_member: Callable[[str], bytes]) -> Attachment:
    def read(path: str) -> bytes:
        return read_member(f"{FOLDER}{name}/{path}")

    try:
        manifest = AttachmentManifest.from_bytes(read(MANIFEST))
    except (FileNotFoundError, KeyError) as cause:
        raise ArtifactCorrupt(f"the attachment {name!a} has no {MANIFEST}") from cause
    if manifest.name != name:
        raise ArtifactCorrupt(f"the attachment {manifest.name!r} lies in the folder {name!a}")
    if manifest.subject != subject:
        raise ArtifactDigest(
            f"the attachment {name!r} belongs to another bundle ({manifest.subject[:12]!a})",
            hint=_remedy(name),
        )
    return Attachment.from_files(manifest, read)
