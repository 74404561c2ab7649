"""How fast is one prediction over HTTP, beside the same model in Flask and in FastAPI?

Every system serves the same scikit-learn pipeline, is asked every row first, and has to answer as the
pipeline itself does. Then wrk posts the rows over 1, 8 and 32 connections. The systems take turns, so that a
change in the machine's mood meets all of them. `make bench` runs this in `.venv-bench` and writes the tables
of docs/explanation/benchmarks.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import report
from harness import ask, free_port, load, memory_mb, running

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
CONNECTIONS = (1, 8, 32)
WARM_UP_S = 1


@dataclass(frozen=True)
class System:
    """One way to serve the model; `{port}` in the command is filled in.

    Attributes:
        name: As it stands in the table.
        command: What to start, from the folder where the model lies.
        environ: Additional variables.
        predicts: Whether there is a model behind it; the bare echo has none.
    """

    name: str
    command: Sequence[str]
    environ: dict[str, str] = field(default_factory=dict)
    predicts: bool = True


SYSTEMS = (
    System("fairway serve", ["fairway", "serve", "iris", "--port", "{port}"]),
    System(
        "fairway serve, access log off",
        ["fairway", "serve", "iris", "--port", "{port}"],
        {"FAIRWAY_LOG_ACCESS": "false"},
    ),
    System("fairway serve, bundle file", ["fairway", "serve", "iris.fairway", "--port", "{port}"]),
    System(
        "FastAPI + uvicorn, 2 workers",
        ["uvicorn", "fastapi_app:app", "--port", "{port}", "--workers", "2", "--no-access-log"],
    ),
    System("Flask + gunicorn, 2 workers", ["gunicorn", "flask_app:app", "-b", "127.0.0.1:{port}", "-w", "2"]),
    System(
        "no model: bare asyncio, 1 process",
        ["python", str(HERE / "rivals" / "echo.py"), "{port}"],
        predicts=False,
    ),
)


def main() -> None:
    """Prepare, measure in turns, print the tables, and write them to the page if everything was measured."""
    options = arguments()
    if shutil.which("wrk") is None:
        raise SystemExit("the benchmark needs wrk to make the load; on Debian: apt-get install wrk")
    systems = [system for system in SYSTEMS if options.only in system.name]
    results: dict[str, list[report.Round]] = {system.name: [] for system in systems}
    with tempfile.TemporaryDirectory(prefix="fairway-bench-") as name:
        folder = Path(name)
        expected = prepare(folder, fairway=any("fairway" in system.name for system in systems))
        for number in range(options.rounds):
            shift = number % len(systems)
            for system in (*systems[shift:], *systems[:shift]):
                print(f"round {number + 1}/{options.rounds}: {system.name}", file=sys.stderr, flush=True)
                results[system.name].append(measure(system, folder, expected, seconds=options.seconds))
    print(report.tables(results, seconds=options.seconds, command=options.command))
    if options.write:
        report.write(results, seconds=options.seconds, command=options.command)


def arguments() -> argparse.Namespace:
    """Read the command line; only a full run is written to the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="how often each system is started and measured")
    parser.add_argument("--seconds", type=int, default=4, help="length of each measurement")
    parser.add_argument("--only", default="", metavar="TEXT", help="only systems whose name contains this")
    parser.add_argument("--quick", action="store_true", help="one round of one second: does it work at all")
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.seconds = 1
    options.write = not (options.quick or options.only)
    options.command = "make bench"
    return options


def prepare(folder: Path, *, fairway: bool) -> list[tuple[bytes, bytes]]:
    """Train the model, register it with fairway, and return every request with the answer it must get."""
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, labels = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels)
    joblib.dump(model, folder / "iris.joblib")
    with (folder / "iris.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "d"], *rows.tolist()])
    if fairway:
        shared = ["iris.joblib", "--example", "iris.csv"]
        run_fairway(folder, "push", *shared, "--name", "iris")
        run_fairway(folder, "pack", *shared, "iris.fairway")
    pairs = [
        (json.dumps({"features": row}).encode(), json.dumps({"prediction": [int(label)]}).encode())
        for row, label in zip(rows.tolist(), model.predict(rows), strict=True)
    ]
    (folder / "bodies").write_bytes(b"\n".join(body for body, _ in pairs) + b"\n")
    return pairs


def run_fairway(folder: Path, *arguments: str) -> None:
    """Run one verb in the folder's own home."""
    command = [str(BIN / "fairway"), *arguments]
    subprocess.run(
        command, cwd=folder, env={**os.environ, **variables(folder)}, check=True, stdout=subprocess.DEVNULL
    )


def variables(folder: Path) -> dict[str, str]:
    """Return what every system finds in its environment."""
    return {
        "BENCH_MODEL": str(folder / "iris.joblib"),
        "FAIRWAY_HOME": str(folder / "home"),
        "PYTHONPATH": str(HERE / "rivals"),
    }


def measure(
    system: System, folder: Path, expected: Sequence[tuple[bytes, bytes]], *, seconds: int
) -> report.Round:
    """Start one system, check every answer, load it, weigh it."""
    port = free_port()
    program, *rest = (word.format(port=port) for word in system.command)
    with running(
        [str(BIN / program), *rest],
        port=port,
        first=expected[0][0],
        environ={**variables(folder), **system.environ},
        folder=folder,
    ) as server:
        if system.predicts:
            check(system, port, expected)
        load(server, connections=8, seconds=WARM_UP_S, bodies=folder / "bodies")
        loads = [load(server, connections=n, seconds=seconds, bodies=folder / "bodies") for n in CONNECTIONS]
        return report.Round(server.first_answer_s, memory_mb(server.pid), loads)


def check(system: System, port: int, expected: Sequence[tuple[bytes, bytes]]) -> None:
    """Ask every row once; a system that answers otherwise than the pipeline is not measured."""
    for body, answer in expected:
        status, reply = ask(port, body)
        if json.loads(reply) != json.loads(answer):
            raise SystemExit(f"{system.name} answers {body!r} with {status} {reply!r}, not {answer!r}")


if __name__ == "__main__":
    main()
