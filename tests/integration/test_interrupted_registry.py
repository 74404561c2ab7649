"""Ctrl-C while a process registers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fairway.registry.registry import open_registry

PROGRAM = """
import random, sys
from pathlib import Path
from fairway.bundle.bundle import build_bundle
from fairway.registry.registry import open_registry

with open_registry(Path(sys.argv[1])) as registry:
    while True:
        bundle = build_bundle(
            {"model.bin": random.randbytes(3_000_000)},
            name="coffee", flavor="sklearn", created="", model_type="", python="", fairway="",
        )
        print(registry.register(bundle, actor="ada").version, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to whole groups of processes")
def test_an_interrupted_register_leaves_no_trace(home: Path) -> None:
    """Whole versions only, no temporary file, and at most one that was not told of any more."""
    acknowledged = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as child:
            assert child.stdout is not None
            first = child.stdout.readline()
            child.send_signal(signal.SIGINT)
            acknowledged += len([first, *child.stdout.read().splitlines()])
        assert child.returncode == -signal.SIGINT
        assert not list((home / "artifacts").glob(".*"))
        with open_registry(home) as registry:
            assert registry.check() == []
            n_versions = len(registry.versions("coffee"))
        assert 0 <= n_versions - acknowledged <= 1
        acknowledged = n_versions
