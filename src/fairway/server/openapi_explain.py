"""The part of the OpenAPI document that is about explanations: parameters and the schema of the answer."""

from __future__ import annotations

from typing import Any

EXPLAIN_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "of",
        "in": "query",
        "description": "Class or output to explain, or `each`. Default: what is predicted.",
        "schema": {"type": "string"},
    },
    {
        "name": "method",
        "in": "query",
        "description": "Contributions of whole inputs, or weights of words. Default: what fits the inputs.",
        "schema": {"enum": ["auto", "shapley", "words"], "default": "auto"},
    },
    {
        "name": "seed",
        "in": "query",
        "description": "Which samples are drawn, where samples are drawn.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999, "default": 0},
    },
]

_NUMBER = {"type": "number"}
_MAYBE = {"type": ["number", "null"]}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


_FEATURE = _object(
    input={"type": "string"},
    value={"description": "The value of the row; long texts are cut."},
    contribution=_NUMBER,
    standard_error=_MAYBE,
)
_WORD = _object(
    input={"type": "string"},
    word={"type": "string"},
    weight=_NUMBER,
    standard_error=_MAYBE,
    places={
        "type": "array",
        "description": "Start and end in code points; in a list of texts the place in the list comes first.",
        "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
    },
)
_TARGET = _object(
    output={"type": "string"},
    **{"class": {"description": "Class or label that is explained; null for a number."}},
    scale={"enum": ["probability", "output", "agreement", "log-odds", "score", "log"]},
    value=_NUMBER,
    probability=_NUMBER,
    base={"type": "number", "description": "What `value` would be with nothing known of the row."},
    features={"type": "array", "items": _FEATURE, "description": "The greatest contribution first."},
    additivity=_object(difference=_NUMBER, tolerance=_NUMBER, holds={"type": "boolean"}),
    words={"type": "array", "items": _WORD, "description": "The heaviest word first."},
    fit={
        "type": ["object", "null"],
        "properties": {"r2": _MAYBE, "stability": _MAYBE, "intercept": _NUMBER, "local_value": _NUMBER},
    },
)
EXPLANATION = {
    "description": "Why the model answered so; only where it was asked for.",
    **_object(
        targets={"type": "array", "items": _TARGET},
        features=_object(
            method={"enum": ["trees", "shapley_exact", "shapley"]},
            permutations={"type": "integer"},
            background={
                "type": ["object", "null"],
                "properties": {"rows": {"type": "integer"}, "source": {"type": "string"}},
            },
            asked={"type": "integer", "description": "Rows that the model was asked for."},
        ),
        words=_object(
            method={"const": "lime"},
            unit={"enum": ["word", "phrase"]},
            samples={"type": "integer"},
            refused={"type": "integer", "description": "Changed texts that the model raised an error on."},
            seed={"type": "integer"},
        ),
        complete={"type": "boolean", "description": "Whether nothing was cut short by the time."},
        seconds=_NUMBER,
        budget_s=_NUMBER,
        error=_object(code={"type": "string"}, detail={"type": "string"}),
    ),
}
