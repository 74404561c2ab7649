"""What a system under test tells the benchmark: how to install, start and ask it, and how to read its answer.

One file per system binds an object to `RIVAL`. The files import nothing of the system itself: they run in the
benchmark's environment; what runs in the system's own lies in `benchmarks/services`.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads import Workload

SERVICES = Path(__file__).resolve().parents[1] / "services"
WORKERS = 2
COMMON = ("joblib", "pandas", "scikit-learn")
"""Every system unpickles the same model file, so it needs what made it."""

# In the order of the tables.
NAMES = (
    "fairway",
    "fairway_file",
    "fastapi",
    "flask",
    "kserve",
    "bentoml",
    "litserve",
    "mlserver",
    "mlflow",
    "ray",
    "echo",
    "nginx",
)


@dataclass(frozen=True)
class Site:
    """Where one system serves one model.

    Attributes:
        workload: The model and its rows.
        folder: A folder of this system's own, the working directory of all that it runs.
        port: Where it has to listen, on loopback.
        bin: Programs of its environment.
    """

    workload: Workload
    folder: Path
    port: int
    bin: Path

    def run(self, program: str, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        """Run a program of the system's environment to its end.

        Raises:
            RuntimeError: It failed; the message is the end of what it printed.
        """
        done = subprocess.run(
            [str(self.bin / program), *arguments],
            cwd=self.folder,
            env={**os.environ, **(environ or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program} {arguments[0]}: {(done.stderr or done.stdout)[-2000:]}")


class Rival:
    """A system under test, with what most of them share: one route, lists of rows in, lists of answers out.

    Attributes:
        name: Name of the file, of the lock and of the environment.
        title: Name in the tables.
        requires: What to install; the lock is made from it.
        environment: Name of the environment, where it is another system's.
        path: Route of predictions.
        predicts: Whether there is a model behind it; a limit has none.
        starts_only: Whether it is only started, because under load it is the same as another system.
    """

    name = ""
    title = ""
    requires: Sequence[str] = ()
    environment = ""
    path = "/predict"
    predicts = True
    starts_only = False

    def prepare(self, site: Site) -> None:
        """Make whatever the system needs of the model file before it can serve."""

    def command(self, site: Site) -> list[str]:
        """Return the program of the environment that serves, and its arguments."""
        raise NotImplementedError

    def environ(self, site: Site) -> dict[str, str]:
        """Return what the service finds in its environment."""
        return {
            "BENCH_MODEL": str(site.workload.model),
            "BENCH_FORM": site.workload.form,
            "BENCH_ROW": json.dumps(site.workload.rows[0]),
            "PYTHONPATH": str(SERVICES),
        }

    def body(self, workload: Workload, rows: Sequence[Any]) -> bytes:  # noqa: ARG002 - for those that care
        """Return the request for some rows."""
        return json.dumps({"features": list(rows)}).encode()

    def answers(self, reply: bytes) -> list[Any]:
        """Return one prediction per row."""
        found: list[Any] = json.loads(reply)["prediction"]
        return found


def find(name: str) -> Rival:
    """Return the system of a file."""
    rival: Rival = importlib.import_module(f"rivals.{name}").RIVAL
    return rival
