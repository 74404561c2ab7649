"""Cut a text file into blocks that end where a record ends, without holding more than one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from fairway.batch.base import CHUNK_BYTES, MAX_RECORD_BYTES, Chunk
from fairway.errors import TableInvalid

BOM = b"\xef\xbb\xbf"


def text_chunks(
    path: Path, offset: int, line: int, *, split: Callable[[bytes], list[int]], count: Callable[[bytes], int]
) -> Iterator[Chunk]:
    """Yield the chunks of a text file; a chunk's place is its offset, its bytes and its first line.

    Args:
        path: The file.
        offset: Where the first record begins.
        line: On which line that is, from 1.
        split: Gives the ends of the whole records at the beginning of some bytes; the last one is enough.
        count: Gives the number of rows in whole records.
    """
    size = path.stat().st_size
    number = start = 0
    with path.open("rb") as file:
        file.seek(offset)
        for data in _blocks(file, path, split):
            rows = count(data)
            end = offset + len(data)
            if rows:
                yield Chunk(number, start, rows, (offset, len(data), line), end / size)
                number += 1
            offset, start, line = end, start + rows, line + data.count(b"\n")


def _blocks(file: BinaryIO, path: Path, split: Callable[[bytes], list[int]]) -> Iterator[bytes]:
    rest = b""
    while more := file.read(CHUNK_BYTES):
        data = rest + more
        ends = split(data)
        end = ends[-1] if ends else 0
        if end:
            yield data[:end]
        rest = data[end:]
        if len(rest) > MAX_RECORD_BYTES:
            at = file.tell() - len(rest)
            raise TableInvalid(
                f"the row at byte {at} of {path.name} does not end within {MAX_RECORD_BYTES} bytes",
                hint="is a quotation mark opened there and never closed?",
            )
    if rest:  # the last record need not end its line
        yield rest


def read_block(path: Path, chunk: Chunk) -> bytes:
    """Return the bytes of a chunk."""
    offset, length, _ = chunk.place
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)
