"""The rows that a row is compared with: drawn from what the bundle knows of its example, and nothing else.

The reference profile holds how each input was distributed, never rows. What it holds no distribution of
(texts, lists, dates, vectors) is taken from the golden examples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fairway.bundle.validation import Validator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fairway.bundle.bundle import Bundle
    from fairway.bundle.signature import Input

ROWS = 100
_DRAWN = frozenset({"number", "integer", "category", "boolean"})
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Background:
    """Rows to compare with.

    Attributes:
        columns: Values by input, in signature order; a missing one is None.
        rows: How many rows there are.
        source: `profile` or `golden examples`.
    """

    columns: Sequence[Sequence[Any]]
    rows: int
    source: str

    def part(self, rows: int) -> Background:
        """Return about *rows* of the rows, spread over all."""
        if rows >= self.rows:
            return self
        places = [n * self.rows // rows for n in range(rows)]
        return Background([[c[n] for n in places] for c in self.columns], rows, self.source)


def background_of(bundle: Bundle) -> Background:
    """Return the background rows of a model; the same for the same bundle."""
    signature = bundle.signature
    golden = bundle.golden.columns(Validator(signature))
    described: Mapping[str, Any] = bundle.profile.get("inputs", {})
    drawn = {
        entry.name: _draw(entry, described.get(entry.name, {}), n, golden.column(n))
        for n, entry in enumerate(signature.inputs)
    }
    if not any(values is not None for values in drawn.values()):
        columns = [golden.column(n) for n in range(len(signature.inputs))]
        return Background(columns, len(golden), "golden examples")
    columns = []
    for n, entry in enumerate(signature.inputs):
        values = drawn[entry.name]
        columns.append(_repeated(golden.column(n), n) if values is None else values)
    return Background(columns, ROWS, "profile")


def _repeated(values: Sequence[Any], place: int) -> list[Any]:
    import numpy as np

    order = np.random.default_rng([_SEED, place]).permutation(ROWS)
    return [values[n % len(values)] for n in order]


def _draw(entry: Input, profile: Mapping[str, Any], place: int, golden: Sequence[Any]) -> list[Any] | None:
    """Return values as they were distributed, in a random order; None where the profile does not tell."""
    import numpy as np

    if entry.kind not in _DRAWN or not profile.get("count"):
        return None
    # One value from the middle of each hundredth: a spread that chance cannot spoil.
    levels = (np.arange(ROWS) + 0.5) / ROWS
    is_counted = "levels" in profile
    values = _categories(entry, profile, levels) if is_counted else _numbers(entry, profile, levels, golden)
    if not values:
        return None
    random = np.random.default_rng([_SEED, place])
    shuffled = [values[n] for n in random.permutation(len(values))]
    if entry.nullable:
        share = profile["missing"] / (profile["missing"] + profile["count"])
        for n in range(round(share * ROWS)):
            shuffled[n] = None
        shuffled = [shuffled[n] for n in random.permutation(ROWS)]
    return shuffled


def _categories(entry: Input, profile: Mapping[str, Any], levels: NDArray[np.float64]) -> list[Any]:
    import numpy as np

    known: dict[str, Any] = {str(level): level for level in entry.levels}
    if entry.kind == "boolean":
        known = {"True": True, "False": False}
    counts = {known[name]: count for name, count in profile["levels"].items() if name in known}
    if not counts:
        return []
    names, bounds = list(counts), np.cumsum(list(counts.values()))
    places = np.searchsorted(bounds, levels * bounds[-1])
    return [names[n] for n in places]


def _numbers(
    entry: Input, profile: Mapping[str, Any], levels: NDArray[np.float64], golden: Sequence[Any]
) -> list[Any]:
    import numpy as np

    edges, counts = np.array(profile["edges"]), np.array(profile["counts"], dtype=float)
    if len(edges) < 2:
        values = np.full(len(levels), edges[0])
    elif entry.kind == "integer" or _are_whole(edges, golden):
        values = _whole(edges, counts, profile["mean"], levels)
    else:
        values = np.interp(levels, np.concatenate([[0.0], np.cumsum(counts) / counts.sum()]), edges)
    return [int(v) for v in values] if entry.kind == "integer" else values.tolist()


def _are_whole(edges: NDArray[np.float64], golden: Sequence[Any]) -> bool:
    """Tell whether a number counts something, or says yes and no: nothing that is known of it is a fraction.

    The deciles between may be fractions all the same, for they lie between two values.
    """
    known = [edges[0], edges[-1], *(value for value in golden if value is not None)]
    return all(float(value).is_integer() for value in known)


def _whole(
    edges: NDArray[np.float64], counts: NDArray[np.float64], mean: float, levels: NDArray[np.float64]
) -> NDArray[np.float64]:
    import numpy as np

    if len(edges) == 2 and edges[1] - edges[0] == 1:  # the mean tells how often it is which
        found: NDArray[np.float64] = np.where(levels < edges[1] - mean, edges[0], edges[1])
        return found
    # A bin holds its lower edge and not its upper one, but for the last.
    ends = np.append(np.ceil(edges[:-1]), np.floor(edges[-1]) + 1)
    drawn = np.interp(levels, np.concatenate([[0.0], np.cumsum(counts) / counts.sum()]), ends)
    whole: NDArray[np.float64] = np.clip(np.floor(drawn), np.ceil(edges[0]), np.floor(edges[-1]))
    return whole
