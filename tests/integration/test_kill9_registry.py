"""A few cycles of `kill9.py`, which can be run by hand for as many as one likes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CYCLES = int(os.environ.get("FAIRWAY_TEST_KILLS", "20"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has neither fork nor SIGKILL")
@pytest.mark.parametrize("mode", ["registry", "push"])
@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgres", marks=pytest.mark.service("postgres"))]
)
def test_a_kill_at_any_moment_loses_nothing_and_leaves_nothing_half_done(
    mode: str, database: str, request: pytest.FixtureRequest
) -> None:
    """Every acknowledged change survives, every version is complete, and the next process just goes on."""
    driver = Path(__file__).with_name("kill9.py")

    command = [sys.executable, str(driver), "--mode", mode, "--cycles", str(CYCLES)]
    if database == "postgres":
        url = request.getfixturevalue("postgres").url("public")
        command += ["--database", url.partition("?")[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["cycles"], figures["lost"], figures["half_versions"]) == (CYCLES, 0, 0)
    assert figures["acknowledged"] > 0
    sys.stdout.write(done.stdout)  # for whoever runs many, with -s or -rP
