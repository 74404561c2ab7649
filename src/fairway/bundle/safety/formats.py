"""What a file is, by its first bytes or its structure; its name is never asked."""

from __future__ import annotations

import io
import pickletools

import msgspec

COMPRESSED = frozenset({"zlib", "gzip", "bz2", "xz", "lzma", "lz4"})
ARCHIVES = frozenset({"zip", "tar"})

HDF5 = b"\x89HDF\r\n\x1a\n"

_MAGICS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"x\x01", "zlib"),
    (b"x\x5e", "zlib"),
    (b"x\x9c", "zlib"),
    (b"x\xda", "zlib"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"]\x00\x00", "lzma"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x93NUMPY", "npy"),
    (HDF5, "hdf5"),
    (b"CBM1", "catboost"),
    (b"tree\nversion=", "lightgbm"),
    (b"ARROW1", "arrow"),
    (b"PAR1", "parquet"),
)
_TAR_MAGIC_AT = 257
# First opcodes of pickles of protocol 0 and 1, which have no magic: marks, constants, containers, imports.
_PICKLE_STARTS = frozenset(b"(]}c)lduiGFIJKLMNSTUVX\x8a\x8b\x8c\x8d\x8f\x95BCP")


def format_of(data: bytes) -> str:
    """Return the name of the format, `text` for anything readable, or `unknown`."""
    # First: the length in front of a whole header may look like any magic.
    if _is_safetensors(data) and _is_json(data[8 : 8 + int.from_bytes(data[:8], "little")]):
        return "safetensors"
    for magic, name in _MAGICS:
        if data.startswith(magic):
            return name
    if data[:1] == b"\x80" and data[1:2] <= b"\x05":
        return "pickle"
    if data[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        return "tar"
    if _is_safetensors(data):
        return "safetensors"
    if data[:1] == b"{":
        return "json" if _is_json(data) else "xgboost"
    if is_old_pickle(data):
        return "pickle"
    if _is_onnx(data):
        return "onnx"
    return "text" if _is_text(data) else "unknown"


def is_old_pickle(data: bytes) -> bool:
    """Tell whether the bytes are a pickle without a magic, by reading it as one to its end.

    What follows must be white space or a pickle, too: a text can begin with `N.`, which is a pickle of None.
    """
    if not data or data[0] not in _PICKLE_STARTS or b"." not in data:
        return False
    file = io.BytesIO(data)
    try:
        count = sum(1 for _ in pickletools.genops(file))
    except Exception:  # noqa: BLE001 - it is no pickle, whatever is wrong with it
        return False
    rest = data[file.tell() :].lstrip()
    return count > 1 and (not rest or rest[:1] == b"\x80" or is_old_pickle(rest))


def _is_safetensors(data: bytes) -> bool:
    length = int.from_bytes(data[:8], "little")
    return data[8:9] == b"{" and 2 <= length <= len(data) - 8


def _is_json(data: bytes) -> bool:
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_onnx(data: bytes) -> bool:
    from fairway.bundle.safety.onnx import looks_like_onnx

    return looks_like_onnx(data)


def _is_text(data: bytes) -> bool:
    try:
        data[:4096].decode()
    except UnicodeDecodeError as cause:
        return cause.start > 4090  # a character that the cut went through
    return b"\x00" not in data[:4096]
