"""The proof that a compiled model answers as the original does; without it nothing compiled serves.

Labels must be identical, numbers agree within a tolerance that the report states, rows that the original
refuses must be refused, and a row's bits must not depend on the rows beside it.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import time
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from fairway.bundle.golden import is_close
from fairway.flavors.base import Predictor
from fairway.messages import Columns, Outputs, Row

TOLERANCES = {"float64": 1e-9, "float32": 1e-5}
"""Largest difference of a number, relative to the larger of 1 and its size, by the original's precision."""

STABLE_ROWS = 48
_BLOCK = 500
_REPEATS, _LEAST_S, _MAX_CALLS = 5, 0.02, 2000

Verdict = Literal["equal", "different"]


@dataclasses.dataclass
class Proof:
    """What a comparison found.

    Attributes:
        tolerance: Largest allowed difference.
        rows: Number of rows tried in each group.
        refused: Number of rows that both refused.
        worst: Largest difference of a number, relative to the larger of 1 and its size.
        worst_row: The row with it, what the original said and what the compiled model said.
        fault: Why the compiled model must not serve, in one sentence; empty if it may.
    """

    tolerance: float
    rows: dict[str, int] = dataclasses.field(default_factory=dict)
    refused: int = 0
    worst: float = 0.0
    worst_row: dict[str, Any] | None = None
    fault: str = ""

    @property
    def verdict(self) -> Verdict:
        """`equal` or `different`."""
        return "different" if self.fault else "equal"

    def to_dict(self) -> dict[str, Any]:
        """Return the proof as plain data."""
        return {
            "verdict": self.verdict,
            "fault": self.fault,
            "tolerance": self.tolerance,
            "rows": dict(self.rows),
            "rows_total": sum(self.rows.values()),
            "refused": self.refused,
            "worst_difference": self.worst,
            "worst_row": self.worst_row,
        }


@dataclasses.dataclass(frozen=True)
class _Answer:
    """What a predictor answered to one row; an error's name if it refused the row."""

    values: tuple[Any, ...]
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Group:
    """Rows of one kind with the answers of the original."""

    name: str
    rows: list[Row]
    answers: list[_Answer]


def ask_original(
    native: Predictor, names: Sequence[str], groups: Iterable[tuple[str, list[Row]]]
) -> list[Group]:
    """Return groups of rows with what the original answers, to be compared with any number of others."""
    return [Group(name, rows, _in_blocks(native, names, rows)) for name, rows in groups]


def prove_equal(
    compiled: Predictor, names: Sequence[str], groups: Sequence[Group], *, tolerance: float
) -> Proof:
    """Compare a predictor with the original; stops at the first row that rules it out.

    Args:
        compiled: What shall serve in the original's place.
        names: Input names.
        groups: Rows with the original's answers.
        tolerance: Largest difference of a number, relative to the larger of 1 and its size.
    """
    proof = Proof(tolerance)
    tried: list[Row] = []
    for group in groups:
        proof.rows[group.name] = len(group.rows)
        actual = _in_blocks(compiled, names, group.rows)
        for row, want, got in zip(group.rows, group.answers, actual, strict=True):
            _compare(proof, group.name, dict(zip(names, row, strict=True)), want, got)
            if proof.fault:
                return proof
        tried.extend(group.rows[:: max(1, len(group.rows) // STABLE_ROWS)][:STABLE_ROWS])
    proof.fault = unstable_rows(compiled, names, tried)
    return proof


def _in_blocks(predictor: Predictor, names: Sequence[str], rows: Sequence[Row]) -> list[_Answer]:
    blocks = (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))
    return [answer for block in blocks for answer in _answers(predictor, names, block)]


def _compare(proof: Proof, group: str, record: dict[str, Any], want: _Answer, got: _Answer) -> None:
    if want.error or got.error:
        proof.refused += bool(want.error and got.error)
        if bool(want.error) != bool(got.error):
            who, other, error = ("original", "compiled model", want.error)
            if got.error:
                who, other, error = other, who, got.error
            proof.fault = f"the {who} refuses a row of the group {group!r} ({error}) that the {other} answers"
            _keep(proof, math.inf, group, record, want, got)
        return
    for expected, actual in zip(want.values, got.values, strict=True):
        if isinstance(expected, float):
            difference = _difference(expected, actual)
            if difference > proof.worst:
                _keep(proof, difference, group, record, want, got)
            if not is_close(expected, actual, proof.tolerance):
                proof.fault = (
                    f"a number differs by {difference:.3g} in a row of the group {group!r}, "
                    f"which is more than {proof.tolerance:g}"
                )
                return
        elif expected != actual or type(expected) is not type(actual):
            proof.fault = (
                f"a label differs in a row of the group {group!r}: {actual!r} instead of {expected!r}"
            )
            _keep(proof, proof.worst, group, record, want, got)
            return


def _keep(
    proof: Proof, difference: float, group: str, record: dict[str, Any], want: _Answer, got: _Answer
) -> None:
    proof.worst = difference
    proof.worst_row = {
        "group": group,
        "row": {name: _plain(value) for name, value in record.items()},
        "original": want.error or list(map(_plain, want.values)),
        "compiled": got.error or list(map(_plain, got.values)),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def _difference(expected: float, actual: Any) -> float:
    if not isinstance(actual, float):
        return math.inf
    if expected == actual or (math.isnan(expected) and math.isnan(actual)):
        return 0.0
    difference = abs(expected - actual) / max(1.0, abs(expected))
    return math.inf if math.isnan(difference) else difference


def _answers(predictor: Predictor, names: Sequence[str], rows: Sequence[Row]) -> list[_Answer]:
    """Return the answer to each row; a failing call is tried in halves until the guilty rows are alone."""
    if not rows:
        return []
    try:
        outputs = call(predictor, Columns(names, list(rows)))
    except Exception as error:  # noqa: BLE001 - whatever a foreign model raises is its answer
        if len(rows) == 1:
            return [_Answer((), type(error).__name__)]
        half = len(rows) // 2
        return [*_answers(predictor, names, rows[:half]), *_answers(predictor, names, rows[half:])]
    return _rows_of(outputs)


def call(predictor: Predictor, columns: Columns) -> Outputs:
    """Predict with probabilities; overflows on extreme rows are answers, not news."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return predictor.predict(columns, probabilities=True)


def _rows_of(outputs: Outputs) -> list[_Answer]:
    labels = list(zip(*outputs.values.values(), strict=True))
    if outputs.probabilities is None:
        return [_Answer(values) for values in labels]
    return [_Answer((*v, *p)) for v, p in zip(labels, outputs.probabilities, strict=True)]


def unstable_rows(predictor: Predictor, names: Sequence[str], rows: Sequence[Row]) -> str:
    """Return a sentence if a row's bits depend on the rows beside it, else the empty string."""
    together = _answers(predictor, names, rows)
    backwards = _answers(predictor, names, rows[::-1])[::-1]
    alone = [_answers(predictor, names, [row])[0] for row in rows]
    for number, answers in enumerate(zip(alone, together, backwards, strict=True)):
        if len({_bits(answer) for answer in answers}) > 1:
            return f"the answer to row {number} depends on the rows beside it"
    return ""


def _bits(answer: _Answer) -> str:
    return repr((answer.values, bool(answer.error)))


def seconds_per_call(predictor: Predictor, columns: Columns) -> float:
    """Return the time of one call: the best of five short runs."""
    calls, spent = 1, 0.0
    while spent < _LEAST_S / 4 and calls < _MAX_CALLS:
        calls *= 2
        spent = _run(predictor, columns, calls)
    return min([spent, *(_run(predictor, columns, calls) for _ in range(_REPEATS - 1))]) / calls


def _run(predictor: Predictor, columns: Columns, calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        predictor.predict(columns, probabilities=False)
    return time.perf_counter() - started
