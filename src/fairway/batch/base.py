"""What a table format is to scoring: how a file is cut into chunks, read, and written again.

A format is one file of this folder (`arrow.py`, `delimited.py`, `lines.py`); which one a path gets stands in
`formats.py`. A chunk is the unit of everything: workers get them one at a time, a part of the output belongs
to each, and an interrupted run goes on with the first that is not done.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol

from fairway.bundle.signature import Signature
from fairway.errors import TableInvalid, UsageError
from fairway.messages import Columns

CHUNK_ROWS = 10_000
CHUNK_BYTES = 4 * 2**20
MAX_RECORD_BYTES = 64 * 2**20

FieldType = Literal["number", "integer", "boolean", "text", "datetime", "json"]


class Chunk(NamedTuple):
    """Rows that lie together in the input.

    Attributes:
        number: Place among the chunks, from 0.
        start: Number of its first row in the file, from 0.
        rows: How many rows there are.
        place: Where they lie; what it means is the format's own business.
        share: How much of the file lies before its end, from 0 to 1.
    """

    number: int
    start: int
    rows: int
    place: tuple[int, ...]
    share: float


@dataclasses.dataclass(frozen=True)
class Field:
    """One column of the output.

    Attributes:
        name: Name of the column.
        type: What its values are; `json` is a value of any kind.
        native: Arrow's type, for a column that is copied from an Arrow table.
    """

    name: str
    type: FieldType
    native: Any = None


@dataclasses.dataclass(frozen=True)
class Reading:
    """What has to be known to read a table.

    Attributes:
        signature: The model's inputs: columns that must be there.
        keep: Columns to copy to the output; None copies all.
        max_text_chars: Longest text in one value.
        max_depth: Deepest nesting of a JSON value.
    """

    signature: Signature
    keep: tuple[str, ...] | None = ()
    max_text_chars: int = 1_000_000
    max_depth: int = 32


class Block(Protocol):
    """The rows of one chunk, as they were read."""

    def columns(self, start: int, stop: int) -> Columns | None:
        """Return rows of the block, or None if one of them may be at fault: ask for each `record` then."""

    def record(self, row: int) -> Any:
        """Return one row as a request would hold it, for the reference validator.

        Raises:
            RequestError: It is no row at all.
        """

    def line(self, row: int) -> int | None:
        """Return the line of the file on which a row begins, from 1; None where a file has no lines."""

    def kept(self) -> list[Any]:
        """Return the values of every column that is copied: a list, or an Arrow array."""


class Table(Protocol):
    """An input file whose beginning was read and fits the model.

    Attributes:
        rows: Number of rows, or None where only reading the whole file would tell.
        kept: The columns that are copied to the output.
    """

    rows: int | None
    kept: list[Field]

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks of the file, the same ones each time.

        Raises:
            TableInvalid: The rest of the file cannot be cut into rows.
        """

    def hand_over(self, chunk: Chunk, path: Path) -> bool:
        """Write a chunk's rows to a file where that spares the workers something, or return False.

        Called in the process that opened the table, for one chunk after the other.
        """

    def read(self, chunk: Chunk, handed: Path | None = None) -> Block:
        """Return a chunk's rows. Called in other processes than the one that opened the table.

        Args:
            chunk: The chunk.
            handed: The file that `hand_over` wrote for it, if it did.
        """


class Assembly(Protocol):
    """The output while it is put together from its parts."""

    def add(self, part: Path) -> None:
        """Add the next part."""

    def close(self) -> None:
        """Write what stands at the end."""


class Writer(Protocol):
    """Writes tables of one format with given columns."""

    def part(self, columns: Sequence[Any], rows: int) -> bytes:
        """Return some rows, one list or Arrow array per column, in the form that `Assembly.add` takes."""

    def assemble(self, target: BinaryIO) -> Assembly:
        """Begin an output file."""


class Format(Protocol):
    """One table format.

    Attributes:
        name: What users call it.
        suffixes: Endings of its files.
    """

    name: str
    suffixes: tuple[str, ...]

    def open(self, path: Path, reading: Reading) -> Table:
        """Open an input and check that it has what the model needs.

        Raises:
            TableInvalid: It is damaged, or columns are absent.
            MissingExtra: The library for it is not installed.
        """

    def writer(self, fields: Sequence[Field]) -> Writer:
        """Return the writer of a table with these columns."""


def check_columns(path: Path, names: Sequence[str], signature: Signature) -> None:
    """Refuse a table that lacks inputs of the model or names a column twice.

    Raises:
        TableInvalid: Says which.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableInvalid(f"{path.name} has two columns named {twice[0]!r}", hint="rename one of them")
    missing = [name for name in signature.names if name not in names]
    if missing:
        listed = ", ".join(map(repr, missing[:10])) + (", ..." if len(missing) > 10 else "")
        found = ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
        raise TableInvalid(
            f"{path.name} lacks {len(missing)} of the model's {len(signature.names)} inputs: {listed}",
            hint=f"the file has the columns {found}; give each input a column, if need be an empty one",
        )


def kept_names(path: Path, names: Sequence[str], keep: Sequence[str] | None) -> list[str]:
    """Return the columns that are copied, in the order of the file.

    Raises:
        UsageError: One of them is not there.
    """
    if keep is None:
        return list(names)
    for name in keep:
        if name not in names:
            found = ", ".join(names[:20])
            raise UsageError(f"{path.name} has no column {name!r} to keep", hint=f"the columns are: {found}")
    return [name for name in names if name in keep]
