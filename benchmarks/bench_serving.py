"""How fast is a prediction over HTTP, beside the systems that people would otherwise use?

Every system serves the same model file from an environment of its own, is asked first and has to answer as
the model itself does. Then wrk posts one row or a hundred per call over 1, 8 and 32 connections. The systems
take turns, so that a change in the machine's mood meets all of them. Every round is kept in `build/bench`: a
run that was broken off goes on where it stopped, and a run in pieces adds up to one table.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import report
from environments import ensure, environment_of
from harness import Load, Server, ask, busy_share, free_port, load, memory_mb, running
from results import Round, Store
from rivals.base import NAMES, Rival, Site, find
from workloads import WORKLOADS, Workload, available, build

CONNECTIONS = (1, 8, 32)
WARM_UP_S = 1
STARTS = 5
TOLERANCE = 1e-9
FAILURES = (
    *(RuntimeError, OSError, ValueError, LookupError, TypeError),
    *(subprocess.SubprocessError, http.client.HTTPException),
)
"""What a system that does not do as it should ends in; anything else is a fault of the benchmark."""
LIMITS_MODEL = "A"
"""Those without a model are measured with one model's requests only."""


@dataclass(frozen=True)
class Turn:
    """One system's turn in a round."""

    rival: Rival
    letter: str
    number: int

    def __str__(self) -> str:
        return f"{self.letter} round {self.number}: {self.rival.name}"


def main() -> int:
    """Measure what is missing, print the tables, and write them to the page after a full run."""
    options = arguments()
    store = Store(options.seconds)
    if options.fresh and store.folder.exists():
        shutil.rmtree(store.folder)
    if not options.report:
        measure_missing(options, store)
    rounds = list(store.rounds())
    if not rounds:
        raise SystemExit(f"there are no results in {store.folder}")
    print(report.tables(rounds, seconds=options.seconds, commit=store.commit))
    if options.write:
        report.write(rounds, seconds=options.seconds, commit=store.commit)
    return 0


def arguments() -> argparse.Namespace:
    """Read the command line; only a full run is written to the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=2, help="how often each system is started and measured")
    parser.add_argument("--seconds", type=int, default=2, help="length of each measurement")
    parser.add_argument("--rivals", type=_names(NAMES), default=list(NAMES), help=f"of {','.join(NAMES)}")
    letters = tuple(WORKLOADS)
    parser.add_argument("--models", type=_names(letters), default=available(), help=f"of {','.join(letters)}")
    parser.add_argument("--quick", action="store_true", help="one round of one second: does it work at all")
    parser.add_argument("--fresh", action="store_true", help="forget the rounds that were measured already")
    parser.add_argument(
        "--report", action="store_true", help="measure nothing, make the tables of what is there"
    )
    parser.add_argument("--write", action="store_true", help="write the tables to the page even after a part")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 1
    is_full = options.rivals == list(NAMES) and options.models == available()
    options.write |= is_full and not (options.quick or options.report)
    return options


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        given = text.split(",")
        if unknown := [name for name in given if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return [name for name in known if name in given]

    return read


def measure_missing(options: argparse.Namespace, store: Store) -> None:
    """Take every turn that has not been taken; what fails once is not tried again in this run."""
    if shutil.which("wrk") is None:
        raise SystemExit("the benchmark needs wrk to make the load; on Debian: apt-get install wrk")
    turns = [t for t in plan(options) if store.find(t.rival.name, t.letter, t.number) is None]
    missing = install(turns)  # all of them before anything is measured
    workloads: dict[str, Workload] = {}
    failed: set[tuple[str, str]] = set()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fairway-bench-") as name:
        for place, turn in enumerate(turns):
            if (turn.rival.name, turn.letter) in failed:
                continue
            tell(place, len(turns), began, str(turn))
            workload = workloads.get(turn.letter) or build(turn.letter, Path(name))
            workloads[turn.letter] = workload
            if problem := missing.get(turn.rival.name):
                found = Round(turn.rival.name, turn.letter, turn.number, problem=problem)
            else:
                found = take(turn, workload, Path(name), seconds=options.seconds)
            store.keep(found)
            if found.problem:
                failed.add((turn.rival.name, turn.letter))
                print(f"  failed: {found.problem}", file=sys.stderr, flush=True)


def install(turns: Sequence[Turn]) -> dict[str, str]:
    """Make the environments that are needed; return why a system has none, by its name."""
    missing = {}
    for rival in {turn.rival.name: turn.rival for turn in turns}.values():
        try:
            ensure(rival)
        except (RuntimeError, OSError) as error:
            missing[rival.name] = f"{type(error).__name__}: not installed: {error}"
    return missing


def plan(options: argparse.Namespace) -> Iterator[Turn]:
    """Yield all turns: model by model, in rounds in which each system has one, in another order each."""
    for letter in options.models:
        rivals = [find(name) for name in options.rivals]
        rivals = [rival for rival in rivals if rival.predicts or letter == LIMITS_MODEL]
        for number in range(1, options.rounds + 1):
            shift = (number - 1) * len(rivals) // options.rounds
            for rival in (*rivals[shift:], *rivals[:shift]):
                yield Turn(rival, letter, number)


def tell(place: int, total: int, began: float, text: str) -> None:
    """Print where the run is and how long it will take."""
    spent = time.monotonic() - began
    left = f", about {spent / place * (total - place) / 60:.0f} min left" if place else ""
    print(f"[{place + 1}/{total}{left}] {text}", file=sys.stderr, flush=True)


def take(turn: Turn, workload: Workload, folder: Path, *, seconds: int) -> Round:
    """Measure one system once; a failure is a result, too."""
    rival = turn.rival
    own = folder / f"{turn.letter}-{rival.name}"
    own.mkdir(exist_ok=True)
    try:
        busy = busy_share()
        starts: list[float] = []
        for last in [False] * (STARTS - 1 if rival.starts_only else 0) + [True]:
            site = Site(workload, own, free_port(), environment_of(rival))
            rival.prepare(site)
            with serving(rival, site) as server:
                starts.append(server.first_answer_s)
                if last:
                    loads = [] if rival.starts_only else measure(rival, site, server, seconds=seconds)
                    memory = memory_mb(server.pid)
    except FAILURES as error:
        return Round(rival.name, turn.letter, turn.number, problem=f"{type(error).__name__}: {error}")
    return Round(rival.name, turn.letter, turn.number, starts, memory, loads, busy)


def serving(rival: Rival, site: Site) -> contextlib.AbstractContextManager[Server]:
    """Start a system at its place."""
    program, *rest = rival.command(site)
    return running(
        [program if "/" in program else str(site.bin / program), *rest],
        port=site.port,
        path=rival.path,
        first=rival.body(site.workload, site.workload.rows[:1]),
        environ=rival.environ(site),
        folder=site.folder,
    )


def measure(rival: Rival, site: Site, server: Server, *, seconds: int) -> list[Load]:
    """Check every answer, then load it with one row and with a hundred per call."""
    loads: list[Load] = []
    for rows, picks in ((1, site.workload.singles()), (100, site.workload.batches())):
        if rival.predicts:
            check(rival, site, picks)
        bodies = site.folder / f"bodies-{rows}"
        asked = [rival.body(site.workload, [site.workload.rows[n] for n in pick]) for pick in picks]
        bodies.write_bytes(b"\n".join(asked) + b"\n")
        load(server, rival.path, bodies, rows=rows, connections=8, seconds=WARM_UP_S)
        loads += [
            load(server, rival.path, bodies, rows=rows, connections=n, seconds=seconds) for n in CONNECTIONS
        ]
    return loads


def check(rival: Rival, site: Site, picks: Sequence[Sequence[int]]) -> None:
    """Send every request once; a system that answers otherwise than the model is not measured.

    Raises:
        RuntimeError: An answer is wrong.
    """
    workload = site.workload
    for pick in picks:
        body = rival.body(workload, [workload.rows[n] for n in pick])
        status, reply = ask(site.port, rival.path, body)
        if status != 200:
            raise RuntimeError(f"status {status} to {body[:200]!r}: {reply[:500]!r}")
        expected, answers = [workload.expected[n] for n in pick], rival.answers(reply)
        if len(expected) != len(answers) or not all(map(is_same, expected, answers)):
            raise RuntimeError(f"answers {json.dumps(answers)[:200]}, expected {json.dumps(expected)[:200]}")


def is_same(expected: float, answer: object) -> bool:
    """Tell whether an answer is the model's: labels exactly, numbers within a rounding."""
    if not isinstance(answer, int | float):
        return False
    return math.isclose(expected, answer, rel_tol=TOLERANCE)


if __name__ == "__main__":
    raise SystemExit(main())
