"""Several processes at work on one registry at the same moment."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fairway.registry.registry import open_registry

N_PROCESSES = 4
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
with open_registry(Path(sys.argv[1])) as registry:
    numbers = [registry.register(bundle, actor="ada").version for _ in range({N_REGISTERS})]
    registry.move_alias("coffee", "production", numbers[-1], actor="ada")
print(json.dumps(numbers))
"""


def test_parallel_registers_of_the_same_bytes_all_succeed(home: Path) -> None:
    """From the first start on: one makes the tables, each call gets its own number, the blob is one."""
    command = [sys.executable, "-c", PROGRAM]
    workers = [
        subprocess.Popen([*command, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
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
    with open_registry(home) as registry:
        assert len(registry.versions("coffee")) == N_PROCESSES * N_REGISTERS
        assert len(registry.history("coffee")) == N_PROCESSES * (N_REGISTERS + 1)
        moves = [event for event in registry.history("coffee") if event.kind == "alias"]
        assert registry.resolve("coffee@production").version == moves[-1].to_version
        assert registry.check() == []
    assert len([path for path in (home / "artifacts").rglob("*") if path.is_file()]) == 2
