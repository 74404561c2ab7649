"""The reference page: any OpenAPI document becomes a page."""

from __future__ import annotations

import json
import shlex
from typing import Any

from fairway.server.web.docs import notes, reference, type_words
from fairway.server.web.snippets import curl, json_block, python

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "t", "version": "1", "description": "d"},
    "tags": [{"name": "second", "description": "about second"}],
    "paths": {
        "/models/a/predict": {
            "parameters": [{"$ref": "#/components/parameters/include"}],
            "post": {
                "tags": ["first"],
                "summary": "s",
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {"anyOf": [{"$ref": "#/components/schemas/row"}, {"type": "array"}]},
                            "examples": {"one": {"summary": "One", "value": {"x": 1}}},
                        }
                    }
                },
                "responses": {"200": {"description": "OK"}, "422": {"$ref": "#/components/responses/bad"}},
            },
        },
        "/b": {"get": {"tags": ["second"], "responses": {}}, "delete": {}},
    },
    "components": {
        "parameters": {"include": {"name": "include", "in": "query", "schema": {"enum": ["p", "f"]}}},
        "responses": {
            "bad": {"description": "no", "content": {"application/problem+json": {"example": "{}"}}}
        },
        "schemas": {
            "row": {
                "type": "object",
                "required": ["x"],
                "properties": {
                    "x": {"type": ["number", "null"], "minimum": 1, "maximum": 9},
                    "deep": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"y": {"type": "string"}}},
                    },
                    "self": {"$ref": "#/components/schemas/row"},
                },
            },
            "loop": {"$ref": "#/components/schemas/loop"},
            "nest": {"type": "array", "items": {"$ref": "#/components/schemas/nest"}},
        },
    },
}


def test_operations_are_grouped_and_described() -> None:
    """Groups with a description come first, references are followed, path parameters are shared."""
    page = reference(DOCUMENT, "http://h:1", {"/models/a/predict": "a"})
    assert [group["name"] for group in page["groups"]] == ["second", "first", "Server"]
    (predict,) = page["groups"][1]["operations"]
    assert predict["id"] == "model-a"
    assert predict["parameters"][0]["notes"] == 'One of `"p"`, `"f"`.'
    assert [response["status"] for response in predict["responses"]] == ["200", "422"]
    assert predict["responses"][1]["media"][0]["examples"][0]["text"] == "{}"
    assert predict["curl"].startswith("curl -s 'http://h:1/models/a/predict'")
    assert ".predict(record, 'a')" in predict["python"]


def test_properties_are_listed_with_what_is_inside() -> None:
    """The first form of a body is the one that is spelled out, inner objects by dotted names."""
    page = reference(DOCUMENT, "", {})
    rows = page["groups"][1]["operations"][0]["requests"][0]["rows"]
    by_name = {row["name"]: row for row in rows}
    assert by_name["x"]["type"] == "number or null"
    assert by_name["x"]["required"]
    assert by_name["x"]["notes"] == "At least 1, at most 9."
    assert by_name["deep"]["type"] == "list of object"
    assert by_name["deep[].y"]["type"] == "text"


def test_a_schema_that_holds_itself_ends() -> None:
    """A circle is a page, not a hanging server."""
    assert type_words(DOCUMENT, DOCUMENT["components"]["schemas"]["nest"]).count("list") == 5
    assert len(reference(DOCUMENT, "", {})["groups"]) == 3
    assert notes(DOCUMENT, {"items": {"$ref": "#/components/schemas/loop"}}) == ""
    assert notes(DOCUMENT, {"items": {"$ref": "#/nowhere"}}) == ""


def test_an_empty_document_is_an_empty_page() -> None:
    """Nothing that a document may leave out is needed."""
    assert reference({}, "", {})["groups"] == []


def test_a_shell_reads_the_command_as_it_was_meant() -> None:
    """Quotes, line ends and hostile text stay inside the one argument that they belong to."""
    body = {"it's": "$(id) `id` \\ \" \n'; rm -rf /", "x" * 90: None}
    words = shlex.split(curl("http://h/models/a'b/predict", body))
    assert words[:3] == ["curl", "-s", "http://h/models/a'b/predict"]
    assert json.loads(words[-1]) == body


def test_python_lines_hold_the_record() -> None:
    """The lines are Python, and the record in them is the record."""
    record = {"a\u202e'\n": [1.5, None, True], "b" * 90: "x"}
    text = python("http://h", "coffee", record)
    found: dict[str, Any] = {}
    lines = text.replace("import fairway as fw", "").partition("answer =")[0]
    exec(compile(lines, "snippet", "exec"), found)  # noqa: S102 - our own lines
    assert found["record"] == record
    compile(text, "snippet", "exec")
    assert "\u202e" not in text


def test_json_is_broken_into_lines_only_when_it_is_long() -> None:
    """One line per key, values in one piece."""
    assert json_block({"a": [1, 2]}) == '{"a": [1, 2]}'
    long = {"a" * 50: [1, 2], "b" * 50: {"c": 1}}
    assert json_block(long).count("\n") == 3
    assert json.loads(json_block(long)) == long
    rows = [long, long]
    assert json.loads(json_block(rows)) == rows
