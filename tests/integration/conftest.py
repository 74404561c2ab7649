"""One registry with a few small models, one server for all of them, and eyes on its log and metrics."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.testing import Answer, RunningServer, running_server

MODELS = Path(__file__).parent / "models"
IRIS_ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
DEADLINE_S = 30.0


def wait_until(condition: Callable[[], Any], *, deadline_s: float = DEADLINE_S) -> Any:
    """Return what *condition* returns as soon as that is true; fail at the deadline."""
    deadline = time.monotonic() + deadline_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "the deadline has passed"
        time.sleep(0.005)
    return found


def stalled_s() -> float:
    """Return for how long, ever, something here waited for a core; 0 where the kernel does not tell."""
    try:
        some = Path("/proc/pressure/cpu").read_text(encoding="ascii").splitlines()[0]
    except OSError:
        return 0.0
    return int(some.rpartition("total=")[2]) / 1e6


class Elapsed:
    """Seconds since its making, without those in which too few cores were there: they are nobody's fault."""

    def __init__(self) -> None:
        self._began, self._stalled = time.perf_counter(), stalled_s()

    def seconds(self) -> float:
        waited = stalled_s() - self._stalled
        return max(0.0, time.perf_counter() - self._began - waited)


class Watch:
    """What a server logs from now on."""

    def __init__(self, server: RunningServer) -> None:
        self._log = server.log
        # Access lines are written a little later: wait for the one of a call of our own.
        mark = server.ask("/before-the-watch").headers["fairway-request-id"].encode()
        wait_until(lambda: self._log.read_bytes().find(mark) >= 0)
        written = self._log.read_bytes()
        self._offset = written.index(b"\n", written.index(mark)) + 1

    def text(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._offset)
            return log.read().decode()

    def events(self) -> list[dict[str, Any]]:
        """Every whole line; a line that is not JSON is a failure."""
        return [json.loads(line) for line in self.text().splitlines(keepends=True) if line.endswith("\n")]

    def access_lines(self, count: int) -> list[dict[str, Any]]:
        """Wait for the lines of *count* calls and return all there are, without those of the metrics."""

        def lines() -> list[dict[str, Any]]:
            found = [event for event in self.events() if event["event"] == "access"]
            found = [line for line in found if line["route"] != "/metrics"]
            return found if len(found) >= count else []

        return wait_until(lines)


def counts(server: RunningServer, metric: str) -> dict[str, float]:
    """Return the samples of one metric, by their labels as they are written."""
    text = server.ask("/metrics").body.decode()
    return {
        found[1] or "": float(found[2])
        for found in re.finditer(rf"^{metric}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
    }


def problem_of(answer: Answer) -> dict[str, Any]:
    """Return the problem document of an error, having checked everything that holds for every one."""
    assert answer.status >= 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert len(answer.body) <= 4096
    text = answer.body.decode()
    assert not re.search(r"Traceback|File \"|\.py\b|site-packages|/tmp|/home|/usr|Error\(|Exception", text)
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status
    assert problem["type"] == f"/docs/errors/{problem['code']}"
    assert problem["instance"] == f"/requests/{problem['request_id']}"
    assert problem["request_id"] == answer.headers["fairway-request-id"]
    assert problem["title"]
    assert len(problem.get("errors", ())) <= 20
    return problem


def own_module(name: str) -> Any:
    """Import one of our models' modules under the plain name that its pickle holds."""
    spec = importlib.util.spec_from_file_location(name, MODELS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def iris_table() -> dict[str, Any]:
    from sklearn.datasets import load_iris

    columns = load_iris().data.T.tolist()
    return dict(zip(IRIS_ROW, columns, strict=True))


def iris_model(**options: Any) -> Any:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    iris = load_iris()
    return LogisticRegression(max_iter=500, **options).fit(iris.data, iris.target)


MIXED_ROWS = [
    {
        "age": 20 + n,
        "income": None if n % 7 == 0 else 1000.5 * n,
        "member": n % 2 == 0,
        "city": ["Oslo", "Rome", "Lima"][n % 3],
        "since": f"20{10 + n % 10}-03-0{1 + n % 9}T12:00:00",
        "tags": [["new"], ["old", "loud"], []][n % 3],
    }
    for n in range(60)
]
MIXED_ROW = MIXED_ROWS[1]


def fill(home: Path) -> None:
    """Register the models that the hostile requests are sent to."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pytest.importorskip("sklearn")
    fw.push(iris_model(), name="iris", example=iris_table(), home=home)
    texts = ["boil the pasta", "fold the egg whites", "stir the soup", "temper the chocolate"] * 10
    reader = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts, ["easy", "hard"] * 20)
    fw.push(reader, name="recipes", example=texts, home=home)
    mixed = own_module("mixed").Mixed().fit(None)
    facts = {
        "code": [MODELS / "mixed.py"],
        "feed": "records",
        "example": MIXED_ROWS,
        "kinds": {"since": "datetime"},
    }
    fw.push(mixed, name="mixed", home=home, **facts)
    fw.push(mixed, name="strict", home=home, unseen_category="reject", out_of_range="reject", **facts)
    moods = own_module("moody")
    for name, model in {"moody": moods.Moody(), "slow": moods.Moody(delay_s=0.01)}.items():
        fw.push(
            model.fit(None),
            name=name,
            example={"x": [0.5 * n for n in range(4)]},
            code=[MODELS / "moody.py"],
            out_of_range="pass",
            home=home,
        )


@pytest.fixture(scope="session")
def zoo(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """Give a home folder with the models iris, recipes, mixed, strict, moody and slow."""
    pytest.importorskip("sklearn")
    return made_once("zoo", fill)


@pytest.fixture(scope="session")
def server(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a running server of all the models of `zoo`, with iris as the default."""
    with running_server(
        "iris",
        "recipes",
        "mixed",
        "strict",
        "moody",
        "slow",
        home=zoo,
        folder=tmp_path_factory.mktemp("server"),
    ) as started:
        yield started


def snapshot(home: Path) -> dict[str, Any]:
    """Return everything that a home remembers: rows of the registry by table, and every artifact's bytes."""
    import sqlite3

    found: dict[str, Any] = {}
    database = home / "registry.db"
    if database.is_file():
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            tables = [
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            found = {table: connection.execute(f'SELECT * FROM "{table}"').fetchall() for table in tables}  # noqa: S608
        connection.close()
    for path in sorted((home / "artifacts").rglob("*")):
        if path.is_file():
            found[path.relative_to(home).as_posix()] = path.read_bytes()
    return found
