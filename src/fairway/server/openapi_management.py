"""The management operations as paths of the OpenAPI document, and as the table of the reference page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairway.server.management.fields import Field
from fairway.server.management.operations import BINARY, JSON, OPERATIONS, Operation

TAG = "Management"

_ALWAYS = (400, 401, 403, 429, 503)
_STATUS_WORDS: Mapping[int, str] = {
    304: "The caller has these bytes already.",
    400: "The request cannot be read.",
    401: "No valid API key was sent.",
    403: "The key's role does not allow it, or nobody vouches for the bundle.",
    404: "There is no such model, version or alias for this caller.",
    409: "Somebody else was faster, or the change is not possible as things stand.",
    413: "The body is too large.",
    415: "The content type is none that this route reads.",
    416: "The file ends before this range.",
    422: "Fields do not fit; every fault is listed.",
    429: "Too many failed attempts.",
    503: "The registry is away, or too much waits.",
    507: "No space is left.",
}
_PATTERNS = {
    "ref": ("`coffee`, `coffee:3` or `coffee@challenger`.", r"^[a-z0-9][a-z0-9._-]*([:@][a-z0-9._-]+)?$"),
    "name": ("Name of the model.", r"^[a-z0-9][a-z0-9._-]*$"),
    "alias": ("Name of the alias.", r"^[a-z0-9][a-z0-9._-]*$"),
    "version": ("Number of the version.", r"^[1-9][0-9]{0,8}$"),
    "sha256": ("SHA-256 of the chunk.", r"^[0-9a-f]{64}$"),
    "id": ("Id of the key.", r"^[A-Za-z0-9]+$"),
}
_CONDITIONS = {
    "If-Match": 'Version that the alias is believed to point to, such as `"2"`.',
    "If-None-Match": "`*`: the alias is believed not to be there. For a bundle: the `ETag` that one has.",
}


def management_paths(operations: Sequence[Operation] = OPERATIONS) -> dict[str, Any]:
    """Return the paths of the document."""
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": f"Needs the role `{operation.role}`.",
        "tags": [TAG],
        "parameters": [
            *map(_placeholder, operation.placeholders),
            *map(_parameter, operation.query),
            *(_header(name, doc) for name, doc in _CONDITIONS.items() if operation.conditions),
        ],
        "responses": _responses(operation),
    }
    if operation.body is not None:
        content: dict[str, Any] = {"schema": body_schema(operation.body)}
        if operation.example is not None:
            content["examples"] = {"usual": {"summary": "Usual", "value": dict(operation.example)}}
        required = any(field.required for field in operation.body)
        found["requestBody"] = {"required": required, "content": {JSON: content}}
    if operation.takes:
        binary = {"schema": {"type": "string", "format": "binary", "maxLength": operation.max_body_bytes}}
        found["requestBody"] = {"required": True, "content": dict.fromkeys(operation.takes, binary)}
    return found


def body_schema(fields: Sequence[Field]) -> dict[str, Any]:
    """Return the JSON Schema of a body."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: field.schema() for field in fields},
        "additionalProperties": False,
    }
    if required := [field.name for field in fields if field.required]:
        schema["required"] = required
    return schema


def _placeholder(name: str) -> dict[str, Any]:
    doc, pattern = _PATTERNS[name]
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "description": doc, "schema": schema}


def _parameter(field: Field) -> dict[str, Any]:
    schema = field.schema()
    doc = schema.pop("description")
    return {
        "name": field.name,
        "in": "query",
        "required": field.required,
        "description": doc,
        "schema": schema,
    }


def _header(name: str, doc: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": doc, "schema": {"type": "string"}}


def _responses(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {BINARY: {}}
    if operation.answer is not None:
        example = {"summary": "Usual", "value": operation.answer}
        content = {JSON: {"schema": {"type": "object"}, "examples": {"usual": example}}}
    found: dict[str, Any] = {str(operation.status): {"description": "Done.", "content": content}}
    if operation.answer is None:
        found["206"] = {"description": "The range that was asked for.", "content": content}
        found["304"] = {"description": _STATUS_WORDS[304]}
    statuses = sorted({*_ALWAYS, *operation.problems, *(() if operation.body is None else (415, 422))})
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status in statuses:
        found[str(status)] = {"description": _STATUS_WORDS[status], "content": problem}
    return found


def render_reference() -> str:
    """Return the table and the sections of the reference page, in Markdown."""
    lines = ["| method and path | role | does |", "|---|---|---|"]
    lines += [f"| `{op.method} {op.path}` | `{op.role}` | {op.summary}. |" for op in OPERATIONS]
    for operation in OPERATIONS:
        if operation.query or operation.body or operation.takes:
            lines += ["", f"### `{operation.method} {operation.path}`", "", *_section(operation)]
    return "\n".join(lines)


def _section(operation: Operation) -> list[str]:
    fields = [*((field, "query") for field in operation.query)]
    fields += [(field, "body") for field in operation.body or ()]
    lines = []
    if operation.takes:
        limit = operation.max_body_bytes // 2**20
        lines += [f"The body is {' or '.join(operation.takes)}, at most {limit} MiB.", ""]
    if fields:
        lines += ["| name | in | kind | means |", "|---|---|---|---|"]
        lines += [f"| `{field.name}` | {place} | {_kind(field)} | {field.doc} |" for field, place in fields]
    return lines


def _kind(field: Field) -> str:
    words = ["required" if field.required else "", field.kind, "or null" if field.nullable else ""]
    choices = f" ({', '.join(field.choices)})" if field.choices else ""
    return " ".join(filter(None, words)) + choices
