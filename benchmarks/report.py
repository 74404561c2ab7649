"""Turn rounds of measurements into the tables of the documentation page, and say how they were made."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from harness import Load

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"
BEGIN, END = "<!-- results of `make bench` -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Round:
    """One system, started once, loaded at every number of connections."""

    first_answer_s: float
    memory_mb: float
    loads: Sequence[Load]


def write(results: Mapping[str, Sequence[Round]], *, seconds: int, command: str) -> None:
    """Put the tables between the two marks of the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    found = tables(results, seconds=seconds, command=command)
    PAGE.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}", encoding="utf-8")


def tables(results: Mapping[str, Sequence[Round]], *, seconds: int, command: str) -> str:
    """Return the conditions and both tables as Markdown; every number is a median of the rounds."""
    rounds = next(iter(results.values()))
    connections = [load.connections for load in rounds[0].loads]
    columns = " | ".join(f"{n} conn." for n in connections)
    lines = [
        conditions(len(rounds), seconds=seconds, command=command),
        "",
        f"| calls per second | {columns} | memory, MB | start to first answer, s |",
        "|---" * (len(connections) + 3) + "|",
        *(throughput_row(name, runs) for name, runs in results.items()),
        "",
        f"| p50 / p99, ms | {columns} |",
        "|---" * (len(connections) + 1) + "|",
        *(latency_row(name, runs) for name, runs in results.items()),
    ]
    return "\n".join(lines)


def throughput_row(name: str, runs: Sequence[Round]) -> str:
    """Return one line of the first table."""
    rates = [median(load.calls_per_s for load in loads) for loads in by_connections(runs)]
    memory, start = median(run.memory_mb for run in runs), median(run.first_answer_s for run in runs)
    return f"| {name} | {' | '.join(f'{rate:,.0f}' for rate in rates)} | {memory:.0f} | {start:.2f} |"


def latency_row(name: str, runs: Sequence[Round]) -> str:
    """Return one line of the second table."""
    cells = (
        f"{median(load.p50_ms for load in loads):.2f} / {median(load.p99_ms for load in loads):.2f}"
        for loads in by_connections(runs)
    )
    return f"| {name} | {' | '.join(cells)} |"


def by_connections(runs: Sequence[Round]) -> list[tuple[Load, ...]]:
    """Return the loads of all rounds, grouped by the number of connections."""
    return list(zip(*(run.loads for run in runs), strict=True))


def conditions(rounds: int, *, seconds: int, command: str) -> str:
    """Return where, when and how it was measured, in one paragraph."""
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit `{commit()}` with `{command}` on {machine()}, "
        f"Python {platform.python_version()}, {busy()}. "
        f"Medians of {rounds} rounds of {seconds} s per cell; the systems take turns within a round."
    )


def commit() -> str:
    """Return the short hash of the commit, with a mark if the working copy differs from it."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    """Return the processor, its number of cores and the system."""
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = names[0] if names else platform.machine()
    return f"{name}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}"


def busy() -> str:
    """Return how busy the machine is, which the benchmark itself raises by one or two."""
    return f"load average {os.getloadavg()[0]:.1f} at the end"
