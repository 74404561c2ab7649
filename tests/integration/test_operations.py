"""What operators live by: aliases that move under a running server, failures kept outside, health, logs."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

import fairway as fw
from fairway.bundle.bundle import build_bundle
from fairway.errors import FairwayError
from fairway.registry.registry import open_registry
from fairway.testing import RunningServer, running_server

from .conftest import IRIS_ROW, Elapsed, Watch, counts, iris_table, snapshot, wait_until

FEATURES = {"features": list(IRIS_ROW.values())}


@pytest.fixture(scope="session")
def roastery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home folder with coffee:1, which answers 1, and coffee:2, which answers 2 and is a file, too."""
    dummy = pytest.importorskip("sklearn.dummy")
    home = tmp_path_factory.mktemp("roastery") / "home"
    rows = iris_table()
    for answer in (1.0, 2.0):
        model = dummy.DummyRegressor(strategy="constant", constant=answer).fit([[0.0] * 4], [answer])
        fw.push(model, name="coffee", example=rows, reason=f"answers {answer:g}", compile="off", home=home)
    fw.pull("coffee:2", home.parent / "coffee.fairway", home=home)
    return home


@pytest.fixture
def home(roastery: Path, tmp_path: Path) -> Path:
    """Give a home folder of one's own with coffee:1 and coffee:2."""
    return Path(shutil.copytree(roastery, tmp_path / "home"))


def answer_of(server: RunningServer, reference: str = "") -> tuple[str, float]:
    """Return which version answers a call, and what."""
    reply = server.ask(f"/models/{reference}/predict" if reference else "/predict", FEATURES)
    assert reply.status == 200, reply.body
    return reply.headers["fairway-model"], reply.json()["prediction"][0]


def seconds_until(condition: Callable[[], bool]) -> float:
    elapsed = Elapsed()
    wait_until(condition)
    return elapsed.seconds()


class Seen:
    """The answers of a server, one after the other."""

    def __init__(self, server: RunningServer) -> None:
        self._server = server
        self.answers: list[tuple[str, float]] = []

    def ends_with(self, expected: tuple[str, float]) -> bool:
        self.answers.append(answer_of(self._server))
        return self.answers[-1] == expected


def test_an_alias_that_moves_moves_what_a_running_server_answers(home: Path) -> None:
    """Promote, promote, roll back: within a second each, nothing wrong between, and the history tells it."""
    with running_server("coffee", home=home) as server:
        assert answer_of(server) == ("coffee:2", 2.0)
        took = []
        for move, expected in (
            (lambda: fw.alias("coffee:1", "production", reason="tasted", home=home), ("coffee:1", 1.0)),
            (lambda: fw.alias("coffee:2", "production", home=home), ("coffee:2", 2.0)),
            (lambda: fw.rollback("coffee", reason="bitter", home=home), ("coffee:1", 1.0)),
        ):
            move()
            seen = Seen(server)
            took.append(seconds_until(partial(seen.ends_with, expected)))
            assert set(seen.answers) <= {("coffee:1", 1.0), ("coffee:2", 2.0)}
        assert max(took) < 1.0
        swaps = [event for event in events_of(server) if event["event"] == "model.swapped"]
        assert [(event["before"], event["now"]) for event in swaps if event["reference"] == "coffee"] == [
            (2, 1), (1, 2), (2, 1),
        ]  # fmt: skip
    told = [
        (event.kind, event.to_version, event.reason) for event in fw.show("coffee", home=home).history[2:]
    ]
    assert told == [("alias", 1, "tasted"), ("alias", 2, ""), ("rollback", 1, "bitter")]


def events_of(server: RunningServer) -> list[dict[str, Any]]:
    lines = server.log.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_references_name_what_answers(home: Path) -> None:
    """The bare name, a version, an alias, an alias made later, and an alias that is moved."""
    fw.alias("coffee:1", "production", home=home)
    with running_server("coffee", home=home) as server:
        assert answer_of(server, "coffee") == ("coffee:1", 1.0)
        assert answer_of(server, "coffee:2") == ("coffee:2", 2.0)
        assert answer_of(server, "coffee@production") == ("coffee:1", 1.0)
        assert server.ask("/models/coffee@challenger/predict", FEATURES).status == 404
        fw.alias("coffee:2", "challenger", home=home)
        wait_until(lambda: server.ask("/models/coffee@challenger/predict", FEATURES).status == 200)
        assert answer_of(server, "coffee@challenger") == ("coffee:2", 2.0)
        fw.alias("coffee:1", "challenger", home=home)
        wait_until(lambda: answer_of(server, "coffee@challenger") == ("coffee:1", 1.0))


def test_an_alias_is_followed_by_a_server_of_one_version(home: Path) -> None:
    """It serves coffee:1 whatever happens, and knows where other references point now."""
    fw.alias("coffee:1", "challenger", home=home)
    with running_server("coffee:1", home=home) as server:
        assert answer_of(server, "coffee@challenger") == ("coffee:1", 1.0)
        fw.alias("coffee:2", "challenger", home=home)
        wait_until(lambda: answer_of(server, "coffee@challenger") == ("coffee:2", 2.0))
        assert answer_of(server, "coffee") == ("coffee:1", 1.0)


def test_several_models_answer_each_under_its_name(server: RunningServer) -> None:
    """The first is the default; all are listed."""
    listed = [model["reference"] for model in server.ask("/models").json()["models"]]
    assert listed == ["iris:1", "recipes:1", "mixed:1", "strict:1", "moody:1", "slow:1"]
    assert server.ask("/predict", IRIS_ROW).headers["fairway-model"] == "iris:1"
    assert server.ask("/models/moody/predict", {"x": 2}).json() == {"prediction": 4.0}
    assert server.ask("/models/recipes/predict", {"text": "stir the soup"}).json() == {"prediction": "easy"}
    assert server.ask("/models/recipes@nothing").status == 404


# -- what fails stays outside --------------------------------------------------------------------------------


def flip_a_bit(home: Path, reference: str) -> None:
    manifest = fw.show(reference, home=home).manifest
    digest = manifest.files["model/model.joblib"].sha256
    path = home / "artifacts" / "sha256" / digest[:2] / digest
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def with_other_golden_answers(home: Path) -> None:
    """Register coffee:3, whose golden examples expect what its model does not say."""
    with open_registry(home) as registry:
        bundle = registry.open(registry.resolve("coffee:2"))
        contents = {path: bundle.read(path) for path in bundle.manifest.files}
        golden = json.loads(contents["golden.json"])
        golden["expected"]["prediction"][0] += 1
        contents["golden.json"] = msgspec.json.encode(golden)
        facts = msgspec.structs.asdict(bundle.manifest)
        del facts["files"]
        registry.register(build_bundle(contents, **facts), actor="ada")


@pytest.mark.parametrize(
    ("damage", "candidate", "code"),
    [
        (lambda home: flip_a_bit(home, "coffee:2"), "coffee:2", "artifact_digest"),
        (with_other_golden_answers, "coffee:3", "packed_model_differs"),
    ],
    ids=["a bit flipped", "golden answers altered"],
)
def test_a_failing_candidate_never_serves(
    home: Path, damage: Callable[[Path], None], candidate: str, code: str
) -> None:
    """D22: the version before goes on, /health says what is wrong, and moving back heals."""
    fw.alias("coffee:1", "production", home=home)
    damage(home)
    with running_server("coffee", home=home) as server:
        assert server.ask("/health").json()["status"] == "healthy"
        fw.alias(candidate, "production", home=home)
        wait_until(lambda: server.ask("/health").json()["status"] == "degraded")
        health = server.ask("/health")
        assert health.status == 200
        state = health.json()["models"]["coffee"]
        assert (state["status"], state["version"], state["code"]) == ("degraded", 1, code)
        assert server.ask("/readyz").status == 200
        assert answer_of(server) == ("coffee:1", 1.0)
        refused = server.ask(f"/models/{candidate}/predict", FEATURES)
        assert (refused.status, refused.json()["code"]) == (503, "model_not_ready")
        failed = next(event for event in events_of(server) if event["event"] == "model.failed")
        assert failed["code"] == code
        fw.rollback("coffee", home=home)
        wait_until(lambda: server.ask("/health").json()["status"] == "healthy")
        assert answer_of(server) == ("coffee:1", 1.0)


def test_a_server_does_not_start_with_a_damaged_model(home: Path) -> None:
    """Nothing listens, and the last two lines say why."""
    flip_a_bit(home, "coffee:2")
    done = fairway("serve", "coffee", "--port", "0", home=home)
    assert done.returncode == 1
    assert b"differs from what was packed" in done.stderr.splitlines()[-2]
    assert b"Traceback" not in done.stderr


def fairway(*arguments: str, home: Path, timeout_s: float = 60.0) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "fairway", *arguments, "--home", str(home)]
    return subprocess.run(command, capture_output=True, check=False, timeout=timeout_s)


def test_a_bundle_from_elsewhere_is_not_loaded(home: Path, tmp_path: Path) -> None:
    """Neither served nor asked, for loading it could run code; the home that refused it is as it was."""
    other = tmp_path / "other"
    bundle = tmp_path / "coffee.fairway"
    fw.pull("coffee:2", bundle, home=home)
    (other / "artifacts").mkdir(parents=True)
    before = snapshot(home)
    for verb in (["predict", str(bundle), "{}"], ["serve", str(bundle)]):
        done = fairway(*verb, "--json", home=other)
        assert done.returncode == 1
        problem = json.loads(done.stderr.splitlines()[-1])
        assert (problem["code"], problem["status"]) == ("bundle_untrusted", 403)
    assert fw.list_models(home=other) == []
    assert not [path for path in (other / "artifacts").rglob("*") if path.is_file()]
    assert snapshot(home) == before


# -- probes, metrics, the document ---------------------------------------------------------------------------


def test_probes_answer_without_a_key(server: RunningServer) -> None:
    """Alive, ready and healthy, as JSON."""
    assert server.ask("/livez").json() == {"status": "alive"}
    for path in ("/readyz", "/health"):
        reply = server.ask(path)
        assert reply.status == 200
        assert reply.json()["status"] == "healthy"
        assert reply.json()["models"]["moody"] == {"status": "ready", "version": 1}


@pytest.mark.service("promtool")
def test_prometheus_finds_nothing_to_object_to(server: RunningServer, promtool: Path) -> None:
    """`promtool check metrics` on everything that a busy server exposes."""
    server.ask("/models/mixed/predict", [{}])
    server.ask("/models/moody/predict", {"x": 13})
    server.ask("/predict", IRIS_ROW)
    reply = server.ask("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    done = subprocess.run([promtool, "check", "metrics"], input=reply.body, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_metrics_count_calls_rows_and_errors(server: RunningServer) -> None:
    """Per model and version."""
    rows, calls = (
        counts(server, "fairway_rows_total"),
        counts(server, "fairway_predict_duration_seconds_count"),
    )
    server.ask("/predict", [IRIS_ROW] * 3)
    key = '{model="iris",version="1"}'
    assert counts(server, "fairway_rows_total")[key] == rows.get(key, 0) + 3
    assert counts(server, "fairway_predict_duration_seconds_count")[key] == calls.get(key, 0) + 1
    assert counts(server, "fairway_inflight_requests") == {"": 0.0}
    assert len(counts(server, "fairway_model_info")) == 6


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_every_example_of_the_document_is_accepted(server: RunningServer) -> None:
    """What the reference shows works as it is shown, for every model."""
    document = server.ask("/openapi.json").json()
    tried = 0
    for path, method, operation in operations(document):
        if method != "post" or path.startswith(
            "/api/"
        ):  # to manage is tested where there is something to manage
            continue
        for example in operation["requestBody"]["content"]["application/json"]["examples"].values():
            reply = server.ask(path, example["value"])
            assert reply.status == 200, (path, example, reply.body)
            assert "fairway-flags" not in reply.headers
            tried += 1
    assert tried == 7 * 3 * 2  # to predict, and to explain


def test_the_document_is_openapi(server: RunningServer) -> None:
    """Version 3.1; ids are unique, references resolve, parameters of paths are declared."""
    document = server.ask("/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"]
    assert document["info"]["version"]
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    for path, _, operation in operations(document):
        in_path = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        declared = operation.get("parameters", [])
        assert {p["name"] for p in declared if p["in"] == "path"} == in_path
        assert all(p["required"] for p in declared if p["in"] == "path")
        assert operation["responses"]
        assert all(reply["description"] for reply in operation["responses"].values())
    for reference in references(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    for path, _, operation in operations(document):
        if "{" not in path and "get" in document["paths"][path]:
            assert server.ask(path).status == 200, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


# -- the log -------------------------------------------------------------------------------------------------


def test_an_access_line_says_who_answered_and_where_the_time_went(server: RunningServer) -> None:
    """Request id, model, version, route, status, rows, milliseconds by stage; not one input value."""
    watch = Watch(server)
    reply = server.ask("/models/mixed/predict", {
        "age": 45, "income": 31415.5, "member": True, "city": "Oslo", "since": "2019-01-02", "tags": ["loud"],
    })  # fmt: skip
    (line,) = watch.access_lines(1)
    assert line["request_id"] == reply.headers["fairway-prediction-id"]
    assert (line["model"], line["version"], line["status"], line["rows"]) == ("mixed", 1, 200, 1)
    assert line["route"] == "/models/{ref}/predict"
    stages = [line[f"{stage}_ms"] for stage in ("read", "queue", "predict", "encode")]
    assert all(0 <= ms <= line["ms"] for ms in stages)
    assert "inputs" not in line
    assert not any(value in watch.text() for value in ("31415", "Oslo", "2019", "loud"))
    timing = reply.headers["server-timing"]
    assert [part.partition(";")[0].strip() for part in timing.split(",")] == [
        "read",
        "queue",
        "predict",
        "encode",
        "total",
    ]


def test_inputs_are_logged_when_asked(home: Path) -> None:
    """`log.inputs`, for local work."""
    with running_server("coffee", home=home, environ={"FAIRWAY_LOG_INPUTS": "true"}) as server:
        watch = Watch(server)
        server.ask("/predict", IRIS_ROW)
        assert watch.access_lines(1)[0]["inputs"] == [IRIS_ROW]


# -- start and end -------------------------------------------------------------------------------------------


def test_sigterm_answers_what_is_in_flight_and_ends_with_zero(zoo: Path) -> None:
    """A container that is stopped loses no call; a connection that idles does not hold it up."""
    with running_server("moody", home=zoo) as server:
        idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        idle.request("GET", "/livez")
        idle.getresponse().read()
        slow = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        body = b'{"x":99}'
        slow.sendall(b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8\r\n\r\n" + body[:4])
        server.process.send_signal(signal.SIGTERM)
        slow.sendall(body[4:])
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(20) == 0
        slow.close()
        idle.close()
        assert [event["event"] for event in events_of(server)][-1] == "server.stopped"
        assert b"Traceback" not in server.log.read_bytes()


def test_ctrl_c_ends_with_130(home: Path) -> None:
    """And without a traceback."""
    with running_server("coffee", home=home) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 130
        assert b"Traceback" not in server.log.read_bytes()


def test_a_used_port_is_told_before_a_model_is_loaded(home: Path) -> None:
    """F9: two lines, at once."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = fairway("serve", "coffee", "--port", port, home=home)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        f"Error: port {port} on 127.0.0.1 is in use by another process",
        f"Try: choose another one: --port {int(port) + 1}",
    ]


def test_a_bundle_file_is_served_without_the_database_libraries(roastery: Path) -> None:
    """What images do: neither SQLAlchemy nor Alembic is imported in the process that answers."""
    bundle = roastery.parent / "coffee.fairway"
    with running_server(bundle, home=roastery, environ={"PYTHONPROFILEIMPORTTIME": "1"}) as server:
        assert answer_of(server, "coffee") == ("coffee:0", 2.0)
        assert server.ask("/", headers={"accept": "text/html"}).status == 200
        lines = server.log.read_text(encoding="utf-8").splitlines()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines if "import time:" in line}
    assert "uvicorn" in imported
    assert not imported & {"sqlalchemy", "alembic"}


def test_importing_fairway_loads_nothing_heavy() -> None:
    """No numpy, no web server, no database."""
    program = "import sys, fairway; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"numpy", "pandas", "sqlalchemy", "starlette", "uvicorn", "sklearn"} & set(done.stdout.split())


def test_errors_of_the_registry_have_their_code(home: Path) -> None:
    """D19: nothing moves to a version that is not there."""
    before = snapshot(home)
    with pytest.raises(FairwayError) as refused:
        fw.alias("coffee:9", "production", home=home)
    assert (refused.value.code, refused.value.status) == ("version_not_found", 404)
    assert snapshot(home) == before
