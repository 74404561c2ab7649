"""Whether a version passes: each rule of a gate against what a check found.

A rule is passed, failed, or inconclusive where the data does not tell; only passed rules let a version
through. Two rules hold for every check: the data fits the signature, and the golden examples are answered.
"""

from __future__ import annotations

from collections.abc import Iterator

from fairway.gates import GateRules, Limit, split_metric
from fairway.lifecycle.reporting.document import CheckReport, Comparison, Metric, Rule, RuleVerdict
from fairway.lifecycle.statistics.results import FEWEST_ROWS


def judge_rules(report: CheckReport, rules: GateRules, *, compare: list[tuple[str, str]]) -> list[Rule]:
    """Return every rule with its verdict, those that are not kept first.

    Args:
        report: What was found; its own rules are not looked at.
        rules: What is asked for.
        compare: Output and metric of the comparisons that count for `not_worse_than`.
    """
    found = [*_always(report, rules), *_limits(report, rules), *_versus(report, rules, compare)]
    found += [*_costs(report, rules), *_others(report, rules)]
    order = {"failed": 0, "inconclusive": 1, "passed": 2}
    return sorted(found, key=lambda rule: order[rule.verdict])


def _always(report: CheckReport, rules: GateRules) -> Iterator[Rule]:
    verdict: RuleVerdict = "failed" if report.golden else "passed"
    reason = report.golden[0] if report.golden else "every golden example is answered as it was recorded"
    yield Rule(name="golden", wanted="answered as recorded", verdict=verdict, reason=reason)
    schema = report.schema
    wanted = f"the data fits the signature; at most {_percent(rules.max_refused)} of the rows are refused"
    if schema.missing:
        listed = ", ".join(schema.missing[:5]) + (", ..." if len(schema.missing) > 5 else "")
        reason = f"the data lacks {_number_of(len(schema.missing), 'input')} of the model: {listed}"
    elif schema.failed:
        reason = f"the model fails on {_number_of(schema.failed, 'row')} of {report.data.rows:,}"
    elif not schema.passed:
        reason = f"the model refuses {_number_of(schema.refused, 'row')} of {report.data.rows:,}"
    else:
        reason = f"{schema.refused:,} of {report.data.rows:,} rows are refused"
    yield Rule(name="schema", wanted=wanted, verdict="passed" if schema.passed else "failed", reason=reason)


def _limits(report: CheckReport, rules: GateRules) -> Iterator[Rule]:
    outputs = [labels.output for labels in report.labels]
    for key, limit in rules.limits.items():
        output, name, label = split_metric(key)
        wanted = f"{name}:{label}" if label else name
        place = output or (outputs[0] if outputs else "")
        found = next((m for m in report.metrics if (m.output, m.name) == (place, wanted)), None)
        verdict, reason = _judge_limit(found, limit, rules, wanted, report)
        yield Rule(name=key, wanted=str(limit), verdict=verdict, reason=reason)


def _judge_limit(
    found: Metric | None, limit: Limit, rules: GateRules, name: str, report: CheckReport
) -> tuple[RuleVerdict, str]:
    if found is None or found.value is None:
        if name in rules.metric:
            return "inconclusive", f"{name} is a function of yours, which is computed where it is: check here"
        why = (
            "there is no answer with a truth" if not report.metrics else "this data and model do not have it"
        )
        return "inconclusive", f"{name} could not be computed: {why}"
    shown = f"{name} is {found.value:.4g}"
    if found.low is None or found.high is None:
        return "inconclusive", f"{shown}, but {_number_of(found.rows, 'row')} tell nothing of its interval"
    span = f"{shown}, {_percent(rules.confidence)} interval {found.low:.4g} to {found.high:.4g}"
    ends = (limit.holds(found.low), limit.holds(found.high))
    if all(ends) and limit.holds(found.value):
        return "passed", f"{span}, which is {limit}"
    if not any(ends) and not limit.holds(found.value):
        return "failed", f"{span}, which is not {limit}"
    if found.rows < FEWEST_ROWS:
        return "inconclusive", f"{span}: {_number_of(found.rows, 'row')} do not tell whether it is {limit}"
    if rules.confident:
        return "inconclusive", f"{span}, which is not {limit} as a whole"
    if limit.holds(found.value):
        return "passed", f"{span}; the estimate is {limit}"
    return "failed", f"{span}; the estimate is not {limit}"


def _versus(report: CheckReport, rules: GateRules, compare: list[tuple[str, str]]) -> Iterator[Rule]:
    if not rules.not_worse_than:
        return
    wanted = rules.not_worse_than
    if rules.tolerance.value:
        wanted += f", within {rules.tolerance}"
    against = report.against
    if against is None:
        reason = f"there is no {rules.not_worse_than} yet that it could be worse than"
        yield Rule(name="not_worse_than", wanted=wanted, verdict="passed", reason=reason)
        return
    found = [one for one in report.comparisons if (one.output, one.name) in compare]
    if not found:
        reason = f"no metric could be compared with {against.reference}"
        yield Rule(name="not_worse_than", wanted=wanted, verdict="inconclusive", reason=reason)
    for one in found:
        verdict, reason = _judge_comparison(one, against.reference, rules)
        yield Rule(name=f"not_worse_than ({one.name})", wanted=wanted, verdict=verdict, reason=reason)


def _judge_comparison(one: Comparison, reference: str, rules: GateRules) -> tuple[RuleVerdict, str]:
    if one.difference is None or one.low is None or one.high is None:
        return "inconclusive", f"{one.name} could not be compared with {reference}"
    span = (
        f"{one.name} is {one.new:.4g} beside {one.old:.4g} of {reference}, "
        f"difference {one.difference:+.4g} ({one.low:+.4g} to {one.high:+.4g})"
    )
    if one.verdict == "better":
        return "passed", f"{span}: better"
    if one.verdict == "not_worse":
        return "passed", f"{span}: not worse"
    if one.verdict == "worse":
        return "failed", f"{span}: worse"
    if one.rows < FEWEST_ROWS:
        return "inconclusive", f"{span}: {_number_of(one.rows, 'row')} do not tell"
    seen = f"; so much data shows a difference of {one.detectable:.2g}" if one.detectable else ""
    if rules.confident:
        return "inconclusive", f"{span}: it is not shown to be no worse{seen}"
    return "passed", f"{span}: not shown to be worse{seen}"


def _costs(report: CheckReport, rules: GateRules) -> Iterator[Rule]:
    p99 = None if report.latency is None else report.latency.p99_ms
    costs = (
        ("max_latency_ms", rules.max_latency_ms, p99, "ms per call (p99)"),
        ("max_memory_mb", rules.max_memory_mb, report.memory_mb, "MB"),
    )
    for name, limit, found, unit in costs:
        if limit is None:
            continue
        wanted = f"<= {limit:g} {unit}"
        if found is None:
            yield Rule(name=name, wanted=wanted, verdict="inconclusive", reason="it could not be measured")
            continue
        verdict: RuleVerdict = "passed" if found <= limit else "failed"
        yield Rule(name=name, wanted=wanted, verdict=verdict, reason=f"{found:.4g} {unit} were measured")


def _others(report: CheckReport, rules: GateRules) -> Iterator[Rule]:
    if rules.min_rows:
        rows = report.labels[0].rows if report.labels else 0
        verdict: RuleVerdict = "passed" if rows >= rules.min_rows else "failed"
        reason = f"{_number_of(rows, 'row')} have a truth and an answer"
        yield Rule(name="min_rows", wanted=f">= {rules.min_rows}", verdict=verdict, reason=reason)
    if rules.segments and report.against is not None:
        yield _segments(report)
    if rules.compatible:
        yield _compatible(report)


def _segments(report: CheckReport) -> Rule:
    worse = [one for one in report.segments if one.verdict == "worse" and one.beside == "against"]
    wanted = "no segment is worse than before"
    if not worse:
        return Rule(
            name="segments", wanted=wanted, verdict="passed", reason="no segment is shown to be worse"
        )
    listed = "; ".join(f"{one.column} = {one.value} ({one.name} {one.difference:+.3g})" for one in worse[:3])
    more = f" and {len(worse) - 3} more" if len(worse) > 3 else ""
    return Rule(name="segments", wanted=wanted, verdict="failed", reason=f"worse in {listed}{more}")


def _compatible(report: CheckReport) -> Rule:
    wanted = "no client breaks"
    if report.compatibility is None:
        reason = "there is no version before it whose clients could break"
        return Rule(name="compatible", wanted=wanted, verdict="passed", reason=reason)
    verdict: RuleVerdict = "failed" if report.compatibility["breaks"] else "passed"
    return Rule(
        name="compatible", wanted=wanted, verdict=verdict, reason=str(report.compatibility["verdict"])
    )


def _number_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
