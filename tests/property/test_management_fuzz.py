"""Whatever is sent to the management interface, the server answers, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fairway as fw
from fairway.server.management.fields import Field
from fairway.server.management.operations import OPERATIONS, Operation
from fairway.testing import RunningServer, running_server

EXAMPLES = 12
"""Requests per operation; a night's run takes thousands."""

DIGEST = "0" * 64
NAMES = st.sampled_from(
    ["iris", "iris:1", "iris:2", "iris@production", "iris@x", "nothing", "CON", "a" * 65, DIGEST, "0", "1"]
)
TEXTS = st.text(max_size=20) | st.sampled_from(["", "production", "iris:1", "\0", "2026-05-03", "9" * 30])
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
FITTING = {
    "text": TEXTS,
    "texts": st.lists(TEXTS, max_size=3),
    "integer": st.integers(-1, 5),
    "boolean": st.booleans(),
    "digest": st.sampled_from([DIGEST, "f" * 64]),
    "digests": st.lists(st.sampled_from([DIGEST, "f" * 64]), max_size=3),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Give a server with one small model."""
    folder = tmp_path_factory.mktemp("fuzzed")
    (folder / "double.py").write_text("def predict(rows):\n    return [2 * row['x'] for row in rows]\n")
    rows = [{"x": n} for n in range(8)]
    fw.push(f"{folder / 'double.py'}:predict", name="iris", example=rows, compile="off", home=folder / "home")
    # Else a key that happens to fit would close the door behind itself.
    environ = {"FAIRWAY_SERVER_AUTH": "off"}
    with running_server(home=folder / "home", folder=folder, environ=environ) as started:
        yield started


def value_of(field: Field) -> st.SearchStrategy[Any]:
    """Return values of a field, most of them of its kind."""
    choices = [st.sampled_from(field.choices)] if field.choices else []
    return st.one_of(*choices, FITTING[field.kind], JUNK)


def fields_of(fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with these fields, some left out, some too many."""
    required = {field.name: value_of(field) for field in fields if field.required}
    optional = {field.name: value_of(field) for field in fields if not field.required}
    fitting = st.fixed_dictionaries(required, optional=optional)
    return fitting | st.fixed_dictionaries({}, optional=required | optional | {"unknown": JUNK})


@st.composite
def requests(draw: st.DrawFn, operation: Operation) -> tuple[str, Any, dict[str, str]]:
    """Return path, body and headers of a request to an operation."""
    path = operation.path
    for name in operation.placeholders:
        given = draw(NAMES | TEXTS.filter(bool))
        path = path.replace("{" + name + "}", quote(given, safe=":@"))
    query = draw(fields_of(operation.query)) if operation.query else {}
    if query:
        path += "?" + "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    headers = draw(
        st.dictionaries(
            st.sampled_from(["if-match", "if-none-match", "range", "if-range"]),
            st.sampled_from(['"1"', "*", "x", "bytes=0-", "bytes=5-1", "bytes=-1"]),
            max_size=2,
        )
    )
    if operation.takes:
        headers["content-type"] = draw(st.sampled_from([*operation.takes, "text/plain"]))
        return path, draw(st.binary(max_size=60) | st.just(b"x\n1\n2\n")), headers
    if operation.body is None:
        return path, None, headers
    headers["content-type"] = "application/json"
    return path, draw(fields_of(operation.body) | JUNK | st.binary(max_size=20)), headers


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_no_request_makes_the_server_fail(server: RunningServer, operation: Operation) -> None:
    """Every answer is below 500, and every refusal a problem document."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(requests(operation))
    def check(request: tuple[str, Any, dict[str, str]]) -> None:
        path, body, headers = request
        answer = server.ask(path, body, method=operation.method, headers=headers)

        assert answer.status < 500, (path, body, answer.body)
        if answer.status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status
            assert str(Path(server.log.parent)) not in answer.body.decode()

    check()


def test_the_registry_is_whole_afterwards(server: RunningServer) -> None:
    """Nothing of it has broken the record, and the model answers."""
    assert server.ask("/api/v1/audit/verify").json()["broken"] is None
    assert server.ask("/predict", {"x": 2}, headers={"content-type": "application/json"}).status == 200
