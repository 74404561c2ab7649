"""Several processes at work on one registry at the same moment."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fairway.bundle.bundle import build_bundle
from fairway.errors import Conflict
from fairway.registry.records import Move
from fairway.registry.registry import open_registry

N_PROCESSES = 3
N_REGISTERS = 5

PROGRAM = f"""
import json, sys
from pathlib import Path
from fairway.bundle.bundle import build_bundle
from fairway.registry.registry import open_registry

bundle = build_bundle(
    {{"model.bin": b"the same bytes" * 10_000}},
    name="coffee", flavor="sklearn", created="", model_type="Ridge", python="", fairway="",
)
print("ready", flush=True)
sys.stdin.readline()
with open_registry(Path(sys.argv[1]), database=sys.argv[2]) as registry:
    numbers = [registry.register(bundle, actor="ada").version for _ in range({N_REGISTERS})]
    registry.move_alias("coffee", "production", numbers[-1], actor="ada")
print(json.dumps(numbers))
"""


@pytest.fixture(params=["postgres", "sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    """Give the address of an empty database; empty for one in the home folder."""
    return request.getfixturevalue("postgres").url() if request.param == "postgres" else ""


def test_parallel_registers_of_the_same_bytes_all_succeed(home: Path, database: str) -> None:
    """From the first start on: one makes the tables, each call gets its own number, the blob is one."""
    command = [sys.executable, "-c", PROGRAM, str(home), database]
    workers = [
        subprocess.Popen(
            [*command, str(home), database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(N_PROCESSES)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = [json.loads(worker.communicate(timeout=60)[0]) for worker in workers]

    assert [worker.returncode for worker in workers] == [0] * N_PROCESSES
    assert sorted(number for numbers in answers for number in numbers) == list(
        range(1, N_PROCESSES * N_REGISTERS + 1)
    )
    with open_registry(home, database=database) as registry:
        assert len(registry.versions("coffee")) == N_PROCESSES * N_REGISTERS
        assert len(registry.history("coffee")) == N_PROCESSES * (N_REGISTERS + 1)
        moves = [event for event in registry.history("coffee") if event.kind == "alias"]
        assert registry.resolve("coffee@production").version == moves[-1].to_version
        assert registry.check() == []
        assert registry.verify_audit() is None
    assert len([path for path in (home / "artifacts").rglob("*") if path.is_file()]) == 2


def test_of_promotions_at_once_one_wins_and_the_others_are_told(home: Path, database: str) -> None:
    """Each was decided upon what was live, which is no longer so for all but one."""
    facts = {"flavor": "sklearn", "created": "", "model_type": "", "python": "", "fairway": ""}
    bundle = build_bundle({"model.bin": b"weights"}, name="coffee", **facts)
    start = threading.Barrier(N_PROCESSES)
    told: list[Move | Conflict] = []

    def promote(version: int) -> None:
        with open_registry(home, database=database) as registry:
            start.wait(60)
            try:
                told.append(registry.promote("coffee", version, actor="ada", expected=1))
            except Conflict as error:
                told.append(error)

    with open_registry(home, database=database) as registry:
        for _ in range(N_PROCESSES + 1):
            registry.register(bundle, actor="ada")
        registry.move_alias("coffee", "production", 1, actor="ada")
        threads = [threading.Thread(target=promote, args=(n + 2,)) for n in range(N_PROCESSES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        (won,) = [outcome for outcome in told if isinstance(outcome, Move)]
        assert len(told) == N_PROCESSES
        assert registry.resolve("coffee@production").version == won.to_version
        assert [event.kind for event in registry.history("coffee")].count("promote") == 1
        assert registry.verify_audit() is None
