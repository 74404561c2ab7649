"""Kill a process that writes to the registry, at random moments, and look at what it leaves.

A child registers versions and moves aliases as fast as it can, and acknowledges each change, once it has
returned, on a pipe. With `--mode registry` it keeps one registry open; with `--mode push` it calls the public
verbs, which open and close the registry each time, as the command line does. The parent kills it with SIGKILL
up to 50 ms after its start or after its first acknowledgement, opens the registry again and compares. With
`--database URL` the rows are in PostgreSQL, each home in a schema of its own:

* every acknowledged change is there, and at most one more (the one that was under way);
* what was there before is unchanged, and version numbers only grew;
* every version is complete: all files are there and have the right hash, those of its attachment, too;
* every alias points where the events say;
* the chain of events holds;
* no temporary file is left after a sweep, and the database passes its own check.

By hand: `python tests/integration/kill9.py --cycles 1000`. Exit status 1 means that a promise was broken.
"""
# ruff: noqa: S311 - a seed that repeats a run is the point of these random numbers; schemas are ours

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import random
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

# Imported before the first fork, so that the children start at once.
import alembic.command  # noqa: F401

import fairway.assemble
import fairway.registry.metadata.sql

with contextlib.suppress(ImportError):
    import fairway.registry.metadata.postgres  # noqa: F401
from fairway import api
from fairway.api._common import open_registry as open_of_settings
from fairway.api._common import settings_of
from fairway.bundle import known
from fairway.bundle.attachment import build_attachment
from fairway.bundle.bundle import Bundle, build_bundle
from fairway.errors import AliasNotFound, FairwayError, NothingToRollBack
from fairway.registry.history import replay
from fairway.registry.records import Event, ModelSummary, Move, Version
from fairway.registry.registry import Registry, open_registry

MODELS = ("coffee", "tea")
ALIASES = ("production", "challenger")
MAX_DELAY_S = 0.05
CYCLES_PER_HOME = 10
CHILDREN_PER_GENERATION = 5


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a registry is: its home folder, and the address of its rows if they are not in there."""

    home: Path
    database: str

    def open(self) -> Registry:
        """Open the registry."""
        return open_registry(self.home, database=self.database)

    def wait_for_the_dead(self) -> None:
        """Wait until the server has noticed that the client is gone: until then it may still commit."""
        if not self.database:
            return
        import psycopg

        others = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = current_setting('application_name') AND pid <> pg_backend_pid()"
        )
        deadline = time.monotonic() + 30
        with psycopg.connect(self.database, autocommit=True) as connection:
            while connection.execute(others).fetchone() != (0,):
                require(time.monotonic() < deadline, "the server ends the session of a client that is gone")
                time.sleep(0.001)


@dataclasses.dataclass
class Figures:
    """What was done and what was found."""

    cycles: int = 0
    acknowledged: int = 0
    promotions: int = 0
    lost: int = 0
    unacknowledged_but_complete: int = 0
    versions: int = 0
    half_versions: int = 0
    killed_before_first_acknowledgement: int = 0
    temporary_files_swept: int = 0
    homes: int = 0
    seconds: float = 0.0


class BrokenPromiseError(Exception):
    """The registry is not what it must be after a kill."""


def require(holds: bool, promise: str, *facts: object) -> None:
    """Raise unless a promise holds."""
    if not holds:
        raise BrokenPromiseError(" ".join([promise, *map(str, facts)]))


def tiny_bundle(content: int, model: str) -> Bundle:
    """Return a bundle of three files with an attachment of two, told from others by *content*."""
    rng = random.Random(content)
    files = {
        "model/model.bin": rng.randbytes(rng.choice((10, 1_000, 200_000, 1_000_000))),
        "signature.json": b'{"inputs": %d}' % rng.randrange(3),
        "golden.json": b"{}",
    }
    bundle = build_bundle(
        files, name=model, flavor="sklearn", created="", model_type="Ridge", python="", fairway=""
    )
    report = b'{"format":1,"predictor":"native","reason":"%d","compilers":{}}' % content
    attached = {"report.json": report, "numpy/program.json": rng.randbytes(rng.choice((10, 100_000)))}
    return bundle.with_attachments([build_attachment(bundle.digest, "compiled", attached)])


class Verbs(Protocol):
    """What a child does to the registry."""

    def models(self) -> list[ModelSummary]:
        """Return the models."""

    def push(self, model: str, content: int) -> Version:
        """Register a version."""

    def move(self, model: str, alias: str, version: int) -> Move:
        """Move an alias."""

    def promote(self, model: str, alias: str, version: int) -> Move:
        """Promote a version over the one that is live."""

    def rollback(self, model: str, alias: str) -> Move:
        """Roll an alias back."""

    def remove(self, model: str, alias: str) -> Move:
        """Remove an alias."""


class RegistryVerbs:
    """One registry, opened once and kept."""

    def __init__(self, place: Place) -> None:
        self._registry = place.open()
        self._actor = f"child-{os.getpid()}"

    def models(self) -> list[ModelSummary]:
        return self._registry.models()

    def push(self, model: str, content: int) -> Version:
        return self._registry.register(tiny_bundle(content, model), actor=self._actor)

    def move(self, model: str, alias: str, version: int) -> Move:
        return self._registry.move_alias(model, alias, version, actor=self._actor)

    def promote(self, model: str, alias: str, version: int) -> Move:
        return promote_in(self._registry, model, alias, version, self._actor)

    def rollback(self, model: str, alias: str) -> Move:
        return self._registry.rollback(model, alias, actor=self._actor)

    def remove(self, model: str, alias: str) -> Move:
        return self._registry.remove_alias(model, alias, actor=self._actor)


class PublicVerbs:
    """The public verbs, on bundle files that this home trusts."""

    def __init__(self, place: Place) -> None:
        self._home = place.home
        if place.database:
            os.environ["FAIRWAY_REGISTRY"] = place.database

    def models(self) -> list[ModelSummary]:
        return api.list_models(home=self._home)

    def push(self, model: str, content: int) -> Version:
        return api.push(bundle_path(self._home, content), name=model, home=self._home)

    def move(self, model: str, alias: str, version: int) -> Move:
        return api.alias(f"{model}:{version}", alias, home=self._home)

    def promote(self, model: str, alias: str, version: int) -> Move:
        with open_of_settings(
            settings_of(self._home)
        ) as registry:  # without a gate, which would take its time
            return promote_in(registry, model, alias, version, "ada")

    def rollback(self, model: str, alias: str) -> Move:
        return api.rollback(model, alias, home=self._home)

    def remove(self, model: str, alias: str) -> Move:
        return self.rollback(model, alias)  # there is no public verb that removes


def promote_in(registry: Registry, model: str, alias: str, version: int, actor: str) -> Move:
    """Promote a version, on the strength of what is live now."""
    live = next(found.aliases.get(alias) for found in registry.models() if found.name == model)
    details = {"check": 1, "compared_with": live}
    return registry.promote(model, version, alias=alias, actor=actor, expected=live, details=details)


MODES: dict[str, type[RegistryVerbs | PublicVerbs]] = {"registry": RegistryVerbs, "push": PublicVerbs}


def contents_of(seed: int) -> range:
    """Return the bundles of a child: few, and shared with some children before and after it.

    So one often pushes again what another was killed over, as a person would.
    """
    first = seed // CHILDREN_PER_GENERATION * 100
    return range(first, first + 6)


def bundle_path(home: Path, content: int) -> Path:
    """Return where the parent laid a bundle file for `PublicVerbs`."""
    return home.parent / f"{content}.fairway"


def lay_bundles(home: Path, seed: int) -> None:
    """Write the bundle files of a child, unless they are there, and let the home trust them."""
    for content in contents_of(seed):
        path = bundle_path(home, content)
        if not path.exists():
            bundle = tiny_bundle(content, "coffee")
            bundle.save(path)
            known.remember(home, bundle)


def change_something(verbs: Verbs, rng: random.Random, contents: range) -> dict[str, Any] | None:
    """Make one change and return what to acknowledge, or None if there was nothing to change."""
    model, alias = rng.choice(MODELS), rng.choice(ALIASES)
    latest = {summary.name: summary.latest for summary in verbs.models()}.get(model)
    verb = rng.choices(("push", "promote", "move", "rollback", "remove"), (4, 4, 2, 2, 1))[0]
    if verb == "push" or latest is None:
        version = verbs.push(model, rng.choice(contents))
        return {"model": model, "version": version.version, "digest": version.digest}
    try:
        if verb == "move":
            move = verbs.move(model, alias, rng.randint(1, latest))
        elif verb == "promote":
            move = verbs.promote(model, alias, rng.randint(1, latest))
        elif verb == "rollback":
            move = verbs.rollback(model, alias)
        else:
            move = verbs.remove(model, alias)
    except (AliasNotFound, NothingToRollBack):
        return None
    return dataclasses.asdict(move) if move.from_version != move.to_version else None


def work_until_killed(place: Place, mode: str, pipe: int, seed: int) -> None:
    """Change the registry again and again; acknowledge each change by one line on the pipe."""
    rng = random.Random(seed)
    verbs = MODES[mode](place)
    while True:
        change = change_something(verbs, rng, contents_of(seed))
        if change is not None:
            os.write(pipe, json.dumps(change).encode() + b"\n")


def run_child_and_kill_it(place: Place, mode: str, seed: int) -> list[dict[str, Any]]:
    """Fork a child, kill it after a random time, and return what it acknowledged."""
    rng = random.Random(seed)
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            work_until_killed(place, mode, theirs, seed)
        except BaseException:  # noqa: BLE001 - a forked child must never return into its parent's code
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(theirs)
    if rng.random() < 0.5:
        select.select([ours], [], [], 30)
    time.sleep(rng.uniform(0, MAX_DELAY_S))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(ours, "rb") as pipe:
        lines = pipe.read().splitlines()
    require(
        os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "the child ran until it was killed"
    )
    return [json.loads(line) for line in lines]


def is_recorded(change: dict[str, Any], events: list[Event]) -> bool:
    """Say whether an acknowledged change stands in the history."""
    if "digest" in change:
        return any(
            event.kind == "register" and (event.model, event.version) == (change["model"], change["version"])
            for event in events
        )
    return any(
        event.seq == change["seq"]
        and (event.model, event.alias, event.from_version, event.to_version)
        == (change["model"], change["alias"], change["from_version"], change["to_version"])
        for event in events
    )


def compare(
    place: Place, before: list[Event], changes: list[dict[str, Any]], figures: Figures
) -> list[Event]:
    """Open the registry after a kill, hold it against every promise, and return its history."""
    place.wait_for_the_dead()
    with place.open() as registry:
        broken = registry.verify_audit()
        require(broken is None, "the chain of events holds:", broken)
        events = registry.audit()
        require(events[: len(before)] == before, "the history only grows")
        new = events[len(before) :]
        lost = [change for change in changes if not is_recorded(change, new)]
        figures.lost += len(lost)
        require(not lost, "every acknowledged change is there; lost:", lost)
        extra = len(new) - len(changes)
        require(extra in {0, 1}, "at most one change was under way, but there are", extra)
        figures.unacknowledged_but_complete += extra
        figures.versions += sum(event.kind == "register" for event in new)
        figures.promotions += sum(event.kind == "promote" for event in new)
        check_numbers(events)
        check_aliases(registry, events)
        check_versions(registry, new, changes, figures)
        check_temporary_files(registry, place.home, figures)
    return events


def check_numbers(events: list[Event]) -> None:
    """Version numbers of a model rise with the order of events."""
    for model in MODELS:
        numbers = [
            event.version or 0 for event in events if event.model == model and event.kind == "register"
        ]
        require(numbers == sorted(set(numbers)), "numbers only grow:", model, numbers)


def check_aliases(registry: Registry, events: list[Event]) -> None:
    """Every alias points to a version that is there, and where the events lead."""
    for summary in registry.models():
        states = replay(event for event in events if event.model == summary.name)
        expected = {alias: state.target for alias, state in states.items() if state.target is not None}
        require(summary.aliases == expected, "aliases follow the events:", summary.aliases, expected)
        numbers = {version.version for version in registry.versions(summary.name)}
        registered = {
            event.version for event in events if event.model == summary.name and event.kind == "register"
        }
        require(numbers == registered, "each version has its event:", numbers ^ registered)
        require(set(summary.aliases.values()) <= numbers, "aliases point at versions:", summary.aliases)


def check_versions(
    registry: Registry, new: list[Event], changes: list[dict[str, Any]], figures: Figures
) -> None:
    """Every new version opens, which compares every file with its hash."""
    digests = {
        (change["model"], change["version"]): change["digest"] for change in changes if "digest" in change
    }
    for event in new:
        if event.kind != "register":
            continue
        version = registry.resolve(f"{event.model}:{event.version}")
        expected = digests.get((version.model, version.version), version.digest)
        require(version.digest == expected, "the version is what was acknowledged:", version)
        try:
            opened = registry.open(version)
        except Exception as error:
            figures.half_versions += 1
            raise BrokenPromiseError(f"{version.reference} is complete") from error
        require("compiled" in opened.attachments, "each version has its attachment:", version.reference)


def check_temporary_files(registry: Registry, home: Path, figures: Figures) -> None:
    """A sweep leaves nothing that a dead writer began."""
    figures.temporary_files_swept += registry.artifacts.sweep(older_than_s=0)
    left = [str(path) for path in home.rglob(".write-*")]
    require(not left, "no temporary file is left:", left)


@contextlib.contextmanager
def fresh_place(database: str, numbers: Iterator[int]) -> Iterator[Place]:
    """Give a home folder that does not exist yet and, on a server, an empty schema; both are removed."""
    with tempfile.TemporaryDirectory(prefix="kill9-") as folder:
        home = Path(folder) / "home"
        if not database:
            yield Place(home, "")
            return
        import psycopg

        schema = f"kill9_{os.getpid()}_{next(numbers)}"
        mark = "&" if "?" in database else "?"
        address = f"{database}{mark}application_name={schema}&options=-csearch_path%3D{schema}"
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute(f"CREATE SCHEMA {schema}")
            yield Place(home, address)
            admin.execute(f"DROP SCHEMA {schema} CASCADE")


def run(cycles: int, mode: str, seed: int, database: str) -> Figures:
    """Run all cycles, with a fresh home folder from time to time, and return the figures."""
    figures = Figures()
    numbers = itertools.count(1)
    started = time.perf_counter()
    for first in range(0, cycles, CYCLES_PER_HOME):
        with fresh_place(database, numbers) as place:
            events: list[Event] = []
            for cycle in range(first, min(first + CYCLES_PER_HOME, cycles)):
                if mode == "push":
                    lay_bundles(place.home, seed + cycle)
                changes = run_child_and_kill_it(place, mode, seed + cycle)
                figures.cycles += 1
                figures.acknowledged += len(changes)
                figures.killed_before_first_acknowledgement += not changes
                events = compare(place, events, changes, figures)
            with place.open() as registry:
                found = registry.check()
                require(not found, "the whole registry is sound:", found)
            figures.homes += 1
    figures.seconds = round(time.perf_counter() - started, 1)
    return figures


def main() -> int:
    """Read the options, run, print the figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--mode", choices=sorted(MODES), default="registry")
    parser.add_argument("--database", default="", help="a PostgreSQL database; without it, SQLite")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    options = parser.parse_args()
    try:
        figures = run(options.cycles, options.mode, options.seed, options.database)
    except (BrokenPromiseError, FairwayError):
        traceback.print_exc()
        again = f"--mode {options.mode} --cycles {options.cycles} --seed {options.seed}"
        sys.stderr.write(f"repeat with: {again}\n")
        return 1
    sys.stdout.write(json.dumps(dataclasses.asdict(figures)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
