"""Problem documents: one shape for every error, and nothing in it that is not the caller's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fairway.errors import (
    BodyShape,
    FairwayError,
    Fault,
    MethodNotAllowed,
    ModelNotReady,
    NotFound,
    SignatureMismatch,
    StoreUnavailable,
)
from fairway.protocols.problems import problem_document, problem_reply


def test_the_shape_of_a_problem() -> None:
    """Pinned: clients are written against it (RFC 9457 and our own members)."""
    faults = [
        Fault("/a", "value_type", "expected number, got string", "number", "string"),
        Fault("", "x", "m"),
    ]
    error = SignatureMismatch(faults, total=30, hint="look", example={"a": 1})
    assert problem_document(error, "0198") == {
        "type": "/docs/errors/signature_mismatch",
        "title": "The request does not fit the model's signature",
        "status": 422,
        "detail": "expected number, got string - at /a (and 29 more)",
        "instance": "/requests/0198",
        "code": "signature_mismatch",
        "request_id": "0198",
        "hint": "look",
        "errors": [
            {
                "pointer": "/a",
                "code": "value_type",
                "message": "expected number, got string",
                "expected": "number",
                "got": "string",
            },
            {"pointer": "", "code": "x", "message": "m"},
        ],
        "errors_total": 30,
        "example": {"a": 1},
    }


def test_a_bare_problem_has_no_empty_members() -> None:
    """Hint, errors and example are there when there is something to say."""
    document = problem_document(NotFound("there is nothing at /x"), "id")
    assert not {"hint", "errors", "errors_total", "example"} & set(document)
    assert problem_document(BodyShape("no form"), "id")["errors_total"] == 1


def test_what_is_long_is_cut_or_left_out() -> None:
    """A reply never holds the request again."""
    document = problem_document(NotFound("x" * 5000), "id")
    assert len(document["detail"]) == 1024
    many = SignatureMismatch([Fault(f"/{n}", "value_type", "m") for n in range(50)], example=["x" * 5000])
    document = problem_document(many, "id")
    assert (len(document["errors"]), document["errors_total"]) == (20, 50)
    assert "example" not in document


def test_what_a_store_says_of_itself_stays_in_the_log() -> None:
    """It may hold paths or addresses."""
    document = problem_document(StoreUnavailable("/home/ada/.fairway/registry.db is locked"), "id")
    assert document["detail"] == "The registry cannot be reached"


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (NotFound("x"), {}),
        (MethodNotAllowed("PUT", ["GET", "POST"]), {b"allow": b"GET, POST"}),
        (ModelNotReady("x"), {b"retry-after": b"1"}),
    ],
)
def test_the_reply_has_the_headers_of_its_error(error: FairwayError, headers: dict[bytes, bytes]) -> None:
    """Never cached, found again by its id."""
    reply = problem_reply(error, "id")
    common: dict[bytes, Any] = {
        b"content-type": b"application/problem+json",
        b"cache-control": b"no-store",
        b"fairway-request-id": b"id",
    }
    assert dict(reply.headers) == common | headers
    assert reply.status == error.status == json.loads(reply.body)["status"]
