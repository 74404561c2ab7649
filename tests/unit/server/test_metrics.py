"""What a scrape says of what was counted, in one process and in several."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fairway.messages import Call, Columns, Outputs, Prediction, Target, Timing
from fairway.server.cells import LOADING, Counts, LocalCounts, SharedCounts
from fairway.server.metrics import METRICS, Metrics
from fairway.server.process_tree import ProcessTree


def shared_counts() -> Counts:
    """Return the counts of a worker."""
    shared = SharedCounts(2)
    shared.attach(1)
    return shared


@pytest.fixture(params=[LocalCounts, shared_counts], ids=["alone", "worker"])
def metrics(request: pytest.FixtureRequest) -> Metrics:
    """Give metrics that count in this process, and in shared memory."""
    make: Callable[[], Counts] = request.param
    return Metrics(counts=make(), models=lambda: [("coffee", 3, "abc")], dropped_lines=lambda: 7)


def predicted(rows: int, seconds: float, *, flags: int = 0) -> Prediction:
    """Return a prediction of coffee:3."""
    columns = Columns(("x",), [(1.0,)] * rows, [{"x": "out_of_range"}] * flags or None)
    timing = Timing(0.0)
    timing.predict = seconds
    return Prediction(
        "id", "coffee", 3, classes=(), columns=columns, outputs=Outputs({"y": [0.0] * rows}), timing=timing
    )


def samples(metrics: Metrics) -> dict[str, float]:
    """Return every sample by name and labels."""
    text = metrics.render().decode()
    return {found[1]: float(found[2]) for found in re.finditer(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}


def test_predictions_are_counted_with_rows_flags_and_time(metrics: Metrics) -> None:
    """One look-up per call leads to all of them."""
    target = Target(Call("POST", "/predict", "", lambda _: "", b""), "coffee")
    metrics.record(target, predicted(3, 0.004, flags=2))
    metrics.record(target, predicted(1, 99.0))
    found = samples(metrics)

    key = '{model="coffee",version="3"}'
    assert found["fairway_rows_total" + key] == 4
    assert found["fairway_flagged_values_total" + key] == 2
    assert found["fairway_predict_duration_seconds_count" + key] == 2
    assert found["fairway_predict_duration_seconds_sum" + key] == pytest.approx(99.004)
    bucket = 'fairway_predict_duration_seconds_bucket{{le="{}",model="coffee",version="3"}}'
    assert [found[bucket.format(le)] for le in ("0.0025", "0.005", "10", "+Inf")] == [0, 1, 1, 2]


def test_requests_and_errors_are_counted_by_their_labels(metrics: Metrics) -> None:
    """A bound belongs to its bucket; an error without a version counts for none."""
    metrics.count_request("/predict", 200, 0.0001)
    metrics.count_request("/predict", 422, 0.2)
    metrics.count_error("coffee:3", "value_type")
    metrics.count_error("", "json_invalid")
    metrics.count_error("", "json_invalid")
    found = samples(metrics)

    name = "http_server_request_duration_seconds"
    ok = 'http_response_status_code="200",http_route="/predict"'
    assert found[f"{name}_count{{{ok}}}"] == 1
    assert found[f'{name}_bucket{{{ok},le="0.0001"}}'] == 1
    assert found['fairway_errors_total{code="value_type",model="coffee",version="3"}'] == 1
    assert found['fairway_errors_total{code="json_invalid",model="",version="0"}'] == 2


def test_gauges_and_lost_lines_are_those_of_the_moment(metrics: Metrics) -> None:
    """Scraped twice they say the same: nothing is added up by looking."""
    metrics.gauges[0] += 1
    for _ in range(2):
        found = samples(metrics)
        assert found["fairway_inflight_requests"] == 1
        assert found["fairway_log_dropped_total"] == 7
        assert found['fairway_model_info{digest="abc",model="coffee",version="3"}'] == 1


def test_every_metric_is_there_before_the_first_call(metrics: Metrics) -> None:
    """A dashboard finds the names, though most have no sample yet."""
    text = metrics.render().decode()
    assert [name for name in METRICS if f"# TYPE {name} " not in text] == []


def test_lost_lines_of_a_killed_worker_are_not_forgotten() -> None:
    """Its replacement loses lines of its own on top."""
    shared = SharedCounts(1)
    for lost in (7, 2):
        shared.attach(0)
        last = Metrics(counts=shared, dropped_lines=lambda lost=lost: lost)  # type: ignore[misc]
        last.render()

    assert samples(last)["fairway_log_dropped_total"] == 9


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
def test_a_process_tree_is_the_sum_of_its_processes() -> None:
    """Under the names that one process has; a worker that has just ended is no reason to fail."""
    me = os.getpid()
    alone = {metric.name: metric for metric in ProcessTree(me, list).collect()}
    both = {metric.name: metric for metric in ProcessTree(me, lambda: [os.getppid()]).collect()}
    gone = list(ProcessTree(me, lambda: [2**22 + 1]).collect())

    assert gone == []
    assert {f"process_{name}" for name in ("cpu_seconds", "open_fds", "resident_memory_bytes")} < set(alone)
    assert both["process_max_fds"].samples[0].value == 2 * alone["process_max_fds"].samples[0].value
    assert both["process_start_time_seconds"].samples == alone["process_start_time_seconds"].samples
    for name in ("virtual_memory_bytes", "open_fds"):
        sizes = [found[f"process_{name}"].samples[0].value for found in (alone, both)]
        assert 0 < sizes[0] < sizes[1]


class Versions:
    """A pool that has loaded coffee:3 and unloaded it again."""

    def loaded(self) -> int:
        return 2

    def tally(self) -> dict[tuple[str, str, int], float]:
        return {("loads", "coffee", 3): 2, ("seconds", "coffee", 3): 1.5, ("unloads", "coffee", 3): 1}


@pytest.mark.parametrize("make", [LocalCounts, shared_counts], ids=["alone", "worker"])
def test_what_happens_to_versions_is_taken_over_from_the_pool(make: Callable[[], Counts]) -> None:
    """A worker goes on from what the one before had counted."""
    counts, key = make(), '{model="coffee",version="3"}'
    found = samples(Metrics(counts=counts, pool=Versions()))
    again = samples(Metrics(counts=counts, pool=Versions()))

    assert found["fairway_models_loaded"] == 2
    assert found["fairway_model_loads_total" + key] == 2
    assert found["fairway_model_load_seconds_total" + key] == 1.5
    assert found["fairway_model_unloads_total" + key] == 1
    assert again["fairway_model_loads_total" + key] == 4


def test_what_a_worker_was_loading_is_read_from_its_block() -> None:
    """After it has died; then it is forgotten."""
    shared = SharedCounts(2)
    shared.attach(1)
    shared.gauges[LOADING] = 77.0

    assert (shared.loading(0), shared.loading(1)) == ([], [77])
    shared.detach(1)
    assert shared.loading(1) == []
