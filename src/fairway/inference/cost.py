"""What a call of a model costs, and whether its rows may be put together: measured at load, learnt since."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fairway.messages import Columns, Outputs

Predict = Callable[[Columns, bool], Outputs]
"""Predicts rows; the second argument asks for probabilities."""

TRIED_ROWS = (2, 3, 7, 16, 33, 64)
"""Sizes at which rows are compared with themselves alone: around the steps in which kernels go."""

TRIED_S = 0.5
_FORGET = 0.01
_GUESS_S = 1e-5


class Cost:
    """Seconds of a call, as so much per call and so much per row.

    A call that takes longer than expected raises the expectation at once; those that do not lower it slowly,
    so that a model whose time depends on the values is not taken for a fast one again after a few of them.

    Attributes:
        call_s: Seconds of a call beside its rows; a guess where nothing was measured.
        row_s: Seconds of a row.
    """

    def __init__(self, call_s: float = _GUESS_S, row_s: float = 0.0) -> None:
        self.call_s = call_s
        self.row_s = row_s
        self._slowness = 1.0

    def of(self, rows: int) -> float:
        """Return the seconds that a call should take."""
        return self._slowness * (self.call_s + self.row_s * rows)

    def learn(self, rows: int, seconds: float) -> None:
        """Take note of what a call took."""
        ratio = seconds / max(self.call_s + self.row_s * rows, 1e-9)
        if ratio > self._slowness:
            self._slowness = ratio
        elif self._slowness > 1.0:
            self._slowness = max(1.0, self._slowness + _FORGET * (ratio - self._slowness))

    def rows_within(self, seconds: float, *, most: int) -> int:
        """Return how many rows a call may have that should take less than *seconds*; -1 for none at all."""
        left = seconds / self._slowness - self.call_s
        if left <= 0:
            return -1
        return min(most, int(left / self.row_s)) if self.row_s else most


def measure(predict: Predict, columns: Columns) -> Cost:
    """Return what calls with some of *columns* cost; nothing is known where there are none."""
    if not len(columns):
        return Cost()
    single = min(_seconds(predict, columns.part(0, 1)) for _ in range(3))
    many = min(_seconds(predict, columns) for _ in range(3))
    row_s = max(0.0, many - single) / max(1, len(columns) - 1)
    return Cost(max(0.0, single - row_s), row_s)


def _seconds(predict: Predict, columns: Columns) -> float:
    started = time.perf_counter()
    predict(columns, False)  # noqa: FBT003 - the type's second argument
    return time.perf_counter() - started


def is_row_stable(predict: Predict, columns: Columns, *, probabilities: bool) -> bool:
    """Tell whether every row is answered alone as among others, to the last bit.

    Matrix products in BLAS are not: they add in an order that depends on the number of rows. A model that
    takes long is tried at fewer sizes; one row beside another is the least.
    """
    if len(columns) < 2:
        return False
    began = time.perf_counter()
    rows = columns.rows[:8]
    alone = [predict(Columns(columns.names, [row]), probabilities) for row in rows]
    for size in TRIED_ROWS:
        # Each size puts the rows at other places.
        places = [(n + size) % len(rows) for n in range(size)]
        together = predict(Columns(columns.names, [rows[place] for place in places]), probabilities)
        if any(_bits(together, n) != _bits(alone[place], 0) for n, place in enumerate(places)):
            return False
        if time.perf_counter() - began > TRIED_S:
            break
    return True


def _bits(outputs: Outputs, row: int) -> Sequence[str]:
    """Return one row's answers so that different bits differ, even -0.0 and 0.0."""
    found = [repr(values[row]) for values in outputs.values.values()]
    return found if outputs.probabilities is None else [*found, repr(outputs.probabilities[row])]
