"""The signature as data: it reads back, and its JSON Schema says what the validator accepts."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fairway.bundle.signature import Input, Output, Signature
from fairway.errors import ArtifactCorrupt

INPUTS = (
    Input("size", "number", nullable=True, minimum=0.5, maximum=3.0, quantiles=(1, 1, 2, 3, 3), typical=2.0),
    Input("rooms", "integer", minimum=0, maximum=0, typical=0),
    Input("new", "boolean", typical=False),
    Input("city", "category", nullable=True, levels=("Rome", "Oslo"), typical="Rome"),
    Input("grade", "category", levels=(3, 1), typical=3),
    Input("note", "text", max_chars=9, typical="some text"),
    Input("sold", "datetime", typical="2026-02-28T00:00:00"),
    Input("tags", "category_list", minimum=0, maximum=4, levels=("a", "b"), typical=["a"]),
    Input("lines", "text_list", typical=["some text"]),
    Input("place", "vector", width=2, typical=[0.0, 1.5]),
)
SIGNATURE = Signature(
    INPUTS, (Output("rating", "score", "number"), Output("grade", "label", "text")), ("low", "high")
)


def as_kept(signature: Signature) -> dict[str, Any]:
    """Return the document as a bundle keeps it."""
    document: dict[str, Any] = json.loads(msgspec.json.encode(signature.to_dict(), order="sorted"))
    return document


def test_a_signature_reads_back() -> None:
    """Every field of every input, also a minimum of zero, which is not the same as none."""
    assert Signature.from_dict(as_kept(SIGNATURE)) == SIGNATURE
    assert Signature.from_dict(as_kept(SIGNATURE)).inputs[1].minimum == 0
    assert as_kept(Signature.from_dict(as_kept(SIGNATURE))) == as_kept(SIGNATURE)


def test_it_is_written_without_what_is_not_there() -> None:
    """The file is read by people, too."""
    assert as_kept(SIGNATURE)["inputs"][2] == {"name": "new", "kind": "boolean", "typical": False}


def test_names_and_typical_row_keep_the_order() -> None:
    """Which is the order of array rows."""
    assert tuple(SIGNATURE.typical_row()) == SIGNATURE.names == tuple(i.name for i in INPUTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": None}, "signature.json is not a signature"),
        ({"inputs": [3]}, "signature.json is not a signature"),
        ({"inputs": [{"name": "a"}]}, "signature.json is not a signature"),
        ({"inputs": [{"name": "a", "kind": "text", "levels": None}]}, "signature.json is not a signature"),
        ({"inputs": [{"name": "a", "kind": "text", "surprise": 1}]}, "signature.json is not a signature"),
        ({"inputs": [{"name": "a", "kind": "image"}]}, "input 'a' has the unknown kind 'image'"),
        ({"outputs": [{"name": "a"}]}, "signature.json is not a signature"),
        ({"classes": None}, "signature.json is not a signature"),
        ({"unseen_category": "ignore"}, "'ignore' is not a policy: use one of flag, reject, pass"),
        ({"out_of_range": "x"}, "'x' is not a policy"),
    ],
)
def test_what_is_no_signature_is_refused(changes: dict[str, Any], message: str) -> None:
    """With the part that is wrong."""
    with pytest.raises(ArtifactCorrupt, match=message):
        Signature.from_dict(as_kept(SIGNATURE) | changes)
    with pytest.raises(ArtifactCorrupt, match=r"signature\.json is not a signature"):
        Signature.from_dict({})


def test_the_schema_of_a_record() -> None:
    """Kinds, nullability and what was seen; closed where a policy rejects."""
    schema = SIGNATURE.input_schema()
    assert schema["required"] == [i.name for i in INPUTS if not i.nullable]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert properties["size"] == {
        "type": ["number", "null"],
        "description": "Seen in training: 0.5 to 3.",
        "examples": [2.0],
    }
    assert properties["city"]["description"] == "Seen in training: Rome, Oslo"
    assert properties["grade"]["type"] == "integer"
    assert properties["sold"]["format"] == "date-time"
    assert properties["tags"]["items"]["type"] == "string"
    assert properties["tags"]["description"] == "Seen in training: 0 to 4 items."
    assert (properties["place"]["minItems"], properties["place"]["maxItems"]) == (2, 2)


def test_a_rejecting_policy_closes_the_schema() -> None:
    """A caller can then check before sending; null stays allowed where it is."""
    closed = Signature(INPUTS, (), unseen_category="reject", out_of_range="reject").input_schema()[
        "properties"
    ]
    assert (closed["size"]["minimum"], closed["size"]["maximum"]) == (0.5, 3.0)
    assert closed["city"]["enum"] == ["Rome", "Oslo", None]
    assert closed["grade"]["enum"] == [3, 1]
    assert closed["tags"]["items"]["enum"] == ["a", "b"]
    assert (closed["tags"]["minItems"], closed["tags"]["maxItems"]) == (0, 4)


def test_the_schema_of_a_reply() -> None:
    """Labels are one of the classes; a score may be null, which stands for a number that is none."""
    schema = SIGNATURE.output_schema()
    assert schema["required"] == ["rating", "grade"]
    assert schema["properties"]["rating"] == {"type": ["number", "null"]}
    assert schema["properties"]["grade"] == {"enum": ["low", "high"]}
    assert "probabilities" in schema["properties"]
    plain = Signature(INPUTS, (Output("n", "label", "integer"),)).output_schema()
    assert plain["properties"] == {"n": {"type": ["integer", "null"]}}
