"""Platforms and a real server: what SageMaker and Vertex AI ask of a container, over the wire."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.testing import Answer, RunningServer, running_server

from .conftest import (
    MIXED_ROW,
    MIXED_ROWS,
    MODELS,
    Watch,
    counts,
    iris_model,
    iris_table,
    own_module,
    wait_until,
)

JSON = {"content-type": "application/json"}
CSV = {"content-type": "text/csv"}
PREDICT = "/v1/endpoints/123/deployedModels/456:predict"
HEALTH = "/v1/endpoints/123/deployedModels/456"
VERTEX = {
    "AIP_MODE": "PREDICTION",
    "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
    "AIP_PREDICT_ROUTE": PREDICT,
    "AIP_HEALTH_ROUTE": HEALTH,
    "AIP_STORAGE_URI": "",
}
ARRAYS = [list(row.values()) for row in MIXED_ROWS]


def table(rows: list[list[Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    cells = [["" if v is None else v if isinstance(v, str) else json.dumps(v) for v in row] for row in rows]
    csv.writer(buffer).writerows(cells)
    return buffer.getvalue().encode()


@pytest.fixture(scope="module")
def platform(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a server of the model mixed, with the variables of Vertex AI."""
    folder = tmp_path_factory.mktemp("platform")
    with running_server("mixed", "moody", home=zoo, environ=VERTEX, folder=folder) as started:
        yield started


def test_a_real_model_answers_alike_in_every_dialect(platform: RunningServer) -> None:
    """All rows of a table of every kind, at once and one by one, to the last bit."""
    native = platform.ask("/predict", MIXED_ROWS, headers=JSON).json()
    assert len(native["predictions"]) == len(MIXED_ROWS)
    lines = "\n".join(map(json.dumps, MIXED_ROWS)).encode()
    asked = [
        platform.ask(PREDICT, {"instances": MIXED_ROWS}, headers=JSON),
        platform.ask(PREDICT, {"instances": ARRAYS, "parameters": {}}, headers=JSON),
        platform.ask("/invocations", {"instances": [{"features": row} for row in ARRAYS]}, headers=JSON),
        platform.ask("/invocations", lines, headers={"content-type": "application/jsonlines"}),
        platform.ask("/invocations", table(ARRAYS), headers=CSV),
    ]
    assert [answer.json() for answer in asked] == [native] * len(asked)
    told = platform.ask("/invocations", table(ARRAYS), headers=CSV | {"accept": "text/csv"}).body.decode()
    kept = platform.ask("/predict", MIXED_ROW, headers=JSON).json()
    assert told.splitlines() == [str(row["prediction"]) for row in native["predictions"]]
    assert platform.ask("/invocations", table(ARRAYS[1:2]), headers=CSV).json() == {"predictions": [kept]}


def test_health_checks_need_nothing(platform: RunningServer) -> None:
    """Both platforms read the status; SageMaker's documentation names POST for ping, too."""
    assert platform.ask("/ping").status == 200
    assert platform.ask("/ping", b"").status == 200
    assert platform.ask(HEALTH).status == 200
    assert platform.ask("/execution-parameters").json()["BatchStrategy"] == "MULTI_RECORD"


def test_calls_are_counted_and_logged_by_their_route(platform: RunningServer) -> None:
    """One line and one count per call, as of native ones."""
    watch = Watch(platform)
    platform.ask(PREDICT, {"instances": ARRAYS[:2]}, headers=JSON)
    platform.ask("/invocations", b"x", headers=CSV)
    lines = watch.access_lines(2)
    assert [(line["route"], line["status"]) for line in lines] == [(PREDICT, 200), ("/invocations", 422)]
    assert lines[0]["rows"] == 2
    assert lines[1]["code"] == "signature_mismatch"
    counted = counts(platform, "http_server_request_duration_seconds_count")
    assert any('http_route="/invocations"' in labels and '"422"' in labels for labels in counted)


def code_of(answer: Answer) -> tuple[int, str]:
    """Return status and code of an error in either shape."""
    document = answer.json()
    if "problem" in document:
        return answer.status, document["problem"]["code"]
    return answer.status, document["error"]["details"][0]["reason"].lower()


def test_what_is_refused_before_the_body_is_read_has_the_shape_of_the_dialect(
    platform: RunningServer,
) -> None:
    """A15, A16, C1: a body too long, with a length and in chunks, another method; the next is answered."""
    many = (b"1," * 2**15 for _ in range(200))
    assert code_of(platform.ask(PREDICT, b" " * (10 * 2**20 + 1), headers=JSON)) == (413, "body_too_large")
    assert code_of(platform.ask("/invocations", many, headers=CSV)) == (413, "body_too_large")
    for path in (PREDICT, "/invocations"):
        assert code_of(platform.ask(path)) == (405, "method_not_allowed")
        assert platform.ask(path).headers["allow"] == "POST"
    assert code_of(platform.ask("/invocations?x=1", b"{}", headers=JSON)) == (400, "query_invalid")
    assert platform.ask("/invocations", table(ARRAYS[:1]), headers=CSV).status == 200


def test_chunked_and_large_bodies_are_read(platform: RunningServer) -> None:
    """What does not take the short way is answered alike."""
    body = table(ARRAYS * 40)
    assert len(body) > 64 * 1024
    pieces = (body[n : n + 5000] for n in range(0, len(body), 5000))
    expected = platform.ask("/predict", ARRAYS * 40, headers=JSON).json()
    assert platform.ask("/invocations", pieces, headers=CSV).json() == expected
    assert platform.ask(PREDICT, {"instances": ARRAYS * 40}, headers=JSON).json() == expected


def test_a_route_of_vertex_may_take_the_place_of_the_native_one(zoo: Path) -> None:
    """Many containers are deployed with /predict and /health."""
    environ = {"AIP_PREDICT_ROUTE": "/predict", "AIP_HEALTH_ROUTE": "/health"}
    with running_server("mixed", home=zoo, environ=environ) as server:
        answer = server.ask("/predict", {"instances": ARRAYS[:1], "parameters": {}}, headers=JSON)
        assert answer.status == 200
        assert server.ask("/health").json()["status"] == "healthy"
        assert code_of(server.ask("/predict", MIXED_ROW, headers=JSON)) == (400, "body_shape")
        assert server.ask("/models/mixed/predict", MIXED_ROW, headers=JSON).status == 200


def test_a_route_that_cannot_be_stops_the_start(zoo: Path) -> None:
    """It says which, and from where."""
    with (
        pytest.raises(TimeoutError, match="vertex_predict_route"),
        running_server("mixed", home=zoo, environ={"AIP_PREDICT_ROUTE": "/models"}),
    ):
        pass


def test_keys_hold_for_every_dialect(zoo: Path, tmp_path: Path) -> None:
    """A route of a platform is no way around the keys; its health check needs none."""
    home = tmp_path / "home"
    shutil.copytree(zoo, home)
    with running_server("mixed", home=home, environ=VERTEX | {"FAIRWAY_SERVER_AUTH": "on"}) as server:
        for path, body, headers in (
            (PREDICT, {"instances": ARRAYS[:1]}, JSON),
            ("/invocations", table(ARRAYS[:1]), CSV),
        ):
            refused = server.ask(path, body, headers=headers)
            assert code_of(refused) == (401, "auth_required")
            assert refused.headers["www-authenticate"].startswith("Bearer")
        for path in (HEALTH, "/ping", "/execution-parameters"):
            assert server.ask(path).status == 200


@pytest.fixture
def unpacked(tmp_path: Path) -> Iterator[Path]:
    """Give a read-only folder that holds one bundle file, as a platform unpacks model.tar.gz."""
    pytest.importorskip("sklearn")
    folder = tmp_path / "opt" / "ml" / "model"
    folder.mkdir(parents=True)
    packed = folder / "iris.fairway"
    fw.pack(iris_model(), packed, name="iris", example=iris_table(), home=tmp_path / "home")
    (folder / "notes.txt").write_text("what the archive held besides")
    packed.chmod(0o444)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def test_serve_alone_serves_what_the_container_names(unpacked: Path, tmp_path: Path) -> None:
    """SageMaker starts a container with the one word `serve`, and the model where it has unpacked it."""
    before = sorted(path.name for path in unpacked.iterdir())
    environ = {"FAIRWAY_SERVER_MODELS": str(unpacked)}
    with running_server(home=tmp_path / "home", environ=environ) as server:
        answer = server.ask("/invocations", b"5.1,3.5,1.4,0.2\n", headers=CSV | {"accept": "text/csv"})
        assert (answer.status, answer.body) == (200, b"0\n")
    assert sorted(path.name for path in unpacked.iterdir()) == before


def test_the_platform_chooses_the_port(zoo: Path, tmp_path: Path) -> None:
    """What the image set for itself gives way, without a flag."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with started(tmp_path, zoo, "mixed", port, FAIRWAY_SERVER_PORT="1") as server:
        assert eventually(lambda: server.ask("/ping").status == 200)


@contextlib.contextmanager
def started(folder: Path, home: Path, model: str, port: int, **environ: str) -> Iterator[RunningServer]:
    """Run `fairway serve` on the port that Vertex AI names; nobody waits until it answers."""
    variables = os.environ | VERTEX | {"AIP_HTTP_PORT": str(port)} | environ
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fairway", "serve", model, "--home", str(home)],
            cwd=folder,
            env=variables,
            stdout=log,
            stderr=log,
        )
    try:
        yield RunningServer(port, process, folder / "log")
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def late_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home with a model that can take its time to be loaded."""
    pytest.importorskip("sklearn")
    home = tmp_path_factory.mktemp("late")
    model = own_module("late").Late().fit(None)
    example = {"x": [0.5, 1.0, 2.0]}
    fw.push(model, name="late", example=example, code=[MODELS / "late.py"], home=home, compile="off")
    return home


@pytest.mark.parametrize("workers", ["1", "2"])
def test_connections_are_taken_while_a_model_is_loaded(late_home: Path, tmp_path: Path, workers: str) -> None:
    """Vertex AI restarts a container that takes none; whoever asks meanwhile waits, and is answered."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    slowly = {"FAIRWAY_TEST_LOAD_S": "3", "FAIRWAY_SERVER_WORKERS": workers}
    with started(tmp_path, late_home, "late", port, **slowly) as server:
        assert eventually(lambda: connects(port))
        assert "fairway serves" not in server.log.read_text()
        answer = server.ask(PREDICT, {"instances": [{"x": 3.0}]}, headers=JSON)
        assert answer.json() == {"predictions": [{"prediction": 6.0}]}
        assert server.ask(HEALTH).status == 200


def connects(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


def eventually(condition: Callable[[], bool]) -> bool:
    def tried() -> bool:
        try:
            return condition()
        except OSError:
            return False

    return bool(wait_until(tried))


def test_a_stop_loses_no_call(zoo: Path) -> None:
    """SIGTERM while calls come in by the routes of platforms: each that was sent has its whole answer."""
    with running_server("mixed", home=zoo, environ=VERTEX) as server:
        answered: list[int] = []
        stopped = threading.Event()

        def call(path: str, body: Any, headers: dict[str, str]) -> None:
            while not stopped.is_set():
                try:
                    answered.append(server.ask(path, body, headers=headers).status)
                except ConnectionRefusedError:
                    return

        callers = [
            threading.Thread(target=call, args=(PREDICT, {"instances": ARRAYS[:1]}, JSON)),
            threading.Thread(target=call, args=("/invocations", table(ARRAYS[:1]), CSV)),
        ]
        for caller in callers:
            caller.start()
        assert eventually(lambda: len(answered) > 20)
        code = server.stop()
        stopped.set()
        for caller in callers:
            caller.join()
        assert code == 0
        assert set(answered) == {200}
