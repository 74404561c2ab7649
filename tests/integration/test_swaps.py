"""Swaps under load, over several servers and workers: nothing is lost, and nobody wrong answers."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

import fairway as fw
from fairway.assemble import open_stores
from fairway.bundle.bundle import build_bundle
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.registry.records import Version
from fairway.registry.registry import Registry
from fairway.settings import load_settings
from fairway.testing import RunningServer, running_server

from .conftest import counts, wait_until
from .traffic import Timeline, Traffic

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has one process per server")

SLOPES = {"line:1": 1.0, "line:2": 2.0, "line:3": 3.0}

MOVES = int(os.environ.get("FAIRWAY_TEST_MOVES", "6"))
"""Promotions and rollbacks; 20 of them with 1,000 calls each are made by hand before a release."""

CALLS_PER_MOVE = int(os.environ.get("FAIRWAY_TEST_CALLS_PER_MOVE", "300"))


class Pair(NamedTuple):
    """Two servers of two workers each, which serve line from one registry."""

    servers: list[RunningServer]
    home: Path
    environ: Mapping[str, str]

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    def health(self) -> list[Any]:
        """Ask often enough that no worker is left out; one that dies just then does not answer."""
        found = []
        for server in self.servers * 8:
            with contextlib.suppress(OSError, http.client.HTTPException):
                found.append(server.ask("/health").json())
        return found

    def is_healthy(self) -> bool:
        return {health["status"] for health in self.health()} == {"healthy"}

    def refusals(self, version: int) -> list[fw.Event]:
        with opened(self.home, self.environ) as registry:
            history = registry.history("line")
        return [event for event in history if event.kind == "refused" and event.version == version]


@contextlib.contextmanager
def running_pair(folder: Path, environ: Mapping[str, str]) -> Iterator[Pair]:
    """Register line:1, line:2 and line:3, which answer one, two and three times the input, and serve them."""
    linear = pytest.importorskip("sklearn.linear_model")
    home = folder / "home"
    with opened(home, environ) as registry:
        for slope in SLOPES.values():
            model = linear.LinearRegression().fit([[0.0], [1.0]], [0.0, slope])
            model.coef_, model.intercept_ = np.array([slope]), 0.0
            rows = {"x": [0.0, 1.0, 2.0]}
            registry.register(
                make_bundle(model, name="line", example=rows, code=(), facts=Facts(), wishes=Wishes()),
                actor="ada",
            )
        registry.move_alias("line", "production", 1, actor="ada")
    variables = {"FAIRWAY_SERVER_WORKERS": "2", **environ}
    with contextlib.ExitStack() as stack:
        servers = []
        for number in range(2):
            (folder / str(number)).mkdir()
            server = running_server("line", home=home, folder=folder / str(number), environ=variables)
            servers.append(stack.enter_context(server))
        yield Pair(servers, home, environ)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Give two servers on SQLite and a folder; line:1 is in production, and is so again after each test."""
    with running_pair(tmp_path_factory.mktemp("pair"), {}) as found:
        yield found


@contextlib.contextmanager
def opened(home: Path, environ: Mapping[str, str]) -> Iterator[Registry]:
    settings, _ = load_settings(flags={"home": str(home)}, environ=environ)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():  # AWS_*, which is read where a store is opened
            patch.setenv(name, value)
        with open_stores(settings) as registry:
            yield registry


def swap_under_load(pair: Pair) -> None:
    """Move production again and again while callers ask both servers without a pause, and then back."""
    timeline, live = Timeline("line:1"), [1]
    with (
        opened(pair.home, pair.environ) as registry,
        Traffic(pair.ports, SLOPES, callers=8, strangers=4) as traffic,
    ):
        traffic.wait_for(CALLS_PER_MOVE)
        for number in range(MOVES):
            with timeline.moving_to(f"line:{target(number, live)}"):
                move(registry, number, live)
            time.sleep(1.0)
            traffic.wait_for(CALLS_PER_MOVE, deadline_s=60)
        assert pair.is_healthy()
        with timeline.moving_to("line:1"):
            registry.move_alias("line", "production", 1, actor="ada")
        wait_until(lambda: versions(pair) == {"line:1"})
    tally = traffic.tally
    hand_overs = timeline.hand_overs(tally.answers)
    print(  # noqa: T201 - what whoever runs it by hand wants to know
        f"\n{tally.total} calls, {len(tally.lost)} lost, {len(tally.wrong)} wrong, {tally.refused} refused; "
        f"{len(hand_overs)} moves, slowest hand-over {max(hand_overs):.3f} s, "
        f"slowest answer {tally.slowest_s:.3f} s"
    )

    assert (tally.lost, tally.wrong, tally.refused) == ([], [], 0)
    assert timeline.faults(tally.answers) == []
    assert tally.total >= MOVES * CALLS_PER_MOVE
    assert set(tally.answered) == set(SLOPES)


def target(number: int, live: list[int]) -> int:
    """Return where a move leads: every third one is a rollback."""
    return live[-2] if number % 3 == 2 else live[-1] % len(SLOPES) + 1


def move(registry: Registry, number: int, live: list[int]) -> None:
    to = target(number, live)
    if number % 3 == 2:
        live.pop()
        assert registry.rollback("line", actor="ada", reason="a step back").to_version == to
    else:
        expected = live[-1]
        live.append(to)
        registry.promote(
            "line", to, alias="production", actor="ada", reason="forward", expected=expected, details={}
        )


def versions(pair: Pair) -> set[str]:
    """Return who answers; each call comes on a connection of its own, so no worker is left out."""
    asked = [server.ask("/predict", {"x": 3}) for server in pair.servers for _ in range(8)]
    return {answer.headers["fairway-model"] for answer in asked}


def test_every_swap_is_made_in_a_second_and_loses_nothing(pair: Pair) -> None:
    """Promotions and rollbacks while callers ask: each answer is of a version that was live just then."""
    swap_under_load(pair)


def test_an_answer_of_a_version_that_was_not_live_is_found(pair: Pair) -> None:
    """The referee itself: with another version live than the one that answers, all answers are faults."""
    timeline = Timeline("line:2")
    with Traffic(pair.ports, SLOPES, callers=2) as traffic:
        traffic.wait_for(20)

    assert len(timeline.faults(traffic.tally.answers)) == traffic.tally.total


# -- what fails stays outside --


def repack(pair: Pair, change: Callable[[dict[str, bytes]], None], source: str = "line:2") -> Version:
    """Register another version of line, past every check that a push makes."""
    with opened(pair.home, pair.environ) as registry:
        bundle = registry.open(registry.resolve(source))
        contents = {path: bundle.read(path) for path in bundle.manifest.files}
        change(contents)
        facts = msgspec.structs.asdict(bundle.manifest)
        del facts["files"]
        return registry.register(build_bundle(contents, **facts), name="line", actor="ada")


def with_other_golden_answers(pair: Pair) -> Version:
    def change(contents: dict[str, bytes]) -> None:
        golden = json.loads(contents["golden.json"])
        golden["expected"]["prediction"][0] += 1
        contents["golden.json"] = msgspec.json.encode(golden)

    return repack(pair, change)


def with_a_file_altered(pair: Pair) -> Version:
    version = repack(pair, lambda contents: contents.update({"card.md": b"a card of its own"}))
    digest = hashlib.sha256(b"a card of its own").hexdigest()
    path = pair.home / "artifacts" / "sha256" / digest[:2] / digest
    path.chmod(0o600)
    path.write_bytes(b"another one")
    return version


def with_code_that_cannot_be_imported(pair: Pair) -> Version:
    source = Path("line_code.py")
    source.write_text("def answer(rows):\n    return [4.0 * row['x'] for row in rows]\n")
    fw.push("line_code.py:answer", name="own", example=[{"x": 1.0}, {"x": 2.0}], home=pair.home)

    def change(contents: dict[str, bytes]) -> None:
        code = next(path for path in contents if path.startswith("code/"))
        contents[code] = b"import a_module_that_nobody_has\n" + contents[code]

    return repack(pair, change, "own")


@pytest.mark.parametrize(
    ("damaged", "code"),
    [
        (with_other_golden_answers, "packed_model_differs"),
        (with_a_file_altered, "artifact_digest"),
        (with_code_that_cannot_be_imported, "artifact_import"),
    ],
)
def test_a_broken_candidate_never_answers_and_the_operator_is_told_why(
    pair: Pair, damaged: Callable[[Pair], Version], code: str
) -> None:
    """Under load: the live version goes on, and /health and the history say why in a line."""
    candidate = damaged(pair)
    slopes = {**SLOPES, candidate.reference: 2.0}
    with Traffic(pair.ports, slopes, callers=4, strangers=4) as traffic:
        traffic.wait_for(100)
        fw.alias(candidate.reference, "production", home=pair.home)
        wait_until(lambda: {health["status"] for health in pair.health()} == {"degraded"})
        state = pair.health()[0]["models"]["line"]
        wait_until(lambda: len(pair.refusals(candidate.version)) == 2)
        traffic.wait_for(200)
        assert {server.ask("/readyz").status for server in pair.servers} == {200}
        refusals = pair.refusals(
            candidate.version
        )  # two workers of each server have refused it, and said so once
        fw.rollback("line", home=pair.home)
        wait_until(pair.is_healthy)

    assert (traffic.tally.lost, traffic.tally.wrong, traffic.tally.refused) == ([], [], 0)
    assert set(traffic.tally.answered) == {"line:1"}
    assert (state["status"], state["version"], state["code"]) == ("degraded", 1, code)
    assert state["reason"].startswith(f"{candidate.reference} is refused: ")
    assert "/" not in state["reason"]
    assert {(event.alias, event.details["code"]) for event in refusals} == {("production", code)}
    assert len({event.details["server"] for event in refusals}) == 2
    assert state["reason"].endswith(refusals[0].reason)


def test_a_candidate_that_kills_who_loads_it_is_not_loaded_for_ever(pair: Pair) -> None:
    """Two workers die of it; those that take their places serve the live version, and say why."""
    source = Path("deadly.py")
    source.write_text("def answer(rows):\n    return [4.0 * row['x'] for row in rows]\n")
    fw.push("deadly.py:answer", name="deadly", example=[{"x": 1.0}, {"x": 2.0}], home=pair.home)

    def change(contents: dict[str, bytes]) -> None:
        code = next(path for path in contents if path.startswith("code/"))
        contents[code] = b"import os\nos._exit(9)\n"

    candidate = repack(pair, change, "deadly")
    with Traffic(pair.ports, SLOPES, strangers=2) as traffic:
        traffic.wait_for(50)
        fw.alias(candidate.reference, "production", home=pair.home)
        wait_until(lambda: {tell_code(health) for health in pair.health()} == {"load_crashed"}, deadline_s=30)
        wait_until(lambda: pair.refusals(candidate.version))
        traffic.wait_for(200)
        deaths = [server.log.read_bytes().count(b'"worker.died"') for server in pair.servers]
        fw.rollback("line", home=pair.home)
        wait_until(pair.is_healthy)

    assert traffic.tally.wrong == []
    assert set(traffic.tally.answered) == {"line:1"}
    assert max(deaths) <= 4


def tell_code(health: Any) -> str:
    return str(health["models"]["line"].get("code", ""))


# -- more models than memory --


def test_unloading_fails_no_call(pair: Pair, tmp_path: Path) -> None:
    """Four models, two of which stay in memory: every call is answered, and all are listed."""
    home = Path(shutil.copytree(pair.home, tmp_path / "home"))
    names = ["line", "north", "east", "south"]
    with opened(home, {}) as registry:
        for name in names[1:]:
            registry.register(registry.open(registry.resolve("line:2")), name=name, actor="ada")
    environ = {"FAIRWAY_SERVER_MAX_LOADED": "2"}
    slopes = {"line:1": 1.0, "north:1": 2.0, "east:1": 2.0, "south:1": 2.0}
    with running_server(*names, home=home, folder=tmp_path, environ=environ) as server:
        health = server.ask("/health").json()
        with contextlib.ExitStack() as stack:
            paths = [f"/models/{name}/predict" for name in names]
            callers = [Traffic(server.port, slopes, callers=2, path=path) for path in paths]
            for traffic in callers:
                stack.enter_context(traffic)
            for traffic in callers:
                traffic.wait_for(10, deadline_s=60)
        loaded = counts(server, "fairway_models_loaded")[""]
        unloads = sum(counts(server, "fairway_model_unloads_total").values())
        listed = server.ask("/models").json()["models"]
        pages = [server.ask(f"/models/{name}", headers={"accept": "text/html"}).status for name in names]

    states = [state["status"] for state in health["models"].values()]
    assert (health["status"], states) == ("healthy", ["ready", "ready", "unloaded", "unloaded"])
    for traffic, version in zip(callers, slopes, strict=True):
        assert (traffic.tally.lost, traffic.tally.wrong, set(traffic.tally.answered)) == ([], [], {version})
    assert loaded <= 3  # one more while another comes
    assert unloads > 2
    assert [model["name"] for model in listed] == names
    assert {model["loaded"] for model in listed} == {True, False}
    assert pages == [200] * 4


# -- what is attached later --


def test_a_compiled_predictor_is_taken_when_it_is_there(pair: Pair) -> None:
    """Loaded beside the original, proven, and then it answers, without a restart."""
    logs = [server.log for server in pair.servers]
    with Traffic(pair.ports, SLOPES, callers=4) as traffic:
        traffic.wait_for(50)
        fw.compile("line:1", home=pair.home)
        wait_until(lambda: all(log.read_bytes().count(b'"predictor":"numpy"') == 2 for log in logs))
        traffic.wait_for(100)

    assert (traffic.tally.lost, traffic.tally.wrong) == ([], [])
    assert set(traffic.tally.answered) == {"line:1"}
