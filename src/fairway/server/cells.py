"""Where counts are kept: in this process alone, or in memory that all workers of a server share.

Whoever counts gets a row of cells per series and adds to them; a cell costs what an item of a list costs.
Every worker writes into a block of its own, so no lock is needed, and everybody reads all blocks. The block
outlives the worker: what a killed one has counted stays, and its replacement goes on counting there.
"""

from __future__ import annotations

import json
import mmap
import operator
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeAlias

BLOCK_BYTES = 4 * 2**20
"""Room of one worker, for about 15,000 series; a page of it takes memory when it is first written."""

INFLIGHT = 0
"""Index of the calls that are being answered among the gauges."""

MODELS_LOADED = 1
"""Index of the versions in memory."""

LOADING = 2
"""Index of the first of those gauges that say which versions a worker is loading."""

LOADING_AT_ONCE = 2

_CELL_BYTES = 8
_USED, _PID, _GAUGES = 0, 1, 2
_GAUGE_COUNT = 6
_FIRST = _GAUGES + _GAUGE_COUNT
_RECORD = struct.Struct("=II")

Cells: TypeAlias = "list[float] | memoryview[float]"
Series: TypeAlias = tuple[str, tuple[str, ...]]


class Counts(Protocol):
    """Cells by series."""

    gauges: Cells
    """What holds at this moment, for the one process that runs; lost with it."""

    def cells(self, name: str, labels: Sequence[str], size: int) -> Cells:
        """Return the *size* cells of a series, which are zero in the beginning."""

    def sums(self) -> dict[Series, Sequence[float]]:
        """Return the cells of every series, added up over all processes there have ever been."""

    def gauge(self, index: int) -> float:
        """Return a gauge, added up over the processes that run."""


class LocalCounts:
    """Implement `Counts` for one process."""

    def __init__(self) -> None:
        self.gauges: Cells = [0] * _GAUGE_COUNT
        self._series: dict[Series, list[float]] = {}

    def cells(self, name: str, labels: Sequence[str], size: int) -> Cells:
        """Return a list."""
        return self._series.setdefault((name, tuple(labels)), [0] * size)

    def sums(self) -> dict[Series, Sequence[float]]:
        """Return the lists."""
        return dict(self._series)

    def gauge(self, index: int) -> float:
        """Return the gauge."""
        return self.gauges[index]


class SharedCounts:
    """Implement `Counts` for the workers that are forked after this was made.

    A block begins with the number of cells in use, the process that counts there, and its gauges. Then follow
    the series: the sizes of their label text and of their cells, the text, the cells. A series that does not
    fit any more is counted nowhere.

    Args:
        workers: How many workers there will be.
    """

    def __init__(self, workers: int) -> None:
        self.master = os.getpid()
        memory = memoryview(mmap.mmap(-1, workers * BLOCK_BYTES))  # anonymous: it goes with its last process
        self._blocks = [_Block(memory[n * BLOCK_BYTES :][:BLOCK_BYTES]) for n in range(workers)]
        self._own = self._blocks[0]
        self.gauges: Cells = self._own.gauges

    def attach(self, number: int) -> None:
        """Count into block *number* from now on, on top of what stands there."""
        self._own = self._blocks[number]
        self.gauges = self._own.gauges
        self._own.clear()
        self._own.pid = os.getpid()

    def loading(self, number: int) -> list[int]:
        """Return what the process that counts into a block was loading when it was last seen."""
        marks = self._blocks[number].gauges[LOADING : LOADING + LOADING_AT_ONCE]
        return [int(mark) for mark in marks if mark]

    def detach(self, number: int) -> None:
        """Forget the process that counted into a block, but not its counts."""
        self._blocks[number].clear()

    def cells(self, name: str, labels: Sequence[str], size: int) -> Cells:
        """Return a part of the own block."""
        return self._own.cells((name, tuple(labels)), size)

    def sums(self) -> dict[Series, Sequence[float]]:
        """Add up the blocks."""
        found: dict[Series, Sequence[float]] = {}
        for block in self._blocks:
            for series, cells in block.series():
                known = found.get(series)
                found[series] = list(map(operator.add, known, cells)) if known else cells.tolist()
        return found

    def gauge(self, index: int) -> float:
        """Add up the gauges of the processes that run."""
        return sum(block.gauges[index] for block in self._blocks if block.pid)

    def pids(self) -> list[int]:
        """Return the workers that run."""
        return [block.pid for block in self._blocks if block.pid]


class _Block:
    """The memory of one worker."""

    def __init__(self, memory: memoryview) -> None:
        self._bytes = memory
        self._cells = memory.cast("d")
        self.gauges: Cells = self._cells[_GAUGES:_FIRST]
        self._cells[_USED] = self._cells[_USED] or _FIRST

    @property
    def pid(self) -> int:
        return int(self._cells[_PID])

    @pid.setter
    def pid(self, value: int) -> None:
        self._cells[_PID] = value

    def clear(self) -> None:
        self.pid = 0
        for index in range(_GAUGE_COUNT):
            self.gauges[index] = 0

    def cells(self, series: Series, size: int) -> Cells:
        found = next((cells for known, cells in self.series() if known == series), None)
        return self._add(series, size) if found is None else found

    def _add(self, series: Series, size: int) -> Cells:
        text = json.dumps(series).encode()
        start = int(self._cells[_USED])
        first = start + 1 + -(-len(text) // _CELL_BYTES)
        if first + size > len(self._cells):
            return [0] * size
        place = start * _CELL_BYTES
        _RECORD.pack_into(self._bytes, place, len(text), size)
        self._bytes[place + _CELL_BYTES : place + _CELL_BYTES + len(text)] = text
        cells = self._cells[first : first + size]
        for index in range(size):  # a worker that was killed half-way may have left something
            cells[index] = 0
        self._cells[_USED] = first + size  # last: from now on the others see it
        return cells

    def series(self) -> Iterator[tuple[Series, memoryview[float]]]:
        place, end = _FIRST, int(self._cells[_USED])
        while place < end:
            length, size = _RECORD.unpack_from(self._bytes, place * _CELL_BYTES)
            begin = (place + 1) * _CELL_BYTES
            name, labels = json.loads(bytes(self._bytes[begin : begin + length]))
            first = place + 1 + -(-length // _CELL_BYTES)
            yield (name, tuple(labels)), self._cells[first : first + size]
            place = first + size
