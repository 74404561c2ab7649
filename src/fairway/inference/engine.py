"""THE HOT PATH: how a request becomes a prediction, whatever the protocol."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, Protocol

from fairway.inference.explain.desk import ExplainLimits, ExplanationDesk
from fairway.inference.lane import Lane
from fairway.inference.loaded import LoadedModel
from fairway.inference.scheduling import HELD_S, Limits
from fairway.messages import Call, Prediction, Reply, Target, Timing
from fairway.protocols.base import Dialect

INLINE_BYTES = 64 * 1024
"""Larger bodies are read, and answers to them written, beside the event loop: other calls are not held up."""


class Router(Protocol):
    """Decides which version answers."""

    async def choose(self, target: Target) -> LoadedModel:
        """Return the model for a target.

        Raises:
            RegistryError: There is no such model, version or alias.
            ModelNotReady: It is known but does not serve.
        """


class Recorder(Protocol):
    """Keeps what was predicted."""

    def record(self, target: Target, prediction: Prediction) -> None:
        """Take note of a prediction: enqueue, never wait, never raise."""


class Engine:
    """The one place that predicts.

    Args:
        router: Chooses the version.
        recorder: Gets every prediction before it is written down.
        limits: How many large calls may be read or written at once, and for how long.
        explain: What explanations may cost.
    """

    def __init__(
        self,
        router: Router,
        recorder: Recorder,
        *,
        limits: Limits | None = None,
        explain: ExplainLimits | None = None,
    ) -> None:
        self._router = router
        self._recorder = recorder
        limits = limits or Limits()
        self._large_calls = Lane("large calls", timeout_s=limits.timeout_s, max_queue=limits.max_queue)
        self._desk = ExplanationDesk(explain or ExplainLimits(), timeout_s=limits.timeout_s)

    async def answer(self, call: Call, protocol: Dialect) -> Reply:
        """Return the reply to a call.

        Raises:
            FairwayError: What is wrong with the request, or the honest reason for a 5xx.
        """
        timing = Timing(call.started)
        target = protocol.open(call)  # route and headers -> reference and options; the body is not read
        model = await self._router.choose(target)  # alias -> the version that answers
        call.model = model.reference
        # body -> columns by the model's own reader, or every fault at once
        if len(call.body) <= INLINE_BYTES:
            columns = protocol.read(target, model)
        else:  # to list the faults of a large one may take a second
            columns = await self._beside(protocol.read, target, model)
        read = perf_counter()
        timing.read = read - timing.started
        outputs = await model.answer(
            columns, timing, probabilities="probabilities" in target.include, turn=call.turn
        )
        predicted = perf_counter()
        timing.predict = predicted - read - timing.queue
        if timing.predict > HELD_S:
            model.scheduler.suspect(len(columns))
        prediction = Prediction(
            target.id,
            model.name,
            model.version,
            classes=model.classes,
            columns=columns,
            outputs=outputs,
            timing=timing,
        )
        if target.explain is not None:
            prediction.explanations = await self._desk.explain(model, prediction, target.explain)
        self._recorder.record(target, prediction)
        if len(call.body) <= INLINE_BYTES:
            reply = protocol.encode(target, prediction)
        else:
            reply = await self._beside(protocol.encode, target, prediction)
        timing.encode = perf_counter() - predicted
        reply.headers.append((b"server-timing", timing.header()))
        call.prediction = prediction
        return reply

    async def _beside(self, step: Callable[[Target, Any], Any], target: Target, subject: Any) -> Any:
        return await self._large_calls.run(partial(step, target, subject), Timing(0.0))


class _OneModel:
    """A router for a single model and a recorder that keeps nothing, for calls without a server."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    async def choose(self, _: Target) -> LoadedModel:
        return self._model

    def record(self, _: Target, prediction: Prediction) -> None:
        """Keep nothing."""


def engine_of(model: LoadedModel, *, explain: ExplainLimits | None = None) -> Engine:
    """Return an engine that always answers with *model* and records nothing."""
    only = _OneModel(model)
    return Engine(only, only, explain=explain)
