"""A server without a framework: the core packages alone serve converted models, with the same bits.

The clean environment holds what `pip install fairway` brings (and ONNX Runtime for the forest), and nothing
else: the very files of the locked packages that these tests run with, linked, so that no network is needed,
and fairway from its wheel.
"""

from __future__ import annotations

import csv
import gzip
import importlib.metadata
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import fairway as fw
from fairway.bundle.golden import is_close
from fairway.testing import RunningServer, running_server

pytest.importorskip("sklearn")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

ROOT = Path(__file__).resolve().parents[2]
COFFEE = ROOT / "examples" / "coffee"
MODELS = ("iris", "forest", "news", "coffee")
FRAMEWORKS = {"joblib", "lightgbm", "onnx", "pandas", "scipy", "skl2onnx", "sklearn", "xgboost"}
DATABASE = {"alembic", "sqlalchemy"}
ROWS = 200

pytestmark = [pytest.mark.slow, pytest.mark.service("data")]


def closure(*names: str) -> set[str]:
    """Return the distributions that these need to be installed here, themselves included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        wanted = map(Requirement, importlib.metadata.requires(name) or ())
        waiting += [r.name for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def link(distribution: str, site: Path) -> None:
    """Put every file of an installed distribution into another environment's packages."""
    for file in importlib.metadata.files(distribution) or ():
        if ".." not in file.parts:
            (site / file).parent.mkdir(parents=True, exist_ok=True)
            (site / file).symlink_to(file.locate())


@pytest.fixture(scope="module")
def slim_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the interpreter of a new environment with the core install and ONNX Runtime."""
    folder = tmp_path_factory.mktemp("slim")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    for distribution in sorted(closure("fairway", "onnxruntime") - {"fairway"}):
        link(distribution, site)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    return folder / "venv" / "bin" / "python"


def read_news(data: Path) -> tuple[list[str], list[str]]:
    """Return headlines with what follows them, and their topics."""
    with gzip.open(data / "news" / "ag_news_test.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = [(f"{title} {text}", topic) for topic, title, text in csv.reader(file)][:3000]
    return [text for text, _ in rows], [topic for _, topic in rows]


def iris(home: Path) -> tuple[Path, list[Any]]:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_iris()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data, data.target)
    return packed(model, "iris", data.data, home), data.data.tolist()


def forest(home: Path) -> tuple[Path, list[Any]]:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    data = load_breast_cancer()
    model = RandomForestClassifier(100, random_state=0, n_jobs=1).fit(data.data, data.target)
    return packed(model, "forest", data.data, home), data.data.tolist()


def news(home: Path, data: Path) -> tuple[Path, list[Any]]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    texts, topics = read_news(data)
    model = make_pipeline(TfidfVectorizer(), LinearSVC(random_state=0)).fit(texts, topics)
    return packed(model, "news", texts, home), texts


def coffee(home: Path, data: Path) -> tuple[Path, list[Any]]:
    folder = home.parent / "coffee"
    command = [sys.executable, COFFEE / "train.py", "--output", folder]
    subprocess.run(command, env={**os.environ, "FAIRWAY_DATA": str(data)}, check=True, capture_output=True)
    records = [json.loads(line) for line in (folder / "coffee_train.ndjson").read_text().splitlines()]
    target = home.parent / "coffee.fairway"
    fw.pack(
        folder / "coffee.joblib",
        target,
        example=folder / "coffee_train.ndjson",
        target="rating",
        outputs=["rating", "percentile"],
        code=[COFFEE / "coffee_features.py", COFFEE / "coffee_plain.py"],
        compile="require",
        home=home,
    )
    return target, [{k: v for k, v in record.items() if k != "rating"} for record in records]


def packed(model: Any, name: str, example: Any, home: Path) -> Path:
    path = home.parent / f"{name}.fairway"
    fw.pack(model, path, example=example, compile="require", home=home)
    return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> dict[str, Any]:
    """Give a home folder, the four bundles that it packed, and rows for each."""
    home = tmp_path_factory.mktemp("shop") / "home"
    made = {"iris": iris(home), "forest": forest(home)}
    made |= {"news": news(home, shared_data), "coffee": coffee(home, shared_data)}
    return {
        "home": home,
        "paths": [path for path, _ in made.values()],
        "rows": {name: rows[:ROWS] for name, (_, rows) in made.items()},
    }


def answers(server: RunningServer, shop: dict[str, Any], name: str) -> list[bytes]:
    """Return the bodies of all rows in one call, and of some alone; with probabilities if there are any."""
    path, rows = f"/models/{name}/predict?include=probabilities", shop["rows"][name]
    replies = [server.ask(path, {"data": some}) for some in (rows, *([row] for row in rows[::20]))]
    assert {reply.status for reply in replies} == {200}, replies[0].body
    return [reply.body for reply in replies]


@pytest.fixture(scope="module")
def slim_server(shop: dict[str, Any], slim_python: Path) -> Iterator[RunningServer]:
    """Give a server of all four in the clean environment, which writes down what it imports."""
    with running_server(
        *shop["paths"], home=shop["home"], environ={"PYTHONPROFILEIMPORTTIME": "1"}, python=slim_python
    ) as started:
        yield started


def imported(log: Path) -> set[str]:
    """Return the packages that a server has imported."""
    lines = log.read_text(encoding="utf-8").splitlines()
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines if "import time:" in line}


def test_the_clean_environment_is_clean(slim_python: Path) -> None:
    """No framework can be imported there, and fairway comes from the wheel."""
    program = (
        "import importlib.util, sys, fairway; print(fairway.__file__); "
        "print(*[name for name in sys.argv[1:] if importlib.util.find_spec(name)])"
    )
    done = subprocess.run(
        [slim_python, "-P", "-c", program, *sorted(FRAMEWORKS)], check=True, capture_output=True, text=True
    )
    place, there = done.stdout.splitlines()
    assert Path(place).is_relative_to(slim_python.parents[1])
    assert there == ""


def test_the_core_alone_answers_bit_for_bit(shop: dict[str, Any], slim_server: RunningServer) -> None:
    """Rows together and alone, with probabilities: the texts are those of a server with scikit-learn."""
    with running_server(*shop["paths"], home=shop["home"]) as full:
        for name in MODELS:
            expected = answers(full, shop, name)
            assert len(expected[0]) > 2000
            assert answers(slim_server, shop, name) == expected


def test_the_core_alone_answers_as_the_original(shop: dict[str, Any], slim_server: RunningServer) -> None:
    """The same labels, and numbers within the tolerance of the proof, as the models themselves."""
    with running_server(
        *shop["paths"], home=shop["home"], environ={"FAIRWAY_SERVER_PREDICTOR": "native"}
    ) as original:
        for name in MODELS:
            for want, got in zip(
                answers(original, shop, name), answers(slim_server, shop, name), strict=True
            ):
                expected, actual = flat(json.loads(want)), flat(json.loads(got))
                assert actual.keys() == expected.keys()
                assert all(is_close(expected[place], actual[place], 1e-9) for place in expected)


def flat(value: Any) -> dict[str, Any]:
    """Return every leaf of a document by its path."""
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        return {f"/{key}{path}": leaf for key, inner in entries for path, leaf in flat(inner).items()}
    return {"": value}


def test_a_bundle_is_served_without_framework_and_database(slim_server: RunningServer) -> None:
    """What is not needed is not imported; and each model's predictor is the compiled one."""
    loaded = imported(slim_server.log)
    assert {"numpy", "uvicorn", "onnxruntime"} <= loaded
    assert not loaded & (FRAMEWORKS | DATABASE)
    events = [json.loads(line) for line in slim_server.log.read_text().splitlines() if line.startswith("{")]
    chosen = {event["model"]: event["predictor"] for event in events if event["event"] == "model.loaded"}
    assert chosen == {"iris": "numpy", "forest": "onnx", "news": "numpy", "coffee": "numpy"}


def test_without_onnx_runtime_the_forest_serves_with_numpy(
    shop: dict[str, Any], slim_python: Path, slim_server: RunningServer, tmp_path: Path
) -> None:
    """The next proven predictor answers, with the same bits here; the log says why."""
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('not installed')")
    blocked = {"PYTHONPATH": str(tmp_path)}
    with running_server(shop["paths"][1], home=shop["home"], environ=blocked, python=slim_python) as server:
        assert answers(server, shop, "forest") == answers(slim_server, shop, "forest")
        log = server.log.read_text()
    assert '"predictor":"numpy"' in log
    assert "onnx cannot serve here: a model that was compiled to ONNX needs the package" in log
