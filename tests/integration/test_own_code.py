"""Code of one's own over the whole way: pushed from the command line, served, asked by many, scored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.testing import RunningServer, running_server

from .conftest import Watch, wait_until

joblib = pytest.importorskip("joblib")
np = pytest.importorskip("numpy")

MODEL = '''
import threading

import numpy as np


class Model:
    """A line with a weight per input; it keeps what it works on in a place of the thread's own."""

    classes = ["no", "yes"]

    def load(self, files):
        with np.load(files["weights.npz"]) as kept:
            self.weights = kept["weights"]
        self.scratch = threading.local()

    def predict(self, records):
        return [self.classes[int(share[1] > 0.5)] for share in self.predict_proba(records)]

    def predict_proba(self, records):
        self.scratch.sums = [record["a"] * self.weights[0] + record["b"] for record in records]
        yes = 1 / (1 + np.exp(-np.array(self.scratch.sums)))
        return np.column_stack([1 - yes, yes])
'''

STEPS = """
def clean(record):
    return [record["a"], float(record["note"].split("=")[1])]


def words(answer):
    return {"size": "large" if answer > 1 else "small"}
"""

ROWS = [{"a": n / 4, "b": -n / 8} for n in range(-8, 9)]
NOTES = [{"a": n / 4, "note": f"b={n}"} for n in range(12)]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with code, data and a registry in which both models are: pushed as a stranger would."""
    from sklearn.linear_model import LinearRegression

    folder = tmp_path_factory.mktemp("own")
    (folder / "model.py").write_text(MODEL, encoding="utf-8")
    (folder / "steps.py").write_text(STEPS, encoding="utf-8")
    (folder / "rows.json").write_text(json.dumps(ROWS))
    (folder / "notes.json").write_text(json.dumps(NOTES))
    np.savez(folder / "weights.npz", weights=np.array([2.0]))
    joblib.dump(LinearRegression().fit([[0.0, 0.0], [1.0, 2.0]], [0.0, 3.0]), folder / "line.joblib")
    fairway(folder, "push model.py:Model --name own --example rows.json --file weights.npz")
    fairway(
        folder,
        "push line.joblib --name sizes --example notes.json --code steps.py "
        "--preprocess steps:clean --postprocess steps:words",
    )
    return folder


def fairway(folder: Path, arguments: str, *, status: int = 0) -> str:
    """Run a command in a folder and return all that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "fairway", *arguments.split()],
        cwd=folder,
        env={**os.environ, "FAIRWAY_HOME": str(folder / "home"), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def server(workshop: Path) -> Iterator[RunningServer]:
    """Give a server of both models."""
    with running_server("own", "sizes", home=workshop / "home", folder=workshop) as started:
        yield started


def expected_share(row: dict[str, float]) -> float:
    """Return what the model answers to a row, worked out here."""
    return float(1 / (1 + np.exp(-(row["a"] * 2.0 + row["b"]))))


def test_what_travels_is_shown(workshop: Path) -> None:
    """Which functions stand around a model, and that the code and data files are in its bundle."""
    shown = fairway(workshop, "show sizes")
    assert "Your code   steps:clean before it, steps:words after it" in shown
    manifest = json.loads(fairway(workshop, "show own --json"))["manifest"]
    assert {"code/model.py", "files/weights.npz", "model/python.json"} <= set(manifest["files"])
    assert manifest["flavor"] == "python"


def test_many_callers_at_once_each_get_their_own_answer(server: RunningServer) -> None:
    """Calls of one model run in several threads; none sees what another works on."""

    def ask(n: int) -> tuple[Any, float]:
        row = {"a": n / 50 - 2, "b": n / 100}
        answer = server.ask("/models/own/predict?include=probabilities", row).json()
        return answer, expected_share(row)

    with ThreadPoolExecutor(8) as pool:
        for answer, share in pool.map(ask, range(200)):
            assert answer["probabilities"]["yes"] == pytest.approx(share, abs=1e-12)
            assert answer["prediction"] == ("yes" if share > 0.5 else "no")


def test_a_failure_in_the_callers_row_is_the_models_and_is_logged_with_its_place(
    server: RunningServer,
) -> None:
    """A valid record on which the function raises: 500 `model_error`, told without a word of the record."""
    watch = Watch(server)
    reply = server.ask("/models/sizes/predict", {"a": 1.0, "note": "the secret of the caller"})
    problem = reply.json()
    assert reply.status == 500
    assert problem["code"] == "model_error"
    assert "secret" not in reply.body.decode()
    assert "steps" not in reply.body.decode()
    assert "IndexError" not in reply.body.decode()
    failed = wait_until(lambda: [e for e in watch.events() if e["event"] == "prediction.failed"])[0]
    assert failed["request_id"] == problem["request_id"]
    assert "in preprocess steps:clean (steps.py, line 3)" in failed["cause"]["traceback"]
    assert server.ask("/models/sizes/predict", {"a": 1.0, "note": "b=2"}).json() == {"size": "large"}


def test_an_invalid_record_never_reaches_the_function(server: RunningServer) -> None:
    """The signature is that of the raw record: the fault is the caller's, and is told with its place."""
    reply = server.ask("/models/sizes/predict", {"a": "1", "note": 5})
    assert reply.status == 422
    assert [fault["pointer"] for fault in reply.json()["errors"]] == ["/a", "/note"]


@pytest.mark.parametrize("format_", ["ndjson", "csv"])
def test_a_file_is_scored_as_a_server_answers(server: RunningServer, workshop: Path, format_: str) -> None:
    """Through the same functions, whatever format the rows are in."""
    source = workshop / f"in.{format_}"
    if format_ == "csv":
        source.write_text("a,note\n" + "".join(f"{row['a']},{row['note']}\n" for row in NOTES))
    else:
        source.write_text("".join(json.dumps(row) + "\n" for row in NOTES))
    fairway(workshop, f"score sizes {source} {workshop / 'out.ndjson'} --overwrite")
    scored = [json.loads(line)["size"] for line in (workshop / "out.ndjson").read_text().splitlines()]
    served = server.ask("/models/sizes/predict", NOTES).json()["predictions"]
    assert scored == [row["size"] for row in served]
    assert set(scored) == {"small", "large"}


PUSH = "push {} --name x --example rows.json"
WRAP = "push line.joblib --name x --example notes.json {}"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (PUSH.format("model.py:Gone"), 1, "model:Gone: there is no function or class 'Gone'"),
        (PUSH.format("gone.py:Model"), 2, "gone.py is no Python file or folder"),
        (PUSH.format("model.py:Model"), 1, "Try: give it when the model is packed: --file weights.npz"),
        (WRAP.format("--preprocess steps:clean"), 1, "--code steps.py"),
        (WRAP.format("--preprocess steps.py"), 2, "MODULE:FUNCTION"),
        (WRAP.format("--file weights.npz"), 2, "--preprocess MODULE:CLASS.METHOD"),
    ],
)
def test_a_push_that_cannot_work_says_what_to_type(
    workshop: Path, arguments: str, status: int, words: str
) -> None:
    """And leaves no model behind."""
    assert words in fairway(workshop, arguments, status=status)
    assert "x" not in {model["name"] for model in json.loads(fairway(workshop, "list --json"))}


def test_a_function_from_a_module_of_this_process(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python the functions themselves are given."""
    monkeypatch.syspath_prepend(str(workshop))
    import steps  # type: ignore[import-not-found]

    version = fw.push(
        workshop / "line.joblib",
        name="sizes-from-python",
        example=NOTES,
        code=[workshop / "steps.py"],
        preprocess=steps.clean,
        postprocess=steps.words,
        home=workshop / "home",
    )
    assert fw.predict(version.reference, NOTES[0], home=workshop / "home") == {"size": "small"}
