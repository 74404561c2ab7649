"""Where a model's calls run: on the event loop, in a thread, together with others, or in slices.

| call | runs |
|---|---|
| fast, and the predictor is one that we compiled | on the event loop, at once |
| the same, while others call it, too | on the event loop, with those of the same turn (`turn.py`) |
| fast, and the code is the model's own | in a thread; the loop waits for it for 5 ms at most |
| slow | in a thread, behind a bounded queue |
| of a model that takes little longer for many rows than for one | with the others that wait |
| with very many rows | in slices, between which others have their turn |

What a call should take is measured with the golden examples when the model is loaded, and learnt since.
"""

from __future__ import annotations

import dataclasses
import time
from functools import partial
from typing import Any

from fairway.inference.batching import MAX_ROWS, Batcher
from fairway.inference.cost import Cost, Predict, is_row_stable, measure
from fairway.inference.lane import MAX_QUEUE, MORE, Lane
from fairway.messages import Columns, LongList, Outputs, Timing

INLINE_S = 0.005
"""The event loop never stands still longer than this for a model, if that can be foreseen."""

HELD_S = 0.02
"""A call that held the loop for longer is suspicious."""

WATCHED_CALLS = 200
"""So many calls after a suspicious one are timed by the processor, which a busy machine does not mislead."""

GATHERED_ROWS = 8
"""A call with more rows gains nothing from the company of others."""

SLICE_ROWS = 1024
"""Rows after which a large call lets others have their turn."""

_LEAST_BATCHED_S = 0.0001
_LEAST_GAIN = 0.6
_OVERDUE_S = 1.0
_OVERDUE_FACTOR = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the settings say of the scheduling of a model's calls.

    Attributes:
        timeout_s: Longest time that a call may take beside the event loop.
        max_queue: Most calls that run or wait there.
        batching: `auto`, `off` or `on`.
        batch_rows: Most rows in a batch.
        batch_window_s: How long a batch is kept open for more calls.
    """

    timeout_s: float = 60.0
    max_queue: int = MAX_QUEUE
    batching: str = "auto"
    batch_rows: int = MAX_ROWS
    batch_window_s: float = 0.0


class Scheduler:
    """Runs one model's calls where they hold up nobody.

    Args:
        predict: The model.
        name: Its reference, for messages.
        limits: What the settings say.
        is_foreign: Whether *predict* runs code of the model's own, which may do anything.

    Attributes:
        inline_rows: Calls with at most so many rows are to be predicted on the event loop, and do not come
            here; -1 for none.
        gathered_rows: Of those, calls with at most so many rows may be predicted with others; 0 for none.
        cost: What a call costs.
        batching: Why calls are batched, or why not, in a sentence.
    """

    def __init__(self, predict: Predict, *, name: str, limits: Limits, is_foreign: bool) -> None:
        self._predict = predict
        self._limits = limits
        self._is_foreign = is_foreign
        self._is_stable = False
        self._watched = 0  # calls to come that are timed by the processor
        self._suspected_rows = -1
        self.gathered_rows = 0
        self._lane = Lane(name, timeout_s=limits.timeout_s, max_queue=limits.max_queue)
        self._batcher: Batcher | None = None
        self.batching = "calls are not batched: the model was not measured"
        self.cost = Cost()
        self._place()

    def measure(self, columns: Columns, *, probabilities: bool) -> None:
        """Learn from examples what calls cost and whether they may be batched or sliced."""
        if not len(columns):
            return
        self.cost = measure(self._predict, columns)
        self._is_stable = is_row_stable(self._predict, columns, probabilities=probabilities)
        is_batched, self.batching = self._judge_batching()
        if self._gains_from_company():
            self.gathered_rows = GATHERED_ROWS
            self.batching = f"calls of one turn of the event loop are predicted together: {self._figures()}"
        elif is_batched:
            self._batcher = Batcher(
                self._timed,
                self._lane,
                max_rows=self._limits.batch_rows,
                window_s=self._limits.batch_window_s,
                patience_s=partial(self._patience_s, 1),
                overdue_s=self._overdue_s,
            )
        self._place()

    def close(self) -> None:
        """End the threads; for a model that nobody can call any more."""
        self._lane.close()

    def _judge_batching(self) -> tuple[bool, str]:
        mode, one, eight = self._limits.batching, self.cost.of(1), self.cost.of(8)
        took = self._figures()
        if mode != "auto":
            return mode == "on", f"batching is {mode} by the setting ({took})"
        if not self._is_stable:
            return False, "calls are not batched: a row's answer differs in bits when it stands among others"
        if not self._is_foreign and one < INLINE_S:
            return (
                False,
                f"calls are not batched: a call takes {one * 1e6:.3g} us, less than to gather several",
            )
        if one < _LEAST_BATCHED_S or eight > 4 * one:
            return False, f"calls are not batched: {took}"
        return True, f"calls are batched: {took}"

    def _gains_from_company(self) -> bool:
        """Tell whether calls that run on the event loop are worth putting together."""
        one, eight = self.cost.of(1), self.cost.of(8)
        may = self._limits.batching == "auto" and self._is_stable and not self._is_foreign
        return may and one < INLINE_S and eight < _LEAST_GAIN * 8 * one

    def _figures(self) -> str:
        one, eight = self.cost.of(1) * 1e3, self.cost.of(8) * 1e3
        return f"8 rows take {eight:.3g} ms together and {8 * one:.3g} ms one by one"

    def _place(self) -> None:
        stays_away = self._is_foreign or self._batcher is not None or self._watched > 0
        self.inline_rows = -1 if stays_away else self.cost.rows_within(INLINE_S, most=SLICE_ROWS)

    # -- calls -------------------------------------------------------------------------------------------

    async def answer(self, columns: Columns, timing: Timing, *, probabilities: bool) -> Outputs:
        """Predict beside the event loop.

        Raises:
            Overloaded: Too many calls wait already.
            PredictionTimeout: The model did not answer in time.
        """
        rows = len(columns)
        if self._watched and rows <= self._suspected_rows:
            return self._watch(columns, probabilities)
        if self._batcher is not None and rows <= self._batcher.max_rows:
            return await self._batcher.answer(columns, timing, probabilities=probabilities)
        if self._is_stable and rows > SLICE_ROWS:
            call: Any = _Slices(self._timed, columns, probabilities=probabilities)
        else:
            call = partial(self._timed, columns, probabilities)
        outputs: Outputs = await self._lane.run(call, timing, patience_s=self._patience_s(rows))
        return outputs

    def suspect(self, rows: int) -> None:
        """Take note of a call that held the loop for long: the model is slow, or the machine is busy."""
        if rows <= self.inline_rows:
            self._suspected_rows, self._watched = self.inline_rows, WATCHED_CALLS
            self._place()

    def _watch(self, columns: Columns, probabilities: bool) -> Outputs:  # noqa: FBT001 - as Predict has it
        """Predict on the event loop and find out whether it is the model that takes so long."""
        began = time.thread_time()
        try:
            return self._predict(columns, probabilities)
        finally:
            spent = time.thread_time() - began
            self._watched -= 1
            if spent > HELD_S:
                self._watched = 0
                self.cost.learn(len(columns), spent)
            if not self._watched:
                self._place()

    def _timed(self, columns: Columns, probabilities: bool) -> Outputs:  # noqa: FBT001 - as Predict has it
        started = time.perf_counter()
        try:
            return self._predict(columns, probabilities)
        finally:
            self.cost.learn(len(columns), time.perf_counter() - started)
            self._place()

    def _patience_s(self, rows: int) -> float:
        return INLINE_S if self.cost.of(rows) < INLINE_S else 0.0

    def _overdue_s(self) -> float:
        expected = self.cost.of(self._limits.batch_rows)
        return min(max(_OVERDUE_S, _OVERDUE_FACTOR * expected), self._limits.timeout_s / 2)


class _Slices:
    """A large call, predicted slice by slice as a lane calls it again and again."""

    def __init__(self, predict: Predict, columns: Columns, *, probabilities: bool) -> None:
        self._predict = predict
        self._columns = columns
        self._probabilities = probabilities
        self._start = 0
        self._values: dict[str, list[Any]] = {}
        self._shares: list[list[float]] | None = LongList() if probabilities else None

    def __call__(self) -> Any:
        stop = self._start + SLICE_ROWS
        self._keep(self._predict(self._columns.part(self._start, stop), self._probabilities))
        if stop < len(self._columns):
            self._start = stop
            return MORE
        return Outputs(self._values, self._shares)

    def _keep(self, outputs: Outputs) -> None:
        for name, values in outputs.values.items():
            self._values.setdefault(name, LongList()).extend(values)
        if outputs.probabilities is None:
            self._shares = None
        elif self._shares is not None:
            self._shares.extend(outputs.probabilities)
