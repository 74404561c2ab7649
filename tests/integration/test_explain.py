"""Explanations of a real server: every face says the same, and nobody who predicts has to wait for them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.testing import RunningServer, running_server

pytest.importorskip("sklearn")

SLOW = """
import time

from sklearn.base import BaseEstimator


class Slow(BaseEstimator):
    def fit(self, rows, goal=None):
        return self

    def predict(self, rows):
        time.sleep(0.004 * (1 + len(rows) / 500))
        return [float(sum(n * value for n, value in enumerate(row)) % 7) for row in rows]
"""
ROW = {"a": 1.0, "b": 2.0}
LIMITS = {
    "FAIRWAY_EXPLAIN_MAX_ROWS": "3",
    "FAIRWAY_EXPLAIN_MAX_QUEUE": "2",
    "FAIRWAY_EXPLAIN_BUDGET_S": "0.5",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a registry with a linear model, one of texts, and one of 16 inputs that takes its time."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline

    folder = tmp_path_factory.mktemp("explain")
    rows = [{"a": float(n), "b": float(n * n % 7)} for n in range(40)]
    values = [[row["a"], row["b"]] for row in rows]
    linear = LinearRegression().fit(values, [3 * a - b for a, b in values])
    fw.push(linear, name="linear", example=rows, outputs=["price"], home=folder / "home")
    texts = [f"{word} day number {n}" for n, word in enumerate(["lovely", "dreary"] * 20)]
    tone = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, ["good", "bad"] * 20)
    fw.push(tone, name="tone", example=texts, home=folder / "home")
    return folder / "home"


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[RunningServer]:
    with running_server("linear", "tone", home=home, environ=LIMITS) as running:
        yield running


def contributions(explanation: Any) -> dict[str, float]:
    return {entry["input"]: entry["contribution"] for entry in explanation["targets"][0]["features"]}


def test_every_face_says_the_same(server: RunningServer, home: Path) -> None:
    """The route, the query, the client, the function: one explanation."""
    route = server.ask("/models/linear/explain", ROW).json()["explanation"]
    default = server.ask("/explain", ROW).json()["explanation"]
    query = server.ask("/predict?include=explanation", ROW).json()["explanation"]
    with fw.Client(server.url) as client:
        asked = client.explain(ROW, "linear")["explanation"]
    local = fw.explain("linear", ROW, home=home)["explanation"]

    expected = contributions(route)
    for other in (default, query, asked, local):
        assert contributions(other) == expected
    assert route["targets"][0]["output"] == "price"
    total = route["targets"][0]["base"] + sum(expected.values())
    assert total == pytest.approx(server.ask("/predict", ROW).json()["price"])


def test_every_form_of_a_body_is_explained(server: RunningServer) -> None:
    """Lists, envelopes and the tutorials' keys carry an explanation per row."""
    many = server.ask("/explain", [ROW, {"a": 5.0, "b": 0.0}]).json()["predictions"]
    assert [set(row) for row in many] == [{"price", "explanation"}] * 2
    features = server.ask("/explain", {"features": [1.0, 2.0]}).json()
    assert contributions(features["explanation"][0]) == contributions(many[0]["explanation"])
    one = server.ask("/explain", {"input": [1.0, 2.0]}).json()
    assert contributions(one["explanation"]) == contributions(many[0]["explanation"])
    assert server.ask("/explain", []).json() == {"predictions": []}


def test_an_explanation_has_the_headers_of_a_prediction(server: RunningServer) -> None:
    """It is one: version, id and time are told."""
    answer = server.ask("/models/tone/explain?seed=3&of=good", ["a lovely day"])
    assert answer.status == 200
    assert answer.headers["fairway-model"] == "tone:1"
    assert "fairway-prediction-id" in answer.headers
    words = answer.json()["predictions"][0]["explanation"]["targets"][0]["words"]
    assert words[0]["word"] == "lovely"
    assert words[0]["weight"] > 0


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/explain", [ROW] * 4, 413, "explain_too_many_rows"),
        ("/predict?include=explanation", [ROW] * 4, 413, "explain_too_many_rows"),
        ("/explain?of=nothing", ROW, 400, "query_invalid"),
        ("/explain?method=words", ROW, 400, "query_invalid"),
        ("/explain?method=guess", ROW, 400, "query_invalid"),
        ("/explain?seed=x", ROW, 400, "query_invalid"),
        ("/explain", {"a": "x", "b": 1}, 422, "signature_mismatch"),
        ("/explain", b"{", 400, "json_invalid"),
        ("/explain", b"", 400, "body_empty"),
        ("/models/none/explain", ROW, 404, "model_not_found"),
    ],
)
def test_bad_calls_are_refused(server: RunningServer, path: str, body: Any, status: int, code: str) -> None:
    """With the problem documents of the predict routes."""
    answer = server.ask(path, body)
    assert (answer.status, answer.json()["code"]) == (status, code)


def test_only_post_explains(server: RunningServer) -> None:
    """Another method is told so."""
    answer = server.ask("/models/linear/explain")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_explanations_are_counted_under_their_own_route(server: RunningServer) -> None:
    """Their times do not blur those of predictions."""
    server.ask("/explain", ROW)
    text = server.ask("/metrics").body.decode()
    assert 'http_route="/explain"' in text


def test_the_longest_text_and_hostile_ones_are_answered(server: RunningServer) -> None:
    """No text ends in a 5xx but for one that says honestly that it took too long."""
    for text in ("", "?", "\u202e \u0000 x", "w " * 400_000, "x" * 999_999):
        answer = server.ask("/models/tone/explain", json.dumps([text]).encode(), timeout_s=60)
        assert answer.status in {200, 504}, answer.body[:300]
        if answer.status == 504:
            assert answer.json()["code"] == "explanation_timeout"


def test_predictions_do_not_wait_for_explanations(tmp_path: Path) -> None:
    """With the queue of explanations full, one-row calls are answered, and the next explanation gets 503."""
    (tmp_path / "slow_model.py").write_text(SLOW)
    home = tmp_path / "home"
    module = _module(tmp_path / "slow_model.py")
    rows = [{f"x{n}": float(n * k % 11) for n in range(16)} for k in range(30)]
    fw.push(
        module.Slow(), name="slow", example=rows, feed="matrix", code=[tmp_path / "slow_model.py"], home=home
    )
    environ = LIMITS | {"FAIRWAY_EXPLAIN_BUDGET_S": "2"}
    with running_server("slow", home=home, environ=environ) as server:
        server.ask("/predict", rows[0])
        with ThreadPoolExecutor(8) as pool:
            # Two may run or wait. Eight that take their time arrive together, so some of them are too many.
            asked = [pool.submit(server.ask, "/explain", rows[n], timeout_s=60) for n in range(8)]
            refused = next(done.result() for done in as_completed(asked) if done.result().status == 503)
            times = []
            for _ in range(20):
                started = time.perf_counter()
                assert server.ask("/predict", rows[9]).status == 200
                times.append(time.perf_counter() - started)
            beside = server.ask("/predict?include=explanation", rows[9])
            answers = [future.result() for future in asked]
    assert refused.json()["code"] == "overloaded"
    assert refused.headers["retry-after"] == "1"
    assert sorted(times)[10] < 0.5
    assert beside.status == 200
    explained = [answer for answer in answers if answer.status == 200]
    assert len(explained) >= 2
    assert {answer.status for answer in answers} == {200, 503}
    for answer in explained:
        assert answer.json()["explanation"]["targets"][0]["additivity"]["holds"]


def _module(path: Path) -> Any:
    import importlib.util
    import sys

    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def test_the_command_line_draws_and_prints(
    home: Path, server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bars and marked words for people, the document for programs, from registry and server alike."""
    from fairway.cli.main import main

    assert main(["explain", "linear", json.dumps(ROW), "--home", str(home)]) == 0
    drawn = capsys.readouterr().out
    assert "Shapley values, exact" in drawn
    assert "a = 1" in drawn
    assert main(["explain", "tone", '["a lovely day"]', "--server", server.url]) == 0
    assert "[+lovely+]" in capsys.readouterr().out
    arguments = ["explain", "tone", '["a lovely day"]', "--home", str(home), "--json", "--seed", "2"]
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["predictions"][0]["explanation"]["words"]["seed"] == 2
