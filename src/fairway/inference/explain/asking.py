"""A row with other values in it, asked of the model: coalitions of inputs, and texts without some words."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from fairway.errors import ExplanationTimeout, FairwayError
from fairway.inference.explain.background import Background
from fairway.inference.explain.quantities import Quantity, measured
from fairway.inference.explain.words import Words
from fairway.messages import ArrayColumns, Columns, Outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairway.bundle.signature import Input, Signature

BLOCK_ROWS = 512
"""Rows that are asked for at once: between two blocks others have their turn, and the clock is looked at."""

BLOCK_CHARS = 2_000_000

GRACE = 4.0
"""What is the least that can be said may take so many times the budget."""


class Answers(Protocol):
    """The part of a loaded model that is asked."""

    signature: Signature

    def predict(self, columns: Columns, *, probabilities: bool = False) -> Outputs:
        """Predict every row."""


class Clock:
    """The time that an explanation has.

    Args:
        budget_s: Seconds after which nothing more is begun.
    """

    def __init__(self, budget_s: float) -> None:
        self.budget_s = budget_s
        self._started = time.perf_counter()

    @property
    def spent_s(self) -> float:
        """Seconds since it was started."""
        return time.perf_counter() - self._started

    def is_over(self) -> bool:
        """Tell whether the time is up."""
        return self.spent_s >= self.budget_s

    def check(self) -> None:
        """Raise when even the least that can be said has taken far too long.

        Raises:
            ExplanationTimeout: It has.
        """
        if self.spent_s > GRACE * self.budget_s:
            raise ExplanationTimeout(self.budget_s)


class Coalitions:
    """Gives the worth of coalitions of inputs: the mean answer where the others come from the background.

    Attributes:
        players: How many inputs there are.
        rows: How many rows of the background the row is compared with.
        asked: Rows that the model was asked for.
    """

    def __init__(
        self,
        model: Answers,
        row: Sequence[Any],
        background: Background,
        quantities: Sequence[Quantity],
        clock: Clock,
    ) -> None:
        self._model = model
        self._quantities = quantities
        self._clock = clock
        self._with_probabilities = any(quantity.place >= 0 for quantity in quantities)
        self.players = len(row)
        self.asked = 0
        self._row = row
        self._background = background
        self.compare_with(background.rows)

    def compare_with(self, rows: int) -> None:
        """Compare with so many rows of the background."""
        part = self._background.part(rows)
        self.rows = part.rows
        self._mixers = [
            _mixer(entry, value, column)
            for entry, value, column in zip(
                self._model.signature.inputs, self._row, part.columns, strict=True
            )
        ]

    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the worth of the coalition without inputs and of the one with all."""
        import numpy as np

        empty, full = self.worth(np.array([[False] * self.players, [True] * self.players]))
        return empty, full

    def worth(self, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the worth of each coalition (coalitions x quantities)."""
        import numpy as np

        step = max(1, BLOCK_ROWS // self.rows)
        found = []
        for start in range(0, len(masks), step):
            self._clock.check()
            part = masks[start : start + step]
            columns = ArrayColumns(
                self._model.signature.names, [mix(part[:, n]) for n, mix in enumerate(self._mixers)]
            )
            outputs = self._model.predict(columns, probabilities=self._with_probabilities)
            self.asked += len(columns)
            answers = measured(outputs, self._quantities)
            found.append(answers.reshape(len(part), self.rows, -1).mean(axis=1))
        return np.concatenate(found)


def _mixer(entry: Input, value: Any, others: Sequence[Any]) -> Callable[[NDArray[np.bool_]], Any]:
    """Return the function that gives an input's values for coalitions that hold it or not."""
    import numpy as np

    is_whole = value is not None and None not in others
    if entry.kind == "number" or (is_whole and entry.kind in {"integer", "boolean"}):
        kinds: dict[str, Any] = {"number": np.float64, "integer": np.int64, "boolean": np.bool_}
        kind = kinds[entry.kind]
        own, rest = np.array(value, dtype=kind), np.array(others, dtype=kind)
        return lambda holds: np.where(holds[:, None], own, rest[None, :]).ravel()
    columns = {True: [value] * len(others), False: list(others)}
    return lambda holds: [item for hold in holds.tolist() for item in columns[hold]]


class Texts:
    """Asks for the texts of a row without some of their words.

    Attributes:
        asked: Rows that the model was asked for.
        block: Samples to be asked for at once.
    """

    def __init__(self, model: Answers, words: Words, quantities: Sequence[Quantity], clock: Clock) -> None:
        self._model = model
        self._words = words
        self._quantities = quantities
        self._clock = clock
        self._with_probabilities = any(quantity.place >= 0 for quantity in quantities)
        self.asked = 0
        self.block = max(1, min(BLOCK_ROWS, BLOCK_CHARS // (words.chars + 1)) // 4)

    def answers(self, kept: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Return which samples the model answered, and these answers (samples x quantities).

        A sample that it raises an error on, as some models do on a text without a word that they know, is
        left out, unless it is the whole text.
        """
        import numpy as np

        self._clock.check()
        rows = [self._words.without(sample) for sample in kept.tolist()]
        try:
            return np.ones(len(rows), dtype=bool), self._ask(rows)
        except FairwayError:
            if kept.all():
                raise
        found, is_answered = [], np.zeros(len(rows), dtype=bool)
        for n, row in enumerate(rows):
            self._clock.check()
            try:
                found.append(self._ask([row])[0])
                is_answered[n] = True
            except FairwayError:
                continue
        return is_answered, np.array(found).reshape(len(found), len(self._quantities))

    def _ask(self, rows: list[list[Any]]) -> NDArray[np.float64]:
        columns = Columns(self._model.signature.names, rows)
        outputs = self._model.predict(columns, probabilities=self._with_probabilities)
        self.asked += len(rows)
        return measured(outputs, self._quantities)
