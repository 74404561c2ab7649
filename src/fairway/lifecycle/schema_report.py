"""How unseen data fits a model: its columns against the signature, their values against the example."""

from __future__ import annotations

import bisect
import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fairway.bundle.bundle import Bundle
from fairway.bundle.signature import Input
from fairway.bundle.tables import Table
from fairway.bundle.validation import escape_pointer
from fairway.lifecycle.reporting.document import Column, Schema
from fairway.lifecycle.statistics.drift import MODERATE, Shift, stability
from fairway.lifecycle.statistics.intervals import benjamini_hochberg
from fairway.lifecycle.unseen import Answered, aligned

_ALPHA = 0.01
_FEWEST_ROWS = 50


def describe_schema(
    bundle: Bundle,
    table: Table,
    answered: Answered,
    *,
    labels: Collection[str],
    missing: Sequence[str],
    max_refused: float,
) -> Schema:
    """Return how a table fits the signature of a bundle.

    Args:
        bundle: The model, with the profile of its example.
        table: The unseen data.
        answered: What became of its rows.
        labels: Columns that hold the truth.
        missing: Inputs that have to be there and are not.
        max_refused: Largest share of rows that may be refused.
    """
    signature = bundle.signature
    known = set(signature.names) | set(labels)
    values = aligned(table, signature)
    profiles = bundle.profile.get("inputs", {})
    columns = [
        _column(entry, values[entry.name], answered, profiles.get(entry.name, {}))
        for entry in signature.inputs
    ]
    failed = answered.failed + _unanswered(answered)
    return Schema(
        passed=not missing and not failed and answered.refused <= max_refused * len(table),
        missing=list(missing),
        extra=[name for name in table.names if name not in known],
        refused=answered.refused,
        failed=failed,
        faults=list(answered.faults),
        columns=_adjusted(columns),
    )


def _unanswered(answered: Answered) -> int:
    """Return the rows to which an output is null."""
    return max((values.count(None) for values in answered.outputs.values()), default=0)


def _column(entry: Input, values: Sequence[Any], answered: Answered, profile: Mapping[str, Any]) -> Column:
    rows = max(len(values), 1)
    shift = _shift(values, profile)
    return Column(
        name=entry.name,
        kind=entry.kind,
        missing=sum(value is None for value in values) / rows,
        refused=answered.refused_by[escape_pointer(entry.name)] / rows,
        unseen=answered.flagged[entry.name, "category_unknown"] / rows,
        out_of_range=answered.flagged[entry.name, "out_of_range"] / rows,
        psi=None if shift is None else shift.psi,
        p=None if shift is None else shift.p,
    )


def _adjusted(columns: list[Column]) -> list[Column]:
    """Return the columns with p-values that count how many there are."""
    judged = [n for n, column in enumerate(columns) if column.p is not None]
    p_values = benjamini_hochberg([columns[n].p or 0.0 for n in judged])
    for n, p in zip(judged, p_values, strict=True):
        psi = columns[n].psi or 0.0
        columns[n] = dataclasses.replace(columns[n], p=p, has_shifted=psi >= MODERATE and p < _ALPHA)
    return columns


def _shift(values: Sequence[Any], profile: Mapping[str, Any]) -> Shift | None:
    """Return how far values are from those of the example, or None where it cannot be told."""
    if len(values) < _FEWEST_ROWS or profile.get("count", 0) < _FEWEST_ROWS:
        return None
    if "edges" in profile:
        return _numeric_shift(values, profile)
    if "levels" in profile:
        return _level_shift(values, profile)
    return None


def _numeric_shift(values: Sequence[Any], profile: Mapping[str, Any]) -> Shift | None:
    # Bins are those of the example, the outer ones open; what is missing has a cell of its own.
    inner = profile["edges"][1:-1]
    numbers = [value for value in values if isinstance(value, int | float)]
    if len(profile["edges"]) == 1:  # one value in all of the example
        alike = sum(value == profile["edges"][0] for value in numbers)
        cells = [alike, len(numbers) - alike, len(values) - len(numbers)]
        return stability([profile["count"], 0, profile["missing"]], cells)
    counted = Counter(bisect.bisect_right(inner, value) for value in numbers)
    cells = [counted[n] for n in range(len(inner) + 1)]
    if len(profile["counts"]) != len(cells):
        return None
    return stability([*profile["counts"], profile["missing"]], [*cells, len(values) - len(numbers)])


def _level_shift(values: Sequence[Any], profile: Mapping[str, Any]) -> Shift:
    items: list[Any] = []
    for value in values:
        items.extend(value if isinstance(value, list) else [value])
    counted = Counter(str(item) for item in items if item is not None)
    levels = list(profile["levels"])
    other = sum(counted.values()) - sum(counted[level] for level in levels)
    absent = sum(item is None for item in items)
    reference = [*profile["levels"].values(), profile["other"], profile["missing"]]
    return stability(reference, [*(counted[level] for level in levels), other, absent])
