"""What a call should take, and which models answer a row alone as among others."""

from __future__ import annotations

import random

import pytest

from fairway.inference.cost import TRIED_ROWS, Cost, is_row_stable, measure
from fairway.messages import Columns, Outputs

EXAMPLES = Columns(("a",), [[0.1 * n] for n in range(10)])


def test_a_call_costs_so_much_and_so_much_a_row() -> None:
    """And says how many rows fit into a time."""
    cost = Cost(0.002, 0.001)
    assert cost.of(3) == pytest.approx(0.005)
    assert cost.rows_within(0.0121, most=1024) == 10
    assert cost.rows_within(10.0, most=1024) == 1024
    assert cost.rows_within(0.001, most=1024) == -1
    assert Cost(0.002).rows_within(0.01, most=7) == 7


def test_a_slow_call_is_believed_at_once_and_fast_ones_only_in_time() -> None:
    """A model that is slow on some values is not taken for a fast one after the next other value."""
    cost = Cost(0.001)
    cost.learn(1, 1.0)
    assert cost.of(1) == pytest.approx(1.0)
    cost.learn(1, 0.001)
    assert cost.of(1) > 0.9
    for _ in range(2000):
        cost.learn(1, 0.001)
    assert cost.of(1) < 0.0011
    cost.learn(1, 0.0001)
    assert cost.of(1) >= 0.001  # faster than measured says nothing of the next call


def test_what_was_never_measured_is_taken_for_fast_until_it_is_not() -> None:
    """And for fast again when it was for long enough."""
    cost = Cost()
    assert cost.of(10) < 0.001
    cost.learn(10, 0.25)
    assert cost.of(10) == pytest.approx(0.25)
    for _ in range(2000):
        cost.learn(10, 0.00001)
    assert cost.of(10) < 0.001


def test_measuring_asks_the_model_for_one_row_and_for_all() -> None:
    """Nothing is known of a model without examples."""
    asked: list[int] = []

    def predict(columns: Columns, probabilities: bool) -> Outputs:
        assert not probabilities
        asked.append(len(columns))
        return Outputs({"y": [0.0] * len(columns)})

    cost = measure(predict, EXAMPLES)
    assert set(asked) == {1, 10}
    assert cost.of(1) > 0
    assert measure(predict, Columns(("a",), [])).of(5) == Cost().of(5)


def answer(columns: Columns, probabilities: bool) -> Outputs:
    """Answer each row by itself."""
    values = [row[0] / 3 for row in columns.rows]
    return Outputs({"y": values}, [[v, 1 - v] for v in values] if probabilities else None)


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_model_that_answers_each_row_by_itself_is_stable(probabilities: bool) -> None:
    """To the last bit, at every size that is tried."""
    sizes: list[int] = []

    def predict(columns: Columns, probabilities: bool) -> Outputs:
        sizes.append(len(columns))
        return answer(columns, probabilities)

    assert is_row_stable(predict, EXAMPLES, probabilities=probabilities)
    assert set(sizes) == {1, *TRIED_ROWS}


@pytest.mark.parametrize("change", ["last bit", "sign of zero", "probability", "random", "size"])
def test_a_difference_in_one_bit_is_seen(change: str) -> None:
    """Wherever it is, and whatever it comes from."""
    rng = random.Random(0)  # noqa: S311 - nothing secret

    def predict(columns: Columns, probabilities: bool) -> Outputs:
        outputs = answer(columns, probabilities)
        if change == "random":
            outputs.values["y"][0] = rng.random()
        elif len(columns) > (32 if change == "size" else 1):
            values = outputs.values["y"]
            if change == "sign of zero":
                outputs.values["y"] = [value or -0.0 for value in values]
            elif change == "probability":
                assert outputs.probabilities is not None
                outputs.probabilities[-1][0] += 2**-50
            else:
                values[-1] += 2**-50
        return outputs

    assert not is_row_stable(predict, EXAMPLES, probabilities=True)


def test_one_example_shows_nothing() -> None:
    """It has no other beside it."""
    assert not is_row_stable(answer, EXAMPLES.part(0, 1), probabilities=False)
