"""fairway with its defaults: prediction ids, the record hook, metrics, an access line per call."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rivals.base import WORKERS, Rival, Site
from workloads import Workload


class Fairway(Rival):
    """`fairway push`, then `fairway serve` from the registry."""

    name = "fairway"
    title = "**fairway**"

    def prepare(self, site: Site) -> None:
        """Register the model; what push compiles is what serves."""
        if not (site.folder / "home").exists():
            model = ["push", str(site.workload.model), "--example", str(site.workload.example)]
            site.run("fairway", *model, "--name", "model", environ=self.environ(site))

    def command(self, site: Site) -> list[str]:
        """Return the command line of `fairway serve`."""
        return ["fairway", "serve", "model", "--port", str(site.port), *workers(site.bin)]

    def environ(self, site: Site) -> dict[str, str]:
        """Name the home."""
        return {"FAIRWAY_HOME": str(site.folder / "home")}

    def body(self, workload: Workload, rows: Sequence[Any]) -> bytes:
        """Write the same envelope as everybody; a text is a record with one field."""
        if workload.form == "texts":
            rows = [{"text": text} for text in rows]
        return json.dumps({"features": list(rows)}).encode()


@cache
def workers(programs: Path) -> list[str]:
    """Return the option for two workers; a version without it serves from one process."""
    told = [str(programs / "fairway"), "serve", "--help"]
    text = subprocess.run(told, capture_output=True, text=True, check=True, env=os.environ).stdout
    return ["--workers", str(WORKERS)] if "--workers" in text else []


RIVAL = Fairway()
