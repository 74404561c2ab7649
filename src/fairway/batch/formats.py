"""Which table format a file has: the input's by its content, the output's by its name."""

from __future__ import annotations

import importlib
from pathlib import Path

from fairway.batch.base import Format
from fairway.errors import TableInvalid, UsageError

# By the user's word: the module that holds the format. Imported when needed: Arrow costs 150 ms.
FORMATS = {
    "csv": "delimited",
    "tsv": "delimited",
    "ndjson": "lines",
    "parquet": "arrow",
    "arrow": "arrow",
    "arrows": "arrow",
}
_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".arrows": "arrows",
}
_MAGICS = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrows"}
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2"}
_BOM = b"\xef\xbb\xbf"


def format_named(name: str) -> Format:
    """Return a format by the user's word for it."""
    formats: dict[str, Format] = importlib.import_module(f"fairway.batch.{FORMATS[name]}").FORMATS
    return formats[name]


def format_of_input(path: Path) -> Format:
    """Return the format of a file that is there.

    Raises:
        TableInvalid: It cannot be read, is empty, or is of no known format.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as cause:
        raise TableInvalid(f"{path} cannot be read: {cause.strerror}") from cause
    if not head:
        raise TableInvalid(f"{path} is empty")
    for magic, name in _MAGICS.items():
        if head.startswith(magic):
            return format_named(name)
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise TableInvalid(f"{path.name} is packed by {name}", hint="unpack it first")
    name = _SUFFIXES.get(path.suffix.lower(), "")
    if name in {"parquet", "arrow", "arrows"}:
        raise TableInvalid(f"{path.name} does not begin as a file of the format {name} does")
    first = head.removeprefix(_BOM).lstrip()[:1]
    if not name and first in {b"{", b"["}:
        name = "ndjson"
    if not name or path.suffix.lower() == ".json":
        raise TableInvalid(
            f"the format of {path.name} is not known",
            hint=f"name it so that it ends in one of: {', '.join(_SUFFIXES)}",
        )
    return format_named(name)


def format_of_output(path: Path, name: str | None) -> Format:
    """Return the format to write.

    Args:
        path: Where the output goes.
        name: The format if it was stated, else the name of the file says it.

    Raises:
        UsageError: Neither says it.
    """
    if name is not None and name not in FORMATS:
        raise UsageError(f"there is no format {name!r}", hint=f"formats: {', '.join(FORMATS)}")
    found = name or _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise UsageError(
            f"the name {path.name} says no format to write",
            hint=f"--format {'|'.join(FORMATS)}, or a name that ends in one of: {', '.join(_SUFFIXES)}",
        )
    return format_named(found)
