"""Service metrics in Prometheus' conventions; every metric's name is in this file.

Counting happens for every call, so it is a few list and dict operations on the event loop; the text format
is made by prometheus-client when somebody scrapes.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from fairway.messages import Prediction, Target

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
    "fairway_inflight_requests": ("Predict calls that are being answered.", ()),
    "fairway_log_dropped_total": ("Log lines that could not be written.", ()),
    "fairway_model_info": ("Versions that serve; always 1.", ("model", "version", "digest")),
}
"""Every metric of fairway's own: its help text and its labels. The process adds `process_*`."""


class _Histogram:
    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect.bisect_left(BUCKETS_S, seconds)] += 1
        self.total += seconds


class Metrics:
    """Count calls; implement `fairway.inference.engine.Recorder`.

    Args:
        models: Returns the models that serve, as (name, version, digest).
        dropped_lines: Returns how many log lines were lost.
    """

    def __init__(
        self,
        *,
        models: Callable[[], Iterable[tuple[str, int, str]]] = tuple,
        dropped_lines: Callable[[], int] = int,
    ) -> None:
        self._models = models
        self._dropped_lines = dropped_lines
        self._requests: dict[tuple[str, int], _Histogram] = {}
        self._predictions: dict[tuple[str, int], _Histogram] = {}
        self._rows: dict[tuple[str, int], int] = {}
        self._flags: dict[tuple[str, int], int] = {}
        self._errors: dict[tuple[str, str, str], int] = {}
        self.inflight = 0
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def record(self, target: Target, prediction: Prediction) -> None:  # noqa: ARG002 - the interface's argument
        """Count a prediction."""
        key = (prediction.model, prediction.version)
        histogram = self._predictions.get(key)
        if histogram is None:
            histogram = self._predictions[key] = _Histogram()
            self._rows[key] = self._flags[key] = 0
        histogram.observe(prediction.timing.predict)
        self._rows[key] += len(prediction.columns)
        if prediction.columns.flags:
            self._flags[key] += sum(map(len, prediction.columns.flags))

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request by its route (a pattern, never a raw path)."""
        histogram = self._requests.get((route, status))
        if histogram is None:
            histogram = self._requests[route, status] = _Histogram()
        histogram.observe(seconds)

    def count_error(self, reference: str, code: str) -> None:
        """Count an error of a predict call; *reference* is that of a loaded version, or empty."""
        model, _, version = reference.partition(":")
        key = (model, version or "0", code)
        self._errors[key] = self._errors.get(key, 0) + 1

    def render(self) -> bytes:
        """Return everything in the text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Tell prometheus-client that names are not known in advance."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment; called by prometheus-client."""
        yield _histograms("http_server_request_duration_seconds", self._requests)
        yield _histograms("fairway_predict_duration_seconds", self._predictions)
        yield _counters("fairway_rows_total", self._rows)
        yield _counters("fairway_flagged_values_total", self._flags)
        yield _counters("fairway_errors_total", self._errors)
        yield _counters("fairway_log_dropped_total", {(): self._dropped_lines()})
        yield _gauges("fairway_inflight_requests", {(): self.inflight})
        yield _gauges("fairway_model_info", dict.fromkeys(self._models(), 1))


def _labels(key: tuple[Any, ...]) -> list[str]:
    return [str(value) for value in key]


def _histograms(name: str, found: dict[Any, _Histogram]) -> Metric:
    text, labels = METRICS[name]
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, histogram in list(found.items()):
        running = itertools.accumulate(histogram.counts)
        bounds = [*(f"{bound:g}" for bound in BUCKETS_S), "+Inf"]
        buckets = [(bound, float(count)) for bound, count in zip(bounds, running, strict=True)]
        family.add_metric(_labels(key), buckets, histogram.total)
    return family


def _counters(name: str, found: dict[Any, int]) -> Metric:
    text, labels = METRICS[name]
    family = CounterMetricFamily(name.removesuffix("_total"), text, labels=labels)
    for key, count in list(found.items()):
        family.add_metric(_labels(key), count)
    return family


def _gauges(name: str, found: dict[Any, int]) -> Metric:
    text, labels = METRICS[name]
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in list(found.items()):
        family.add_metric(_labels(key), value)
    return family
