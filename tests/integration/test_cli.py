"""The command line on a real registry, in real processes: what a stranger types, and what they read."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fairway.cli.main import main
from fairway.testing import running_server

sklearn = pytest.importorskip("sklearn")
joblib = pytest.importorskip("joblib")

NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with two trained models and the table that they were trained on."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    folder = tmp_path_factory.mktemp("workshop")
    iris = load_iris()
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*NAMES, "species"])
        writer.writerows(
            [*row, kind] for row, kind in zip(iris.data.tolist(), iris.target.tolist(), strict=True)
        )
    joblib.dump(LogisticRegression(max_iter=500).fit(iris.data, iris.target), folder / "first.joblib")
    joblib.dump(DecisionTreeClassifier(random_state=0).fit(iris.data, iris.target), folder / "second.joblib")
    return folder


class Shell:
    """Runs the command line in this process against one home folder and remembers what it printed."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        self._capsys.readouterr()
        ended = main([*arguments, "--home", str(self.home)])
        out, self.err = self._capsys.readouterr()
        assert ended == code, self.err
        return out

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path / "home", capsys)


@pytest.fixture(scope="module")
def stocked(workshop: Path) -> Path:
    """Give a home folder that holds iris:1, for tests that only read."""
    home = workshop / "home"
    arguments = [
        "push", str(workshop / "first.joblib"), "--name", "iris", "--example", str(workshop / "train.csv"),
        "--target", "species", "--output", "species", "--metric", "accuracy=0.97",
        "--description", "Kinds of iris", "--home", str(home),
    ]  # fmt: skip
    assert main(arguments) == 0
    assert main(["alias", "iris:1", "challenger", "--home", str(home)]) == 0
    return home


@pytest.fixture
def reader(stocked: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(stocked, capsys)


def push(shell: Shell, workshop: Path, model: str, *more: str) -> str:
    return shell(
        "push", str(workshop / model), "--name", "iris", "--example", str(workshop / "train.csv"),
        "--target", "species", "--output", "species", *more,
    )  # fmt: skip


def test_the_story_of_two_versions(shell: Shell, workshop: Path) -> None:
    """Push twice, set the alias twice, roll back: every step says what was, what is, and how to undo it."""
    out = push(shell, workshop, "first.joblib", "--metric", "accuracy=0.97", "--reason", "the first one")
    assert out.startswith("Registered iris:1\n")
    assert re.search(r"^Digest +[0-9a-f]{64}$", out, re.MULTILINE)
    assert re.search(r"^Learnt +4 inputs \(4 number\) -> species \(integer\), 3 classes$", out, re.MULTILINE)
    assert re.search(r"^Proof +.*golden examples", out, re.MULTILINE)
    assert re.search(r"^Next +fairway serve iris$", out, re.MULTILINE)

    assert shell("alias", "iris:1", "production").splitlines() == [
        "iris@production was not set",
        "iris@production is  iris:1",
        "Undo: fairway alias iris@production --remove",
    ]
    out = push(shell, workshop, "second.joblib")
    assert re.search(r"^Next +fairway promote iris:2 +\(production is iris:1 now\)$", out, re.MULTILINE)

    assert shell("alias", "iris:2", "production", "--reason", "a tree").splitlines() == [
        "iris@production was iris:1",
        "iris@production is  iris:2",
        "Undo: fairway alias iris:1 production",
    ]
    assert (
        shell("alias", "iris:2", "production")
        == "iris@production points to iris:2 already; nothing was changed\n"
    )
    assert shell("rollback", "iris", "--reason", "too green").splitlines() == [
        "iris@production was iris:2",
        "iris@production is  iris:1",
        "Undo: fairway alias iris:2 production",
    ]
    shell("rollback", "iris", code=1)
    assert shell.err.splitlines() == [
        "Error: iris@production has no earlier target to go back to",
        "Try: see what happened with: fairway show iris --history",
    ]

    lines = shell("show", "iris", "--history").splitlines()
    told = [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  \S+  ", "", line) for line in lines]
    assert told == [
        "registered iris:1 (the first one)",
        "set iris@production to iris:1",
        "registered iris:2",
        "moved iris@production from iris:1 to iris:2 (a tree)",
        "rolled back iris@production from iris:2 to iris:1 (too green)",
    ]


def test_what_is_printed_for_people_is_there_for_programs(
    shell: Shell, workshop: Path, tmp_path: Path
) -> None:
    """Every verb has a JSON form."""
    facts = ("--example", str(workshop / "train.csv"), "--target", "species", "--output", "species")
    pushed = shell.json("push", str(workshop / "first.joblib"), "--name", "iris", *facts)
    assert (pushed["model"], pushed["version"], len(pushed["digest"])) == ("iris", 1, 64)
    moved = shell.json("alias", "iris:1", "production")
    assert (moved["reference"], moved["from"], moved["to"]) == ("iris@production", None, "iris:1")
    assert [(model["name"], model["latest"]) for model in shell.json("list")] == [("iris", 1)]
    shown = shell.json("show", "iris")
    assert shown["version"]["digest"] == pushed["digest"]
    assert [entry["name"] for entry in shown["signature"]["inputs"]] == list(NAMES)
    assert [event["kind"] for event in shell.json("show", "iris", "--history")] == ["register", "alias"]
    assert "# iris" in shell.json("show", "iris", "--card")["card"]
    assert {entry["key"] for entry in shell.json("settings")} >= {"home", "server.port"}
    checks = shell.json("doctor")
    assert checks
    assert all({"name", "ok", "detail", "hint"} <= set(check) for check in checks)
    pulled = shell.json("pull", "iris:1", str(tmp_path / "iris.fairway"))
    assert pulled["digest"] == pushed["digest"]


def test_list_and_show_are_tables_that_can_be_read(reader: Shell) -> None:
    """Names, versions, aliases, facts and the signature stand under headings."""
    lines = reader("list").splitlines()
    assert lines[0].split() == ["MODEL", "LATEST", "VERSIONS", "ALIASES", "SINCE"]
    assert lines[1].split()[:6] == ["iris", "iris:1", "1", "challenger", "=", "1"]
    out = reader("show", "iris@challenger")
    for expected in (
        "Version      iris:1",
        "Kinds of iris",
        "accuracy 0.97",
        "challenger = 1",
        "LogisticRegression",
    ):
        assert expected in out
    assert re.search(r"^petal_width +number +no +0\.1 to 2\.5 +1\.3$", out, re.MULTILINE)
    assert re.search(r"^species +label +integer +0, 1, 2$", out, re.MULTILINE)
    assert reader("show", "iris", "--card").startswith("# iris\n")


def test_an_empty_registry_says_how_to_begin(shell: Shell) -> None:
    """Nobody is left with an empty table."""
    assert "fairway demo" in shell("list")


RECORD = '{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (RECORD, {"species": 0}),
        (f"[{RECORD}]", {"predictions": [{"species": 0}]}),
        ('{"features":[5.1,3.5,1.4,0.2]}', {"prediction": [0]}),
        ('{"input":[5.1,3.5,1.4,0.2]}', {"prediction": 0}),
    ],
)
def test_predict_answers_as_the_server_would(
    reader: Shell, tmp_path: Path, body: str, expected: dict[str, Any]
) -> None:
    """From an argument, from a file."""
    assert json.loads(reader("predict", "iris", body)) == expected
    (tmp_path / "row.json").write_text(body, encoding="utf-8")
    assert json.loads(reader("predict", "iris:1", f"@{tmp_path / 'row.json'}")) == expected


def test_predict_reads_standard_input(reader: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe ends in `-`."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(RECORD.encode())))
    assert reader("predict", "iris", "-") == '{"species":0}\n'


def test_a_server_gives_the_same_answers_and_errors(reader: Shell) -> None:
    """`--server` changes who computes, not what is printed."""
    good, bad = (
        ("predict", "iris", RECORD, "--include", "probabilities"),
        ("predict", "iris", '{"features":[1]}'),
    )
    here, _ = reader(*good), reader(*bad, code=1)
    error = reader.err
    with running_server("iris", home=reader.home) as server:
        assert reader(*good, "--server", server.url) == here
        reader(*bad, "--server", server.url, code=1)
        assert reader.err == error
        reader(*bad, "--server", server.url, "--json", code=1)
        assert json.loads(reader.err)["code"] == "signature_mismatch"


def test_doctor_says_what_is_wrong(reader: Shell, shell: Shell) -> None:
    """A whole registry passes every check; a file that is no registry fails one, with exit code 1."""
    assert all(line.startswith("ok ") for line in reader("doctor", "iris").splitlines())
    shell.home.mkdir()
    (shell.home / "registry.db").write_text("this is no database" * 100, encoding="utf-8")
    lines = shell("doctor", code=1).splitlines()
    assert any(line.startswith("FAIL  registry:") for line in lines)


@pytest.mark.skipif(sys.platform == "win32", reason="an interruption is a signal of POSIX")
def test_an_interrupted_push_registers_nothing(shell: Shell, workshop: Path) -> None:
    """Ctrl-C while a model is packed ends with 130 and no traceback, and the registry stays empty."""
    command = [
        sys.executable, "-m", "fairway", "push", str(workshop / "first.joblib"), "--name", "iris",
        "--example", str(workshop / "train.csv"), "--target", "species", "--home", str(shell.home),
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 60
        while not (shell.home / "registry.db").exists():  # from then on there is something to leave behind
            assert process.poll() is None
            assert time.monotonic() < deadline
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
    assert shell.json("list") == []


def test_a_bad_row_lists_every_fault(reader: Shell) -> None:
    """Three faults are three lines, and the advice is last."""
    body = '{"sepal_length":5.1,"sepal_width":"3.5","petal_lenght":1.4,"petal_width":0.2}'
    assert reader("predict", "iris", body, code=1) == ""
    lines = reader.err.splitlines()
    assert lines[0].startswith("Error: ")
    assert [line.split(":")[0] for line in lines[1:4]] == [
        "  /sepal_width",
        "  /petal_length",
        "  /petal_lenght",
    ]
    assert lines[4].startswith("Try: ")
    assert lines[5].startswith('Example: {"sepal_length":5.1,"sepal_width":')
    assert len(lines) == 6
    assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show", "iriss"], 1, "there is no model 'iriss'"),
        (["show", "iris:9"], 1, "there is no version iris:9"),
        (["show", "iris@nope"], 1, "there is no alias iris@nope"),
        (["show", "IRIS!"], 2, "is not a valid model name"),
        (["rollback", "iris"], 1, "iris@production"),
        (["push", "nowhere.joblib"], 2, "the signature is learnt from an example table, and none was given"),
        (["push", "nowhere.joblib", "--example", "train.csv"], 1, "nowhere.joblib"),
        (["pull", "iris:1", "."], 1, "exists and is not overwritten"),
    ],
)
def test_errors_are_two_lines(reader: Shell, arguments: list[str], code: int, message: str) -> None:
    """What is wrong and what to try; never a traceback."""
    assert reader(*arguments, code=code) == ""
    first, *rest = reader.err.splitlines()
    assert first.startswith("Error: ")
    assert message in first
    assert len(rest) <= 1
    assert all(line.startswith("Try: ") for line in rest)


def test_serving_a_model_that_is_not_there_ends_with_the_error(reader: Shell) -> None:
    """The log may speak before; the last two lines are for the person."""
    reader("serve", "iriss", code=1)
    assert reader.err.splitlines()[-2:] == ["Error: there is no model 'iriss'", "Try: did you mean 'iris'?"]


def test_a_refused_push_leaves_no_trace(shell: Shell, workshop: Path, tmp_path: Path) -> None:
    """A file that is no model, or a table that does not fit, registers nothing."""
    (tmp_path / "empty.joblib").write_bytes(b"")
    (tmp_path / "text.joblib").write_bytes(b"not a pickle")
    table = str(workshop / "train.csv")
    for model, target in (("empty.joblib", "species"), ("text.joblib", "species"), ("nowhere", "species")):
        shell("push", str(tmp_path / model), "--name", "iris", "--example", table, "--target", target, code=1)
    shell(
        "push",
        str(workshop / "first.joblib"),
        "--name",
        "iris",
        "--example",
        table,
        "--target",
        "specie",
        code=1,
    )
    assert "did you mean 'species'?" in shell.err
    assert shell.json("list") == []


def test_pack_then_push_the_bundle(shell: Shell, workshop: Path, tmp_path: Path) -> None:
    """A bundle of one's own becomes a version with the same digest."""
    path = tmp_path / "iris.fairway"
    facts = ("--name", "iris", "--example", str(workshop / "train.csv"), "--target", "species")
    packed = shell.json("pack", str(workshop / "first.joblib"), str(path), *facts)
    assert path.is_file()
    assert shell.json("push", str(path))["digest"] == packed["digest"]


def free_port() -> int:
    """Return a port that nobody has, nor will get by asking the system for any."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def test_demo_once_serves_and_checks_itself(tmp_path: Path) -> None:
    """A fresh process trains, registers, serves, asks once, prints a curl with its answer, and ends."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "fairway",
        "demo",
        "--once",
        "--home",
        str(tmp_path),
        "--port",
        str(port),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"http://127.0.0.1:{port}/models/iris" in done.stdout
    assert f"curl -s http://127.0.0.1:{port}/predict" in done.stdout
    assert '{"prediction":[0]}' in done.stdout
    assert "Traceback" not in done.stderr


def test_a_used_port_is_one_line_and_nothing_is_trained(shell: Shell) -> None:
    """The demo names the next port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        shell("demo", "--port", str(port), code=1)
    assert shell.err.splitlines() == [
        f"Error: port {port} on 127.0.0.1 is in use by another process",
        f"Try: choose another one: --port {port + 1}",
    ]
    assert not shell.home.exists()
