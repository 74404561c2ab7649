"""Service metrics in Prometheus' conventions; every metric's name is in this file.

Counting happens for every call, so it is a few list and dict operations on the event loop; the text format
is made by prometheus-client when somebody scrapes. Where the counts lie, and whose they are, is decided in
`cells.py`.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from fairway.inference.memory import LOADS, REFUSALS, SECONDS, UNLOADS
from fairway.messages import Prediction, Target
from fairway.server.cells import INFLIGHT, MODELS_LOADED, Cells, Counts, LocalCounts

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# OpenTelemetry's HTTP boundaries, with finer ones below 5 ms: most models answer in less.
BUCKETS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075,
    0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip

METRICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "http_server_request_duration_seconds": (
        "Time from the complete request to the reply.",
        ("http_route", "http_response_status_code"),
    ),
    "fairway_predict_duration_seconds": ("Time that a call spent in the model.", ("model", "version")),
    "fairway_rows_total": ("Rows that were predicted.", ("model", "version")),
    "fairway_flagged_values_total": (
        "Input values let through although they were not seen in training.",
        ("model", "version"),
    ),
    "fairway_errors_total": ("Calls that ended in an error, by its code.", ("model", "version", "code")),
    "fairway_auth_refused_total": ("Requests that were refused for who sent them, by code.", ("code",)),
    "fairway_inflight_requests": ("Predict calls that are being answered.", ()),
    "fairway_log_dropped_total": ("Log lines that could not be written.", ()),
    "fairway_models_loaded": ("Versions in memory, counted once per worker.", ()),
    "fairway_model_loads_total": ("Times that a version was loaded and proven.", ("model", "version")),
    "fairway_model_load_seconds_total": (
        "Time that this took, from opening its files.",
        ("model", "version"),
    ),
    "fairway_model_unloads_total": ("Times that a version left the memory.", ("model", "version")),
    "fairway_model_refusals_total": (
        "Times that a version could not be loaded, or failed its golden examples.",
        ("model", "version"),
    ),
    "fairway_model_info": ("Versions that serve; always 1.", ("model", "version", "digest")),
}
"""Every metric of fairway's own: its help text and its labels. The process adds `process_*`."""

_SUM = len(BUCKETS_S) + 1
_ROWS, _FLAGS = _SUM + 1, _SUM + 2
# The cells of a histogram: one per bucket, one for what lies beyond the last, and the sum of all values.
_HISTOGRAM_SIZE = _SUM + 1
_PREDICTION_SIZE = _FLAGS + 1

_REQUESTS = "http_server_request_duration_seconds"
_PREDICTIONS = "fairway_predict_duration_seconds"
_ERRORS = "fairway_errors_total"
_DROPPED = "fairway_log_dropped_total"
_REFUSED = "fairway_auth_refused_total"
_TALLIES = {
    LOADS: "fairway_model_loads_total",
    SECONDS: "fairway_model_load_seconds_total",
    UNLOADS: "fairway_model_unloads_total",
    REFUSALS: "fairway_model_refusals_total",
}


class Pool(Protocol):
    """The part of a pool that is measured."""

    def loaded(self) -> int:
        """Return how many versions are in memory."""

    def tally(self) -> Mapping[tuple[str, str, int], float]:
        """Return what has been counted of versions in this process, by kind, model and version."""


class Metrics:
    """Count calls; implement `fairway.inference.engine.Recorder`.

    Args:
        models: Returns the models that serve, as (name, version, digest).
        dropped_lines: Returns how many log lines this process has lost.
        pool: Counts loads and unloads.
        counts: Where counts are kept. Default: in this process.
        processes: Gives `process_*`. Default: what prometheus-client says of this process.
    """

    def __init__(
        self,
        *,
        models: Callable[[], Iterable[tuple[str, int, str]]] = tuple,
        dropped_lines: Callable[[], int] = int,
        pool: Pool | None = None,
        counts: Counts | None = None,
        processes: Collector | None = None,
    ) -> None:
        self._models = models
        self._dropped_lines = dropped_lines
        self._counts = LocalCounts() if counts is None else counts
        self.gauges = self._counts.gauges
        self._requests: dict[tuple[str, int], Cells] = {}
        self._predictions: dict[tuple[str, int], Cells] = {}
        self._errors: dict[tuple[str, str, str], Cells] = {}
        self._refusals: dict[str, Cells] = {}
        self._dropped = self._counts.cells(_DROPPED, (), 1)
        self._dropped_before = self._dropped[0]
        self._pool = pool
        self._tallies: dict[tuple[str, str, int], tuple[Cells, float]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(processes or ProcessCollector(registry=None))
        self._registry.register(self)

    def record(self, target: Target, prediction: Prediction) -> None:  # noqa: ARG002 - the interface's argument
        """Count a prediction."""
        key = (prediction.model, prediction.version)
        cells = self._predictions.get(key)
        if cells is None:
            labels = (key[0], str(key[1]))
            cells = self._predictions[key] = self._counts.cells(_PREDICTIONS, labels, _PREDICTION_SIZE)
        seconds = prediction.timing.predict
        cells[bisect.bisect_left(BUCKETS_S, seconds)] += 1
        cells[_SUM] += seconds
        cells[_ROWS] += len(prediction.columns)
        if prediction.columns.flags:
            cells[_FLAGS] += sum(map(len, prediction.columns.flags))

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request by its route (a pattern, never a raw path)."""
        cells = self._requests.get((route, status))
        if cells is None:
            labels = (route, str(status))
            cells = self._requests[route, status] = self._counts.cells(_REQUESTS, labels, _HISTOGRAM_SIZE)
        cells[bisect.bisect_left(BUCKETS_S, seconds)] += 1
        cells[_SUM] += seconds

    def count_error(self, reference: str, code: str) -> None:
        """Count an error of a predict call; *reference* is that of a loaded version, or empty."""
        model, _, version = reference.partition(":")
        key = (model, version or "0", code)
        cells = self._errors.get(key)
        if cells is None:
            cells = self._errors[key] = self._counts.cells(_ERRORS, key, 1)
        cells[0] += 1

    def count_refusal(self, code: str) -> None:
        """Count a request that the guard has refused."""
        cells = self._refusals.get(code)
        if cells is None:
            cells = self._refusals[code] = self._counts.cells(_REFUSED, (code,), 1)
        cells[0] += 1

    async def watch(self, interval_s: float = 1.0) -> None:
        """Take over what is counted elsewhere in this process, for others to see, until cancelled."""
        while True:
            self._refresh()
            await asyncio.sleep(interval_s)

    def _refresh(self) -> None:
        self._dropped[0] = self._dropped_before + self._dropped_lines()
        if self._pool is not None:
            self.gauges[MODELS_LOADED] = self._pool.loaded()
            for key, value in self._pool.tally().items():
                cells, before = self._tallies.get(key) or self._begin_tally(key)
                cells[0] = before + value

    def _begin_tally(self, key: tuple[str, str, int]) -> tuple[Cells, float]:
        """Return the cells of a count that the pool keeps, and what a worker before has left in them."""
        kind, model, version = key
        cells = self._counts.cells(_TALLIES[kind], (model, str(version)), 1)
        found = self._tallies[key] = (cells, cells[0])
        return found

    def render(self) -> bytes:
        """Return everything in the text format."""
        self._refresh()
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Tell prometheus-client that names are not known in advance."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment; called by prometheus-client."""
        found: dict[str, list[_Sample]] = {}
        for (name, labels), cells in self._counts.sums().items():
            found.setdefault(name, []).append((labels, cells))
        predictions = found.get(_PREDICTIONS, [])
        yield _histograms(_REQUESTS, found.get(_REQUESTS, []))
        yield _histograms(_PREDICTIONS, predictions)
        yield _counters("fairway_rows_total", predictions, _ROWS)
        yield _counters("fairway_flagged_values_total", predictions, _FLAGS)
        yield _counters(_ERRORS, found.get(_ERRORS, []))
        yield _counters(_DROPPED, found[_DROPPED])
        yield _counters(_REFUSED, found.get(_REFUSED, []))
        yield _gauges("fairway_inflight_requests", {(): self._counts.gauge(INFLIGHT)})
        yield _gauges("fairway_models_loaded", {(): self._counts.gauge(MODELS_LOADED)})
        for name in _TALLIES.values():
            yield _counters(name, found.get(name, []))
        yield _gauges("fairway_model_info", dict.fromkeys(self._models(), 1))


_Sample = tuple[Sequence[str], Sequence[float]]


def _histograms(name: str, samples: Iterable[_Sample]) -> Metric:
    text, names = METRICS[name]
    family = HistogramMetricFamily(name, text, labels=names)
    bounds = [*(f"{bound:g}" for bound in BUCKETS_S), "+Inf"]
    for labels, cells in samples:
        running = itertools.accumulate(cells[:_SUM])
        buckets = [(bound, float(count)) for bound, count in zip(bounds, running, strict=True)]
        family.add_metric(labels, buckets, cells[_SUM])
    return family


def _counters(name: str, samples: Iterable[_Sample], index: int = 0) -> Metric:
    text, names = METRICS[name]
    family = CounterMetricFamily(name.removesuffix("_total"), text, labels=names)
    for labels, cells in samples:
        family.add_metric(labels, cells[index])
    return family


def _gauges(name: str, found: Mapping[Any, float]) -> Metric:
    text, names = METRICS[name]
    family = GaugeMetricFamily(name, text, labels=names)
    for labels, value in found.items():
        family.add_metric([str(label) for label in labels], value)
    return family
