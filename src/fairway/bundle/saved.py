"""What a model file says of the release that saved it, read from its bytes without loading it."""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import Mapping

from fairway.bundle.versions import order

_MAX_BYTES = 2**30
_MAX_VERSION = 40

# scikit-learn writes its version into the state of every estimator. Between the key and the value stand the
# opcodes of a pickle: the key is memoised (\x94, q, r, or p in text), then a text begins with its length.
_SKLEARN = re.compile(
    rb"_sklearn_version(?:\x94|q.|r.{4}|\np\d+\n)?(?:\x8c(?P<short>.)|X(?P<long>.{4})|V(?P<line>[^\n]+)\n)",
    re.DOTALL,
)


def saved_with(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the releases that model files were saved with, by distribution; empty where they do not tell.

    Args:
        files: Contents by path.
    """
    found = [version for data in files.values() for version in _sklearn_versions(_plain(data))]
    return {"scikit-learn": min(found, key=order)} if found else {}


def _sklearn_versions(data: bytes) -> set[str]:
    versions = set()
    for match in _SKLEARN.finditer(data):
        if match["line"] is not None:
            text = match["line"]
        else:
            length = int.from_bytes(match["short"] or match["long"], "little")
            text = data[match.end() : match.end() + min(length, _MAX_VERSION)]
        if re.fullmatch(rb"\d+(\.\w+)*", text):
            versions.add(text.decode())
    return versions


def _plain(data: bytes) -> bytes:
    """Return what a compressed file holds, up to a limit; other files as they are."""
    try:
        if data[:2] in {b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"\x1f\x8b"}:
            return zlib.decompressobj(wbits=47).decompress(data, _MAX_BYTES)
        if data[:3] == b"BZh":
            return bz2.BZ2Decompressor().decompress(data, _MAX_BYTES)
        if data[:6] == b"\xfd7zXZ\0" or data[:2] == b"]\0":
            return lzma.LZMADecompressor().decompress(data, _MAX_BYTES)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, MemoryError):
        return b""
    return data
