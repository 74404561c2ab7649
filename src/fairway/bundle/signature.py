"""The typed inputs and outputs of a model: kinds, nullability, ranges, levels, policies; their JSON Schema.

A signature is data. What a request must look like follows from it in `validation.py`; how it is learnt from
examples is in `kinds.py`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, get_args

from fairway.errors import ArtifactCorrupt

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal[
    "number",
    "integer",
    "boolean",
    "category",
    "text",
    "datetime",
    "category_list",
    "text_list",
    "vector",
]
Policy = Literal["flag", "reject", "pass"]
Level = str | int

KINDS: tuple[Kind, ...] = get_args(Kind)
LIST_KINDS: frozenset[Kind] = frozenset({"category_list", "text_list"})
"""Kinds whose values are lists of any length."""
POLICIES: tuple[Policy, ...] = get_args(Policy)
QUANTILE_POINTS = (0.05, 0.25, 0.5, 0.75, 0.95)

MAX_EXACT_INTEGER = 2**53
"""Largest magnitude below which every integer is a float64 of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Input:
    """One named input of a model.

    Attributes:
        name: Name as the model knows it.
        kind: What values look like; see `KINDS`.
        nullable: Whether the value may be missing.
        minimum: Smallest number seen (number, integer), fewest items (category_list, text_list), else None.
        maximum: Largest number, most items seen.
        quantiles: Values at `QUANTILE_POINTS`, empty for other kinds.
        levels: Categories seen, most frequent first (category, category_list).
        typical: Median or most frequent value: what a form shows. Never a row that somebody sent.
        max_chars: Longest text seen (text, text_list).
        width: Number of values in a vector.
    """

    name: str
    kind: Kind
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    quantiles: tuple[float, ...] = ()
    levels: tuple[Level, ...] = ()
    typical: Any = None
    max_chars: int | None = None
    width: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """One named output of a model.

    Attributes:
        name: Key of the output in a reply.
        kind: `label` (one of the classes) or `score` (a number on a scale).
        type: JSON type of the value.
    """

    name: str
    kind: Literal["label", "score"]
    type: Literal["number", "integer", "text", "boolean"]


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """Everything that a caller must know to use a model.

    Attributes:
        inputs: Inputs in the order in which the model takes them.
        outputs: Named outputs.
        classes: Class labels in the order of the probabilities; empty when the model gives none.
        unseen_category: What happens to a category that was not seen: let it through and say so (`flag`),
            refuse the row (`reject`), or let it through silently (`pass`).
        out_of_range: The same for numbers outside the range that was seen.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    classes: tuple[Any, ...] = ()
    unseen_category: Policy = "flag"
    out_of_range: Policy = "flag"

    @property
    def names(self) -> tuple[str, ...]:
        """Input names in order."""
        return tuple(i.name for i in self.inputs)

    def typical_row(self) -> dict[str, Any]:
        """Return a record of medians and most frequent values, fit to be shown to anybody."""
        return {i.name: i.typical for i in self.inputs}

    def input_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of one record."""
        return {
            "type": "object",
            "properties": {i.name: _input_schema(i, self) for i in self.inputs},
            "required": [i.name for i in self.inputs if not i.nullable],
            "additionalProperties": False,
            "examples": [self.typical_row()],
        }

    def output_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the reply to one record."""
        properties = {o.name: _output_schema(o, self.classes) for o in self.outputs}
        if self.classes:
            properties["probabilities"] = {
                "type": "object",
                "description": "Probability of each class; only with ?include=probabilities.",
                "additionalProperties": {"type": ["number", "null"]},
            }
        return {
            "type": "object",
            "properties": properties,
            "required": [o.name for o in self.outputs],
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the signature as plain data, the content of `signature.json`."""
        document = dataclasses.asdict(self)
        document["inputs"] = [
            {k: v for k, v in entry.items() if k in {"name", "typical"} or not _is_absent(v)}
            for entry in document["inputs"]
        ]
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Signature:
        """Return the signature that `to_dict` described.

        Raises:
            ArtifactCorrupt: The document is not a signature.
        """
        try:
            signature = cls(
                inputs=tuple(_input_from_dict(entry) for entry in document["inputs"]),
                outputs=tuple(Output(**entry) for entry in document["outputs"]),
                classes=tuple(document["classes"]),
                unseen_category=document["unseen_category"],
                out_of_range=document["out_of_range"],
            )
        except (KeyError, TypeError, AttributeError) as cause:
            raise ArtifactCorrupt(f"signature.json is not a signature: {cause}") from cause
        _check(signature)
        return signature

    def _repr_html_(self) -> str:
        from fairway.bundle.display import html_of_signature

        return html_of_signature(self)


def _is_absent(value: Any) -> bool:
    # By identity: a minimum of 0 equals False, and is a bound all the same.
    return value is None or value is False or value == ()


def _input_from_dict(entry: dict[str, Any]) -> Input:
    fields: dict[str, Any] = {k: tuple(v) if k in {"levels", "quantiles"} else v for k, v in entry.items()}
    return Input(**fields)


def _check(signature: Signature) -> None:
    for entry in signature.inputs:
        if entry.kind not in KINDS:
            raise ArtifactCorrupt(f"input {entry.name!r} has the unknown kind {entry.kind!r}")
    for policy in (signature.unseen_category, signature.out_of_range):
        if policy not in POLICIES:
            raise ArtifactCorrupt(f"{policy!r} is not a policy: use one of {', '.join(POLICIES)}")


_JSON_TYPES: dict[str, dict[str, Any]] = {
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "text": {"type": "string"},
    "datetime": {"type": "string", "format": "date-time"},
    "text_list": {"type": "array", "items": {"type": "string"}},
}


def _input_schema(entry: Input, signature: Signature) -> dict[str, Any]:
    schema = _kind_schema(entry, closed=signature.unseen_category == "reject")
    if entry.kind in {"number", "integer"} and entry.minimum is not None:
        if signature.out_of_range == "reject":
            schema["minimum"], schema["maximum"] = entry.minimum, entry.maximum
        else:
            schema["description"] = f"Seen in training: {entry.minimum:g} to {entry.maximum:g}."
    if entry.kind in LIST_KINDS and entry.minimum is not None and entry.maximum is not None:
        if signature.out_of_range == "reject":
            schema["minItems"], schema["maxItems"] = int(entry.minimum), int(entry.maximum)
        else:
            schema["description"] = f"Seen in training: {entry.minimum:g} to {entry.maximum:g} items."
    if entry.nullable:
        schema = _nullable(schema)
    if entry.typical is not None or entry.nullable:
        schema["examples"] = [entry.typical]
    return schema


def _kind_schema(entry: Input, *, closed: bool) -> dict[str, Any]:
    if entry.kind == "vector":
        return {
            "type": "array",
            "items": {"type": "number"},
            "minItems": entry.width,
            "maxItems": entry.width,
        }
    if entry.kind in {"category", "category_list"}:
        levels = list(entry.levels)
        item: dict[str, Any] = {"type": "integer" if levels and isinstance(levels[0], int) else "string"}
        if closed:
            item["enum"] = levels
        elif levels:
            item["description"] = "Seen in training: " + ", ".join(map(str, levels[:20]))
        return item if entry.kind == "category" else {"type": "array", "items": item}
    return dict(_JSON_TYPES[entry.kind])


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return {**schema, "type": [schema["type"], "null"]}


def _output_schema(output: Output, classes: tuple[Any, ...]) -> dict[str, Any]:
    types = {"number": "number", "integer": "integer", "text": "string", "boolean": "boolean"}
    if output.kind == "label" and classes:
        return {"enum": list(classes)}
    return {"type": [types[output.type], "null"]}
