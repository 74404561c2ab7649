"""Turn rounds of measurements into the tables of the documentation page, and say how they were made."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from harness import Load
from results import Round
from rivals.base import NAMES, find
from workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"
BEGIN, END = "<!-- results of `make bench` -->", "<!-- end of results -->"
YARDSTICK = "fastapi"
OURS = "fairway"
CELLS = tuple((rows, connections) for rows in (1, 100) for connections in (1, 8, 32))
COMPARED = (1, 32)
"""Rows and connections of the cell that systems are compared by."""


class Cells:
    """All rounds of one system with one model; every figure is a median."""

    def __init__(self, rounds: Sequence[Round]) -> None:
        self.rounds = [found for found in rounds if not found.problem]
        self.problem = next((found.problem for found in rounds if found.problem), "")

    def loads(self, cell: tuple[int, int]) -> list[Load]:
        """Return what was measured in one cell."""
        every = (load for found in self.rounds for load in found.loads)
        return [load for load in every if (load.rows, load.connections) == cell]

    def failed(self, cell: tuple[int, int]) -> int:
        """Return how many calls failed in one cell."""
        return sum(load.failed for load in self.loads(cell))

    def rate(self, cell: tuple[int, int]) -> float | None:
        """Return calls per second, or None if nothing valid was measured."""
        loads = self.loads(cell)
        if not loads or self.failed(cell):
            return None
        return median(load.calls_per_s for load in loads)


Results = dict[tuple[str, str], Cells]


def write(rounds: Sequence[Round], *, seconds: int, commit: str) -> None:
    """Put the tables between the two marks of the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    found = tables(rounds, seconds=seconds, commit=commit)
    PAGE.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}", encoding="utf-8")


def tables(rounds: Sequence[Round], *, seconds: int, commit: str) -> str:
    """Return the conditions and all tables as Markdown."""
    results: Results = {
        (letter, name): Cells(mine)
        for letter in WORKLOADS
        for name in NAMES
        if (mine := [found for found in rounds if (found.model, found.system) == (letter, name)])
    }
    letters = [letter for letter in WORKLOADS if any(model == letter for model, _ in results)]
    parts = [conditions(rounds, seconds=seconds, commit=commit)]
    if any(name == OURS for _, name in results):
        parts.append(summary(results, letters))
    for letter in letters:
        parts += [throughput(results, letter), latency(results, letter)]
    parts += notes(results)
    return "\n\n".join(parts)


def conditions(rounds: Sequence[Round], *, seconds: int, commit: str) -> str:
    """Return where, when and how it was measured, in one paragraph."""
    first, last = min(found.at for found in rounds), max(found.at for found in rounds)
    count = max(found.number for found in rounds)
    busy = [found.busy for found in rounds if not found.problem] or [0.0]
    return (
        f"Measured from {first} to {last} UTC at commit `{commit}` on {machine()}, "
        f"Python {platform.python_version()}. "
        f"Medians of {count} round{'s' * (count > 1)} of {seconds} s per cell. "
        f"Before each start others used {median(busy):.0%} of the processors "
        f"(median; {max(busy):.0%} at most)."
    )


def machine() -> str:
    """Return the processor, its number of cores and the system."""
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = names[0] if names else platform.machine()
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}"


def summary(results: Results, letters: Sequence[str]) -> str:
    """Return how many times as many calls fairway answers, per system and model."""
    rows, connections = COMPARED
    lines = [
        f"### fairway beside each: times as many calls, {rows} row, {connections} connections",
        "",
    ]
    lines += _head(["", *letters])
    for name in NAMES:
        if name != OURS and not find(name).starts_only and any(key[1] == name for key in results):
            ratios = [_times(results, letter, OURS, name) for letter in letters]
            lines.append(_line([find(name).title, *ratios]))
    return "\n".join(lines)


def throughput(results: Results, letter: str) -> str:
    """Return one model's table of calls per second, memory and start."""
    heads = [f"{rows} row{'s' * (rows > 1)}, {connections} conn." for rows, connections in CELLS]
    lines = [f"### {letter}: {WORKLOADS[letter][0]}", ""]
    lines += _head(["calls per second", *heads, "x FastAPI", "memory, MB", "start, s"])
    for name, cells in _of(results, letter):
        if not cells.rounds:
            lines.append(_line([find(name).title, "failed", *[""] * (len(CELLS) + 2)]))
            continue
        rates = [_rate(cells, cell) for cell in CELLS]
        starts = median(start for found in cells.rounds for start in found.starts_s)
        memory = median(found.memory_mb for found in cells.rounds)
        ratio = _times(results, letter, name, YARDSTICK)
        lines.append(_line([find(name).title, *rates, ratio, f"{memory:.0f}", f"{starts:.2f}"]))
    return "\n".join(lines)


def latency(results: Results, letter: str) -> str:
    """Return one model's table of latencies."""
    heads = [f"{rows} row{'s' * (rows > 1)}, {connections} conn." for rows, connections in CELLS]
    lines = _head(["p50 / p99, ms", *heads])
    for name, cells in _of(results, letter):
        if cells.rounds and not find(name).starts_only:
            lines.append(_line([find(name).title, *(_latency(cells, cell) for cell in CELLS)]))
    return "\n".join(lines)


def notes(results: Results) -> list[str]:
    """Return what went wrong, one sentence each."""
    found = []
    for (letter, name), cells in results.items():
        if cells.problem:
            reason = _reason(cells.problem)
            found.append(f"- {letter}, {find(name).title}: failed: `{reason}`")
        found += [
            f"- {letter}, {find(name).title}: void with {cells.failed(cell):,} failed calls at "
            f"{cell[0]} row(s), {cell[1]} connections"
            for cell in CELLS
            if cells.failed(cell)
        ]
    return ["\n".join(found)] if found else []


def _reason(problem: str) -> str:
    """Return the line of a server's output that says most: the last that names an error."""
    lines = [line.strip() for line in problem.splitlines() if line.strip()]
    line = next((line for line in reversed(lines) if re.match(r"\w*(Error|Exception)\b", line)), lines[0])
    return line[:200].replace("|", "/").replace("`", "'")


def _of(results: Results, letter: str) -> Iterable[tuple[str, Cells]]:
    return [(name, cells) for (model, name), cells in results.items() if model == letter]


def _rate(cells: Cells, cell: tuple[int, int]) -> str:
    rate = cells.rate(cell)
    if rate is None:
        return "void" if cells.failed(cell) else ""
    return f"{rate:,.0f}"


def _times(results: Results, letter: str, one: str, other: str) -> str:
    rates = [
        results[letter, name].rate(COMPARED) if (letter, name) in results else None for name in (one, other)
    ]
    if rates[0] is None or not rates[1]:
        return ""
    ratio = rates[0] / rates[1]
    return f"{ratio:.2f}" if ratio < 2 else f"{ratio:,.1f}" if ratio < 20 else f"{ratio:,.0f}"


def _latency(cells: Cells, cell: tuple[int, int]) -> str:
    loads = cells.loads(cell)
    if not cells.rate(cell):
        return ""
    return f"{median(load.p50_ms for load in loads):.2f} / {median(load.p99_ms for load in loads):.2f}"


def _head(titles: Sequence[str]) -> list[str]:
    return [_line(titles), "|---" * len(titles) + "|"]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
