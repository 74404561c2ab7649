"""What of the management interface needs no server: fields, desks, callers, the list of operations."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from fairway.errors import (
    FieldsInvalid,
    MalformedRequest,
    Overloaded,
    RegistryBusy,
    StoreUnavailable,
)
from fairway.server.management.desk import Desk
from fairway.server.management.fields import Field, read_body, read_query
from fairway.server.management.office import CHUNK_BYTES, JSON_BYTES
from fairway.server.management.operations import OPERATIONS, Operation, body_limit
from fairway.server.openapi import openapi_document

FIELDS = (
    Field(name="version", kind="integer", required=True, least=1, most=9, doc="Which."),
    Field(name="reason", kind="text", default="", doc="Why."),
    Field(name="force", kind="boolean", default=False, doc="Whether."),
    Field(name="chunks", kind="digests", default=(), doc="What."),
    Field(name="mode", kind="text", default="auto", choices=("auto", "off"), doc="How."),
)


def test_an_absent_field_has_its_default() -> None:
    """What nobody said is what the list of operations says."""
    assert read_body(b'{"version":3}', FIELDS) == {
        "version": 3,
        "reason": "",
        "force": False,
        "chunks": (),
        "mode": "auto",
    }


def test_every_fault_of_a_body_is_told_at_once() -> None:
    """Nobody has to send a request five times to learn of five slips."""
    body = {"versions": 3, "reason": [], "force": 1, "chunks": ["AB"], "mode": "of", "a/b": 1}

    with pytest.raises(FieldsInvalid) as refused:
        read_body(json.dumps(body).encode(), FIELDS)

    told = [(fault.pointer, fault.code) for fault in refused.value.faults]
    assert sorted(told) == [
        ("/a~1b", "field_unknown"),
        ("/chunks/0", "value_format"),
        ("/force", "value_type"),
        ("/mode", "value_format"),
        ("/reason", "value_type"),
        ("/version", "field_missing"),
        ("/versions", "field_unknown"),
    ]
    assert "did you mean version?" in refused.value.faults[0].message


@pytest.mark.parametrize(
    "pairs",
    [
        [("version", "0")],
        [("version", "10")],
        [("version", "1.5")],
        [("version", "\u0661")],
        [("version", "1"), ("version", "1")],
        [("version", "1"), ("other", "1")],
        [("version", "1"), ("force", "yes")],
        [],
    ],
)
def test_a_query_is_read_as_strictly(pairs: list[tuple[str, str]]) -> None:
    """Unknown, repeated, absent and senseless parameters are refused."""
    with pytest.raises(MalformedRequest) as refused:
        read_query(pairs, FIELDS)

    assert refused.value.code == "query_invalid"


def test_a_query_has_values_of_its_kinds() -> None:
    """Texts become what they stand for."""
    found = read_query([("version", "7"), ("force", "true"), ("reason", "x y")], FIELDS)

    assert (found["version"], found["force"], found["reason"]) == (7, True, "x y")


def test_a_desk_gives_up_what_takes_too_long() -> None:
    """Who asks is told in time; of a change they are told that it may still happen."""
    release = threading.Event()

    async def ask() -> list[type[BaseException]]:
        desk = Desk("test", threads=2, max_waiting=0, patience_s=0.2)
        asked = [desk.run(release.wait), desk.run(release.wait, is_change=True)]
        return [type(error) for error in await asyncio.gather(*asked, return_exceptions=True)]  # type: ignore[misc]

    started = time.monotonic()
    try:
        assert asyncio.run(ask_and_release(ask, release)) == [StoreUnavailable, RegistryBusy]
    finally:
        release.set()
    assert time.monotonic() - started < 10


async def ask_and_release(ask: Any, release: threading.Event) -> Any:
    found = await ask()
    release.set()  # or the end of the loop would wait for its threads
    return found


def test_a_desk_refuses_what_would_wait_behind_too_much() -> None:
    """A queue has an end."""
    release = threading.Event()

    async def ask() -> Any:
        desk = Desk("test", threads=1, max_waiting=1, patience_s=30)
        waiting = [asyncio.create_task(desk.run(release.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        try:
            with pytest.raises(Overloaded):
                await desk.run(release.wait)
        finally:
            release.set()
        return await asyncio.gather(*waiting)

    assert asyncio.run(ask()) == [True, True]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_every_operation_is_described_with_a_real_example(operation: Operation) -> None:
    """The example of a body is one that the route takes, and the document tells of every part."""
    document = openapi_document([], version="1", operations=OPERATIONS)
    described = document["paths"][operation.path][operation.method.lower()]

    assert described["operationId"] == operation.id
    assert described["responses"][str(operation.status)]["content"]
    assert [parameter["name"] for parameter in described["parameters"] if parameter["in"] == "path"] == (
        operation.placeholders
    )
    if operation.body is not None:
        (example,) = described["requestBody"]["content"]["application/json"]["examples"].values()
        assert read_body(json.dumps(example["value"]).encode(), operation.body)
    if operation.answer is not None:
        assert json.dumps(operation.answer)


def test_no_two_operations_are_called_alike() -> None:
    """Clients are generated from the names."""
    names = [operation.id for operation in OPERATIONS]
    places = [(operation.method, operation.path) for operation in OPERATIONS]

    assert len(set(names)) == len(names)
    assert len(set(places)) == len(places)


def test_chunks_may_be_large_and_fields_not() -> None:
    """The limit is that of the route, known before the body is read."""
    assert body_limit("PUT", "/api/v1/chunks/abc") == CHUNK_BYTES
    assert body_limit("POST", "/api/v1/chunks/abc") == JSON_BYTES
    assert body_limit("POST", "/api/v1/models/iris/rollback") == JSON_BYTES
    assert body_limit("GET", "/api/unknown") == JSON_BYTES
