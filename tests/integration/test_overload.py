"""More than a server can do, and a model that hangs: refused in time, others unharmed, and it passes.

The ids are those of the catalogue of hostile inputs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.errors import FairwayError
from fairway.settings import load_settings
from fairway.testing import Answer, RunningServer, running_server

from .conftest import counts, iris_table, own_module, problem_of, wait_until

PREDICT = "/models/moody/predict"
MAX_QUEUE = 4
ROWS = 20_000


@pytest.fixture(scope="module")
def moody() -> Any:
    """Give the module of the model that sleeps on certain values."""
    return own_module("moody")


@pytest.fixture(scope="module")
def tight(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a server that waits a third of the time that the model sleeps, for few calls."""
    environ = {
        "FAIRWAY_LIMITS_PREDICT_TIMEOUT_S": "0.5",
        "FAIRWAY_LIMITS_MAX_QUEUE": str(MAX_QUEUE),
        "FAIRWAY_LIMITS_MAX_ROWS": str(ROWS),
    }
    folder = tmp_path_factory.mktemp("tight")
    with running_server("moody", "iris", home=zoo, environ=environ, folder=folder) as server:
        yield server


def is_well(server: RunningServer) -> bool:
    """Tell whether the model answers, rightly."""
    answer = server.ask(PREDICT, {"x": 2.5})
    return answer.status == 200 and answer.json() == {"prediction": 5.0}


def test_b18_a_call_that_hangs_times_out_and_others_do_not_notice(tight: RunningServer, moody: Any) -> None:
    """Calls of the same model, of another one, and probes are answered while it hangs."""
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(tight.ask, PREDICT, {"x": moody.SLOW})
        wait_until(lambda: counts(tight, "fairway_inflight_requests")[""] == 1)
        assert is_well(tight)
        assert tight.ask("/models/iris/predict", {"features": [5.1, 3.5, 1.4, 0.2]}).status == 200
        assert tight.ask("/livez").status == 200
        assert not hung.done()
        answer = hung.result()
    assert answer.status == 504
    problem = problem_of(answer)
    assert problem["code"] == "predict_timeout"
    assert problem["detail"] == "moody:1 did not answer within 0.5 s"
    assert is_well(tight)


def test_c17_calls_beyond_the_queue_are_refused_at_once_and_it_passes(
    tight: RunningServer, moody: Any
) -> None:
    """Each with 503 and the time after which to come again; probes are answered all the while."""
    probes: list[int] = []
    is_over = threading.Event()

    def probe() -> None:
        while not is_over.is_set():
            probes.append(tight.ask("/livez").status)

    with ThreadPoolExecutor(201) as pool:
        probing = pool.submit(probe)
        answers: list[Answer] = list(pool.map(lambda _: tight.ask(PREDICT, {"x": moody.SLOW}), range(200)))
        is_over.set()
        probing.result()
    refused = [answer for answer in answers if answer.status == 503]
    assert {answer.status for answer in answers} <= {503, 504}
    assert refused
    assert {problem_of(answer)["code"] for answer in refused} == {"overloaded"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert set(probes) == {200}
    wait_until(lambda: is_well(tight))


def test_a_large_call_is_answered_row_by_row(tight: RunningServer) -> None:
    """Read, predicted and written in slices it gives what its rows give alone."""
    table = iris_table()
    rows = [list(row) for row in zip(*table.values(), strict=True)]
    alone = [tight.ask("/models/iris/predict", {"features": [row]}).json()["prediction"][0] for row in rows]
    many = [rows[n % len(rows)] for n in range(ROWS)]
    answer = tight.ask("/models/iris/predict?include=probabilities", {"instances": many})
    assert answer.status == 200
    predictions = answer.json()["predictions"]
    assert [row["prediction"] for row in predictions] == [alone[n % len(rows)] for n in range(ROWS)]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1.0) for row in predictions[::997])
    too_many = tight.ask("/models/iris/predict", {"instances": [*many, rows[0]]})
    assert problem_of(too_many)["code"] == "too_many_rows"


def test_tune_measures_recommends_and_writes_when_told(zoo: Path, own_folder: Path) -> None:
    """Every setting has its figures and its reason; the file holds what was recommended."""
    tuning = fw.tune("iris", seconds=1.0, write=True, home=zoo)
    assert all(load.calls_per_s > 0 for trial in tuning.trials for load in trial.loads)
    assert [load.callers for load in tuning.trials[0].loads] == [1, 8, 32]
    keys = [advice.key for advice in tuning.advice]
    assert "batching.mode" in keys
    assert all("calls/s" in advice.reason for advice in tuning.advice)
    assert tuning.written == str(own_folder / "fairway.toml")
    _, origins = load_settings(environ={}, cwd=own_folder)
    assert all(origins[key].startswith(tuning.written) for key in keys)
    with pytest.raises(FairwayError, match="no server could be tried: there is no model 'nobody'"):
        fw.tune("nobody", seconds=1.0, home=zoo)
