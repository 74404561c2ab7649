"""Kill a process that pushes, deletes, cleans up and writes backups, at random moments; see what it leaves.

A child does these things in turn, and acknowledges on a pipe each version that is to stay. The parent kills
it with SIGKILL, opens the registry again and compares:

* every acknowledged version is there, whole, and so is every other one that is not deleted;
* the record of events holds;
* every backup that has its name can be restored, and is whole;
* a clean-up and a sweep leave nothing that nothing refers to.

By hand: `python tests/integration/kill9_keeping.py --cycles 1000`. Exit status 1 means a broken promise.
"""
# ruff: noqa: S311 - a seed that repeats a run is the point of these random numbers

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

# Imported before the first fork, so that the children start at once.
import alembic.command  # noqa: F401

from fairway.bundle.attachment import build_attachment
from fairway.bundle.bundle import Bundle, build_bundle
from fairway.errors import FairwayError
from fairway.registry.backup import FILE_SUFFIX, back_up, restore
from fairway.registry.collecting import collect
from fairway.registry.contents import blobs_of, manifests_of
from fairway.registry.registry import open_registry

MAX_DELAY_S = 0.15
ACTOR = "child"


def require(holds: bool, promise: str, *facts: object) -> None:
    """Raise unless a promise holds."""
    if not holds:
        raise AssertionError(" ".join([promise, *map(str, facts)]))


def small_bundle(content: int) -> Bundle:
    """Return a bundle with an attachment, told from others by *content*; some files are shared."""
    rng = random.Random(content)
    files = {"model/model.bin": rng.randbytes(rng.choice((10, 100_000))), "signature.json": b"{}"}
    bundle = build_bundle(
        files, name="coffee", flavor="sklearn", created="", model_type="Ridge", python="", fairway=""
    )
    return bundle.with_attachments(
        [build_attachment(bundle.digest, "compiled", {"report.json": b"%d" % content})]
    )


def work_until_killed(home: Path, pipe: int, seed: int) -> None:
    """Push, delete, clean up and back up, again and again."""
    rng = random.Random(seed)
    with open_registry(home) as registry:
        while True:
            kept = registry.register(small_bundle(rng.randrange(20)), actor=ACTOR)
            os.write(pipe, json.dumps([kept.version, kept.digest]).encode() + b"\n")
            gone = registry.register(small_bundle(rng.randrange(20)), actor=ACTOR)
            registry.delete("coffee", gone.version, actor=ACTOR)
            collect(registry, older_than_s=0, actor=ACTOR)
            suffix = rng.choice((FILE_SUFFIX, ""))
            back_up(registry, home.parent / "backups" / f"{seed}-{gone.version}{suffix}", actor=ACTOR)


def run_child_and_kill_it(home: Path, seed: int) -> list[tuple[int, str]]:
    """Fork a child, kill it after a random time, and return what it acknowledged."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            work_until_killed(home, theirs, seed)
        except BaseException:  # noqa: BLE001 - a forked child must never return into its parent's code
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(theirs)
    rng, written = random.Random(seed), b""
    n_rounds = rng.randint(1, 3)
    with os.fdopen(ours, "rb", buffering=0) as pipe:
        while written.count(b"\n") < n_rounds and (more := pipe.read(4096)):
            written += more
        time.sleep(rng.uniform(0, MAX_DELAY_S))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        written += pipe.read()
    require(os.WIFSIGNALED(status), "the child ran until it was killed")
    return [(version, digest) for version, digest in map(json.loads, written.splitlines())]


def compare(home: Path, acknowledged: list[tuple[int, str]]) -> int:
    """Open the registry after a kill and hold it against every promise; return how many files went."""
    with open_registry(home) as registry:
        require(registry.check() == [], "everything is whole:", registry.check())
        require(registry.verify_audit() is None, "the record holds:", registry.verify_audit())
        there = {version.version: version.digest for version in registry.versions("coffee")}
        lost = [version for version, digest in acknowledged if there.get(version) != digest]
        require(not lost, "every acknowledged version is there; lost:", lost)
        removed = collect(registry, older_than_s=0, actor="parent").files
        registry.artifacts.sweep(older_than_s=0)
        with registry.metadata.read() as view:
            needed = blobs_of(manifests_of(view), registry.artifacts.read)
        stored = {blob.digest for blob in registry.artifacts.list()}
        require(stored == needed, "nothing is left that nothing refers to:", stored ^ needed)
        require(not list(home.rglob(".write-*")), "no temporary file is left")
        require(registry.check() == [], "everything is whole after the clean-up:", registry.check())
    return removed


def compare_backups(folder: Path) -> int:
    """Restore every backup, and return how many there were; half ones never have their name."""
    whole = [path for path in folder.iterdir() if not path.name.startswith(".write-")]
    for path in whole:
        with open_registry(folder / ".restored") as registry:
            restore(registry, path, actor="parent")
            require(registry.check() == [], "a backup is whole:", path, registry.check())
        shutil.rmtree(folder / ".restored")
    shutil.rmtree(folder)
    return len(whole)


def main() -> int:
    """Read the options, run, print the figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    options = parser.parse_args()
    figures = {"cycles": 0, "acknowledged": 0, "backups": 0, "removed": 0}
    with tempfile.TemporaryDirectory(prefix="kill9-keeping-") as name:
        acknowledged: list[tuple[int, str]] = []
        for cycle in range(options.cycles):
            try:
                acknowledged += run_child_and_kill_it(Path(name) / "home", options.seed + cycle)
                figures["removed"] += compare(Path(name) / "home", acknowledged)
                if (Path(name) / "backups").is_dir():
                    figures["backups"] += compare_backups(Path(name) / "backups")
            except (AssertionError, FairwayError):
                traceback.print_exc()
                sys.stderr.write(f"repeat with: --cycles {cycle + 1} --seed {options.seed}\n")
                return 1
            figures["cycles"] += 1
    figures["acknowledged"] = len(acknowledged)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
