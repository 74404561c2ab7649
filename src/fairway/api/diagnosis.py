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
from fairway.errors import FairwayError, UsageError

if TYPE_CHECKING:
    from fairway.bundle.bundle import Bundle
    from fairway.settings import Settings


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that `doctor` looked at."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def doctor(
    reference: str | Path | None = None,
    *,
    requirements: str | Path | None = None,
    home: str | Path | None = None,
) -> list[Check]:
    """Look at Python, packages, home and registry; with a reference also at that model's environment.

    Args:
        reference: A reference, or the path of a bundle.
        requirements: Where to write a requirements file of the environment that the model was packed in.
        home: Folder of the registry.

    Raises:
        UsageError: There is a file at *requirements*, or no reference.
    """
    settings = settings_of(home)
    checks = [
        Check("python", ok=True, detail=f"Python {platform.python_version()} on {platform.platform()}"),
        Check("sqlite", ok=True, detail=f"SQLite {sqlite3.sqlite_version}"),
        _check_home(settings.home),
        _check_registry(settings),
    ]
    if reference is not None:
        checks.extend(_check_model(str(reference), settings, requirements))
    elif requirements is not None:
        raise UsageError("a requirements file is that of a model", hint="fairway doctor MODEL --requirements")
    return checks


def _check_home(home: Path) -> Check:
    if not home.exists():
        return Check("home", ok=True, detail=f"{home} does not exist yet; the first push makes it")
    free = shutil.disk_usage(home).free
    detail = f"{home}, {free / 2**30:.1f} GiB free"
    return Check("home", ok=free > 2**27, detail=detail, hint="free some disk space")


def _check_registry(settings: Settings) -> Check:
    if not settings.registry and not (settings.home / "registry.db").exists():
        return Check("registry", ok=True, detail="no registry yet")
    try:
        with open_registry(settings) as registry:
            problems = registry.check()
            count = len(registry.models())
    except FairwayError as error:
        return Check("registry", ok=False, detail=error.detail, hint=error.hint)
    if problems:
        return Check("registry", ok=False, detail="; ".join(problems), hint="restore the home from a backup")
    return Check("registry", ok=True, detail=f"{count} models, database intact")


def _check_model(reference: str, settings: Settings, requirements: str | Path | None) -> list[Check]:
    from fairway.bundle.environment import commands, compare_environment, requirements_text

    try:
        bundle = _open(reference, settings)
    except FairwayError as error:
        return [Check(reference, ok=False, detail=error.detail, hint=error.hint)]
    lock = bundle.environment
    found = [Check("files", ok=True, detail=f"{len(bundle.manifest.files)} files, every hash is right")]
    try:
        model = load(reference, home=settings.home)
    except FairwayError as error:
        problem: FairwayError | None = error
        found.append(Check("golden examples", ok=False, detail=error.detail, hint=error.hint))
    else:
        problem = None
        detail = f"answered as when the model was packed, by the predictor {model.predictor_name}"
        found.append(Check("golden examples", ok=True, detail=detail))
    # The golden examples decide: what differs is to blame only where they fail.
    differences = compare_environment(lock)
    cure = commands(lock, f".venv-{bundle.manifest.name}")
    found += [Check("environment", ok=problem is None, detail=str(d), hint="") for d in differences]
    if not differences:
        found.append(Check("environment", ok=True, detail="as recorded"))
    elif problem is not None:
        found[-1] = dataclasses.replace(found[-1], hint=cure)
    if requirements is not None:
        _write(Path(requirements), requirements_text(lock, reference))
        found.append(Check("requirements", ok=True, detail=f"wrote {requirements}"))
    return found


def _open(reference: str, settings: Settings) -> Bundle:
    from fairway.bundle.bundle import looks_like_path, open_bundle

    if looks_like_path(reference):
        return open_bundle(reference)
    with open_registry(settings) as registry:
        return registry.open(registry.resolve(reference))


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as cause:
        raise UsageError(f"{path} exists and is not overwritten", hint="choose another path") from cause
