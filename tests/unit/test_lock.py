"""The lock files: complete, hashed, and silent about where they were made."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


# Extras whose frameworks have an environment of their own.
HEAVY = {"torch", "keras", "mlflow-pyfunc"}


def names_in(requirements: list[object]) -> set[str]:
    """Return the normalised package names of a requirement list; included groups are not followed."""
    texts = [item for item in requirements if isinstance(item, str)]
    names = {re.split(r"[\s\[<>=!~;]", text, maxsplit=1)[0] for text in texts}
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names} - {"fairway"}


def pinned_in(lock: Path) -> dict[str, int]:
    """Return how many hashes stand behind each package of a lock."""
    pins: dict[str, int] = {}
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([a-z0-9-]+)==\S+", line):
            name = found[1]
            pins.setdefault(name, 0)
        elif "--hash=sha256:" in line:
            pins[name] += 1
    return pins


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_is_pinned_with_hashes(lock: Path) -> None:
    """Nothing that was not seen when the lock was made can be installed from it."""
    unhashed = [name for name, hashes in pinned_in(lock).items() if not hashes]

    assert pinned_in(lock)
    assert not unhashed


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_address_and_no_place(lock: Path) -> None:
    """The lock is good on any machine: no index, no address, no path of the machine that made it."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    strangers = [
        line for line in lines if not re.match(r"[a-z0-9-]+==[^/]*$|    --hash=sha256:[0-9a-f]{64}", line)
    ]

    assert LOCKS
    assert not strangers


def test_the_development_lock_covers_every_declared_package() -> None:
    """A dependency added to pyproject.toml is locked in the same commit (`make lock`)."""
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    declared = names_in(project["dependencies"])
    everyday = {n: extra for n, extra in project["optional-dependencies"].items() if n not in HEAVY}
    declared |= {name for extra in everyday.values() for name in names_in(extra)}
    declared |= {name for group in ("test", "lint", "build") for name in names_in(groups[group])}

    assert declared <= pinned_in(ROOT / "requirements" / "dev.lock").keys()


def test_heavy_frameworks_have_a_lock_of_their_own() -> None:
    """What is hundreds of megabytes stays out of the everyday environment, and is pinned all the same."""
    extras, groups = PROJECT["project"]["optional-dependencies"], PROJECT["dependency-groups"]
    declared = {name for extra in HEAVY for name in names_in(extras[extra])} | names_in(groups["frameworks"])
    lock = ROOT / "requirements" / "frameworks.lock"

    assert declared <= pinned_in(lock).keys()
    assert not {"torch", "keras"} & pinned_in(ROOT / "requirements" / "dev.lock").keys()
    # The build with CUDA would bring gigabytes.
    on_linux = re.findall(r"^torch==(\S+) ; .*== 'linux'", lock.read_text(encoding="utf-8"), re.MULTILINE)
    assert on_linux
    assert all(version.endswith("+cpu") for version in on_linux)


def test_the_benchmark_measures_what_the_project_declares() -> None:
    """The environment that is measured holds the core and what compiles models."""
    project = PROJECT["project"]
    declared = names_in(project["dependencies"])
    declared |= {
        name
        for extra in ("sklearn", "pandas", "onnx")
        for name in names_in(project["optional-dependencies"][extra])
    }

    assert declared <= pinned_in(ROOT / "requirements" / "bench-fairway.lock").keys()


def test_every_rival_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The systems that we are measured against are locked as well, all with one scikit-learn."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    base = importlib.import_module("rivals.base")
    rivals = [rival for rival in map(base.find, base.NAMES) if rival.requires]
    learners = set()
    for rival in rivals:
        lock = ROOT / "requirements" / f"bench-{rival.name}.lock"
        learners |= set(re.findall(r"^scikit-learn==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE))

        assert names_in(list(rival.requires)) <= pinned_in(lock).keys()
    assert len(rivals) >= 7
    assert len(learners) == 1


def test_the_core_stays_small() -> None:
    """The core depends on no ML framework, no pandas and no scipy."""
    core = names_in(PROJECT["project"]["dependencies"])

    assert not core & {"scikit-learn", "pandas", "scipy", "pyarrow", "polars", "joblib", "onnxruntime"}
