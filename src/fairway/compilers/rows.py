"""The rows on which a compiled model is proven: where conversions go wrong, and what callers may send.

A group of rows per kind of trouble: the golden examples, rows that were given, mixtures of them, values just
below, at and above what trees ask for, ties, extremes, missing values, unknown categories, unusual texts.
Every row passes the signature, as every row that a server predicts has.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from fairway.bundle.signature import Signature
from fairway.bundle.validation import Validator
from fairway.compilers.made_rows import categories, extremes, missing_values, mixed_rows, odd_texts
from fairway.compilers.program import Program, parts_of
from fairway.compilers.tree_rows import thresholds, ties
from fairway.errors import SignatureMismatch
from fairway.messages import Columns, Row

MAX_GIVEN = 1000
MAX_MIXED = 500


def proof_rows(
    signature: Signature, program: Program | None, golden: Columns, given: Columns | None = None
) -> Iterator[tuple[str, list[Row]]]:
    """Yield groups of rows by name.

    Args:
        signature: What callers may send.
        program: The compiled model, which knows what its trees ask for; None leaves out thresholds and ties.
        golden: The golden examples.
        given: Further rows, such as the example that the bundle was packed with.
    """
    rng = random.Random(0)  # noqa: S311 - the same rows each time, nothing secret
    passes = _passing(signature)
    reference: list[Row] = list(golden.rows)
    if given is not None and len(given):
        chosen = sorted(rng.sample(range(len(given)), min(MAX_GIVEN, len(given))))
        reference += [given.rows[n] for n in chosen]
    reference = passes(reference) or passes([[entry.typical for entry in signature.inputs]])
    yield "golden examples", passes(golden.rows)
    yield "given rows", reference[len(golden) :]
    if not reference:
        return
    mixed = passes(list(mixed_rows(signature, reference, rng, MAX_MIXED)))
    yield "mixed rows", mixed
    yield "extremes", passes(list(extremes(signature, reference, reach_of(program))))
    yield "missing values", passes(list(missing_values(signature, reference)))
    yield "categories", passes(list(categories(signature, reference)))
    yield "texts", passes(list(odd_texts(signature, reference)))
    if program is None:
        return
    yield "thresholds", passes(list(thresholds(signature, program, [*reference, *mixed], rng)))
    yield "ties", passes(list(ties(signature, program, reference, rng)))


def _passing(signature: Signature) -> Callable[[Sequence[Row]], list[Row]]:
    """Return the function that keeps the rows that the signature accepts, as it reads them."""
    validator = Validator(signature)

    def passing(rows: Sequence[Row]) -> list[Row]:
        kept: list[Row] = []
        for row in rows:
            record = dict(zip(signature.names, row, strict=True))
            try:
                kept.extend(validator.check([record], pointer=str).rows)
            except SignatureMismatch:
                continue
        return kept

    return passing


def reach_of(program: Program | None) -> float:
    """Return how far beyond the range of the examples, in its widths, the model's answers mean something."""
    return min((part.reach for part in parts_of(program.model)), default=np.inf) if program else np.inf
