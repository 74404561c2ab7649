"""`fairway score` beside the usual pandas script: rows per second, CPU time and memory, in one run.

Run: `python benchmarks/bench_score.py [--rows N] [--rounds N]`. The model is a forest of 100 trees on the 30
features of scikit-learn's breast cancer data; the rows are mixtures of its rows, in one Parquet file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from harness import memory_mb
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

USUAL = """
import sys, joblib, pandas as pd
model, source, output = sys.argv[1:]
frame = pd.read_parquet(source)
frame["prediction"] = joblib.load(model).predict(frame)
frame[["prediction"]].to_parquet(output)
"""


@dataclass(frozen=True)
class Measured:
    """One process tree, from its start to its end."""

    seconds: float
    cpu_s: float
    peak_mb: float


def prepare(folder: Path, rows: int) -> None:
    """Train the model, push it, write the rows."""
    data = load_breast_cancer(as_frame=True)
    model = RandomForestClassifier(100, random_state=0).fit(data.data, data.target)
    joblib.dump(model, folder / "forest.joblib")
    data.data.to_csv(folder / "example.csv", index=False)
    push = ["push", "forest.joblib", "--name", "forest", "--example", "example.csv"]
    subprocess.run(fairway(*push), cwd=folder, check=True, stdout=subprocess.DEVNULL)
    write_rows(folder / "rows.parquet", data.data, rows)


def write_rows(path: Path, example: Any, rows: int) -> None:
    """Write rows that lie between two of the example's, as pandas would (a row group per 2^20 rows)."""
    rng = np.random.default_rng(0)
    base, names = example.to_numpy(), list(example.columns)
    with pq.ParquetWriter(path, pa.schema([(name, pa.float64()) for name in names])) as writer:
        for start in range(0, rows, 2**20):
            count = min(2**20, rows - start)
            share = rng.random((count, 1))
            one, other = (base[rng.integers(0, len(base), count)] for _ in range(2))
            writer.write_table(pa.table(list((one * share + other * (1 - share)).T), names))


def fairway(*arguments: str) -> list[str]:
    """Return a command line of this environment's fairway, with a registry in the working directory."""
    return [sys.executable, "-m", "fairway", *arguments, "--home", "home"]


def measure(command: Sequence[str], folder: Path) -> Measured:
    """Run a command; sample the memory of its process tree."""
    before, began, peak = os.times(), time.perf_counter(), 0.0
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, memory_mb(process.pid))
        time.sleep(0.2)
    seconds, after = time.perf_counter() - began, os.times()
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    cpu_s = sum(after[2:4]) - sum(before[2:4])
    return Measured(seconds, cpu_s, peak)


def check_equal(folder: Path) -> None:
    """Stop if the two outputs are not the same predictions."""
    usual, ours = (pq.read_table(folder / f"{name}.parquet")["prediction"] for name in ("usual", "ours"))
    if not usual.equals(ours):
        raise SystemExit("the outputs differ; a benchmark of other answers says nothing")


def row(name: str, runs: Sequence[Measured], rows: int, best: Sequence[Measured]) -> str:
    """Return one line of the table: medians of the rounds."""
    seconds = median(run.seconds for run in runs)
    ratio = median(usual.seconds / run.seconds for usual, run in zip(best, runs, strict=True))
    cpu_us = median(run.cpu_s for run in runs) / rows * 1e6
    peak = max(run.peak_mb for run in runs)
    return f"| {name} | {rows:,} | {rows / seconds:,.0f} | {ratio:.2f} | {cpu_us:.1f} | {peak:,.0f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-score-") as temporary:
        folder = Path(temporary)
        prepare(folder, given.rows)
        usual = [sys.executable, "-c", USUAL, "forest.joblib", "rows.parquet", "usual.parquet"]
        ours = fairway("score", "forest", "rows.parquet", "ours.parquet", "--overwrite")
        runs = [(measure(usual, folder), measure(ours, folder)) for _ in range(given.rounds)]
        check_equal(folder)
    print("| | rows | rows per second | times the script | CPU, us per row | peak memory, MB |")
    print("|---|---|---|---|---|---|")
    script = [one for one, _ in runs]
    print(row("pandas script", script, given.rows, script))
    print(row("`fairway score`", [other for _, other in runs], given.rows, script))


if __name__ == "__main__":
    main()
