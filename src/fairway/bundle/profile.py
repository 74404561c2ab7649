"""The reference profile: how inputs and predictions were distributed in the example, for later comparison."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

from fairway.bundle.signature import Input, Signature
from fairway.messages import Columns, Outputs

_BINS = 10
_MAX_LEVELS = 100


def make_profile(signature: Signature, columns: Columns, outputs: Outputs) -> dict[str, Any]:
    """Describe every input and output over the example rows; holds counts, never rows."""
    values = columns.columns()
    return {
        "rows": len(columns),
        "inputs": {entry.name: _of_input(entry, values[entry.name]) for entry in signature.inputs},
        "outputs": {name: _of_values(answers) for name, answers in outputs.values.items()},
    }


def _of_input(entry: Input, values: Sequence[Any]) -> dict[str, Any]:
    present = [value for value in values if value is not None]
    profile: dict[str, Any] = {"kind": entry.kind, "missing": len(values) - len(present)}
    if entry.kind in {"number", "integer"}:
        return profile | _numeric(present)
    if entry.kind in {"category", "boolean"}:
        return profile | _counts(present)
    if entry.kind == "category_list":
        return profile | _counts([item for value in present for item in value])
    if entry.kind == "text":
        return profile | {"chars": _numeric([len(value) for value in present])}
    if entry.kind == "text_list":
        return profile | {"items": _numeric([len(value) for value in present])}
    if entry.kind == "datetime" and present:
        return profile | {"first": min(present).isoformat(), "last": max(present).isoformat()}
    return profile


def _of_values(values: Sequence[Any]) -> dict[str, Any]:
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, float) for value in present):
        return _numeric(present)
    return _counts(present)


def _numeric(values: Sequence[float]) -> dict[str, Any]:
    """Deciles of the values and the share in each bin between them (ties may leave bins empty)."""
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if not array.size:
        return {"count": 0}
    edges = np.unique(np.quantile(array, np.linspace(0, 1, _BINS + 1)))
    counts, _ = np.histogram(array, bins=edges if edges.size > 1 else 1)
    return {
        "count": int(array.size),
        "mean": float(array.mean()),
        "std": float(array.std()),
        "edges": edges.tolist(),
        "counts": counts.tolist(),
    }


def _counts(values: Sequence[Any]) -> dict[str, Any]:
    counted = collections.Counter(map(str, values)).most_common()
    levels = dict(counted[:_MAX_LEVELS])
    return {
        "count": len(values),
        "levels": levels,
        "other": sum(n for _, n in counted[_MAX_LEVELS:]),
    }
