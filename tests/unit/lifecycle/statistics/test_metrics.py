"""Metrics against scikit-learn, the area's variance against its definition, verdicts against their words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from fairway.lifecycle.statistics import classifying, estimating, means, ranking
from fairway.lifecycle.statistics.classifying import Answers
from fairway.lifecycle.statistics.intervals import Interval
from fairway.lifecycle.statistics.means import Means, Rows
from fairway.lifecycle.statistics.results import Difference, judge, of_function

CLASSES = ["a", "b", "c"]


def three_classes(rows: int = 400, seed: int = 0) -> tuple[Any, Answers]:
    random = np.random.default_rng(seed)
    truth = random.choice(3, size=rows, p=[0.5, 0.3, 0.2])
    scores = random.normal(size=(rows, 3)) + 1.5 * np.eye(3)[truth]
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return truth, Answers(shares.argmax(axis=1), shares)


def two_classes(rows: int = 300, seed: int = 0, signal: float = 1.5) -> tuple[Any, Answers]:
    random = np.random.default_rng(seed)
    truth = (random.random(rows) < 0.3).astype(int)
    share = 1 / (1 + np.exp(-(signal * truth - 1 + np.random.default_rng(seed + 50).normal(size=rows))))
    return truth, Answers((share > 0.5).astype(int), np.column_stack([1 - share, share]))


def test_metrics_of_many_classes_agree_with_scikit_learn() -> None:
    truth, answers = three_classes()
    found = classifying.results(truth, answers, None, classes=CLASSES)
    expected = {
        "accuracy": sk.accuracy_score(truth, answers.labels),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, answers.labels),
        "f1": sk.f1_score(truth, answers.labels, average="macro"),
        "f1:b": sk.f1_score(truth, answers.labels, average=None)[1],
        "precision:c": sk.precision_score(truth, answers.labels, average=None)[2],
        "recall:a": sk.recall_score(truth, answers.labels, average=None)[0],
        "auc": sk.roc_auc_score(truth, answers.probabilities, multi_class="ovr"),
        "log_loss": sk.log_loss(truth, answers.probabilities),
        "brier": np.mean(np.sum((answers.probabilities - np.eye(3)[truth]) ** 2, axis=1)),
    }
    assert {name: found[name].new.value for name in expected} == pytest.approx(expected)


def test_metrics_of_two_classes_agree_with_scikit_learn() -> None:
    truth, answers = two_classes()
    found = classifying.results(truth, answers, None, classes=["no", "yes"])
    assert answers.probabilities is not None
    share = answers.probabilities[:, 1]
    expected = {
        "auc": sk.roc_auc_score(truth, share),
        "log_loss": sk.log_loss(truth, share),
        "brier": sk.brier_score_loss(truth, share),
        "f1:yes": sk.f1_score(truth, answers.labels),
    }
    assert {name: found[name].new.value for name in expected} == pytest.approx(expected)


def test_metrics_of_numbers_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(1)
    truth = random.gamma(3.0, size=200) + 1
    found_values = truth + random.normal(size=200)
    found = estimating.results(truth, found_values, None, quantile=0.9)
    expected = {
        "rmse": sk.root_mean_squared_error(truth, found_values),
        "mae": sk.mean_absolute_error(truth, found_values),
        "r2": sk.r2_score(truth, found_values),
        "mape": sk.mean_absolute_percentage_error(truth, found_values),
        "pinball": sk.mean_pinball_loss(truth, found_values, alpha=0.9),
    }
    assert {name: result.new.value for name, result in found.items()} == pytest.approx(expected)


def test_every_interval_holds_its_estimate_and_every_mirror_is_mirrored() -> None:
    """What is new minus old one way is the opposite the other way, with the same p-value."""
    truth, new = two_classes(seed=1)
    _, old = two_classes(seed=1, signal=0.7)
    there = classifying.results(truth, new, old, classes=["no", "yes"])
    back = classifying.results(truth, old, new, classes=["no", "yes"])
    for name, result in there.items():
        assert result.difference is not None
        mirrored = back[name].difference
        assert mirrored is not None
        assert result.difference.value == pytest.approx(-mirrored.value)
        assert result.difference.p == pytest.approx(mirrored.p, abs=0.03)
        assert result.difference.interval.low == pytest.approx(-mirrored.interval.high, abs=0.01)
        if name != "ece":  # the interval of a biased estimate need not hold it
            assert result.new.interval.low <= result.new.value <= result.new.interval.high


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    truth, answers = two_classes()
    first, again, other = (
        classifying.results(truth, answers, None, classes=["no", "yes"], seed=seed)["log_loss"]
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first.new.interval != other.new.interval


def test_the_order_of_the_rows_does_not_matter_where_nothing_is_drawn() -> None:
    truth, answers = two_classes()
    turned = Answers(answers.labels[::-1], answers.probabilities[::-1])  # type: ignore[index]
    one = classifying.results(truth, answers, None, classes=["no", "yes"])
    other = classifying.results(truth[::-1], turned, None, classes=["no", "yes"])
    assert one["accuracy"] == other["accuracy"]
    assert one["auc"].new.interval[:2] == pytest.approx(other["auc"].new.interval[:2])
    assert one["f1"] == other["f1"]


def delong_by_definition(truth: Any, first: Any, second: Any) -> tuple[float, float, float]:
    """Return both variances and the covariance of areas, from the kernel over all pairs."""

    def kernel(scores: Any) -> Any:
        positive, negative = scores[truth == 1], scores[truth == 0]
        return (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)

    one, two = kernel(first), kernel(second)
    m, n = one.shape
    by_positive = np.cov(one.mean(axis=1), two.mean(axis=1), ddof=1)
    by_negative = np.cov(one.mean(axis=0), two.mean(axis=0), ddof=1)
    covariance = by_positive / m + by_negative / n
    return covariance[0, 0], covariance[1, 1], covariance[0, 1]


def test_the_areas_variance_is_delongs() -> None:
    """Scores with many ties, against the definition of the paper of 1988."""
    random = np.random.default_rng(2)
    truth = (random.random(90) < 0.4).astype(int)
    first = np.round(truth + random.normal(size=90), 1)
    second = np.round(0.5 * truth + random.normal(size=90))
    one, two = (ranking.area(truth == 1, scores) for scores in (first, second))
    variance, other, covariance = delong_by_definition(truth, first, second)
    assert one.standard_error**2 == pytest.approx(variance)
    assert two.standard_error**2 == pytest.approx(other)
    gap = one.contributions - two.contributions
    assert (gap**2).sum() == pytest.approx(variance + other - 2 * covariance)
    assert one.value == pytest.approx(sk.roc_auc_score(truth, first))


def test_an_area_of_a_monotone_score_is_the_same() -> None:
    truth, answers = two_classes()
    share = answers.probabilities[:, 1]  # type: ignore[index]
    assert ranking.area(truth == 1, share).value == ranking.area(truth == 1, np.log(share)).value


def test_a_perfect_ranking_is_not_taken_for_certain() -> None:
    """Eight of the rarer kind were all ranked rightly: with 95 % confidence that says 0.63 at least."""
    truth = np.repeat([0, 1], [20, 8])
    low, high, method = ranking.area_interval(ranking.area(truth == 1, truth * 1.0))
    assert (low, high, method) == (pytest.approx(0.025 ** (1 / 8)), 1.0, "exact")
    low, high, _ = ranking.area_interval(ranking.area(truth == 0, truth * 1.0))
    assert (low, high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 8)))


def test_roc_points_end_in_the_corners_and_have_the_area() -> None:
    truth, answers = two_classes()
    share = answers.probabilities[:, 1]  # type: ignore[index]
    points = ranking.roc_points(truth == 1, share, most=10_000)
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))
    x, y = np.array(points).T
    assert np.trapezoid(y, x) == pytest.approx(sk.roc_auc_score(truth, share))


def test_one_class_has_an_accuracy_and_no_area() -> None:
    truth = np.ones(50, int)
    answers = Answers(np.ones(50, int), np.tile([0.1, 0.9], (50, 1)))
    found = classifying.results(truth, answers, None, classes=["no", "yes"])
    assert "auc" not in found
    assert found["accuracy"].new.value == 1.0
    assert found["accuracy"].new.interval.low < 1.0


def test_one_row_has_no_interval_but_that_of_a_share() -> None:
    found = estimating.results(np.array([2.0]), np.array([2.5]), None)
    assert found["rmse"].new.value == 0.5
    assert math.isnan(found["rmse"].new.interval.low)
    found = classifying.results(np.array([0]), Answers(np.array([0])), None, classes=["a"])
    assert found["accuracy"].new.interval.low == pytest.approx(0.2065, abs=1e-4)


def test_no_rows_have_no_metrics() -> None:
    assert estimating.results(np.array([]), np.array([]), None) == {}
    assert classifying.results(np.array([], int), Answers(np.array([], int)), None, classes=["a"]) == {}


def test_counted_kinds_of_row_have_the_same_mean_and_jackknife_as_the_rows() -> None:
    """Kinds with numbers are the rows, written shorter."""
    values = np.array([0.0, 1.0, 4.0])
    counts = np.array([5, 3, 2])
    rows = np.repeat(values, counts)
    short, whole = Rows(3, counts), Rows(10)
    root = lambda m: np.sqrt(m[..., 0])  # noqa: E731 - the metric
    one, other = Means(values[:, None], root), Means(rows[:, None], root)
    assert means.evaluate(one, short) == means.evaluate(other, whole)
    error = means.jackknife_error(means.jackknife(one, short), short)
    assert error == pytest.approx(means.jackknife_error(means.jackknife(other, whole), whole))


def test_many_rows_take_the_jackknife_which_agrees_with_the_bootstrap(monkeypatch: Any) -> None:
    random = np.random.default_rng(3)
    truth = random.normal(size=2000)
    answers = truth + random.normal(size=2000)
    drawn = estimating.results(truth, answers, answers + 0.1)
    monkeypatch.setattr(means, "MOST_RESAMPLED", 1000)
    plain = estimating.results(truth, answers, answers + 0.1)
    assert plain["rmse"].new.interval.method == "jackknife"
    assert drawn["rmse"].new.interval.method == "bca"
    width = plain["rmse"].new.interval.high - plain["rmse"].new.interval.low
    assert plain["rmse"].new.interval.low == pytest.approx(drawn["rmse"].new.interval.low, abs=width / 10)
    assert plain["rmse"].difference is not None
    assert plain["rmse"].difference.test == "z"


def test_a_function_of_the_users_own_is_resampled() -> None:
    values = np.random.default_rng(4).normal(5.0, 1.0, size=200)
    found = of_function(
        lambda places: float(values[places].mean()),
        lambda places: float(values[places].mean() - 1),
        rows=200,
        confidence=0.95,
        seed=0,
    )
    assert found.new.interval.low < values.mean() < found.new.interval.high
    assert found.difference is not None
    assert found.difference.value == pytest.approx(1.0)


def test_perfect_probabilities_are_called_calibrated_and_false_ones_not() -> None:
    random = np.random.default_rng(6)
    share = random.random(2000)
    truth = (random.random(2000) < share).astype(int)
    right = classifying.calibration(truth, np.column_stack([1 - share, share]))
    wrong = classifying.calibration(truth, np.column_stack([1 - share**2, share**2]))
    assert right.p > 0.05
    assert wrong.p < 0.01
    assert sum(rows for rows, *_ in right.bins) == 2000
    inside = sum(low <= stated <= high for _, stated, _, low, high in right.bins)
    assert inside >= 8


@pytest.mark.parametrize(
    ("low", "high", "tolerance", "rows", "verdict"),
    [
        (0.01, 0.05, 0.0, 100, "better"),
        (-0.05, -0.01, 0.0, 100, "worse"),
        (-0.05, -0.01, 0.02, 100, "inconclusive"),
        (-0.05, -0.03, 0.02, 100, "worse"),
        (-0.01, 0.03, 0.0, 100, "inconclusive"),
        (-0.01, 0.03, 0.02, 100, "not_worse"),
        (0.0, 0.0, 0.0, 100, "not_worse"),
        (0.01, 0.05, 0.0, 29, "inconclusive"),
        (math.nan, math.nan, 0.0, 100, "inconclusive"),
    ],
)
def test_a_verdict_is_what_the_interval_says(
    low: float, high: float, tolerance: float, rows: int, verdict: str
) -> None:
    found = Difference((low + high) / 2, Interval(low, high, "x"), 0.01, 0.5, "x")
    mirrored = Difference(-(low + high) / 2, Interval(-high, -low, "x"), 0.01, 0.5, "x")
    assert judge(found, higher_is_better=True, tolerance=tolerance, rows=rows) == verdict
    assert judge(mirrored, higher_is_better=False, tolerance=tolerance, rows=rows) == verdict
