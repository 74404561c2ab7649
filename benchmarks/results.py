"""Measurements as files: a run that was broken off goes on where it stopped."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import Load

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "bench"


@dataclasses.dataclass(frozen=True)
class Round:
    """One system with one model, started and loaded once.

    Attributes:
        system: Name of the system's file.
        model: Letter of the model.
        number: Number of the round, from 1.
        starts_s: Time to the first answer of every start.
        memory_mb: PSS of the process tree after the load.
        loads: What wrk measured.
        busy: Share of the machine that others used just before.
        at: When, in UTC.
        problem: Why there is nothing else, or the empty string.
    """

    system: str
    model: str
    number: int
    starts_s: Sequence[float] = ()
    memory_mb: float = 0.0
    loads: Sequence[Load] = ()
    busy: float = 0.0
    at: str = dataclasses.field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M}")
    problem: str = ""


class Store:
    """The rounds of one commit at one length of measurement: a folder with a file for each.

    Args:
        seconds: Length of each measurement; rounds of another length stand elsewhere.
        commit: Hash of the commit that is measured; the present one by default.
    """

    def __init__(self, seconds: int, commit: str = "") -> None:
        self.commit = commit or present_commit()
        self.folder = FOLDER / f"{self.commit}-{seconds}s"

    def find(self, system: str, model: str, number: int) -> Round | None:
        """Return a round that was measured and did not fail."""
        path = self._path(system, model, number)
        found = _read(path) if path.exists() else None
        return found if found is not None and not found.problem else None

    def keep(self, found: Round) -> None:
        """Write a round down, whole or not at all."""
        path = self._path(found.system, found.model, found.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        aside.write_text(json.dumps(dataclasses.asdict(found), indent=1), encoding="utf-8")
        aside.replace(path)

    def rounds(self) -> Iterator[Round]:
        """Yield every round that is there."""
        yield from (_read(path) for path in sorted(self.folder.glob("*.json")))

    def _path(self, system: str, model: str, number: int) -> Path:
        return self.folder / f"{model}-{system}-{number}.json"


def _read(path: Path) -> Round:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    loads = [Load(**load) for load in document.pop("loads")]
    return Round(loads=loads, **document)


def present_commit() -> str:
    """Return the hash of the commit that is checked out, with a mark if what is measured differs from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    measured = ["src", "benchmarks", "requirements"]
    same = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *measured], check=False).returncode == 0
    return head.stdout.strip() + ("" if same else "-changed")
