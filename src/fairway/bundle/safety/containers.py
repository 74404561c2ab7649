"""What is packed or compressed, unpacked in memory and within limits: too much is refused while it is read.

Names of members are judged before the first byte of any of them is read; links and devices are no members of
a model. Nothing is ever written to a disk here.
"""

from __future__ import annotations

import bz2
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from fairway.bundle.archive import ZIP_FAULTS
from fairway.bundle.manifest import check_paths
from fairway.bundle.safety.formats import COMPRESSED, format_of
from fairway.errors import (
    ArchiveLimit,
    ArchiveLink,
    ArchivePath,
    ArtifactCorrupt,
    ArtifactPath,
    MissingExtra,
)

MAX_MEMBERS = 10_000
MAX_BYTES = 2 * 2**30
MAX_RATIO = 100
_FREE_BYTES = 2**20  # below this a high ratio harms nobody: small files of zeros compress well
_CHUNK = 2**20


def decompress(data: bytes) -> bytes:
    """Return the content of a compressed file; anything else as it is.

    Raises:
        ArchiveLimit: It unpacks to too much.
        ArtifactCorrupt: It is damaged, or compressed twice.
        MissingExtra: lz4 is needed and not installed.
    """
    kind = format_of(data)
    if kind not in COMPRESSED:
        return data
    plain = _READERS[kind](data)
    if format_of(plain) in COMPRESSED:
        raise ArtifactCorrupt("the file is compressed twice", hint="save the model again, uncompressed")
    return plain


def _collect(read: Callable[[int], bytes], packed: int, kind: str) -> bytes:
    """Return everything that *read* gives, which asks for a number of bytes and gets none at the end."""
    limit = min(MAX_BYTES, max(_FREE_BYTES, packed * MAX_RATIO))
    found = io.BytesIO()
    try:
        while chunk := read(min(_CHUNK, limit - found.tell() + 1)):
            found.write(chunk)
            if found.tell() > limit:
                raise ArchiveLimit(
                    f"the file unpacks to more than {limit:,} bytes, {MAX_RATIO} times what it takes or 2 GiB"
                )
    except (EOFError, OSError, ValueError, RuntimeError, zlib.error, lzma.LZMAError) as cause:
        raise ArtifactCorrupt(
            f"the file looks like {kind} and cannot be unpacked: {cause}",
            hint="was it cut off while copying? save it again",
        ) from cause
    return found.getvalue()


def _streaming(data: bytes, make: Callable[[], Any], kind: str) -> bytes:
    """Unpack by one decompressor object, and refuse what follows its end."""
    source = io.BytesIO(data)
    unpacker = make()

    def read(size: int) -> bytes:
        while not unpacker.eof:
            waiting = getattr(unpacker, "unconsumed_tail", b"")
            fed = waiting or (b"" if not getattr(unpacker, "needs_input", True) else source.read(_CHUNK))
            out: bytes = unpacker.decompress(fed, size)
            if out:
                return out
            if not fed and not unpacker.eof and getattr(unpacker, "needs_input", True):
                raise EOFError("it ends too early")
        return b""

    plain = _collect(read, len(data), kind)
    if unpacker.unused_data or source.read(1):
        raise ArtifactCorrupt(f"something follows the end of the {kind} stream")
    return plain


def _lz4(data: bytes) -> bytes:
    try:
        from lz4.frame import LZ4FrameDecompressor
    except ImportError as cause:
        raise MissingExtra("lz4", "sklearn", purpose="a model file that is compressed by lz4") from cause
    return _streaming(data, LZ4FrameDecompressor, "lz4")


_READERS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": lambda data: _streaming(data, zlib.decompressobj, "zlib"),
    "gzip": lambda data: _streaming(data, lambda: zlib.decompressobj(31), "gzip"),
    "bz2": lambda data: _streaming(data, bz2.BZ2Decompressor, "bz2"),
    "xz": lambda data: _streaming(data, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), "xz"),
    "lzma": lambda data: _streaming(data, lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE), "lzma"),
    "lz4": _lz4,
}


def read_archive(data: bytes) -> dict[str, bytes]:
    """Return the members of a zip or tar archive (a compressed tar included) by name.

    Raises:
        ArchiveLimit: It has too many members, or unpacks to too much.
        ArchiveLink: A member is a link, a device or a pipe.
        ArchivePath: A member's name could lead elsewhere, or stands twice.
        ArtifactCorrupt: It is damaged.
    """
    plain = decompress(data)
    kind = format_of(plain)
    try:
        return _read_zip(plain) if kind == "zip" else _read_tar(plain, len(data))
    except (tarfile.TarError, *ZIP_FAULTS) as cause:
        raise ArtifactCorrupt(f"the archive cannot be read: {cause}") from cause


def _read_zip(data: bytes) -> dict[str, bytes]:
    archive = zipfile.ZipFile(io.BytesIO(data))
    infos = archive.infolist()
    _check_members(len(infos), sum(info.file_size for info in infos), len(data))
    for info in infos:
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise ArchiveLink(f"the member {info.filename!a} is a link or a device")
    names = [info for info in infos if not info.is_dir()]
    _check_names([info.filename for info in infos])
    found: dict[str, bytes] = {}
    for info in names:
        with archive.open(info) as member:
            # The declared size was checked; what really comes is counted, too.
            read = member.read(info.file_size + 1)
        if len(read) > info.file_size:
            raise ArchiveLimit(f"the member {info.filename!a} is larger than it says")
        found[info.filename] = read
    return found


def _read_tar(data: bytes, packed: int) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        members: list[tarfile.TarInfo] = []
        for member in archive:
            members.append(member)
            if len(members) > MAX_MEMBERS:
                break
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise ArchiveLink(f"the member {member.name!a} is a link, a device or a sparse file")
        _check_members(len(members), sum(member.size for member in members), packed)
        _check_names([member.name for member in members])
        found: dict[str, bytes] = {}
        for member in members:
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                found[member.name] = content.read()
    return found


def _check_members(count: int, size: int, packed: int) -> None:
    if count > MAX_MEMBERS:
        raise ArchiveLimit(f"the archive has more than {MAX_MEMBERS:,} members")
    if size > MAX_BYTES or (size > _FREE_BYTES and size > packed * MAX_RATIO):
        raise ArchiveLimit(
            f"the archive of {packed:,} bytes unpacks to {size:,}: "
            f"more than 2 GiB, or {MAX_RATIO} times what it takes"
        )


def _check_names(names: list[str]) -> None:
    folders = {name.rstrip("/") for name in names if name.endswith("/")}
    plain = [name.removeprefix("./").rstrip("/") for name in names if name not in {".", "./"}]
    try:
        check_paths(name for name in plain if name not in folders)
        for folder in folders:
            check_paths([folder.removeprefix("./") + "/x"])
    except ArtifactPath as cause:
        raise ArchivePath(
            cause.detail.replace("a bundle", "an archive").replace("the bundle", "the archive")
        ) from cause
