"""Bad files, names and homes: each is refused with its code, and the registry is byte for byte as it was.

The ids are those of the catalogue of hostile inputs (D: artifacts and registry, F: environment and command
line). A few rows are proved elsewhere: F3 by the tests of killed processes, F12 by the one of an interrupted
push, D22 and F9 by the tests of operations.
"""

from __future__ import annotations

import concurrent.futures
import json
import pickle
import shutil
import sqlite3
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.cli.main import main
from fairway.registry.registry import open_registry
from fairway.testing import RunningServer, running_server

from .conftest import iris_model, iris_table, problem_of, snapshot

joblib = pytest.importorskip("joblib")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with model files, good and bad, a table, and a home that holds iris:1."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "table.json").write_text(json.dumps(records()), encoding="utf-8")
    joblib.dump(iris_model(), folder / "good.joblib")
    whole = (folder / "good.joblib").read_bytes()
    (folder / "cut.joblib").write_bytes(whole[: len(whole) // 2])
    (folder / "cut-short.joblib").write_bytes(whole[:2])
    (folder / "cut.pkl").write_bytes(pickle.dumps(iris_model())[:-200])
    (folder / "empty.joblib").write_bytes(b"")
    (folder / "text.joblib").write_bytes(b"this is no model")
    (folder / "zip.joblib").write_bytes(b"PK\x03\x04" + bytes(50))
    joblib.dump({"no": "model"}, folder / "dict.joblib")
    # GLOBAL, an empty tuple, REDUCE: a call of a class whose package is not there.
    (folder / "foreign.pkl").write_bytes(b"\x80\x04cno_such_package.models\nModel\n)R.")
    fw.push(folder / "good.joblib", name="iris", example=folder / "table.json", home=folder / "home")
    fw.alias("iris:1", "production", home=folder / "home")
    return folder


def records() -> list[dict[str, float]]:
    table = iris_table()
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


class Shell:
    """The command line, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def refused(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run a command that must fail; return exit code and problem."""
        self._capsys.readouterr()
        code = main(["--json", *arguments])
        out, err = self._capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        problem: dict[str, Any] = json.loads(err)
        return code, problem


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


FILES = [
    ("D3", "cut.joblib", 1, "artifact_corrupt", 422),
    ("D3 two bytes", "cut-short.joblib", 1, "artifact_corrupt", 422),
    ("D3 pickle", "cut.pkl", 1, "artifact_corrupt", 422),
    ("D3 no pickle at all", "text.joblib", 1, "flavor_unknown", 422),
    ("D3 half a zip", "zip.joblib", 1, "artifact_corrupt", 422),
    ("D3 another object", "dict.joblib", 1, "flavor_unknown", 422),
    ("D3 no file", "nowhere.joblib", 1, "artifact_corrupt", 422),
    ("D4", "empty.joblib", 1, "artifact_empty", 422),
    ("F10", "foreign.pkl", 1, "artifact_import", 422),
]


@pytest.mark.parametrize(
    ("file", "exit_code", "code", "status"), [row[1:] for row in FILES], ids=[r[0] for r in FILES]
)
def test_a_bad_model_file_registers_nothing(
    shelf: Path, shell: Shell, file: str, exit_code: int, code: str, status: int
) -> None:
    """The message names what is wrong; registry, alias and artifacts are as they were."""
    home, before = shelf / "home", snapshot(shelf / "home")
    folders = sorted(path.name for path in home.iterdir())
    ended, problem = shell.refused(
        "push",
        str(shelf / file),
        "--name",
        "iris",
        "--example",
        str(shelf / "table.json"),
        "--home",
        str(home),
    )
    assert (ended, problem["code"], problem["status"]) == (exit_code, code, status), problem
    if code == "artifact_import":
        assert "no_such_package" in problem["detail"]
    assert snapshot(home) == before
    assert sorted(path.name for path in home.iterdir()) == folders
    assert [path for path in (home / "artifacts").rglob("*") if path.name.startswith(".")] == []


NAMES = ["../x", "a/b", "a\\b", "CON", "con", "nul.txt", "", "a" * 65, "\N{SKULL}", "a b", "a..b", ".a", "a-",
         "A", "<script>alert(1)</script>", "a\nb", "a;b", "%2e", "é", "=1+1"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_name_is_refused_everywhere(shelf: Path, shell: Shell, name: str) -> None:
    """D13, D14: as the name of a model and of an alias, before anything is read or written."""
    home, before = shelf / "home", snapshot(shelf / "home")
    outside = sorted(path.name for path in shelf.iterdir())
    if name:
        example = ("--example", str(shelf / "table.json"))
        ended, problem = shell.refused(
            "push", str(shelf / "good.joblib"), f"--name={name}", *example, "--home", str(home)
        )
        assert (ended, problem["code"]) == (2, "name_invalid")
    ended, problem = shell.refused("alias", "--home", str(home), "--", "iris:1", name)
    assert (ended, problem["code"]) == (2, "name_invalid")
    assert snapshot(home) == before
    assert sorted(path.name for path in shelf.iterdir()) == outside


class Elements(HTMLParser):
    """Collects the elements of a page, but for scripts of our own, and whatever could run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "script" or not (dict(attrs).get("src") or "").startswith("/static/"):
            self.names.append(tag)
        self.handlers += [
            name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")
        ]


POISON = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u202e{{7*7}}${7*7}'


@pytest.fixture(scope="module")
def poisoned(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Give a running server of a model whose every free text is hostile."""
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    home = tmp_path_factory.mktemp("poison") / "home"
    rows = [{POISON: POISON if n % 2 else "plain", "size": float(n)} for n in range(20)]
    model = make_pipeline(DictVectorizer(), LogisticRegression()).fit(rows, [POISON, "b"] * 10)
    fw.push(
        model,
        name="hostile",
        example=rows,
        description=POISON,
        author=POISON,
        tags={POISON: POISON},
        lineage={POISON: POISON},
        metrics={POISON: 1.0},
        reason=POISON,
        home=home,
    )
    with running_server(home=home) as server:
        yield server


@pytest.mark.parametrize(
    "path", ["/", "/models/hostile", "/docs", "/models/nobody%3Cimg%3E", "/%3Cscript%3E"]
)
def test_hostile_texts_become_no_markup(poisoned: RunningServer, path: str) -> None:
    """D15: description, tags, names and categories stand in a page as text, and a policy forbids scripts."""
    reply = poisoned.ask(path, headers={"accept": "text/html"})
    assert reply.headers["content-type"].startswith("text/html")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page = Elements(reply.body.decode())
    assert "img" not in page.names
    assert "script" not in page.names
    assert page.handlers == []


def test_hostile_texts_are_kept_as_they_are(poisoned: RunningServer) -> None:
    """JSON, metrics and headers hold them without being broken by them."""
    shown = poisoned.ask("/models/hostile").json()
    assert shown["description"] == POISON
    assert shown["tags"] == {POISON: POISON}
    reply = poisoned.ask("/predict?include=probabilities", {POISON: POISON, "size": 1.0})
    assert reply.status == 200
    assert set(reply.json()["probabilities"]) == {POISON, "b"}
    assert reply.json()["prediction"] in {POISON, "b"}
    problem = problem_of(poisoned.ask("/predict", {POISON: 3}))
    assert problem["errors"][0]["pointer"] == "/" + POISON.replace("~", "~0").replace("/", "~1")
    assert poisoned.ask("/openapi.json").json()["components"]
    assert poisoned.ask("/metrics").status == 200
    lines = poisoned.log.read_bytes().splitlines()
    assert all(json.loads(line) for line in lines if line.startswith(b"{"))
    assert "\u202e".encode() not in poisoned.log.read_bytes()


def test_the_same_bundle_pushed_twice_at_once_is_two_rows_and_one_set_of_files(
    shelf: Path, tmp_path: Path
) -> None:
    """D17: both succeed."""
    home, bundle = tmp_path / "home", tmp_path / "iris.fairway"
    fw.pull("iris:1", bundle, home=shelf / "home")
    (home / "packed").mkdir(parents=True)
    for known in (shelf / "home" / "packed").iterdir():
        (home / "packed" / known.name).touch()
    command = [sys.executable, "-m", "fairway", "push", str(bundle), "--home", str(home)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: subprocess.run(command, capture_output=True, check=False), range(2)))
    assert [one.returncode for one in done] == [0, 0], done
    with open_registry(home) as registry:
        versions = registry.versions("iris")
        assert [version.version for version in versions] == [1, 2]
        assert len({version.digest for version in versions}) == 1
        assert registry.check() == []
        attached = registry.open(versions[0]).attachments["compiled"]
    blobs = [path.name for path in (home / "artifacts").rglob("*") if path.is_file()]
    manifests = (fw.show("iris", home=home).manifest, attached.manifest)
    files = {entry.sha256 for manifest in manifests for entry in manifest.files.values()}
    assert sorted(blobs) == sorted(files | {versions[0].digest, attached.digest})


def test_an_alias_of_a_missing_version_is_refused(shelf: Path, shell: Shell) -> None:
    """D19: the alias stays where it is."""
    home, before = shelf / "home", snapshot(shelf / "home")
    ended, problem = shell.refused("alias", "iris:7", "production", "--home", str(home))
    assert (ended, problem["code"], problem["status"]) == (1, "version_not_found", 404)
    assert snapshot(home) == before


def test_a_registry_of_a_newer_release_is_not_touched(shell: Shell, tmp_path: Path) -> None:
    """F6: every verb says so, and writes nothing."""
    open_registry(tmp_path).close()
    with sqlite3.connect(tmp_path / "registry.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = (tmp_path / "registry.db").read_bytes()
    for verb in (["list"], ["show", "iris"], ["alias", "iris:1", "production"], ["serve"]):
        arguments = [*verb, "--port", "0"] if verb == ["serve"] else verb
        ended, problem = shell.refused(*arguments, "--home", str(tmp_path))
        assert (ended, problem["code"]) == (1, "schema_newer")
    assert (tmp_path / "registry.db").read_bytes() == before


@pytest.mark.parametrize("kind", ["text", "folder"])
def test_what_is_no_registry_is_not_touched(shell: Shell, tmp_path: Path, kind: str) -> None:
    """F7: a file of something else, a folder."""
    path = tmp_path / "registry.db"
    path.mkdir() if kind == "folder" else path.write_text("my diary\n" * 500, encoding="utf-8")
    for verb in (["list"], ["alias", "iris:1", "production"], ["serve", "--port", "0"]):
        ended, problem = shell.refused(*verb, "--home", str(tmp_path))
        assert (ended, problem["code"]) == (1, "registry_invalid")
    assert [entry.name for entry in tmp_path.iterdir()] == ["registry.db"]
    assert path.is_dir() if kind == "folder" else path.read_text(encoding="utf-8") == "my diary\n" * 500


def test_a_clock_that_is_set_back_changes_no_order(shelf: Path, tmp_path: Path) -> None:
    """F8: history and rollback follow the sequence of events, not the times that they carry."""
    home = Path(shutil.copytree(shelf / "home", tmp_path / "home"))
    bundle = tmp_path / "iris.fairway"
    fw.pull("iris:1", bundle, home=home)
    fw.push(bundle, home=home)
    fw.alias("iris:2", "production", home=home)
    with sqlite3.connect(home / "registry.db") as connection:
        (seq,) = connection.execute("SELECT max(seq) FROM events").fetchone()
        connection.execute("UPDATE events SET at = '1999-01-01T00:00:00.000Z' WHERE seq = ?", (seq,))
    connection.close()
    history = fw.show("iris", home=home).history
    assert [event.seq for event in history] == sorted(event.seq for event in history)
    assert history[-1].at.startswith("1999")
    assert fw.rollback("iris", home=home).to_version == 1


@pytest.mark.parametrize("argument", ["a\0b", "a" * 1_000_000, "\udcff\udcfe"])
def test_hostile_arguments_are_usage_errors(shell: Shell, tmp_path: Path, argument: str) -> None:
    """F11: NUL, a megabyte, bytes that are no UTF-8; nothing is written."""
    for verb in ("show", "push", "predict", "serve", "alias"):
        ended, problem = shell.refused(verb, argument, "--home", str(tmp_path / "home"))
        assert (ended, problem["code"]) == (2, "usage")
    assert not (tmp_path / "home").exists()
