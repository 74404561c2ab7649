"""What it gains to predict the calls of one turn of the event loop together, by number of connections.

Run: `python benchmarks/bench_turns.py`. Each connection gets one request per turn, through the server's own
connection, engine and model, without a network; once with `batching.mode` off and once with auto, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import tempfile
import time
from pathlib import Path

from workloads import WORKLOADS, available, build

import fairway as fw
from fairway.assemble import build_app, build_pool
from fairway.inference.stopwatch import Stopwatch
from fairway.log import Log
from fairway.server.bench import InProcess, bodies_of, request_of
from fairway.server.guard import open_guard
from fairway.settings import load_settings

CONNECTIONS = (1, 2, 4, 16)
TURNS = 640
MODES = ("off", "auto")


def main() -> None:
    """Print a table per model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=lambda text: text.split(","), default=available())
    parser.add_argument("--repeats", type=int, default=20, help="the least of them counts: noise only adds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fairway-turns-") as name:
        folder = Path(name)
        for letter in options.models:
            workload = build(letter, folder)
            fw.push(str(workload.model), name=letter.lower(), example=workload.example, home=folder / "home")
            print(f"\n### {letter}: {WORKLOADS[letter][0]}\n", flush=True)
            print("| connections | alone, us per call | together, us per call | times |")
            print("| --- | --- | --- | --- |")
            for count in CONNECTIONS:
                off, auto = measure(folder / "home", letter.lower(), count, options.repeats)
                print(f"| {count} | {off:.1f} | {auto:.1f} | {off / auto:.2f} |", flush=True)


def measure(home: Path, model: str, connections: int, repeats: int) -> list[float]:
    """Return microseconds of the processor per call, for each of `MODES`."""
    least = dict.fromkeys(MODES, float("inf"))
    for _, mode in itertools.product(range(repeats), MODES):
        with Path(os.devnull).open("wb") as nowhere:
            log = Log(nowhere)
            took = asyncio.run(answer(log, home, model, mode, connections))
            log.close()
        least[mode] = min(least[mode], took)
    return [least[mode] * 1e6 for mode in MODES]


async def answer(log: Log, home: Path, model: str, mode: str, connections: int) -> float:
    """Return the seconds of the processor per call."""
    settings, _ = load_settings(flags={"home": str(home), "batching.mode": mode})
    pool = build_pool(settings, [model], log=log)
    app = build_app(settings, pool, guard=open_guard(), log=log)
    requests = itertools.cycle([request_of(body) for body in bodies_of(pool.served()[0], 1)])
    callers = [InProcess(app, Stopwatch()) for _ in range(connections)]
    for caller, request in zip(callers * 20, requests, strict=False):
        await caller.call(request)
    began = time.process_time()
    for _ in range(TURNS // connections):
        for caller in callers:
            caller.send(next(requests))
        await asyncio.sleep(0)
    return (time.process_time() - began) / (TURNS // connections * connections)


if __name__ == "__main__":
    main()
