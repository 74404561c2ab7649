"""How many hostile model files are refused, and how many legitimate ones pass: the two rates of the gate.

    python benchmarks/bench_trust.py [--json]

Every hostile file has to be refused with its code, without a trace of its payload: no marker file, no child
process, no connection. Every legitimate one has to pass and load under the default policy.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import trust_hostile
import trust_legitimate

from fairway.bundle.safety import Trust, check_files, is_pickle, load_pickle
from fairway.errors import FairwayError

# What a payload would do, as Python's audit events call it.
EFFECTS = frozenset(
    {"os.system", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn", "subprocess.Popen", "socket.connect",
     "socket.getaddrinfo", "shutil.rmtree"}
)  # fmt: skip


@dataclasses.dataclass
class Outcome:
    """What became of one file.

    Attributes:
        name: The case.
        right: Whether it was refused, or passed, as it should.
        code: Code of the refusal, or `passed`.
        detail: What the refusal said, or what went wrong.
        effects: What was observed to happen.
        seconds: How long the gate took.
    """

    name: str
    right: bool
    code: str
    detail: str = ""
    effects: tuple[str, ...] = ()
    seconds: float = 0.0


class Watch:
    """Notes the audit events of a block; the hook stays, and sleeps outside of it."""

    def __init__(self) -> None:
        self._seen: list[str] | None = None
        sys.addaudithook(self._note)

    def _note(self, event: str, _: Any) -> None:
        if self._seen is not None and event in EFFECTS:
            self._seen.append(event)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[list[str]]:
        """Give the list that fills with what happens in the block."""
        seen: list[str] = []
        self._seen = seen
        try:
            yield seen
        finally:
            self._seen = None


def run_hostile(watch: Watch) -> list[Outcome]:
    """Put every hostile file before the gate."""
    return [_run_hostile(case, watch) for case in trust_hostile.CASES]


def _run_hostile(case: trust_hostile.Hostile, watch: Watch) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        marker = Path(folder) / "marker"
        files = case.make(marker)
        code, detail = "passed", ""
        start = time.perf_counter()
        with watch() as seen:
            try:
                check_files(files, Trust.default())
            except FairwayError as error:
                code, detail = error.code, error.detail
        seconds = time.perf_counter() - start
        effects = (*seen, *(["marker"] if marker.exists() else []))
        return Outcome(case.name, code == case.code and not effects, code, detail, effects, seconds)


def run_legitimate() -> tuple[list[Outcome], list[str]]:
    """Put every legitimate file before the gate and load what is a pickle; return also what was left out."""
    outcomes, left_out = [], []
    for case in trust_legitimate.cases():
        try:
            files = case.make()
        except trust_legitimate.LeftOut as reason:
            left_out.append(f"{case.name} (no {reason})")
            continue
        outcomes.append(_run_legitimate(case.name, files))
    return outcomes, left_out


def _run_legitimate(name: str, files: Any) -> Outcome:
    start = time.perf_counter()
    try:
        check_files(files, Trust.default())
        for data in files.values():
            if is_pickle(data):
                load_pickle(data, Trust.default(), modules=_no_modules)
    except Exception as error:  # noqa: BLE001 - a legitimate file that fails, however it does
        return Outcome(
            name, right=False, code=getattr(error, "code", type(error).__name__), detail=str(error)
        )
    return Outcome(name, right=True, code="passed", seconds=time.perf_counter() - start)


@contextlib.contextmanager
def _no_modules() -> Iterator[set[str]]:
    yield set()


def summary(outcomes: Sequence[Outcome], noun: str) -> str:
    """Return the rate as a sentence."""
    right = sum(outcome.right for outcome in outcomes)
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    return (
        f"{noun}: {right} of {len(outcomes)} ({100 * right / len(outcomes):.1f} %), "
        f"{1000 * sum(o.seconds for o in outcomes) / len(outcomes):.1f} ms each, "
        f"at most {slowest.seconds:.2f} s ({slowest.name})"
    )


def main() -> int:
    """Print both rates and every case that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print every outcome as JSON")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    hostile = run_hostile(Watch())
    legitimate, left_out = run_legitimate()
    if arguments.json:
        print(json.dumps([dataclasses.asdict(o) for o in (*hostile, *legitimate)], indent=1))
    else:
        print(summary(hostile, "hostile files refused, without an effect"))
        print(summary(legitimate, "legitimate files passed and loaded"))
        for reason in left_out:
            print(f"left out: {reason}")
    wrong = [outcome for outcome in (*hostile, *legitimate) if not outcome.right]
    for outcome in wrong:
        print(f"WRONG {outcome.name}: {outcome.code} {outcome.detail} {outcome.effects}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
