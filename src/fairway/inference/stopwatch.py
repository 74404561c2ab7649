"""A stopwatch around the parts of the engine: it times the stages of a call where they really run.

The engine knows nothing of it: router, recorder and dialect are wrapped before they are given to it, and each
wrapper notes the moment at which its part is entered and left. A server is never built with one.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

from fairway.inference.engine import Recorder, Router
from fairway.inference.loaded import LoadedModel
from fairway.messages import Call, Columns, Prediction, Reply, Target
from fairway.protocols.base import Dialect

STAGES = {
    "parse": "bytes to a call: HTTP, limits, the choice of the way",
    "open": "route, query and headers to a reference and options",
    "choose": "reference to the version that answers",
    "read": "body to valid columns",
    "queue": "waiting for a free place beside the event loop",
    "predict": "columns to outputs",
    "record": "counting what was predicted",
    "encode": "outputs to the body of the reply",
    "reply": "counting, access line, headers, handing over to the transport",
}
"""Every stage of a call in order, and what happens in it."""


class Stopwatch:
    """Measures the stages of one call at a time."""

    def __init__(self) -> None:
        self._spent_ns = dict.fromkeys(STAGES, 0)
        self._last = 0

    def start(self) -> None:
        """Begin the first stage of a call."""
        self._last = perf_counter_ns()

    def take(self) -> dict[str, int]:
        """Return the nanoseconds by stage since the last time, and begin anew."""
        taken, self._spent_ns = self._spent_ns, dict.fromkeys(STAGES, 0)
        return taken

    def lap(self, stage: str) -> None:
        """End a stage and begin the next one; what this method itself takes is nobody's."""
        self._spent_ns[stage] += perf_counter_ns() - self._last
        self._last = perf_counter_ns()

    def move(self, source: str, target: str, nanoseconds: int) -> None:
        """Count a part of one stage to another."""
        self._spent_ns[source] -= nanoseconds
        self._spent_ns[target] += nanoseconds

    def around(
        self, router: Router, recorder: Recorder, dialect: Dialect
    ) -> tuple[Router, Recorder, Dialect]:
        """Return the parts of an engine with this stopwatch around each."""
        return _Router(router, self), _Recorder(recorder, self), _Dialect(dialect, self)


class _Router:
    def __init__(self, router: Router, watch: Stopwatch) -> None:
        self._router = router
        self._watch = watch

    async def choose(self, target: Target) -> LoadedModel:
        """Time the choice."""
        model = await self._router.choose(target)
        self._watch.lap("choose")
        return model


class _Recorder:
    def __init__(self, recorder: Recorder, watch: Stopwatch) -> None:
        self._recorder = recorder
        self._watch = watch

    def record(self, target: Target, prediction: Prediction) -> None:
        """End the prediction, and time what the recorder does with it."""
        self._watch.lap("predict")
        self._watch.move("predict", "queue", round(prediction.timing.queue * 1e9))
        self._recorder.record(target, prediction)
        self._watch.lap("record")


class _Dialect:
    def __init__(self, dialect: Dialect, watch: Stopwatch) -> None:
        self._dialect = dialect
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dialect, name)

    def open(self, call: Call) -> Target:
        """End the connection's first part, and time the opening."""
        self._watch.lap("parse")
        target = self._dialect.open(call)
        self._watch.lap("open")
        return target

    def read(self, target: Target, model: Any) -> Columns:
        """Time the reading."""
        columns = self._dialect.read(target, model)
        self._watch.lap("read")
        return columns

    def encode(self, target: Target, prediction: Prediction) -> Reply:
        """Time the writing."""
        reply = self._dialect.encode(target, prediction)
        self._watch.lap("encode")
        return reply
