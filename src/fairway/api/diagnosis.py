"""Look for what is wrong with a machine, a home or a model."""

from __future__ import annotations

import dataclasses
import platform
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.api._common import open_registry, settings_of
from fairway.api.predicting import load
from fairway.errors import FairwayError

if TYPE_CHECKING:
    from fairway.settings import Settings


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that `doctor` looked at."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def doctor(reference: str | None = None, *, home: str | Path | None = None) -> list[Check]:
    """Look at Python, packages, home and registry; with a reference also at that model's environment."""
    settings = settings_of(home)
    checks = [
        Check("python", ok=True, detail=f"Python {platform.python_version()} on {platform.platform()}"),
        Check("sqlite", ok=True, detail=f"SQLite {sqlite3.sqlite_version}"),
        _check_home(settings.home),
        _check_registry(settings.home),
    ]
    if reference is not None:
        checks.extend(_check_model(reference, settings))
    return checks


def _check_home(home: Path) -> Check:
    if not home.exists():
        return Check("home", ok=True, detail=f"{home} does not exist yet; the first push makes it")
    free = shutil.disk_usage(home).free
    detail = f"{home}, {free / 2**30:.1f} GiB free"
    return Check("home", ok=free > 2**27, detail=detail, hint="free some disk space")


def _check_registry(home: Path) -> Check:
    if not (home / "registry.db").exists():
        return Check("registry", ok=True, detail="no registry yet")
    try:
        with open_registry(home) as registry:
            problems = registry.check()
            count = len(registry.models())
    except FairwayError as error:
        return Check("registry", ok=False, detail=error.detail, hint=error.hint)
    if problems:
        return Check("registry", ok=False, detail="; ".join(problems), hint="restore the home from a backup")
    return Check("registry", ok=True, detail=f"{count} models, database intact")


def _check_model(reference: str, settings: Settings) -> list[Check]:
    from fairway.bundle.lockfile import compare_environment, requirements

    try:
        with open_registry(settings.home) as registry:
            bundle = registry.open(registry.resolve(reference))
    except FairwayError as error:
        return [Check(reference, ok=False, detail=error.detail, hint=error.hint)]
    found = [Check("files", ok=True, detail=f"{len(bundle.manifest.files)} files, every hash is right")]
    changed = compare_environment(bundle.environment)
    wanted = " ".join(f"'{line}'" for line in requirements(bundle.environment))
    try:
        load(reference, home=settings.home)
    except FairwayError as error:
        found.append(
            Check(
                "golden examples",
                ok=False,
                detail=error.detail,
                hint=f"pip install {wanted}" if changed else error.hint,
            )
        )
    else:
        found.append(Check("golden examples", ok=True, detail="answered as when the model was packed"))
    detail = "; ".join(changed) if changed else "as recorded"
    found.append(
        Check("environment", ok=found[-1].ok or not changed, detail=detail, hint=f"pip install {wanted}")
    )
    return found
