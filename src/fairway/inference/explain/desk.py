"""Where explanations wait for their turn: beside the event loop, behind a bounded queue of their own."""

from __future__ import annotations

import dataclasses
import weakref
from functools import partial
from typing import Any

from fairway.errors import FairwayError, TooManyToExplain
from fairway.inference.explain.explainer import Explainer
from fairway.inference.explain.knowledge import Knowledge
from fairway.inference.lane import Lane
from fairway.inference.loaded import LoadedModel
from fairway.messages import ExplainWish, Prediction, Timing


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExplainLimits:
    """What the settings say of explanations.

    Attributes:
        budget_s: Seconds that the explanations of a call may take together.
        max_rows: Most rows of a call that is explained.
        max_queue: Most calls that are explained or wait for it.
    """

    budget_s: float = 2.0
    max_rows: int = 10
    max_queue: int = 8


class ExplanationDesk:
    """Explains predictions, one call at a time.

    Args:
        limits: How much may be asked for.
        timeout_s: Longest wait of a call, the queue included.
    """

    def __init__(self, limits: ExplainLimits, *, timeout_s: float) -> None:
        self._limits = limits
        # One thread: while it computes, it takes part of the time in which calls are predicted.
        self._lane = Lane("explanations", timeout_s=timeout_s, max_queue=limits.max_queue, threads=1)
        # What is known of a model goes when the model goes.
        self._known: weakref.WeakKeyDictionary[LoadedModel, Knowledge] = weakref.WeakKeyDictionary()

    async def explain(
        self, model: LoadedModel, prediction: Prediction, wish: ExplainWish
    ) -> list[dict[str, Any]]:
        """Return one explanation per row of a prediction.

        A caller who asked for the prediction first of all gets the error in place of the explanation.

        Raises:
            TooManyToExplain: The call has too many rows.
            MalformedRequest: The wish cannot be fulfilled for this model.
            Overloaded: Too many calls wait for an explanation.
            PredictionError: There is none; for callers who asked for nothing else.
        """
        rows = len(prediction.columns)
        if rows > self._limits.max_rows:
            raise TooManyToExplain(rows, self._limits.max_rows)
        knowledge = self._known.get(model)
        if knowledge is None:
            knowledge = self._known[model] = Knowledge(model.bundle, model.predictor)
        explain = Explainer(model, knowledge).explain
        call = partial(explain, prediction.columns, wish, budget_s=self._limits.budget_s)
        try:
            found: list[dict[str, Any]] = await self._lane.run(call, Timing(0.0)) if rows else []
        except FairwayError as error:
            if wish.is_required or error.status < 500:
                raise
            found = [{"error": {"code": error.code, "detail": error.detail}}] * rows
        return found
