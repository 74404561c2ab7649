"""How the files of a bundle are laid out on a disk: a folder, or one zip; written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import lzma
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from fairway.bundle.manifest import check_paths
from fairway.errors import ArtifactCorrupt, ArtifactDigest

_MAX_MEMBERS = 10_000
_MAX_BYTES = 2 * 2**30
_MAX_RATIO = 100
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_END, _END_SIZE = b"PK\5\6", 22  # the record that ends an archive, before its comment
_COMMENT_LENGTH = struct.Struct("<H")  # the last field of an archive before its comment

# What the standard library raises on damaged archives, depending on where the damage is.
ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    IndexError,  # a member without a name
    EOFError,
    OSError,
)


def member_names(data: bytes) -> set[str]:
    """Return the names of a zip's members; none for what is no zip, or a damaged one."""
    if not data.startswith(b"PK\x03\x04"):
        return set()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return set(archive.namelist())
    except ZIP_FAULTS:
        return set()


def read_zip(path: Path, data: bytes) -> dict[str, bytes]:
    """Return the members of an archive by name.

    Args:
        path: Where it came from, for messages.
        data: The archive.

    Raises:
        ArtifactCorrupt: It is no archive, or unpacks beyond the limits.
        ArtifactDigest: It is not the archive that was written.
        ArtifactPath: A member's name could lead outside of the bundle.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        check_archive(archive, path)
        _check_whole(archive.comment, data, path)
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
    except ZIP_FAULTS as cause:
        raise ArtifactCorrupt(f"{path} is not a bundle: {cause}") from cause


def check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive that unpacks beyond the limits, by what it says of itself; nothing is unpacked.

    Raises:
        ArtifactCorrupt: It does.
        ArtifactPath: A member's name could lead outside of the bundle.
    """
    members = [info for info in archive.infolist() if not info.is_dir()]
    check_paths(info.filename for info in members)
    packed = sum(info.compress_size for info in members)
    unpacked = sum(info.file_size for info in members)
    too_dense = unpacked > 2**20 and unpacked > packed * _MAX_RATIO
    if len(members) > _MAX_MEMBERS or unpacked > _MAX_BYTES or too_dense:
        raise ArtifactCorrupt(
            f"{path} unpacks to {len(members)} files and {unpacked} bytes, which is beyond the limits"
        )


def _check_whole(comment: bytes, data: bytes, path: Path) -> None:
    """Compare an archive with the checksum at its end; one that another program made has none.

    The hashes in the manifest are what guards the members. This one also sees what no member holds: the
    times, the headers and the directory of the archive.
    """
    record = data[: len(data) - len(comment)][-_END_SIZE:]
    is_whole = record.startswith(_END) and record.endswith(_COMMENT_LENGTH.pack(len(comment)))
    body = len(data) - len(comment) - _COMMENT_LENGTH.size
    if not is_whole or (comment and comment != _checksum(data[:body])):
        raise ArtifactDigest(
            f"{path} is not the file that was written: its checksum differs",
            hint="fetch the bundle again, or pull it again",
        )


def _checksum(archive: bytes) -> bytes:
    """Return the comment of an archive, made of all bytes before the comment's length."""
    return b"sha256:" + hashlib.sha256(archive).hexdigest().encode()


def _with_checksum(archive: bytes) -> bytes:
    """Return an archive without a comment with its checksum as the comment."""
    body = archive[: -_COMMENT_LENGTH.size]
    comment = _checksum(body)
    return body + _COMMENT_LENGTH.pack(len(comment)) + comment


def write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write *contents* as one archive; what is at *path* is replaced when all is written."""
    with Beside(path) as temporary:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(contents):
                # A fixed time: the same bundle gives the same bytes.
                archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), contents[name], zipfile.ZIP_DEFLATED)
        temporary.write_bytes(_with_checksum(packed.getvalue()))
        temporary.replace(path)


def write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write *contents* as a new folder, which is there when all is written."""
    with Beside(path) as temporary:
        _lay(temporary, contents)
        temporary.replace(path)


def replace_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write *contents* in place of the folder at *path*; a kill in between leaves none rather than half."""
    with Beside(path) as temporary:
        _lay(temporary, contents)
        if path.exists():
            path.rename(temporary.with_name("old"))
        temporary.replace(path)


def _lay(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, data in contents.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


class Beside:
    """A temporary path in the folder of *path*, gone when the block ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))

    def __enter__(self) -> Path:
        return self._folder / "new"

    def __exit__(self, *exc_info: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
