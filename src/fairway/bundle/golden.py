"""Golden examples: inputs with their expected outputs, replayed at every start to prove a model intact."""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fairway.bundle.validation import Validator
from fairway.errors import ArtifactCorrupt
from fairway.messages import Columns, Outputs

MAX_EXAMPLES = 10


@dataclasses.dataclass(frozen=True)
class GoldenExamples:
    """Rows, what the original model answered, and how far a copy may be off.

    Attributes:
        inputs: Records as a caller would send them.
        expected: Expected values by output name, one per row.
        probabilities: Expected probabilities per row, or None.
        tolerance: Largest difference of a number, relative to the larger of 1 and the expected magnitude.
            Labels must be equal.
    """

    inputs: tuple[dict[str, Any], ...]
    expected: dict[str, list[Any]]
    probabilities: list[list[float]] | None
    tolerance: float

    def columns(self, validator: Validator) -> Columns:
        """Return the inputs as the columns that a request with them would give."""
        return validator.check(self.inputs, pointer=lambda n: f"/examples/{n}")

    def differences(self, outputs: Outputs) -> list[str]:
        """Return one sentence per value that is not as expected; empty when all are."""
        found = []
        for name, expected in self.expected.items():
            actual = outputs.values.get(name)
            if actual is None or len(actual) != len(expected):
                found.append(f"the output {name!r} is missing or has another number of rows")
                continue
            found.extend(self._differing(name, expected, actual))
        if self.probabilities is not None and not self._probabilities_match(outputs):
            found.append("the probabilities differ")
        return found

    def _differing(self, name: str, expected: Sequence[Any], actual: Sequence[Any]) -> list[str]:
        return [
            f"golden example {n}: {name} is {got!r}, expected {want!r} (tolerance {self.tolerance:g})"
            for n, (want, got) in enumerate(zip(expected, actual, strict=True))
            if not is_close(want, got, self.tolerance)
        ]

    def _probabilities_match(self, outputs: Outputs) -> bool:
        actual, expected = outputs.probabilities, self.probabilities
        if actual is None or expected is None or len(actual) != len(expected):
            return False
        return all(
            len(want) == len(got) and all(map(is_close, want, got, [self.tolerance] * len(want)))
            for want, got in zip(expected, actual, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the examples as plain data, the content of `golden.json`."""
        return {
            "tolerance": self.tolerance,
            "inputs": [{k: _as_json(v) for k, v in row.items()} for row in self.inputs],
            "expected": {k: [_as_json(v) for v in values] for k, values in self.expected.items()},
            "probabilities": self.probabilities,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> GoldenExamples:
        """Return the examples that `to_dict` described.

        Raises:
            ArtifactCorrupt: The document holds no golden examples.
        """
        try:
            return cls(
                inputs=tuple(document["inputs"]),
                expected=dict(document["expected"]),
                probabilities=document["probabilities"],
                tolerance=float(document["tolerance"]),
            )
        except (KeyError, TypeError, ValueError) as cause:
            raise ArtifactCorrupt("golden.json does not hold golden examples") from cause


def choose_rows(rows: Sequence[Sequence[Any]]) -> list[int]:
    """Return the places of at most ten rows: spread over the table, and one with the most missing values."""
    count = len(rows)
    if count <= MAX_EXAMPLES:
        return list(range(count))
    sparsest = max(range(count), key=lambda n: sum(value is None for value in rows[n]))
    spread = {n * (count - 1) // (MAX_EXAMPLES - 2) for n in range(MAX_EXAMPLES - 1)}
    return sorted(spread | {sparsest})


def is_close(expected: Any, actual: Any, tolerance: float) -> bool:
    """Tell whether two output values agree: floats within *tolerance*, everything else exactly."""
    if _is_null(expected) or _is_null(actual):
        return _is_null(expected) and _is_null(actual)
    if isinstance(expected, float) and isinstance(actual, float):
        return abs(expected - actual) <= tolerance * max(1.0, abs(expected))
    return type(expected) is type(actual) and bool(expected == actual)


def _is_null(value: Any) -> bool:
    """Tell whether JSON writes a value as null, which is how expected values are kept."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
