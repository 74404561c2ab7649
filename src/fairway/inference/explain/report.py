"""What an explanation says, as the document that is sent: every number with what it is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fairway.bundle.signature import Signature
from fairway.flavors.contributions import Contributions
from fairway.inference.explain.lime import Weights
from fairway.inference.explain.quantities import Quantity
from fairway.inference.explain.shapley import Shares
from fairway.inference.explain.words import Words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TREE_TOLERANCE = 1e-4
"""Boosters add up in float32."""

_SHOWN_CHARS = 80
_SCALES = {"identity": "output", "logistic": "log-odds", "softmax": "score", "exp": "log"}


class Report:
    """Gathers the explanation of one row.

    Args:
        signature: The model's inputs.
        row: The values.
        quantities: What is explained.
        values: What the model answered, per quantity.
    """

    def __init__(
        self,
        signature: Signature,
        row: Sequence[Any],
        quantities: Sequence[Quantity],
        values: NDArray[np.float64],
    ) -> None:
        self.row = row
        self.quantities = quantities
        self._signature = signature
        self._values = values
        self._targets = [
            {"output": q.output, "class": q.label, "scale": q.scale, "value": float(value)}
            for q, value in zip(quantities, values, strict=True)
        ]
        self._parts: dict[str, dict[str, Any]] = {}
        self._is_complete = True

    def document(self, *, seconds: float, budget_s: float) -> dict[str, Any]:
        """Return the explanation."""
        return {
            "targets": self._targets,
            **self._parts,
            "complete": self._is_complete,
            "seconds": round(seconds, 4),
            "budget_s": round(budget_s, 4),
        }

    # -- inputs ------------------------------------------------------------------------------------------

    def add_shares(
        self,
        shares: Shares,
        base: NDArray[np.float64],
        *,
        tolerance: float,
        background: Mapping[str, Any],
        asked: int,
    ) -> None:
        """Say what each input contributed, by Shapley's values."""
        for place, target in enumerate(self._targets):
            errors = None if shares.errors is None else shares.errors[:, place]
            total = float(base[place]) + float(shares.values[:, place].sum())
            self._add_inputs(target, shares.values[:, place], errors, base=float(base[place]))
            target["additivity"] = _additivity(total, target["value"], tolerance)
        method = "shapley" if shares.pairs else "shapley_exact"
        self._parts["features"] = {
            "method": method,
            "permutations": 2 * shares.pairs,
            "background": dict(background),
            "asked": asked,
        }
        self._is_complete &= shares.is_complete

    def add_contributions(self, found: Contributions) -> bool:
        """Say what each input contributed by what the trees say of themselves.

        Returns:
            Whether they explain these quantities, and add up to what the model answered.
        """
        told = []
        for quantity, value in zip(self.quantities, self._values, strict=True):
            place, sign = _place_in(quantity, found)
            if place < 0:
                return False
            shares, base = sign * found.values[0, place], sign * float(found.base[place])
            answer = _linked(found, place, sign)
            additivity = _additivity(answer, float(value), TREE_TOLERANCE)
            if not additivity["holds"]:
                return False
            told.append((shares, base, additivity))
        for target, (shares, base, additivity) in zip(self._targets, told, strict=True):
            if target["scale"] == "probability":
                target["probability"] = target["value"]
            target["scale"] = _SCALES[found.link]
            target["value"] = base + float(shares.sum())
            self._add_inputs(target, shares, shares * 0, base=base)
            target["additivity"] = additivity
        self._parts["features"] = {"method": "trees", "permutations": 0, "background": None, "asked": 1}
        return True

    def _add_inputs(self, target: dict[str, Any], shares: Any, errors: Any, *, base: float) -> None:
        entries = [
            {
                "input": name,
                "value": _short(value),
                "contribution": float(shares[n]),
                "standard_error": None if errors is None else float(errors[n]),
            }
            for n, (name, value) in enumerate(zip(self._signature.names, self.row, strict=True))
        ]
        target["base"] = base
        target["features"] = sorted(entries, key=lambda entry: -abs(entry["contribution"]))

    # -- words -------------------------------------------------------------------------------------------

    def add_words(self, words: Words, weights: Weights | None, *, seed: int) -> None:
        """Say what each word weighs; without weights there was nothing to leave out."""
        for place, target in enumerate(self._targets):
            target["words"] = [] if weights is None else _words(words, weights, place)
            target["fit"] = None
            if weights is not None:
                local = float(weights.intercept[place] + weights.values[:, place].sum())
                target["fit"] = {
                    "r2": weights.r2[place],
                    "stability": weights.stability[place],
                    "intercept": float(weights.intercept[place]),
                    "local_value": local,
                }
        self._parts["words"] = {
            "method": "lime",
            "unit": "phrase" if words.is_by_phrase else "word",
            "samples": weights.samples if weights else 0,
            "refused": weights.refused if weights else 0,
            "seed": seed,
        }
        self._is_complete &= weights is None or weights.is_complete


def _words(words: Words, weights: Weights, place: int) -> list[dict[str, Any]]:
    entries = [
        {
            "input": unit.name,
            "word": unit.text if not words.is_by_phrase else _short(unit.text),
            "weight": float(weights.values[n, place]),
            "standard_error": None if weights.errors is None else float(weights.errors[n, place]),
            "places": [
                [at.start, at.stop] if at.item is None else [at.item, at.start, at.stop] for at in unit.places
            ],
        }
        for n, unit in enumerate(words.units)
    ]
    return sorted(entries, key=lambda entry: -abs(entry["weight"]))


def _additivity(total: float, value: float, tolerance: float) -> dict[str, Any]:
    difference = abs(total - value)
    allowed = tolerance * max(1.0, abs(value))
    return {"difference": difference, "tolerance": allowed, "holds": difference <= allowed}


def _place_in(quantity: Quantity, found: Contributions) -> tuple[int, int]:
    """Return which of the trees' sums stands for a quantity, and its sign; -1 where none does."""
    if quantity.scale == "output":
        return (0, 1) if found.link in {"identity", "exp"} else (-1, 1)
    if quantity.scale != "probability":
        return -1, 1
    if found.link == "logistic":  # one sum, for the second class
        return 0, 1 if quantity.place == 1 else -1
    return (quantity.place, 1) if found.link == "softmax" else (-1, 1)


def _linked(found: Contributions, place: int, sign: int) -> float:
    """Return the answer that the contributions stand for: their sum through the link of the model."""
    sums = [float(b + v.sum()) for b, v in zip(found.base, found.values[0], strict=True)]
    if found.link == "identity":
        return sums[place]
    if found.link == "exp":
        return math.exp(min(sums[place], 700.0))
    if found.link == "logistic":
        return 1 / (1 + math.exp(min(-sign * sums[place], 700.0)))
    highest = max(sums)
    return math.exp(sums[place] - highest) / sum(math.exp(s - highest) for s in sums)


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _SHOWN_CHARS:
        return value[: _SHOWN_CHARS - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return value
