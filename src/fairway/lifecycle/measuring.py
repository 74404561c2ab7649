"""From truth and answers to the parts of a report: metrics, comparisons, segments, calibration, curves."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.errors import UsageError
from fairway.gates import HIGHER_IS_BETTER, GateRules, split_metric
from fairway.lifecycle.labels import Truth
from fairway.lifecycle.reporting.document import (
    Bin,
    Calibration,
    Comparison,
    Curve,
    Metric,
    Segment,
)
from fairway.lifecycle.statistics import classifying, estimating, ranking
from fairway.lifecycle.statistics.distributions import normal_p
from fairway.lifecycle.statistics.intervals import Interval, benjamini_hochberg, critical
from fairway.lifecycle.statistics.power import detectable
from fairway.lifecycle.statistics.results import (
    Difference,
    Estimate,
    Result,
    Verdict,
    judge,
    of_function,
)

Array = NDArray[Any]
Function = Callable[..., Any]

FEWEST_IN_SEGMENT = 50
MOST_SEGMENTS = 20
_MOST_POINTS = 400
_FALSE_DISCOVERIES = 0.05


@dataclasses.dataclass(frozen=True)
class Scored:
    """One output on the rows that have truth and an answer of every model.

    Attributes:
        truth: The truth, over all rows of the table.
        rows: Numbers of the rows, in the table.
        actual: The truth of these rows.
        new: What the version answered.
        old: What the other answered; None without one.
        new_shares: Probabilities, one column per class; None where there are none.
        old_shares: The same of the other.
        functions: Metric functions of the user's own.
        rules: Quantile, confidence, directions.
        seed: Which resamples are drawn.
    """

    truth: Truth
    rows: Array
    actual: Array
    new: Array
    old: Array | None
    new_shares: Array | None
    old_shares: Array | None
    functions: Mapping[str, Function]
    rules: GateRules
    seed: int

    def part(self, mask: Array) -> Scored:
        """Return some of the rows."""
        cut = [None if a is None else a[mask] for a in (self.old, self.new_shares, self.old_shares)]
        return dataclasses.replace(
            self,
            rows=self.rows[mask],
            actual=self.actual[mask],
            new=self.new[mask],
            old=cut[0],
            new_shares=cut[1],
            old_shares=cut[2],
        )


def results_of(scored: Scored, only: Callable[[str], bool] = lambda _: True) -> dict[str, Result]:
    """Return the results of every metric that is wanted."""
    confidence = scored.rules.confidence
    if scored.truth.is_class:
        found = _of_classes(scored, only)
    else:
        found = estimating.results(
            scored.actual,
            scored.new,
            scored.old,
            quantile=scored.rules.quantile or 0.5,
            confidence=confidence,
            seed=scored.seed,
            only=lambda key: only(key) and (key != "pinball" or _wants_pinball(scored.rules)),
        )
    for name, function in scored.functions.items():
        if only(name) and len(scored.actual):
            new = _own(name, function, scored, scored.new, scored.new_shares)
            old = None if scored.old is None else _own(name, function, scored, scored.old, scored.old_shares)
            found[name] = of_function(
                new, old, rows=len(scored.actual), confidence=confidence, seed=scored.seed
            )
    return found


def _wants_pinball(rules: GateRules) -> bool:
    """Tell whether anybody asks for the quantile loss; of a median it is half the mean absolute error."""
    return rules.quantile is not None or "pinball" in {
        split_metric(k)[1] for k in (*rules.limits, *rules.compare)
    }


def _of_classes(scored: Scored, only: Callable[[str], bool]) -> dict[str, Result]:
    truth = scored.actual.astype(np.int64)
    new = classifying.Answers(scored.new.astype(np.int64), scored.new_shares)
    old = None
    if scored.old is not None:
        old = classifying.Answers(scored.old.astype(np.int64), scored.old_shares)
    known = truth < scored.truth.n_known
    options: dict[str, Any] = {
        "classes": scored.truth.classes,
        "confidence": scored.rules.confidence,
        "seed": scored.seed,
    }
    if new.probabilities is None or known.all():
        return classifying.results(truth, new, old, only=only, **options)
    # A label that no model knows has no probability to be judged by; its rows count as wrong answers.
    bare_old = None if old is None else classifying.Answers(old.labels)
    found = classifying.results(truth, classifying.Answers(new.labels), bare_old, only=only, **options)
    part_old = None if old is None else old.part(known)
    judged = classifying.results(
        truth[known],
        new.part(known),
        part_old,
        only=lambda key: key in _OF_PROBABILITIES and only(key),
        **options,
    )
    return found | judged


_OF_PROBABILITIES = frozenset({"auc", "log_loss", "brier", "ece"})


def _own(
    name: str, function: Function, scored: Scored, answers: Array, shares: Array | None
) -> Callable[[Array], float]:
    """Return a function of the user as one of the places of rows."""
    truth = scored.truth
    actual, given = scored.actual, answers
    if truth.is_class:
        names = np.array(truth.classes)
        actual, given = names[actual.astype(np.int64)], names[given.astype(np.int64)]
    takes_shares = "probabilities" in _parameters(function)

    def measure(places: Array) -> float:
        more = {"probabilities": None if shares is None else shares[places]} if takes_shares else {}
        try:
            value = float(function(actual[places], given[places], **more))
        except Exception as cause:
            raise UsageError(
                f"the metric function {name!r} failed: {type(cause).__name__}: {cause}",
                hint="it is called with the truth and the answers as arrays, and has to return a number",
            ) from cause
        return value

    return measure


def _parameters(function: Function) -> Sequence[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def is_higher_better(name: str, rules: GateRules) -> bool | None:
    """Tell which way a metric is to go; a function of the user's own goes the way of its bound."""
    if split_metric(name)[1] in HIGHER_IS_BETTER:
        return True
    if name in rules.metric:
        limit = next((bound for key, bound in rules.limits.items() if split_metric(key)[1] == name), None)
        return None if limit is None else limit.wants_more
    return False


def metrics_of(scored: Scored, results: Mapping[str, Result]) -> tuple[list[Metric], list[Metric]]:
    """Return the metrics of the version and of the other."""
    names = list(results)
    output = scored.truth.output.name
    mine = [_metric(output, name, results[name].new, scored) for name in names]
    olds = [(name, results[name].old) for name in names]
    other = [_metric(output, name, old, scored) for name, old in olds if old is not None]
    return mine, other


def _metric(output: str, name: str, estimate: Estimate, scored: Scored) -> Metric:
    return Metric(
        output=output,
        name=name,
        value=finite(estimate.value),
        low=finite(estimate.interval.low),
        high=finite(estimate.interval.high),
        method=estimate.interval.method,
        rows=len(scored.actual),
        higher_is_better=is_higher_better(name, scored.rules),
    )


def comparisons_of(scored: Scored, results: Mapping[str, Result]) -> list[Comparison]:
    """Return every metric of both versions, compared on the same rows."""
    return [
        _comparison(scored, name, result, result.old, result.difference)
        for name, result in results.items()
        if result.old is not None and result.difference is not None
    ]


def _comparison(
    scored: Scored, name: str, result: Result, old: Estimate, difference: Difference
) -> Comparison:
    rules = scored.rules
    tolerance = rules.tolerance.of(old.value)
    return Comparison(
        output=scored.truth.output.name,
        name=name,
        new=finite(result.new.value),
        old=finite(old.value),
        difference=finite(difference.value),
        low=finite(difference.interval.low),
        high=finite(difference.interval.high),
        method=difference.interval.method,
        p=finite(difference.p),
        test=difference.test,
        tolerance=tolerance if math.isfinite(tolerance) else 0.0,
        verdict=_verdict(name, difference, rules, rows=len(scored.actual), tolerance=tolerance),
        detectable=finite(detectable(difference.error, confidence=rules.confidence)),
        rows=len(scored.actual),
    )


def _verdict(name: str, difference: Difference, rules: GateRules, *, rows: int, tolerance: float) -> Verdict:
    higher = is_higher_better(name, rules)
    if higher is None:
        return "inconclusive"
    return judge(difference, higher_is_better=higher, tolerance=tolerance, rows=rows)


def primary_of(scored: Scored) -> list[str]:
    """Return the metrics that decide about an output: those of the rules, else the task's own."""
    output = scored.truth.output.name
    wanted = scored.rules.compare or tuple(scored.rules.limits)
    named = [key for key in wanted if split_metric(key)[0] in {"", output}]
    names = [key.removeprefix(f"{output}.") for key in named]
    if names:
        return list(dict.fromkeys(names))
    if not scored.truth.is_class:
        return ["rmse"]
    has_shares = scored.new_shares is not None and (scored.old is None or scored.old_shares is not None)
    return ["log_loss" if has_shares else "accuracy"]


# -- segments ------------------------------------------------------------------------------------------------


def segments_of(scored: Scored, column: str, values: Sequence[Any]) -> list[Segment]:
    """Return the deciding metrics for each part of the rows that a column makes.

    Beside the other version they are compared on the same rows, else with all other rows. The p-values are
    adjusted later, over all segments of a report: see `adjusted`.
    """
    wanted = primary_of(scored)
    found = []
    for value, mask in parts_of([values[row] for row in scored.rows]):
        part = scored.part(mask)
        results = results_of(part, wanted.__contains__)
        rest = results_of(scored.part(~mask), wanted.__contains__) if scored.old is None else {}
        found += [
            _segment(part, column, value, name, results[name], rest.get(name))
            for name in wanted
            if name in results
        ]
    return found


def _segment(
    part: Scored, column: str, value: str, name: str, result: Result, rest: Result | None
) -> Segment:
    difference, other = result.difference, result.old
    if difference is None and rest is not None:
        other = rest.new
        difference = _independent(result.new, rest.new, part.rules.confidence)
    rows, verdict = len(part.actual), "inconclusive"
    if difference is not None and other is not None and rows >= FEWEST_IN_SEGMENT:
        verdict = _verdict(
            name, difference, part.rules, rows=rows, tolerance=part.rules.tolerance.of(other.value)
        )
    interval = result.new.interval
    return Segment(
        column=column,
        value=value,
        output=part.truth.output.name,
        name=name,
        rows=rows,
        metric=finite(result.new.value),
        low=finite(interval.low),
        high=finite(interval.high),
        beside="rest" if result.old is None else "against",
        other=None if other is None else finite(other.value),
        difference=None if difference is None else finite(difference.value),
        difference_low=None if difference is None else finite(difference.interval.low),
        difference_high=None if difference is None else finite(difference.interval.high),
        p=None if difference is None or rows < FEWEST_IN_SEGMENT else finite(difference.p),
        verdict=verdict,  # type: ignore[arg-type]  # one of the four
    )


def _independent(one: Estimate, other: Estimate, confidence: float) -> Difference:
    change, error = one.value - other.value, math.hypot(one.error, other.error)
    reach = critical(confidence) * error
    p = normal_p(change / error) if error > 0 else 1.0
    return Difference(change, Interval(change - reach, change + reach, "normal"), error, p, "z")


def adjusted(segments: Sequence[Segment]) -> list[Segment]:
    """Return segments whose p-values count how many there are; what is left as chance is inconclusive."""
    places = [n for n, segment in enumerate(segments) if segment.p is not None]
    p_values = dict(zip(places, benjamini_hochberg([segments[n].p or 0.0 for n in places]), strict=True))
    found = []
    for n, segment in enumerate(segments):
        p = p_values.get(n)
        told = segment.verdict
        if told in {"better", "worse"} and (p is None or p >= _FALSE_DISCOVERIES):
            told = "inconclusive"
        found.append(dataclasses.replace(segment, p=p, verdict=told))
    return found


def parts_of(values: Sequence[Any]) -> Iterator[tuple[str, Array]]:
    """Yield name and rows of each part: quarters of many numbers, else each value, the rare ones together."""
    present = [value for value in values if value is not None]
    is_number = bool(present) and all(type(value) in {int, float} for value in present)
    if is_number and len(set(present)) > MOST_SEGMENTS:
        yield from _quarters(values, present)
        return
    names = np.array(["missing" if value is None else _text(value) for value in values], dtype=object)
    counted = Counter(names.tolist())
    shown = [name for name, _ in counted.most_common(MOST_SEGMENTS - (len(counted) > MOST_SEGMENTS))]
    for name in shown:
        yield name, names == name
    if len(counted) > len(shown):
        rest = np.array([name not in set(shown) for name in names])
        yield f"{len(counted) - len(shown)} others", rest


def _quarters(values: Sequence[Any], present: Sequence[float]) -> Iterator[tuple[str, Array]]:
    numbers = np.array([math.nan if value is None else float(value) for value in values])
    edges = np.unique(np.quantile(np.array(present, float), [0, 0.25, 0.5, 0.75, 1]))
    for low, high in itertools.pairwise(edges):
        is_last = high == edges[-1]
        mask = (numbers >= low) & ((numbers <= high) if is_last else (numbers < high))
        yield f"{low:g} to {high:g}" if is_last else f"{low:g} to below {high:g}", mask
    if np.isnan(numbers).any():
        yield "missing", np.isnan(numbers)


def _text(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


# -- plots ---------------------------------------------------------------------------------------------------


def calibration_of(scored: Scored) -> Calibration | None:
    """Return the reliability of the probabilities, or None where there are none to judge."""
    if scored.new_shares is None:
        return None
    usable = (scored.actual < scored.truth.n_known) & np.isfinite(scored.new_shares).all(axis=1)
    if not usable.any():
        return None
    actual, shares = scored.actual[usable].astype(np.int64), scored.new_shares[usable]
    found = classifying.calibration(actual, shares, confidence=scored.rules.confidence, seed=scored.seed)
    ece = sum(rows * abs(stated - happened) for rows, stated, happened, _, _ in found.bins) / len(actual)
    bins = [Bin(rows=r, stated=s, happened=h, low=low, high=high) for r, s, h, low, high in found.bins]
    return Calibration(
        output=scored.truth.output.name,
        of=scored.truth.classes[1] if shares.shape[1] == 2 else "",
        bins=bins,
        ece=finite(ece),
        if_calibrated=found.if_calibrated,
        p=found.p,
    )


def curve_of(scored: Scored) -> Curve | None:
    """Return the points of a plot: the ROC curve of a class, or answers against truth."""
    output = scored.truth.output.name
    if not scored.truth.is_class:
        chosen = np.random.default_rng([scored.seed, 4]).permutation(len(scored.actual))[:_MOST_POINTS]
        points = list(zip(scored.actual[chosen].tolist(), scored.new[chosen].tolist(), strict=True))
        return Curve(output=output, kind="answers", of="", points=points)
    if scored.new_shares is None:
        return None
    usable = np.isfinite(scored.new_shares).all(axis=1)
    if scored.old_shares is not None:
        usable &= np.isfinite(scored.old_shares).all(axis=1)
    part = scored.part(usable & (scored.actual < scored.truth.n_known))
    if part.new_shares is None or len(np.unique(part.actual)) < 2:
        return None
    label = 1 if part.new_shares.shape[1] == 2 else int(Counter(part.actual.tolist()).most_common(1)[0][0])
    is_positive = part.actual == label
    if is_positive.all() or not is_positive.any():
        return None
    against = [] if part.old_shares is None else ranking.roc_points(is_positive, part.old_shares[:, label])
    points = ranking.roc_points(is_positive, part.new_shares[:, label])
    return Curve(output=output, kind="roc", of=part.truth.classes[label], points=points, against=against)


def finite(value: float) -> float | None:
    """Return a number as JSON can hold it."""
    return float(value) if math.isfinite(value) else None
