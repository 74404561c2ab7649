"""The OpenAPI 3.1 document, made from the signatures of the models that serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairway.bundle.signature import Signature
from fairway.errors import error_codes
from fairway.inference.loaded import LoadedModel
from fairway.server.access import ANYBODY, rule_of
from fairway.server.management.operations import Operation
from fairway.server.openapi_explain import EXPLAIN_PARAMETERS, EXPLANATION
from fairway.server.openapi_management import management_paths

_VERSION = "3.1.0"


def openapi_document(
    models: Sequence[LoadedModel],
    *,
    version: str,
    has_default: bool = True,
    with_keys: bool = False,
    operations: Sequence[Operation] = (),
) -> dict[str, Any]:
    """Return the document.

    Args:
        models: What serves, the default first.
        version: Version of fairway.
        operations: The management operations that there are.
        has_default: Whether the first model is the default.
        with_keys: Whether callers need a key.
    """
    paths: dict[str, Any] = {}
    places = _places(models)
    if models and has_default:
        default = models[0]
        operation = _predict(default, default.name, f"Predict with {default.name}, the default", "predict")
        paths["/predict"] = {"post": operation}
        paths["/explain"] = {
            "post": _explain(default, default.name, f"Explain {default.name}, the default", "explain")
        }
    for place, model in places.items():
        operation = _predict(model, place, f"Predict with {place}", f"predict_{_identifier(place)}")
        paths[f"/models/{place}/predict"] = {"post": operation}
        operation = _explain(model, place, f"Explain {place}", f"explain_{_identifier(place)}")
        paths[f"/models/{place}/explain"] = {"post": operation}
    paths |= _model_paths() | _service_paths() | management_paths(operations)
    document = {
        "openapi": _VERSION,
        "info": {"title": "fairway", "version": version, "description": "Predictions of trained models."},
        "paths": paths,
        "components": {"schemas": _schemas(places)},
    }
    return _asking_for_keys(document) if with_keys else document


def _asking_for_keys(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with what the guard adds to it: where a key goes, and how it refuses."""
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer fw_...`"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    document["security"] = [{"bearer": []}, {"header": []}]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            rule = rule_of(method.upper(), path)
            if rule is not None and rule.role == ANYBODY:
                operation["security"] = []
            else:
                operation["responses"] |= _problems(401, 403, 404, 429)
    return document


def _places(models: Sequence[LoadedModel]) -> dict[str, LoadedModel]:
    """Return the models by what stands in their path: the name, or the version for a second one of a name."""
    places: dict[str, LoadedModel] = {}
    for model in models:
        places.setdefault(model.reference if model.name in places else model.name, model)
    return places


def _identifier(place: str) -> str:
    return place.replace(":", ".version-")


def _schemas(places: Mapping[str, LoadedModel]) -> dict[str, Any]:
    found: dict[str, Any] = {"Problem": _PROBLEM, "Explanation": EXPLANATION}
    for place, model in places.items():
        found[f"{_identifier(place)}_record"] = model.signature.input_schema()
        prediction = model.signature.output_schema()
        prediction["properties"]["explanation"] = _reference("Explanation")
        found[f"{_identifier(place)}_prediction"] = prediction
    return found


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _predict(model: LoadedModel, place: str, summary: str, operation_id: str) -> dict[str, Any]:
    record = _reference(f"{_identifier(place)}_record")
    answer = _reference(f"{_identifier(place)}_prediction")
    return {
        "operationId": operation_id,
        "summary": summary,
        "description": model.bundle.manifest.description,
        "tags": [model.name],
        "parameters": [_INCLUDE],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _body_schema(record, model.signature),
                    "examples": _examples(model.signature),
                }
            },
        },
        "responses": {
            "200": {
                "description": "The prediction; one object for one record, a list for a list.",
                "headers": _HEADERS,
                "content": {"application/json": {"schema": _answer_schema(answer)}},
            },
            **_problems(400, 404, 413, 415, 422, 500, 503, 504),
        },
    }


def _explain(model: LoadedModel, place: str, summary: str, operation_id: str) -> dict[str, Any]:
    """Return the operation of an explain route: that of predicting, with more parameters."""
    operation = _predict(model, place, summary, operation_id)
    operation["parameters"] = [_INCLUDE, *EXPLAIN_PARAMETERS]
    operation["description"] = "The prediction with the key `explanation` in every row."
    return operation


def _body_schema(record: dict[str, Any], signature: Signature) -> dict[str, Any]:
    row = {"type": "array", "minItems": len(signature.inputs), "maxItems": len(signature.inputs)}
    rows = {"type": "array", "items": {"oneOf": [record, row]}}
    free = [
        k for k in ("features", "input", "inputs", "instances", "data", "records") if k not in signature.names
    ]
    envelopes = [
        {
            "type": "object",
            "properties": {key: {"anyOf": [rows, row]} if key in {"features", "input"} else rows},
            "required": [key],
            "additionalProperties": False,
        }
        for key in free
    ]
    return {"anyOf": [record, rows, *envelopes]}


def _answer_schema(answer: dict[str, Any]) -> dict[str, Any]:
    many = {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": answer}},
        "required": ["predictions"],
    }
    tutorial = {
        "type": "object",
        "description": "Reply to the envelope keys `features` and `input`.",
        "properties": {"prediction": {}},
        "required": ["prediction"],
    }
    return {"anyOf": [answer, many, tutorial]}


def _examples(signature: Signature) -> dict[str, Any]:
    typical = signature.typical_row()
    return {
        "record": {"summary": "One record", "value": typical},
        "list": {"summary": "A list of records", "value": [typical]},
        "features": {"summary": "Values in order", "value": {"features": _in_order(typical)}},
    }


def _in_order(row: Mapping[str, Any]) -> list[Any]:
    values = list(row.values())
    # A list among them would make the row look like a list of rows.
    return [values] if any(isinstance(value, list) for value in values) else values


def _problems(*statuses: int) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _reference("Problem")}}
    return {str(s): {"description": _STATUS_WORDS[s], "content": content} for s in statuses}


_STATUS_WORDS: Mapping[int, str] = {
    400: "The bytes of the request cannot be read.",
    401: "The call holds no valid key.",
    403: "The role of the key does not allow this.",
    404: "There is no such model, version or alias.",
    413: "Too many bytes or rows.",
    415: "Not JSON in UTF-8.",
    429: "Too many calls with invalid keys came from this address.",
    422: "The rows do not fit the signature; every fault is listed.",
    500: "The model raised an error, or broke its contract.",
    503: "Not ready, or overloaded.",
    504: "The model took too long.",
}
_INCLUDE = {
    "name": "include",
    "in": "query",
    "description": "What to add to each prediction, separated by commas.",
    "schema": {"type": "array", "items": {"enum": ["probabilities", "flags", "explanation"]}},
    "style": "form",
    "explode": False,
}
_HEADERS = {
    "fairway-model": {"description": "Version that answered.", "schema": {"type": "string"}},
    "fairway-prediction-id": {
        "description": "Id of the call (UUIDv7); row n is `<id>.<n>`.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "fairway-flags": {
        "description": "Number of values that were let through although they were not seen in training.",
        "schema": {"type": "integer"},
    },
    "server-timing": {"description": "Milliseconds per stage, and in total.", "schema": {"type": "string"}},
}
_FAULT = {
    "type": "object",
    "properties": {
        "pointer": {"type": "string", "description": "RFC 6901 pointer into the body as it was sent."},
        "code": {"type": "string"},
        "message": {"type": "string"},
        "expected": {"type": "string"},
        "got": {"type": "string"},
    },
    "required": ["pointer", "code", "message"],
}
_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem document.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"enum": sorted(error_codes())},
        "request_id": {"type": "string"},
        "hint": {"type": "string"},
        "errors": {"type": "array", "items": _FAULT, "maxItems": 20},
        "errors_total": {"type": "integer"},
        "example": {"description": "A corrected request body."},
    },
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
}


def _get(summary: str, operation_id: str, media_type: str, *problems: int) -> dict[str, Any]:
    return {
        "get": {
            "operationId": operation_id,
            "summary": summary,
            "responses": {"200": {"description": "OK", "content": {media_type: {}}}, **_problems(*problems)},
        }
    }


def _model_paths() -> dict[str, Any]:
    one = _get("What one model takes, answers and is", "model", "application/json", 404)
    parameter = {"name": "ref", "in": "path", "required": True, "schema": {"type": "string"}}
    one["get"]["parameters"] = [parameter | {"description": "`coffee`, `coffee:3` or `coffee@challenger`"}]
    return {
        "/models": _get("The models that serve", "models", "application/json"),
        "/models/{ref}": one,
    }


def _service_paths() -> dict[str, Any]:
    return {
        "/health": _get("State of every model", "health", "application/json", 503),
        "/livez": _get("Is the process alive", "livez", "application/json"),
        "/readyz": _get("Are all models loaded and proven", "readyz", "application/json", 503),
        "/metrics": _get("Metrics for Prometheus", "metrics", "text/plain"),
        "/openapi.json": _get("This document", "openapi", "application/json"),
    }
