"""Where the time of a call goes, for the models of the benchmarks; and which of two checkouts is faster.

Run: `python benchmarks/bench_hot_path.py`; it calls `fairway bench`, so nothing but fairway is measured: no
client, no kernel. `--against OTHER/.venv/bin/python` measures a second checkout in turns with this one.
`--instructions` counts instead of timing, with perf or valgrind, which a busy machine does not disturb.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workloads import WORKLOADS, Workload, available, build

CALLS = Path(__file__).resolve().parent / "hot_path_calls.py"
FEW_CALLS = 100


class Checkout:
    """One installed fairway with a home of its own.

    Args:
        label: Its name in the tables.
        python: Its interpreter.
        home: An empty folder.
    """

    def __init__(self, label: str, python: str, home: Path) -> None:
        self.label = label
        self._python = python
        self._home = home

    def push(self, workload: Workload) -> None:
        """Register a model."""
        example = ["--example", str(workload.example), "--name", workload.letter.lower()]
        self._fairway("push", str(workload.model), *example)

    def bench(self, letter: str, *, rows: Sequence[int], seconds: float) -> list[dict[str, Any]]:
        """Return what `fairway bench` finds."""
        counts = ",".join(map(str, rows))
        text = self._fairway("bench", letter.lower(), "--rows", counts, "--seconds", str(seconds), "--json")
        found: list[dict[str, Any]] = json.loads(text)
        return found

    def instructions(self, letter: str, *, rows: int, calls: int) -> float:
        """Return the instructions of one call: two runs differ by nothing but their number of calls."""
        few, many = (
            counted([self._python, str(CALLS), str(self._home), letter.lower(), str(rows), str(n)])
            for n in (FEW_CALLS, FEW_CALLS + calls)
        )
        return (many - few) / calls

    def _fairway(self, *arguments: str) -> str:
        command = [self._python, "-m", "fairway", *arguments, "--home", str(self._home)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Print a table per model."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="fairway-hot-path-") as name:
        folder = Path(name)
        checkouts = [Checkout("this", sys.executable, folder / "this")]
        if options.against:
            checkouts.append(Checkout("other", options.against, folder / "other"))
        for letter in options.models:
            workload = build(letter, folder)
            for checkout in checkouts:
                checkout.push(workload)
            print(f"\n### {letter}: {WORKLOADS[letter][0]}\n", flush=True)
            if options.instructions:
                print_instructions(checkouts, letter, options)
            else:
                print_stages(checkouts, letter, options)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=lambda text: text.split(","), default=available())
    parser.add_argument("--rows", type=lambda text: [int(n) for n in text.split(",")], default=[1, 100])
    parser.add_argument("--repeats", type=int, default=3, help="the least of them counts: noise only adds")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each number of rows and repeat")
    parser.add_argument("--against", metavar="PYTHON", help="interpreter of another checkout")
    parser.add_argument("--instructions", action="store_true", help="count instructions instead of time")
    parser.add_argument("--calls", type=int, default=400, help="calls that are counted")
    return parser.parse_args()


def print_stages(checkouts: Sequence[Checkout], letter: str, options: argparse.Namespace) -> None:
    """Print microseconds by stage; checkouts take turns."""
    runs = [
        [checkout.bench(letter, rows=options.rows, seconds=options.seconds) for checkout in checkouts]
        for _ in range(options.repeats)
    ]
    columns = [
        (f"{checkout.label}, {rows} row{'s' * (rows > 1)}", [run[place][n] for run in runs])
        for n, rows in enumerate(options.rows)
        for place, checkout in enumerate(checkouts)
    ]
    print_row(["microseconds", *(title for title, _ in columns)])
    print_row(["---"] * (len(columns) + 1))
    for stage in columns[0][1][0]["stages_us"]:
        least = (min(path["stages_us"][stage] for path in paths) for _, paths in columns)
        print_row([stage, *(f"{microseconds:.1f}" for microseconds in least)])
    print_row(["whole call", *(f"{min(path['call_us'] for path in paths):.1f}" for _, paths in columns)])
    print_row(["calls/s", *(f"{max(path['calls_per_s'] for path in paths):,.0f}" for _, paths in columns)])


def print_instructions(checkouts: Sequence[Checkout], letter: str, options: argparse.Namespace) -> None:
    """Print instructions per call."""
    print_row(["instructions per call", *(f"{rows} row{'s' * (rows > 1)}" for rows in options.rows)])
    print_row(["---"] * (len(options.rows) + 1))
    for checkout in checkouts:
        found = (checkout.instructions(letter, rows=rows, calls=options.calls) for rows in options.rows)
        print_row([checkout.label, *(f"{count:,.0f}" for count in found)])


def print_row(cells: Sequence[str]) -> None:
    """Print a line of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def counted(command: Sequence[str]) -> int:
    """Return how many instructions a program takes in user space, itself included."""
    counter, pattern = _perf() or _valgrind()
    # The same hashes in both runs, and no second thread in the way of counting.
    environ = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([*counter, *command], env=environ, stderr=subprocess.PIPE, text=True, check=True)
    found = re.search(pattern, done.stderr)
    if found is None:
        raise SystemExit(f"{counter[0]} counted nothing:\n{done.stderr[-1000:]}")
    return int(found[1].replace(",", ""))


def _perf() -> tuple[list[str], str] | None:
    """Return perf's command line, where the processor lets it count; virtual ones often do not."""
    command, pattern = ["perf", "stat", "-x;", "-e", "instructions:u"], r"(?m)^(\d+);"
    if shutil.which("perf") is None:
        return None
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    return (command, pattern) if re.search(pattern, tried.stderr) else None


def _valgrind() -> tuple[list[str], str]:
    if shutil.which("valgrind") is None:
        raise SystemExit("counting needs perf or valgrind; on Debian: apt-get install valgrind")
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    return command, r"I\s+refs:\s+([\d,]+)"


if __name__ == "__main__":
    main()
