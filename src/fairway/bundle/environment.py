"""What differs between the environment that a model was packed in and this one, and how to get that one back.

A difference is graded by the version numbers. Which ones matter is a rule of thumb that decides how loudly
they are told, and nothing else: the golden examples decide whether the model is served.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from fairway.bundle.lockfile import requirements
from fairway.bundle.saved import saved_with
from fairway.bundle.versions import Grade, grade
from fairway.errors import ArtifactOutdated

PYTHON = "Python"
PLATFORM = "platform"


@dataclasses.dataclass(frozen=True)
class Difference:
    """One thing that is not here as it was there.

    Attributes:
        name: A distribution, `Python` or `platform`.
        recorded: What it was.
        present: What it is; empty if it is not installed.
        grade: `patch`, `minor`, `major` or `missing`.
        matters: Whether such a change is known to alter what models answer, or to keep them from loading.
        saved: Whether *recorded* saved the model file, rather than packed it.
    """

    name: str
    recorded: str
    present: str
    grade: Grade
    matters: bool
    saved: bool = False

    def __str__(self) -> str:
        if self.name == PLATFORM:
            return f"{self.recorded} was recorded, this is {self.present}"
        had = "saved the model file" if self.saved else "was recorded"
        if not self.present:
            return f"{self.name} {self.recorded} {had}, but it is not installed"
        verb = "is running" if self.name == PYTHON else "is installed"
        weight = ", which matters" if self.matters else ""
        return f"{self.name} {self.recorded} {had}, {self.present} {verb} ({self.grade}{weight})"


def compare_environment(lock: Mapping[str, Any]) -> list[Difference]:
    """Return the differences between a lock and this process, those that matter first."""
    framework = lock.get("framework", "")
    packages = lock.get("packages", {})
    found = [_compared(name, recorded, framework) for name, recorded in packages.items()]
    found += [
        dataclasses.replace(_compared(name, recorded, framework), saved=True)
        for name, recorded in lock.get("saved_with", {}).items()
        if recorded != packages.get(name)
    ]
    differences = [difference for difference in found if difference.grade != "none"]
    differences = [*_interpreter(lock), *differences]
    return sorted(differences, key=lambda difference: not difference.matters)


def _compared(name: str, recorded: str, framework: str) -> Difference:
    present = installed(name)
    distance = grade(recorded, present)
    matters = distance in {"major", "missing"} or (distance == "minor" and name == framework)
    return Difference(name, recorded, present, distance, matters)


def _interpreter(lock: Mapping[str, Any]) -> list[Difference]:
    found = []
    recorded, present = str(lock.get("python", "")), platform.python_version()
    if (distance := grade(recorded, present)) != "none":
        # Only cloudpickle stores compiled code, which another minor release of Python cannot run.
        is_fragile = distance == "minor" and "cloudpickle" in lock.get("packages", {})
        found.append(Difference(PYTHON, recorded, present, distance, is_fragile or distance == "major"))
    recorded, present = str(lock.get("platform", "")), f"{sys.platform}-{platform.machine()}"
    if recorded and recorded != present:
        found.append(Difference(PLATFORM, recorded, present, "major", matters=False))
    return found


def installed(name: str) -> str:
    """Return the version of a distribution here, or the empty string."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def wanted(lock: Mapping[str, Any]) -> list[str]:
    """Return the requirements that make the environment of a lock right: fairway and exact versions.

    Where the model file was saved by another release than packed it, that one is named: it is the one that is
    known to have answered as the model should.
    """
    packages = {**lock.get("packages", {}), **lock.get("saved_with", {})}
    return [f"fairway=={importlib.metadata.version('fairway')}", *requirements({"packages": packages})]


def commands(lock: Mapping[str, Any], folder: str) -> str:
    """Return the command line that makes an environment like that of a lock in *folder*."""
    minor = ".".join(str(lock.get("python", "")).split(".")[:2])
    return f"python{minor} -m venv {folder} && {folder}/bin/python -m pip install {shlex.join(wanted(lock))}"


def requirements_text(lock: Mapping[str, Any], subject: str) -> str:
    """Return a requirements file for pip.

    It holds no hashes: pip would then ask for one of every package, and an installed one does not know it.
    """
    place = f"Python {lock.get('python', '')} on {lock.get('platform', '')}"
    head = f"# What {subject} was packed with, under {place}."
    return "\n".join([head, *wanted(lock), ""])


def outdated(files: Mapping[str, bytes], problem: str) -> ArtifactOutdated | None:
    """Return the error for model files that another release than the one installed has saved, or None.

    Args:
        files: Contents by path.
        problem: What is wrong with the model here, after "the model file".
    """
    for name, recorded in saved_with(files).items():
        present = installed(name)
        if grade(recorded, present) not in {"none", "patch"}:
            return ArtifactOutdated(
                f"the model file {problem}; {name} {recorded} saved it, {present or 'none'} is installed",
                hint=f"pip install '{name}=={recorded}' in an environment of its own and pack it there, "
                f"or train the model again with {name} {present}",
            )
    return None
