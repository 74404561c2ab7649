"""One model's explanations: which way is taken, how the time is divided, and what is said of the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairway.errors import ExplanationFailed, MalformedRequest, ModelFailed
from fairway.inference.explain.asking import BLOCK_ROWS, Clock, Coalitions, Texts
from fairway.inference.explain.knowledge import Knowledge
from fairway.inference.explain.lime import weigh
from fairway.inference.explain.quantities import measured, quantities_of
from fairway.inference.explain.report import Report
from fairway.inference.explain.shapley import MAX_EXACT_PLAYERS, Shares, exact_shares, sampled_shares
from fairway.inference.explain.words import TEXT_KINDS, Words
from fairway.inference.loaded import LoadedModel
from fairway.messages import Columns, ExplainWish, Outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHARE_OF_EXACT = 0.8
_LEAST_ROWS = 10
_WANTED_PAIRS = 10
_TIMINGS = 2
_LEAST_TOLERANCE = 1e-9


class Explainer:
    """Explains the predictions of one model.

    Args:
        model: The model, as it serves.
        knowledge: What was found out of it before.
    """

    def __init__(self, model: LoadedModel, knowledge: Knowledge) -> None:
        self._model = model
        self._knowledge = knowledge
        # Two right answers of a model may differ by so much: the sum of many cannot be nearer.
        self._tolerance = max(model.bundle.golden.tolerance, _LEAST_TOLERANCE)
        is_text = [entry.kind in TEXT_KINDS for entry in model.signature.inputs]
        self._has_text, self._has_others = any(is_text), not all(is_text)

    def explain(self, columns: Columns, wish: ExplainWish, *, budget_s: float) -> list[dict[str, Any]]:
        """Return one explanation per row.

        Args:
            columns: Rows that passed the signature.
            wish: What is to be explained, and how.
            budget_s: Seconds for all rows together.

        Raises:
            ExplanationFailed: The model's answers to changed rows cannot be explained.
            ExplanationTimeout: It is too slow for the least that could be said.
            MalformedRequest: The wish names no class and no output, or words where there is no text.
        """
        if wish.method == "words" and not self._has_text:
            raise MalformedRequest(
                "query_invalid", "method=words explains texts, and no input of this model is one"
            )
        outputs = self._model.predict(columns, probabilities=True)
        clock = Clock(budget_s)
        found = []
        for n in range(len(columns)):
            share = max(budget_s - clock.spent_s, 0.1 * budget_s) / (len(columns) - n)
            found.append(self._explain_row(columns, outputs, n, wish, budget_s=share))
        return found

    def _explain_row(
        self, columns: Columns, outputs: Outputs, n: int, wish: ExplainWish, *, budget_s: float
    ) -> dict[str, Any]:
        clock = Clock(budget_s)
        quantities = quantities_of(self._model.signature, outputs, n, of=wish.of)
        values = measured(outputs.part(n, n + 1), quantities)[0]
        report = Report(self._model.signature, columns.rows[n], quantities, values)
        with_words = self._has_text and wish.method != "shapley"
        try:
            if wish.method == "shapley" or (self._has_others and wish.method != "words"):
                share = Clock(budget_s / 2 if with_words else budget_s)
                self._add_inputs(report, wish, share)
            if with_words:
                self._add_words(report, wish, max(budget_s - clock.spent_s, budget_s / 2))
        except ModelFailed as error:
            raise ExplanationFailed(
                "the model raised an error on a row in which other values stand",
                hint="the server's log holds the cause under this request id",
            ) from error
        return report.document(seconds=clock.spent_s, budget_s=budget_s)

    # -- inputs ------------------------------------------------------------------------------------------

    def _add_inputs(self, report: Report, wish: ExplainWish, clock: Clock) -> None:
        if wish.method != "shapley":
            contributions = self._knowledge.contributions(Columns(self._model.signature.names, [report.row]))
            if contributions is not None and report.add_contributions(contributions):
                return
        background = self._knowledge.background()
        coalitions = Coalitions(self._model, report.row, background, report.quantities, clock)
        shares, base = self._shares(coalitions, wish.seed, clock)
        report.add_shares(
            shares,
            base,
            tolerance=self._tolerance,
            background={"rows": coalitions.rows, "source": background.source},
            asked=coalitions.asked,
        )

    @staticmethod
    def _shares(coalitions: Coalitions, seed: int, clock: Clock) -> tuple[Shares, NDArray[np.float64]]:
        """Return contributions, exact if there is time for it, and the mean answer to the background."""
        players, most = coalitions.players, coalitions.rows
        empty, full = coalitions.ends()
        affordable = _affordable_rows(coalitions, clock)
        if players <= MAX_EXACT_PLAYERS and 2**players * most <= _SHARE_OF_EXACT * affordable:
            return exact_shares(coalitions.worth, players), empty
        # A few good walks say more than one that compares with many rows.
        rows = max(_LEAST_ROWS, int(affordable / (2 * players * _WANTED_PAIRS)))
        if rows < most:
            coalitions.compare_with(rows)
            empty, full = coalitions.ends()
        shares = sampled_shares(
            coalitions.worth, players, empty=empty, full=full, seed=seed, is_over=clock.is_over
        )
        return shares, empty

    # -- words -------------------------------------------------------------------------------------------

    def _add_words(self, report: Report, wish: ExplainWish, budget_s: float) -> None:
        words = Words(self._model.signature, report.row)
        weights = None
        if words.units:
            clock = Clock(budget_s)
            texts = Texts(self._model, words, report.quantities, clock)
            weights = weigh(
                texts.answers, len(words.units), seed=wish.seed, block=texts.block, is_over=clock.is_over
            )
        report.add_words(words, weights, seed=wish.seed)


def _affordable_rows(coalitions: Coalitions, clock: Clock) -> float:
    """Return how many rows there is time to ask for, from what a few and many rows cost.

    The least of several timings counts: whoever asks for the first time, or beside others, waits for them.
    """
    most = coalitions.rows
    few_s, many_s = (min(_seconds(coalitions, rows, clock) for _ in range(_TIMINGS)) for rows in (1, most))
    coalitions.compare_with(most)
    per_row = max(many_s - few_s, 0.05 * many_s) / (2 * most)
    return max(clock.budget_s - clock.spent_s, 0.0) / (per_row + few_s / BLOCK_ROWS)


def _seconds(coalitions: Coalitions, rows: int, clock: Clock) -> float:
    """Return how long it takes to compare with so many rows, twice each; no longer than there is time."""
    if clock.is_over():
        return clock.spent_s
    coalitions.compare_with(rows)
    started = clock.spent_s
    coalitions.ends()
    return clock.spent_s - started
