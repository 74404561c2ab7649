"""THE HOT PATH: how a request becomes a prediction, whatever the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Protocol

from fairway.inference.loaded import LoadedModel
from fairway.messages import Call, Columns, Prediction, Reply, Target, Timing
from fairway.protocols.base import Dialect

INLINE_BYTES = 64 * 1024
"""Larger bodies are read beside the event loop, so that other calls are not held up."""

_large_bodies = ThreadPoolExecutor(max_workers=2, thread_name_prefix="fairway-read")


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
    """

    def __init__(self, router: Router, recorder: Recorder) -> None:
        self._router = router
        self._recorder = recorder

    async def answer(self, call: Call, protocol: Dialect) -> Reply:
        """Return the reply to a call.

        Raises:
            FairwayError: What is wrong with the request, or the honest reason for a 5xx.
        """
        timing = Timing(call.started)
        target = protocol.open(call)  # route and headers -> reference and options; the body is untouched
        model = await self._router.choose(target)  # alias -> the version that answers
        call.model = model.reference
        # body -> columns by the model's own reader, or every fault at once
        if len(call.body) <= INLINE_BYTES:
            columns = protocol.read(target, model)
        else:  # to list the faults of a large one may take a second
            columns = await _in_thread(protocol.read, target, model)
        read = perf_counter()
        outputs = await model.answer(columns, timing, probabilities="probabilities" in target.include)
        predicted = perf_counter()
        timing.read, timing.predict = read - timing.started, predicted - read - timing.queue
        prediction = Prediction(
            target.id,
            model.name,
            model.version,
            classes=model.classes,
            columns=columns,
            outputs=outputs,
            timing=timing,
        )
        self._recorder.record(target, prediction)
        reply = protocol.encode(target, prediction)
        timing.encode = perf_counter() - predicted
        reply.headers.append((b"server-timing", timing.header()))
        call.prediction = prediction
        return reply


async def _in_thread(
    read: Callable[[Target, LoadedModel], Columns], target: Target, model: LoadedModel
) -> Columns:
    return await asyncio.get_running_loop().run_in_executor(_large_bodies, read, target, model)


class _OneModel:
    """A router for a single model and a recorder that keeps nothing, for calls without a server."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    async def choose(self, _: Target) -> LoadedModel:
        return self._model

    def record(self, _: Target, prediction: Prediction) -> None:
        """Keep nothing."""


def engine_of(model: LoadedModel) -> Engine:
    """Return an engine that always answers with *model* and records nothing."""
    only = _OneModel(model)
    return Engine(only, only)
