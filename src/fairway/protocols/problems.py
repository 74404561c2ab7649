"""Problem documents (RFC 9457): the one shape that errors have on the native routes."""

from __future__ import annotations

from typing import Any

import msgspec

from fairway.bundle.validation import MAX_LISTED_FAULTS
from fairway.errors import FairwayError, RegistryError, SignatureMismatch
from fairway.messages import Reply

MEDIA_TYPE = "application/problem+json"
_MAX_DETAIL = 1024
_MAX_EXAMPLE_BYTES = 2048


def problem_document(error: FairwayError, request_id: str) -> dict[str, Any]:
    """Return the document for an error.

    It holds the caller's own values at most: no path, no trace, no exception text of the model.
    """
    document: dict[str, Any] = {
        "type": f"/docs/errors/{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": _public_detail(error),
        "instance": f"/requests/{request_id}",
        "code": error.code,
        "request_id": request_id,
    }
    if error.hint:
        document["hint"] = error.hint
    if error.faults:
        document["errors"] = [fault.as_dict() for fault in error.faults[:MAX_LISTED_FAULTS]]
        document["errors_total"] = error.total if isinstance(error, SignatureMismatch) else len(error.faults)
    if error.example is not None and len(msgspec.json.encode(error.example)) <= _MAX_EXAMPLE_BYTES:
        document["example"] = error.example
    return document


def _public_detail(error: FairwayError) -> str:
    # What a store says of itself may hold paths or addresses: that is for the log.
    if isinstance(error, RegistryError) and error.status >= 500:
        return error.title
    return error.detail[:_MAX_DETAIL]


def problem_reply(error: FairwayError, request_id: str) -> Reply:
    """Return the response for an error."""
    body = msgspec.json.encode(problem_document(error, request_id))
    return Reply(error.status, error_headers(error, request_id, MEDIA_TYPE), body)


def error_headers(error: FairwayError, request_id: str, media_type: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of the response for an error, in whatever shape its body is."""
    headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
    headers.append((b"fairway-request-id", request_id.encode()))
    headers.extend((name.encode(), value.encode()) for name, value in error.headers.items())
    if error.status == 503:
        headers.append((b"retry-after", b"1"))
    return headers
