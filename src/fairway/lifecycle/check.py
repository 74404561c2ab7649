"""The check of a version: proven on unseen data, judged by its gate, and kept with it.

The version and the one that it is compared with answer the same rows through the validator and predictor that
serve. What came of it is a report; it is attached to the version, and an event of the registry names it, so
that nobody can pass off a report that this registry did not make.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fairway.bundle.attachment import build_attachment
from fairway.bundle.bundle import Bundle
from fairway.bundle.manifest import TARGET
from fairway.bundle.names import parse_reference
from fairway.bundle.tables import Table
from fairway.bundle.validation import Validator
from fairway.errors import (
    AliasNotFound,
    BundleError,
    PackedModelDiffers,
    UsageError,
)
from fairway.gates import NO_RULES, GateRules
from fairway.inference.loaded import LoadedModel, load_model
from fairway.inference.predictors import AUTO
from fairway.lifecycle import compatibility
from fairway.lifecycle.footprint import measure_latency, measure_memory
from fairway.lifecycle.gate import judge_rules
from fairway.lifecycle.labels import Truth, find_truths, with_answers
from fairway.lifecycle.measuring import (
    Function,
    Scored,
    adjusted,
    calibration_of,
    comparisons_of,
    curve_of,
    metrics_of,
    primary_of,
    results_of,
    segments_of,
)
from fairway.lifecycle.reporting.document import (
    ATTACHMENT,
    DOCUMENT,
    PAGE,
    CheckReport,
    Data,
    Labels,
    Segment,
    Subject,
)
from fairway.lifecycle.reporting.page import render
from fairway.lifecycle.schema_report import describe_schema
from fairway.lifecycle.unseen import Answered, Unseen, aligned, answer, missing_inputs, read_unseen
from fairway.messages import Columns
from fairway.registry.records import Version
from fairway.registry.registry import PRODUCTION, Registry

__all__ = ["CheckReport", "check_version", "latest_check"]

_TIMED_ROWS = 50
_MOST_BY = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is to be done, as `check_version` was told."""

    target: str
    by: tuple[str, ...]
    rules: GateRules
    functions: Mapping[str, Function]
    predictor: str
    seed: int


def check_version(  # noqa: PLR0913 - everything about a check is said here; all but three by name
    registry: Registry,
    version: Version,
    source: Any,
    *,
    against: str | Version | None = None,
    target: str = "",
    by: Sequence[str] = (),
    rules: GateRules = NO_RULES,
    actor: str,
    reason: str = "",
    name: str = "",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    predictor: str = AUTO,
    seed: int = 0,
) -> CheckReport:
    """Prove a version on unseen data, judge it by its rules, and keep the report with it.

    Args:
        registry: Where the version is.
        version: The version.
        source: The data: a path, or whatever `read_table` takes. Its rows must be new to the model.
        against: Version to compare with, or a reference to it. Default: the one that the rules name.
        target: Column that holds the truth. Default: the columns that are called like outputs.
        by: Columns by whose values the rows are looked at apart, beside those of the rules.
        rules: What it must pass; see `fairway.gates`.
        actor: Who checks it.
        reason: Why.
        name: What to call the data, where it has no file name.
        functions: Metric functions by name; whoever gives them trusts their code.
        predictor: What answers; see `load_model`.
        seed: Which resamples are drawn. The same seed gives the same intervals.

    Raises:
        TableInvalid: The data cannot be read, has no row, or no truth.
        UsageError: A column to split by is not there, or a metric function failed.
        RegistryError: *against* is not there.
    """
    began = time.perf_counter()
    asked = _Asked(
        target=target,
        by=tuple(dict.fromkeys((*rules.segments, *by))),
        rules=rules,
        functions=functions or {},
        predictor=predictor,
        seed=seed,
    )
    bundle = registry.open(version)
    unseen = read_unseen(source, bundle.signature, name=name)
    _check_by(unseen.table, asked.by)
    truths = find_truths(unseen.table, bundle.signature, target or _learnt_target(bundle, unseen))
    other = _other_version(registry, version, against, rules)
    report = _examine(registry, version, bundle, unseen, truths, other, asked)
    report = dataclasses.replace(
        report,
        at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        actor=actor,
        seconds=round(time.perf_counter() - began, 2),
    )
    _keep(registry, version, report, reason)
    return report


def latest_check(registry: Registry, version: Version) -> CheckReport | None:
    """Return the report of the last check of a version, or None.

    What is attached counts only if the registry's own record names it: a bundle may bring a report of its
    own, and versions of equal content share what is attached to them.

    Raises:
        ArtifactDigest: A file of the report is not the one that was attached.
        BundleTooNew: A newer fairway wrote it.
    """
    events = registry.audit(model=version.model)
    made = [e for e in events if e.kind == "check" and e.version == version.version]
    if not made:
        return None
    attachment = registry.attachment(version.digest, ATTACHMENT)
    if attachment is None or attachment.digest != made[-1].details.get("report"):
        return None
    return CheckReport.from_bytes(attachment.read(DOCUMENT))


def _learnt_target(bundle: Bundle, unseen: Unseen) -> str:
    """Return the column that the model was said to predict when it was packed, if the data has it."""
    column = bundle.manifest.lineage.get(TARGET, "")
    return column if column in unseen.table.columns and column not in bundle.signature.names else ""


def _check_by(table: Table, by: Sequence[str]) -> None:
    for column in by:
        if column not in table.columns:
            from difflib import get_close_matches

            close = get_close_matches(column, table.columns, n=1)
            hint = (
                f"did you mean {close[0]!r}?" if close else f"the columns are: {', '.join(table.names[:20])}"
            )
            raise UsageError(f"the data has no column {column!r} to split by", hint=hint)
    if len(by) > _MOST_BY:
        raise UsageError(f"{len(by)} columns to split by are too many; the limit is {_MOST_BY}")


def _other_version(
    registry: Registry, version: Version, against: str | Version | None, rules: GateRules
) -> Version | None:
    """Return the version to compare with; a rule's alias that is not there yet is none."""
    if isinstance(against, Version):
        return against
    if against:
        return registry.resolve(against)
    wanted = rules.not_worse_than or (PRODUCTION if rules.compatible else "")
    if not wanted:
        return None
    try:
        return registry.resolve(parse_reference(_as_reference(version.model, wanted)))
    except AliasNotFound:
        return None


def _as_reference(model: str, wanted: str) -> str:
    """Return what a rule means by `production`, `3`, `coffee@production` or `coffee:3`."""
    if "@" in wanted or ":" in wanted:
        return wanted
    return f"{model}:{wanted}" if wanted.isdigit() else f"{model}@{wanted}"


def _examine(
    registry: Registry,
    version: Version,
    bundle: Bundle,
    unseen: Unseen,
    truths: Sequence[Truth],
    other: Version | None,
    asked: _Asked,
) -> CheckReport:
    """Return the report of a version, its rules judged."""
    notes: list[str] = []
    model, golden = _load(bundle, version, asked.predictor)
    old_bundle = None if other is None else registry.open(other)
    old_model = None
    if other is not None and old_bundle is not None:
        old_model, broken = _load(old_bundle, other, asked.predictor)
        notes += [f"{other.reference} cannot be compared with: {reason}" for reason in broken]
    absent = missing_inputs(unseen.table, bundle.signature)
    can_answer = model is not None and not absent
    answered = answer(model, unseen.table) if model is not None and can_answer else Answered()
    report = CheckReport(
        passed=False,
        rules=[],
        subject=_subject(version, model),
        against=None if other is None else _subject(other, old_model),
        at="",
        actor="",
        data=Data(
            name=unseen.name,
            sha256=unseen.sha256,
            rows=len(unseen.table),
            columns=len(unseen.table.names),
        ),
        schema=describe_schema(
            bundle,
            unseen.table,
            answered,
            labels=[truth.column for truth in truths],
            missing=absent,
            max_refused=asked.rules.max_refused,
        ),
        golden=golden,
        environment=[] if model is None else list(map(str, model.differences)),
        notes=notes,
        confidence=asked.rules.confidence,
        seed=asked.seed,
        fairway=importlib.metadata.version("fairway"),
    )
    compare: list[tuple[str, str]] = []
    if model is not None and can_answer:
        old = _answer_old(old_model, unseen.table, notes)
        report, compare = _measure(report, unseen.table, truths, answered, old, asked)
        timed = _timed_rows(model, unseen.table, answered)
        report = dataclasses.replace(report, latency=measure_latency(model, old_model, timed))
    if asked.rules.max_memory_mb is not None and model is not None:
        report = dataclasses.replace(report, memory_mb=measure_memory(bundle, asked.predictor))
    if old_bundle is not None and other is not None:
        names = (other.reference, version.reference)
        found = compatibility.compare(old_bundle, bundle, names=names)
        report = dataclasses.replace(report, compatibility=found.to_dict())
    rules = judge_rules(report, asked.rules, compare=compare)
    passed = all(rule.verdict == "passed" for rule in rules)
    return dataclasses.replace(report, rules=rules, passed=passed)


def _load(bundle: Bundle, version: Version, predictor: str) -> tuple[LoadedModel | None, list[str]]:
    """Return a version ready to answer, or why it must not."""
    try:
        return load_model(bundle, name=version.model, version=version.version, predictor=predictor), []
    except PackedModelDiffers as error:
        return None, [error.detail, *(fault.message for fault in error.faults[:10])]
    except BundleError as error:
        return None, [f"{version.reference} cannot be loaded: {error.detail}"]


def _subject(version: Version, model: LoadedModel | None) -> Subject:
    return Subject(
        reference=version.reference,
        model=version.model,
        version=version.version,
        digest=version.digest,
        predictor="" if model is None else model.predictor_name,
    )


def _answer_old(model: LoadedModel | None, table: Table, notes: list[str]) -> Answered | None:
    """Return what the other version answers, or None where it cannot."""
    if model is None:
        return None
    absent = missing_inputs(table, model.signature)
    if absent:
        listed = ", ".join(absent[:5])
        notes.append(f"{model.reference} cannot be compared with: the data lacks its inputs {listed}")
        return None
    return answer(model, table)


def _measure(
    report: CheckReport,
    table: Table,
    truths: Sequence[Truth],
    answered: Answered,
    old: Answered | None,
    asked: _Asked,
) -> tuple[CheckReport, list[tuple[str, str]]]:
    """Return the report with all that depends on the truth, and which comparisons decide."""
    parts: dict[str, Any] = {
        key: [] for key in ("labels", "metrics", "against_metrics", "comparisons", "calibration", "curves")
    }
    segments: list[Segment] = []
    compare: list[tuple[str, str]] = []
    notes = list(report.notes)
    for place, truth in enumerate(truths):
        usable_old = old if old is not None and truth.output.name in old.outputs else None
        if old is not None and usable_old is None:
            notes.append(f"the other version has no output {truth.output.name!r} to compare with")
        scored, labels = _score(truth, answered, usable_old, asked, notes)
        results = results_of(scored)
        metrics, against = metrics_of(scored, results)
        parts["labels"].append(labels)
        parts["metrics"] += metrics
        parts["against_metrics"] += against
        parts["comparisons"] += comparisons_of(scored, results)
        parts["calibration"] += filter(None, [calibration_of(scored)])
        parts["curves"] += filter(None, [curve_of(scored) if len(scored.actual) else None])
        if place == 0 or asked.rules.compare:
            compare += [(truth.output.name, name) for name in primary_of(scored)]
        if place == 0 and len(scored.actual):
            for column in asked.by:
                segments += segments_of(scored, column, table.columns[column])
    changes: dict[str, Any] = {**parts, "segments": adjusted(segments), "notes": notes}
    return dataclasses.replace(report, **changes), compare


def _score(
    truth: Truth, answered: Answered, old: Answered | None, asked: _Asked, notes: list[str]
) -> tuple[Scored, Labels]:
    """Return the rows of an output that count, and what is known of its truth."""
    output = truth.output.name
    truth = with_answers(truth, answered.outputs[output])
    if old is not None:
        truth = with_answers(truth, old.outputs[output])
    size = len(truth.values)
    new = _spread(truth.of_answers(answered.outputs[output]), answered.numbers, size)
    usable = np.isfinite(truth.values) & np.isfinite(new)
    other = None
    if old is not None:
        other = _spread(truth.of_answers(old.outputs[output]), old.numbers, size)
        lost = int((usable & ~np.isfinite(other)).sum())
        if lost:
            notes.append(f"{lost:,} rows are left out, because the other version does not answer them")
        usable &= np.isfinite(other)
    rows = np.flatnonzero(usable)
    scored = Scored(
        truth=truth,
        rows=rows,
        actual=truth.values[rows],
        new=new[rows],
        old=None if other is None else other[rows],
        new_shares=_shares(truth, answered, rows, size),
        old_shares=None if old is None else _shares(truth, old, rows, size),
        functions=asked.functions,
        rules=asked.rules,
        seed=asked.seed,
    )
    notes += _oddities(scored)
    return scored, _labels(scored)


def _spread(values: Any, numbers: Sequence[int], size: int) -> Any:
    """Return values at their rows of the table, NaN elsewhere."""
    spread = np.full(size, np.nan)
    spread[np.asarray(numbers, dtype=np.int64)] = values
    return spread


def _shares(truth: Truth, answered: Answered, rows: Any, size: int) -> Any:
    """Return the probabilities of rows in the order of the truth's classes, or None."""
    if (
        not truth.is_class
        or answered.probabilities is None
        or answered.probabilities.shape[1] != truth.n_known
    ):
        return None
    spread = np.full((size, truth.n_known), np.nan)
    spread[np.asarray(answered.numbers, dtype=np.int64)] = answered.probabilities
    return spread[rows]


def _oddities(scored: Scored) -> list[str]:
    output, truth = scored.truth.output.name, scored.truth
    found = []
    if not len(scored.actual):
        found.append(f"no row has both a truth and an answer for {output}")
    elif truth.is_class and len(np.unique(scored.actual)) == 1:
        label = truth.classes[int(scored.actual[0])]
        found.append(f"all rows have the one label {label!r}: nothing can be said of the others, nor an AUC")
    elif not truth.is_class and len(scored.actual) > 1 and np.ptp(scored.actual) == 0:
        found.append(f"the truth of {output} is the same in all rows: there is no R2")
    return found


def _labels(scored: Scored) -> Labels:
    truth = scored.truth
    counts: dict[str, int] = {}
    if truth.is_class:
        numbers, rows = np.unique(scored.actual.astype(np.int64), return_counts=True)
        ranked = sorted(zip(rows.tolist(), numbers.tolist(), strict=True), reverse=True)
        counts = {truth.classes[number]: count for count, number in ranked[:100]}
    known = set(truth.classes[: truth.n_known])
    return Labels(
        output=truth.output.name,
        column=truth.column,
        task="classification" if truth.is_class else "regression",
        rows=len(scored.actual),
        missing=int(np.isnan(truth.values).sum()),
        unknown={name: count for name, count in counts.items() if name not in known},
        classes=counts,
    )


def _timed_rows(model: LoadedModel, table: Table, answered: Answered) -> list[Columns]:
    """Return some of the rows that were answered, each as a call of one row would have it."""
    step = max(1, len(answered.numbers) // _TIMED_ROWS)
    values, validator, calls = aligned(table, model.signature), Validator(model.signature), []
    for row in answered.numbers[::step][:_TIMED_ROWS]:
        record = {name: column[row] for name, column in values.items()}
        calls.append(validator.check([record], pointer=str))
    return calls


def _keep(registry: Registry, version: Version, report: CheckReport, reason: str) -> None:
    """Keep a report with its version, and the event that says so."""
    contents = {DOCUMENT: report.to_bytes(), PAGE: render(report).encode()}
    registry.attach_check(
        build_attachment(version.digest, ATTACHMENT, contents),
        version,
        actor=report.actor,
        reason=reason,
        details={
            "verdict": "passed" if report.passed else "refused",
            "data": report.data.sha256,
            "rows": report.data.rows,
            "against": "" if report.against is None else report.against.reference,
            "refused_by": [rule.name for rule in report.rules if rule.verdict != "passed"],
        },
    )
