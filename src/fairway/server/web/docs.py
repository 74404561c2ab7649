"""The reference page: an OpenAPI 3.1 document turned into the structure that its template walks through.

Nothing here knows fairway's own routes; what the document does not say, the page does not show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fairway.server.web.snippets import curl, json_block, parse_json, python
from fairway.server.web.text import json_text, shown

METHODS = ("get", "post", "put", "patch", "delete")

_MAX_DEPTH = 4
_MAX_REFERENCES = 16
_SHOWN_ENUM = 12
_OTHER = "Server"
_NOT_SLUG = re.compile(r"[^a-z0-9._]+")
_TYPE_WORDS = {"object": "object", "array": "array", "string": "text", "number": "number"}

Document = Mapping[str, Any]


def reference(document: Document, base_url: str, models: Mapping[str, str]) -> dict[str, Any]:
    """Return what `docs.html` shows of an OpenAPI document; the keys are described there.

    Args:
        document: The OpenAPI document.
        base_url: Address of the server, for the calls to copy.
        models: Name of the model that a path predicts with; such operations also get Python lines.
    """
    info = document.get("info", {})
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, method, operation in _operations(document):
        tag = str((operation.get("tags") or [_OTHER])[0])
        groups.setdefault(tag, []).append(
            _operation(document, path, method, operation, base_url, models.get(path, ""))
        )
    described = {str(tag.get("name")): str(tag.get("description", "")) for tag in document.get("tags", ())}
    order = [
        *(name for name in described if name in groups),
        *(name for name in groups if name not in described),
    ]
    return {
        "title": str(info.get("title", "HTTP API")),
        "version": str(info.get("version", "")),
        "description": str(info.get("description", "")),
        "groups": [
            {
                "id": f"group-{number}",
                "name": name,
                "description": described.get(name, ""),
                "operations": groups[name],
            }
            for number, name in enumerate(order)
        ],
    }


def _operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, entry in document.get("paths", {}).items():
        item = _resolve(document, entry)
        for method in METHODS:
            if method in item:
                shared = item.get("parameters", [])
                operation = item[method]
                yield path, method, {**operation, "parameters": [*shared, *operation.get("parameters", [])]}


def _operation(
    document: Document, path: str, method: str, operation: Document, base_url: str, model: str
) -> dict[str, Any]:
    body = _resolve(document, operation.get("requestBody", {}))
    requests = [_media(document, kind, media) for kind, media in body.get("content", {}).items()]
    example = next((example["value"] for request in requests for example in request["examples"]), None)
    return {
        "id": anchor(model) if model else _slug(f"{method} {path}"),
        "model": model,
        "method": method.upper(),
        "path": path,
        "summary": str(operation.get("summary", "")),
        "description": str(operation.get("description", "")),
        "parameters": [_parameter(document, entry) for entry in operation["parameters"]],
        "request_description": str(body.get("description", "")),
        "requests": requests,
        "responses": [
            _response(document, status, entry) for status, entry in operation.get("responses", {}).items()
        ],
        "curl": curl(
            base_url + path,
            example,
            method=method.upper(),
            with_key=bool(operation.get("security", document.get("security"))),
        ),
        "python": python(base_url, model, example) if model and example is not None else "",
    }


def _parameter(document: Document, entry: Document) -> dict[str, Any]:
    parameter = _resolve(document, entry)
    schema = _resolve(document, parameter.get("schema", {}))
    return {
        "name": shown(str(parameter.get("name", ""))),
        "place": str(parameter.get("in", "")),
        "required": bool(parameter.get("required", False)),
        "type": type_words(document, schema),
        "notes": " ".join(filter(None, [str(parameter.get("description", "")), notes(document, schema)])),
    }


def _response(document: Document, status: str, entry: Document) -> dict[str, Any]:
    response = _resolve(document, entry)
    return {
        "status": str(status),
        "is_error": str(status)[:1] in {"4", "5"},
        "description": str(response.get("description", "")),
        "headers": [
            {"name": name, "notes": str(_resolve(document, header).get("description", ""))}
            for name, header in response.get("headers", {}).items()
        ],
        "media": [_media(document, kind, media) for kind, media in response.get("content", {}).items()],
    }


def _media(document: Document, kind: str, media: Document) -> dict[str, Any]:
    schema = media.get("schema", {})
    rows = list(_rows(document, schema, "", depth=0))
    examples = list(_examples(document, media))
    return {
        "type": str(kind),
        "is_described": bool(rows or examples),
        "summary": type_words(document, _resolve(document, schema)),
        "rows": rows,
        "examples": examples,
    }


def _examples(document: Document, media: Document) -> Iterator[dict[str, Any]]:
    schema = _resolve(document, media.get("schema", {}))
    if "example" in media:
        yield _example("", media["example"])
    for name, entry in media.get("examples", {}).items():
        example = _resolve(document, entry)
        if "value" in example:
            yield _example(str(example.get("summary", name)), example["value"])
    if "example" not in media and not media.get("examples"):
        yield from (_example("", value) for value in schema.get("examples", [])[:1])


def _example(title: str, value: Any) -> dict[str, Any]:
    # An example may be written as the text of a JSON document.
    parsed = parse_json(value) if isinstance(value, str) else None
    value = value if parsed is None else parsed
    return {"title": title, "value": value, "text": json_block(value)}


def _rows(document: Document, schema: Document, prefix: str, *, depth: int) -> Iterator[dict[str, Any]]:
    """Yield one row per property; those of an inner object follow it under a dotted name."""
    resolved = _resolve(document, schema)
    for key in ("anyOf", "oneOf"):
        if key in resolved and "properties" not in resolved:
            resolved = _resolve(document, resolved[key][0])  # the first form is the one to learn from
    inner = _resolve(document, resolved.get("items", {}))
    if inner and not resolved.get("properties"):
        resolved, prefix = inner, f"{prefix}[]" if prefix else ""
    required = set(resolved.get("required", ()))
    for name, entry in resolved.get("properties", {}).items():
        child = _resolve(document, entry)
        path = f"{prefix}.{shown(name)}" if prefix else shown(name)
        yield {
            "name": path,
            "type": type_words(document, child),
            "required": name in required,
            "notes": notes(document, child),
        }
        if depth < _MAX_DEPTH:
            yield from _rows(document, child, path, depth=depth + 1)


def type_words(document: Document, schema: Document, depth: int = 0) -> str:
    """Return what kind of value a schema describes, in words; *depth* stops one that holds itself."""
    if depth > _MAX_DEPTH:
        return "..."
    if "const" in schema:
        return json_text(schema["const"])
    for key in ("oneOf", "anyOf"):
        if schema.get(key):
            words = (type_words(document, _resolve(document, part), depth + 1) for part in schema[key])
            return " or ".join(dict.fromkeys(words))
    declared = schema.get("type", "")
    names = [str(name) for name in (declared if isinstance(declared, list) else [declared]) if name]
    words_of = [_one_type(document, name, schema, depth) for name in names]
    return " or ".join(words_of) or ("one of the values" if "enum" in schema else "any value")


def _one_type(document: Document, name: str, schema: Document, depth: int) -> str:
    if name == "array":
        items = _resolve(document, schema.get("items", {}))
        words = type_words(document, items, depth + 1) if "type" in items or "anyOf" in items else ""
        return f"list of {words}" if words else "list"
    if name == "string" and schema.get("format"):
        return str(schema["format"])
    return _TYPE_WORDS.get(name, name)


def notes(document: Document, schema: Document) -> str:
    """Return what a schema says beyond the type: description, choices, limits."""
    items = _resolve(document, schema.get("items", {}))
    parts = [str(part["description"]) for part in (schema, items) if part.get("description")]
    choices = schema.get("enum") or items.get("enum")
    if choices:
        listed = ", ".join(f"`{shown(json_text(choice))}`" for choice in choices[:_SHOWN_ENUM])
        more = len(choices) - _SHOWN_ENUM
        parts.append(f"One of {listed}" + (f" and {more} more." if more > 0 else "."))
    limits = {"minimum": "at least", "maximum": "at most", "minItems": "from", "maxItems": "to"}
    found = [f"{words} {schema[key]}" for key, words in limits.items() if schema.get(key) is not None]
    if found:
        parts.append(", ".join(found).capitalize() + (" values." if "minItems" in schema else "."))
    return " ".join(parts)


def _resolve(document: Document, value: Any) -> Document:
    """Follow local references; what cannot be followed is empty."""
    for _ in range(_MAX_REFERENCES):
        if not isinstance(value, Mapping):
            return {}
        address = value.get("$ref")
        if not isinstance(address, str):
            return value
        value = _at(document, address)
    return {}


def _at(document: Document, address: str) -> Any:
    value: Any = document
    for token in address.removeprefix("#/").split("/"):
        key = token.replace("~1", "/").replace("~0", "~")
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def anchor(reference: str) -> str:
    """Return the id of the operation that predicts with a model."""
    return _slug(f"model {reference}")


def _slug(text: str) -> str:
    return _NOT_SLUG.sub("-", text.lower()).strip("-") or "root"
