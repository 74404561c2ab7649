"""One environment per system, `.venv-bench/<name>`, made from its lock `requirements/bench-<name>.lock`.

Run: `python benchmarks/environments.py --lock` resolves the newest versions anew (`make lock` does).
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rivals.base import NAMES, Rival, find

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".venv-bench"
DEV_LOCK = ROOT / "requirements" / "dev.lock"
PIP = ("-m", "pip", "--disable-pip-version-check", "install", "-qq")
COMPILE = (
    *("-m", "uv", "pip", "compile", "--quiet", "--upgrade", "--generate-hashes"),
    *("--no-header", "--no-annotate", "--no-emit-index-url"),
)
RIVALS_PLATFORM = ("--python-version", "3.11", "--python-platform", "linux")


def lock_of(name: str) -> Path:
    """Return the lock of a system."""
    return ROOT / "requirements" / f"bench-{name}.lock"


def environment_of(rival: Rival) -> Path:
    """Return the folder of the programs that a system runs."""
    return FOLDER / (rival.environment or rival.name) / "bin"


def ensure(rival: Rival) -> Path:
    """Make the environment of a system if it is not there or its lock has changed; return its programs.

    Raises:
        RuntimeError: It cannot be installed; the message is the end of what pip printed.
    """
    name = rival.environment or rival.name
    folder = FOLDER / name
    if not lock_of(name).exists():  # a system that is no Python package
        return folder / "bin"
    state = hashlib.sha256(lock_of(name).read_bytes()).hexdigest() + "\n"
    mark = folder / ".installed"
    if mark.exists() and mark.read_text(encoding="utf-8") == state:
        return folder / "bin"
    print(f"installing {lock_of(name).name} into {folder.relative_to(ROOT)}", file=sys.stderr, flush=True)
    python = str(folder / "bin" / "python")
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    _run(python, *PIP, "--require-hashes", "-r", str(lock_of(name)))
    if name == "fairway":
        _run(python, *PIP, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    mark.write_text(state, encoding="utf-8")
    return folder / "bin"


def lock(names: Iterable[str]) -> None:
    """Resolve the newest versions of what the systems need, with the scikit-learn of dev.lock."""
    for rival in map(find, names):
        if rival.requires:
            print(f"resolving {rival.name}", file=sys.stderr, flush=True)
            _compile(rival)


def _compile(rival: Rival) -> None:
    pinned = DEV_LOCK.read_text(encoding="utf-8").splitlines()
    (same,) = (line.split()[0] for line in pinned if line.startswith("scikit-learn=="))
    with tempfile.TemporaryDirectory() as name:
        wanted, constraint = Path(name) / "wanted.in", Path(name) / "same.in"
        wanted.write_text("\n".join(rival.requires), encoding="utf-8")
        constraint.write_text(same, encoding="utf-8")
        target = ("--output-file", str(lock_of(rival.name)))
        _run(
            sys.executable, *COMPILE, *RIVALS_PLATFORM, str(wanted), "--constraint", str(constraint), *target
        )


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout)[-2000:])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lock", action="store_true", help="resolve the locks instead of installing them")
    parser.add_argument("names", nargs="*", default=list(NAMES), help="systems; all of them by default")
    given = parser.parse_args()
    if given.lock:
        lock(given.names)
    else:
        for each in given.names:
            ensure(find(each))
