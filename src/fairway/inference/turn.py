"""Calls of one turn of the event loop, predicted as one.

A compiled predictor answers in microseconds, and most of them are the same for one row as for sixteen: what
it costs to enter NumPy or ONNX Runtime. So where several connections call at the same time, each call is read
as its bytes arrive and then takes a seat; when the turn has brought all it had, the rows of all seats are
predicted together, and every call goes on with its own share. No call waits for a timer or for another turn,
and one that is alone is predicted at once, without a seat.

Only rows that are answered alone as among others, to the last bit, are put together (`Scheduler.gathers`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Generator
from typing import Any, Protocol

from fairway.messages import Columns, Outputs, Timing

CROWD = 8
"""So many turns with a single call show that nobody else calls at the moment."""

SAME_MOMENT_S = 0.001


class Predicts(Protocol):
    """What a turn needs of a loaded model."""

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        """Predict every row."""


class Seat:
    """A call that waits for the end of its turn; awaiting it gives the outputs of its rows.

    Attributes:
        go_on: Continues the call: gets its outputs, or None and what the model raised. Set by whoever steps
            the call's coroutine and gets the seat from it, before the turn ends.
    """

    __slots__ = ("arrived", "columns", "go_on", "model", "probabilities", "timing")

    def __init__(self, model: Predicts, columns: Columns, timing: Timing, *, probabilities: bool) -> None:
        self.model = model
        self.columns = columns
        self.timing = timing
        self.probabilities = probabilities
        self.arrived = time.perf_counter()
        self.go_on: Callable[[Outputs | None, BaseException | None], None] = _nobody

    def __await__(self) -> Generator[Any, Any, Outputs]:
        outputs: Outputs = yield self
        return outputs


def _nobody(outputs: Outputs | None, error: BaseException | None) -> None:
    """The call has gone."""


class Turn:
    """The seats of one event loop. Used from that loop only."""

    def __init__(self) -> None:
        self._seats: list[Seat] = []
        self._crowd = 0
        self._last_caller: object = None
        self._last_time = -math.inf

    def joined_by(self, caller: object, now: float) -> Turn | None:
        """Return this turn if several call at the same time, else None: who is alone waits for nobody.

        Args:
            caller: Whoever can have one call at a time: a connection.
            now: The event loop's time, in seconds.
        """
        if caller is not self._last_caller:
            if now - self._last_time < SAME_MOMENT_S:
                self._crowd = CROWD
            self._last_caller = caller
        self._last_time = now
        return self if self._crowd else None

    def seat(self, model: Predicts, columns: Columns, timing: Timing, *, probabilities: bool) -> Seat:
        """Return a seat for a call; the turn ends when the event loop has handed out all that had arrived."""
        seat = Seat(model, columns, timing, probabilities=probabilities)
        if not self._seats:
            asyncio.get_running_loop().call_soon(self._end)
        self._seats.append(seat)
        return seat

    def _end(self) -> None:
        seats, self._seats = self._seats, []
        if len(seats) == 1:
            self._crowd -= self._crowd > 0
        groups: dict[tuple[int, bool], list[Seat]] = {}
        for seat in seats:
            groups.setdefault((id(seat.model), seat.probabilities), []).append(seat)
        for group in groups.values():
            _answer(group)


def _answer(seats: list[Seat]) -> None:
    """Predict the rows of all seats together; where that fails, each for itself."""
    first = seats[0]
    if len(seats) == 1:
        _answer_alone(first)
        return
    rows = [row for seat in seats for row in seat.columns.rows]
    began = time.perf_counter()
    try:
        outputs = first.model.predict(Columns(first.columns.names, rows), probabilities=first.probabilities)
    except Exception:  # noqa: BLE001 - one of the rows is to blame; which one is found out
        for seat in seats:
            _answer_alone(seat)
        return
    took = time.perf_counter() - began
    start = 0
    for seat in seats:
        stop = start + len(seat.columns.rows)
        seat.timing.queue = time.perf_counter() - took - seat.arrived
        seat.go_on(outputs.part(start, stop), None)
        start = stop


def _answer_alone(seat: Seat) -> None:
    seat.timing.queue = time.perf_counter() - seat.arrived
    try:
        outputs = seat.model.predict(seat.columns, probabilities=seat.probabilities)
    except Exception as error:  # noqa: BLE001 - raised again where the call awaits its outputs
        seat.go_on(None, error)
    else:
        seat.go_on(outputs, None)
