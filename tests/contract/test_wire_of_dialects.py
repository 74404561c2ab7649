"""Golden calls of every dialect: the bytes that are sent, and the bytes that come back.

A client that somebody has written against a platform reads exactly these. `write_wire` writes the files anew;
what it changes is a change of the interface.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fairway.bundle.signature import Input, Output, Signature

from .dialects import DIALECTS, Speaker

FILES = sorted((Path(__file__).parent / "wire").glob("*.json"))
PLANT = Signature(
    inputs=(
        Input("height", "number", minimum=0, maximum=10, typical=1.5),
        Input("leaves", "integer", nullable=True, typical=3),
        Input("soil", "category", levels=("loam", "clay"), typical="loam"),
    ),
    outputs=(Output("kind", "label", "text"), Output("age", "score", "number")),
    classes=("herb", "tree"),
)
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEPT = ("content-type", "fairway-model", "fairway-flags", "retry-after", "allow")
_speaker = Speaker(PLANT)


def exchange(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call with the reply that it gets; ids stand as `<id>`."""
    reply = _speaker.ask(call["path"], call["body"].encode(), call["headers"])
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return {
        **{key: call[key] for key in ("says", "path", "headers", "body")},
        "status": reply.status,
        "reply_headers": {name: headers[name] for name in _KEPT if name in headers},
        "reply": _ID.sub("<id>", reply.body.decode()),
    }


def write_wire() -> None:
    """Write every file anew."""
    for path in FILES:
        calls = [exchange(call) for call in json.loads(path.read_text(encoding="utf-8"))]
        path.write_text(json.dumps(calls, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(call, id=f"{path.stem}: {call['says']}")
        for path in FILES
        for call in json.loads(path.read_text(encoding="utf-8"))
    ],
)
def test_a_call_is_answered_to_the_byte(call: dict[str, Any]) -> None:
    """Status, type and body."""
    assert exchange(call) == call


def test_every_dialect_has_its_golden_calls() -> None:
    """A dialect that is added is written down, too."""
    spoken = {dialect.path for dialect in DIALECTS.values()} - {"/predict"}
    written = {
        call["path"].partition("?")[0]
        for path in FILES
        for call in json.loads(path.read_text(encoding="utf-8"))
    }
    assert spoken == written
