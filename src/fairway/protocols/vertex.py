"""The dialect of Vertex AI: `{"instances": [...], "parameters": {...}}` -> `{"predictions": [...]}`."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from fairway.bundle.signature import Signature
from fairway.bundle.validation import MAX_LISTED_FAULTS, json_kind
from fairway.errors import BodyShape, FairwayError, MalformedRequest, RequestError
from fairway.messages import Call, Columns, ExplainWish, Prediction, Reply, Target
from fairway.protocols.base import ReadsBodies
from fairway.protocols.json_body import MAX_DEPTH, parse_json
from fairway.protocols.lines import is_utf8, moved
from fairway.protocols.native import NativeProtocol
from fairway.protocols.problems import error_headers, problem_document
from fairway.protocols.query import INCLUDES

STATUSES = {422: 400}
"""Statuses that Google's APIs do not have, and what stands for them; the others stay as they are."""

STATES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""What `status` says of a status of HTTP; see `state_of` for the others."""

_ALONE = re.compile(rb'[ \t\n\r]*\{[ \t\n\r]*"instances"[ \t\n\r]*:[ \t\n\r]*\[')
_TYPE = "type.googleapis.com/google.rpc."
_PARAMETERS = ("include",)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    instances: msgspec.Raw
    parameters: msgspec.Raw


_decode = msgspec.json.Decoder(_Body).decode


class VertexProtocol:
    """Implement `fairway.protocols.base.Dialect` for the predict route of Vertex AI.

    Args:
        native: The native dialect, whose readers read the instances.
        max_depth: Deepest nesting of a body.
    """

    name = "vertex"

    def __init__(self, native: NativeProtocol, *, max_depth: int = MAX_DEPTH) -> None:
        self._native = native
        self._max_depth = max_depth

    def open(self, call: Call) -> Target:
        """Check the headers; the route names no model, and the parameters stand in the body."""
        self._native.accept(call)
        return Target(call, "")

    def prepare(self, signature: Signature) -> Any:  # noqa: ARG002 - as the protocol has it
        """There is nothing to prepare: the native readers read."""
        return self._native

    def read(self, target: Target, model: ReadsBodies) -> Columns:
        """Read parameters and instances."""
        body = target.call.body
        is_input = "instances" in model.signature.names  # to the native dialect it is no envelope, then
        if _ALONE.match(body) is not None and b'"parameters"' not in body and not is_input:
            return self._native.read(target, model)
        instances, parameters = self._split(body)
        self._note(target, parameters)
        if not is_input:
            target.call.body = b'{"instances":' + instances + b"}"
            return self._native.read(target, model)
        target.call.body = instances
        try:
            return self._native.read(target, model)
        except RequestError as error:
            raise moved(error, "/instances{}".format) from None

    def _split(self, body: bytes) -> tuple[bytes, Any]:
        """Return the instances as they were written, and the parameters."""
        try:
            found = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._split_slowly(body)
        instances, parameters = bytes(found.instances), bytes(found.parameters)
        # A key that stands twice has more quotation marks than what was found.
        if body.count(b'"') != 4 + instances.count(b'"') + parameters.count(b'"'):
            return self._split_slowly(body)
        if not instances.startswith(b"[") or not is_utf8(body):
            return self._split_slowly(body)
        try:
            return instances, parse_json(parameters, max_depth=self._max_depth)
        except MalformedRequest as error:
            raise moved(error, "/parameters{}".format) from None

    def _split_slowly(self, body: bytes) -> tuple[bytes, Any]:
        """Do as `_split` does, or raise what is wrong."""
        document = parse_json(body, max_depth=self._max_depth)
        if not isinstance(document, dict) or "instances" not in document:
            raise BodyShape(
                f"expected an object with the key 'instances', got {json_kind(document)}"
                if not isinstance(document, dict)
                else "the key 'instances' is missing",
                hint='send {"instances": [...]}, with one item per row',
            )
        for name in document:
            if name not in {"instances", "parameters"}:
                raise BodyShape(
                    f"{name[:80]!r} stands beside the key 'instances'",
                    pointer="/instances",
                    hint="beside the instances there may be parameters, and nothing else",
                )
        instances = document["instances"]
        if not isinstance(instances, list):
            raise BodyShape(
                f"expected an array under 'instances', got {json_kind(instances)}", pointer="/instances"
            )
        return json.dumps(instances, ensure_ascii=False).encode(), document.get("parameters")

    def _note(self, target: Target, parameters: Any) -> None:
        if parameters is None:
            return
        if not isinstance(parameters, dict):
            raise BodyShape(
                f"expected an object under 'parameters', got {json_kind(parameters)}", pointer="/parameters"
            )
        for name in parameters:
            if name not in _PARAMETERS:
                raise BodyShape(
                    f"there is no parameter {name[:80]!r}",
                    pointer="/parameters",
                    hint=f"known: {', '.join(_PARAMETERS)}",
                )
        wanted = parameters.get("include", [])
        if not isinstance(wanted, list) or any(item not in INCLUDES for item in map(str, wanted)):
            raise BodyShape(
                "include is a list of what is wanted beside the outputs",
                pointer="/parameters/include",
                hint=f"known: {', '.join(sorted(INCLUDES))}",
            )
        target.include = frozenset(map(str, wanted))
        if "explanation" in target.include:
            target.explain = ExplainWish()

    def encode(self, target: Target, prediction: Prediction) -> Reply:
        """Write one prediction per instance, as on the native routes."""
        return self._native.encode(target, prediction)

    def encode_error(self, error: FairwayError, request_id: str) -> Reply:
        """Write an error as Google's APIs do: code, message, status, details."""
        status = STATUSES.get(error.status, error.status)
        problem = problem_document(error, request_id)
        document = {
            "code": status,
            "message": problem["detail"],
            "status": state_of(status),
            "details": _details(error, problem),
        }
        headers = error_headers(error, request_id, "application/json")
        return Reply(status, headers, msgspec.json.encode({"error": document}))


def state_of(status: int) -> str:
    """Return what `status` says of a status of HTTP."""
    return STATES.get(status) or STATES[400 if status < 500 else 500]


def _details(error: FairwayError, problem: dict[str, Any]) -> list[dict[str, Any]]:
    facts: dict[str, str] = {name: problem[name] for name in ("title", "hint") if name in problem}
    if "example" in problem:
        facts["example"] = msgspec.json.encode(problem["example"]).decode()
    if "errors_total" in problem:
        facts["errors_total"] = str(problem["errors_total"])
    details: list[dict[str, Any]] = [
        {
            "@type": f"{_TYPE}ErrorInfo",
            "reason": error.code.upper(),
            "domain": "fairway",
            "metadata": facts,
        },
        {"@type": f"{_TYPE}RequestInfo", "requestId": problem["request_id"]},
    ]
    if error.faults:
        violations = [
            {"field": fault.pointer, "description": fault.message, "reason": fault.code.upper()}
            for fault in error.faults[:MAX_LISTED_FAULTS]
        ]
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": violations})
    return details
