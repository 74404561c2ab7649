"""Bad bodies in every dialect: each gets its one stated answer, in the shape of the dialect, and never a 5xx.

The ids are those of the catalogue of hostile inputs (A: bodies, B: rows).
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairway.errors import MalformedRequest, error_codes
from fairway.messages import Reply
from fairway.protocols.sagemaker import ERROR_TYPES
from fairway.protocols.vertex import STATES, STATUSES

from .dialects import ALL_KINDS, CSV, DIALECTS, LIMITS, LINES, SAGEMAKER, VERTEX, Speaker, table
from .test_equivalence import PLAIN

_SPEAKER = Speaker(ALL_KINDS)
_PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "dialects.md"
IN_CSV, IN_LINES = {"content-type": CSV}, {"content-type": LINES}


@dataclasses.dataclass(frozen=True)
class Bad:
    """A call and the answer that it must get.

    Attributes:
        row: Row of the catalogue, and what is special here.
        path: Where it is sent.
        body: Bytes, or data that is sent as JSON.
        status: Status on the native routes, to which the dialect's own is mapped.
        code: Expected top-level code.
        faults: Expected (pointer, code) of the first faults.
        headers: What is sent beside the content type of JSON.
        said: A text that the message must hold.
    """

    row: str
    path: str
    body: Any
    status: int
    code: str
    faults: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    said: str = ""


def row_with(**changes: Any) -> dict[str, Any]:
    return PLAIN | changes


def text_with(name: str, value: str) -> bytes:
    """Return a record as JSON in which one value is written as given."""
    return json.dumps(row_with(**{name: "@"})).replace('"@"', value).encode()


def line_with(name: str, value: str) -> bytes:
    """Return a line of CSV in which one cell is written as given."""
    return table([row_with(**{name: "@"})]).replace(b"@", value.encode())


def mismatch(row: str, path: str, body: Any, *faults: tuple[str, str], **more: Any) -> Bad:
    return Bad(row, path, body, 422, "signature_mismatch", faults, **more)


def in_instances(record: bytes, more: bytes = b"") -> bytes:
    return b'{"instances":[' + record + b"]" + more + b"}"


PARAMETERS = b',"parameters":{"include":["flags"]}'
LONG = "a" * (LIMITS["max_text_chars"] + 1)
MANY = LIMITS["max_rows"] + 1

VERTEX_BODIES = [
    Bad("A1", VERTEX, b"", 400, "body_empty"),
    Bad("A2", VERTEX, b'{"instances":[{"number":5.1', 400, "json_invalid", said="byte 27"),
    Bad("A3", VERTEX, in_instances(text_with("number", "NaN")), 400, "json_nonfinite",
        (("/instances/0/number", "json_nonfinite"),)),
    Bad("A3 beside parameters", VERTEX, in_instances(text_with("number", "NaN"), PARAMETERS), 400,
        "json_nonfinite", (("/instances/0/number", "json_nonfinite"),)),
    Bad("A5", VERTEX, in_instances(text_with("number", "1e999")), 400, "json_nonfinite"),
    Bad("A6", VERTEX, b'{"instances":' + b"[" * 33 + b"]" * 33 + b"}", 400, "json_too_deep"),
    Bad("A6 200,000", VERTEX, b'{"instances":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400,
        "json_too_deep"),
    Bad("A6 parameters", VERTEX, b'{"instances":[],"parameters":' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400,
        "json_too_deep"),
    Bad("A7", VERTEX, b'{"instances":[' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"]}", 400,
        "json_too_deep"),
    Bad("A8", VERTEX, in_instances(text_with("integer", "9" * 100_000), PARAMETERS), 400,
        "json_number_range"),
    Bad("A9", VERTEX, in_instances(text_with("number", '1,"number":2')), 400, "json_duplicate_key",
        (("/instances/0/number", "json_duplicate_key"),)),
    Bad("A9 instances", VERTEX, b'{"instances":[],"instances":[]}', 400, "json_duplicate_key"),
    Bad("A9 instances beside parameters", VERTEX, b'{"instances":[],"parameters":{},"instances":[]}', 400,
        "json_duplicate_key"),
    Bad("A9 in parameters", VERTEX, b'{"instances":[],"parameters":{"include":[],"include":[]}}', 400,
        "json_duplicate_key", (("/parameters/include", "json_duplicate_key"),), said="/parameters/include"),
    Bad("A3 in parameters", VERTEX, b'{"instances":[],"parameters":{"x":[NaN]}}', 400, "json_nonfinite",
        (("/parameters/x/0", "json_nonfinite"),)),
    Bad("A10 beside parameters", VERTEX, b'{"parameters":{},"instances":["\xff"]}', 400, "encoding_invalid",
        said="byte 31"),
    Bad("A9 in a row beside parameters", VERTEX,
        in_instances(text_with("number", '1,"number":2'), PARAMETERS), 400,
        "json_duplicate_key", (("/instances/0/number", "json_duplicate_key"),)),
    Bad("A10", VERTEX, in_instances(text_with("text", '"\xff"').decode().encode("latin-1")), 400,
        "encoding_invalid"),
    Bad("A11", VERTEX, in_instances(text_with("text", '"\\ud800"')), 400, "encoding_invalid",
        (("/instances/0/text", "encoding_invalid"),)),
    Bad("A12", VERTEX, b"1,2", 415, "media_type", headers=IN_CSV),
    Bad("A13", VERTEX, gzip.compress(b"{}"), 415, "content_encoding", headers={"content-encoding": "gzip"}),
    Bad("A18", VERTEX, {"instances": [PLAIN] * MANY}, 413, "too_many_rows"),
    Bad("A18 beside parameters", VERTEX, {"instances": [[1]] * MANY, "parameters": {}}, 413, "too_many_rows"),
    Bad("A20 null", VERTEX, b"null", 422, "body_shape"),
    Bad("A20 a list", VERTEX, [PLAIN], 422, "body_shape", said="instances"),
    Bad("A20 a record", VERTEX, PLAIN, 422, "body_shape", said="instances"),
    Bad("A20 another envelope", VERTEX, {"records": [PLAIN]}, 422, "body_shape", said="instances"),
    Bad("A20 one instance", VERTEX, {"instances": PLAIN}, 422, "body_shape"),
    Bad("A20 no instances", VERTEX, {"instances": None}, 422, "body_shape"),
    Bad("A20 no instances beside parameters", VERTEX, {"instances": 3, "parameters": {}}, 422, "body_shape",
        (("/instances", "body_shape"),)),
    Bad("A20 parameters", VERTEX, {"instances": [PLAIN], "parameters": 3}, 422, "body_shape",
        (("/parameters", "body_shape"),)),
    Bad("A20 unknown parameter", VERTEX, {"instances": [PLAIN], "parameters": {"top_k": 3}}, 422,
        "body_shape", said="top_k"),
    Bad("A20 unknown wish", VERTEX, {"instances": [PLAIN], "parameters": {"include": ["secrets"]}}, 422,
        "body_shape", (("/parameters/include", "body_shape"),)),
    Bad("A20 no list of wishes", VERTEX, {"instances": [PLAIN], "parameters": {"include": "flags"}}, 422,
        "body_shape", (("/parameters/include", "body_shape"),)),
    Bad("A20 something beside", VERTEX, {"instances": [PLAIN], "extra": 1}, 422, "body_shape", said="extra"),
    Bad("A20 something beside parameters", VERTEX, {"instances": [], "parameters": {}, "extra": 1}, 422,
        "body_shape", said="extra"),
    Bad("A21", VERTEX, b'{"instances":[]} x', 400, "json_invalid"),
    mismatch("A22", VERTEX, {"instances": [row_with(text=LONG)]}, ("/instances/0/text", "value_too_long")),
]  # fmt: skip

SAGEMAKER_BODIES = [
    Bad("A1", SAGEMAKER, b"", 400, "body_empty"),
    Bad("A1 lines", SAGEMAKER, b"\n \n", 400, "body_empty", headers=IN_LINES),
    Bad("A1 csv", SAGEMAKER, b"\r\n", 400, "body_empty", headers=IN_CSV),
    Bad("A2", SAGEMAKER, b'[{"number":5.1', 400, "json_invalid"),
    Bad("A2 lines", SAGEMAKER, b'{}\n{"number":', 400, "json_invalid", headers=IN_LINES, said="line 2"),
    Bad("A2 csv, a quote left open", SAGEMAKER, b'1,"2', 400, "csv_invalid", headers=IN_CSV, said="line 1"),
    Bad("A2 csv, a quote inside", SAGEMAKER, b'1,"2"3', 400, "csv_invalid", headers=IN_CSV),
    Bad("A2 csv, NUL", SAGEMAKER, line_with("number", "\0"), 422, "signature_mismatch", headers=IN_CSV),
    Bad("A3", SAGEMAKER, b"[" + text_with("number", "NaN") + b"]", 400, "json_nonfinite",
        (("/0/number", "json_nonfinite"),)),
    Bad("A3 lines", SAGEMAKER, b"\n" + text_with("number", "NaN"), 400, "json_nonfinite", headers=IN_LINES),
    Bad("A3 wrapped", SAGEMAKER, in_instances(b'{"data":' + text_with("number", "NaN") + b"}"), 400,
        "json_nonfinite"),
    mismatch("A3 csv", SAGEMAKER, line_with("number", "NaN"), ("/0/number", "json_nonfinite"),
             headers=IN_CSV),
    mismatch("A4 csv", SAGEMAKER, line_with("number", "-Infinity"), ("/0/number", "json_nonfinite"),
             headers=IN_CSV),
    mismatch("A5 csv", SAGEMAKER, line_with("number", "1e999"), ("/0/number", "json_nonfinite"),
             headers=IN_CSV),
    Bad("A6", SAGEMAKER, b"[" * 200_000 + b"]" * 200_000, 400, "json_too_deep"),
    Bad("A6 lines", SAGEMAKER, b"[" * 200_000 + b"]" * 200_000, 400, "json_too_deep", headers=IN_LINES),
    mismatch("A6 csv", SAGEMAKER, line_with("words", "[" * 50_000), ("/0/words", "value_type"),
             headers=IN_CSV),
    Bad("A7 wrapped", SAGEMAKER, in_instances(b'{"features":' * 100_000 + b"1" + b"}" * 100_000), 400,
        "json_too_deep"),
    mismatch("A8 csv", SAGEMAKER, line_with("integer", "9" * 100_000), ("/0/integer", "json_number_range"),
             headers=IN_CSV),
    Bad("A9 wrapped twice", SAGEMAKER, b'{"instances":[{"features":[1],"features":[2]}]}', 400,
        "json_duplicate_key", (("/instances/0/features", "json_duplicate_key"),)),
    Bad("A9 wrapped, instances", SAGEMAKER,
        b'{"instances":[{"features":[1]}],"instances":[{"features":[2]}]}', 400, "json_duplicate_key"),
    Bad("A9 lines", SAGEMAKER, text_with("number", '1,"number":2'), 400, "json_duplicate_key",
        (("/0/number", "json_duplicate_key"),), headers=IN_LINES),
    Bad("A9 csv", SAGEMAKER, b"number,number\n1,2", 400, "csv_invalid",
        headers={"content-type": f"{CSV}; header=present"}, said="twice"),
    Bad("A10 csv", SAGEMAKER, b"\xff,1", 400, "encoding_invalid", headers=IN_CSV),
    Bad("A10 lines", SAGEMAKER, b'1\n\n"\xff"', 400, "encoding_invalid", headers=IN_LINES,
        said="line 3: the body is not valid UTF-8: byte 1"),
    Bad("A10 wrapped", SAGEMAKER, in_instances(b'{"features":["\xff"]}'), 400, "encoding_invalid",
        said="byte 28"),
    Bad("A11 lines", SAGEMAKER, text_with("text", '"\\ud800"'), 400, "encoding_invalid", headers=IN_LINES),
    Bad("A12", SAGEMAKER, b"<a/>", 415, "media_type", headers={"content-type": "text/xml"}),
    Bad("A12 charset", SAGEMAKER, b"1", 415, "media_type",
        headers={"content-type": "text/csv; charset=latin-1"}),
    Bad("A12 header", SAGEMAKER, b"1", 415, "media_type", headers={"content-type": "text/csv; header=maybe"}),
    Bad("A12 header of JSON", SAGEMAKER, b"{}", 415, "media_type",
        headers={"content-type": "application/json; header=present"}),
    Bad("A12 accept", SAGEMAKER, [PLAIN], 406, "not_acceptable", headers={"accept": "image/png"}),
    Bad("A12 accept nothing", SAGEMAKER, [PLAIN], 406, "not_acceptable", headers={"accept": "*/*;q=0"}),
    Bad("A12 flags have no place in CSV", f"{SAGEMAKER}?include=flags", [PLAIN], 400, "query_invalid",
        headers={"accept": CSV}),
    Bad("A12 attributes", SAGEMAKER, [PLAIN], 400, "query_invalid",
        headers={"x-amzn-sagemaker-custom-attributes": "trace=1; fairway-include=secrets"}),
    Bad("A13", SAGEMAKER, gzip.compress(b"1"), 415, "content_encoding",
        headers=IN_CSV | {"content-encoding": "gzip"}),
    Bad("A18", SAGEMAKER, [PLAIN] * MANY, 413, "too_many_rows"),
    Bad("A18 wrapped", SAGEMAKER, {"instances": [{"features": [1]}] * MANY}, 413, "too_many_rows"),
    Bad("A18 lines", SAGEMAKER, b"1\n" * MANY, 413, "too_many_rows", headers=IN_LINES),
    Bad("A18 csv", SAGEMAKER, b"1\n" * MANY, 413, "too_many_rows", headers=IN_CSV),
    Bad("A18 csv, quoted", SAGEMAKER, b'"1"\n' * 10 * MANY, 413, "too_many_rows", headers=IN_CSV),
    Bad("A18 csv, a million", SAGEMAKER, b"1\n" * 1_000_000, 413, "too_many_rows", headers=IN_CSV),
    mismatch("A19 csv", SAGEMAKER, b"1," * 100_000 + b"1", ("/0", "row_length"), headers=IN_CSV),
    Bad("A20", SAGEMAKER, b"null", 422, "body_shape"),
    Bad("A21", SAGEMAKER, b"[] x", 400, "json_invalid"),
    Bad("A21 two values on a line", SAGEMAKER, b"[1],[2]\n", 400, "json_invalid", headers=IN_LINES,
        said="line 1"),
    Bad("A21 a list that only the lines make", SAGEMAKER, b"1],[2\n", 400, "json_invalid", headers=IN_LINES),
    mismatch("A22", SAGEMAKER, line_with("text", LONG), ("/0/text", "value_too_long"), headers=IN_CSV),
    mismatch("A22 beyond the limit of the module", SAGEMAKER, line_with("text", "a" * 200_000),
             ("/0/text", "value_too_long"), headers=IN_CSV),
]  # fmt: skip

ROWS = [
    mismatch("B1", VERTEX, {"instances": [{"number": 1}]}, ("/instances/0/integer", "feature_missing")),
    mismatch("B1 csv", SAGEMAKER, b"number,text\n1,a", ("/0/integer", "feature_missing"), headers=IN_CSV),
    mismatch("B2", VERTEX, {"instances": [row_with(nummer=1)]}, ("/instances/0/nummer", "feature_unknown"),
             said="did you mean 'number'"),
    mismatch("B2 csv", SAGEMAKER, table([row_with(nummer=1)], names=True), ("/0/nummer", "feature_unknown"),
             headers={"content-type": f"{CSV};header=present"}),
    mismatch("B3", VERTEX, {"instances": [PLAIN, row_with(number="abc")]},
             ("/instances/1/number", "value_type")),
    mismatch("B3 beside parameters", VERTEX, {"instances": [row_with(number="abc")], "parameters": None},
             ("/instances/0/number", "value_type")),
    mismatch("B3 csv", SAGEMAKER, line_with("number", "abc"), ("/0/number", "value_type"), headers=IN_CSV),
    mismatch("B3 csv, other ways to write a number", SAGEMAKER, line_with("number", "0x10"),
             ("/0/number", "value_type"), headers=IN_CSV),
    mismatch("B3 csv, a number with separators", SAGEMAKER, line_with("number", "1_000"),
             ("/0/number", "value_type"), headers=IN_CSV),
    mismatch("B3 wrapped", SAGEMAKER,
             {"instances": [{"data": PLAIN}, {"data": row_with(number="abc")}]},
             ("/instances/1/data/number", "value_type"), said="/instances/1/data/number"),
    mismatch("B3 wrapped lines", SAGEMAKER, json.dumps({"features": [1]}).encode(),
             ("/0/features", "row_length"), headers=IN_LINES),
    mismatch("B4", VERTEX, {"instances": [row_with(level=3)]}, ("/instances/0/level", "value_type")),
    mismatch("B5", VERTEX, {"instances": [row_with(number=True)]}, ("/instances/0/number", "value_type")),
    mismatch("B5 csv", SAGEMAKER, line_with("number", "true"), ("/0/number", "value_type"), headers=IN_CSV),
    mismatch("B5 csv reversed", SAGEMAKER, line_with("boolean", "1"), ("/0/boolean", "value_type"),
             headers=IN_CSV),
    mismatch("B6", VERTEX, {"instances": [row_with(number=None)]}, ("/instances/0/number", "value_missing")),
    mismatch("B6 csv", SAGEMAKER, line_with("number", ""), ("/0/number", "value_missing"), headers=IN_CSV),
    mismatch("B8 csv", SAGEMAKER, line_with("integer", "1.5"), ("/0/integer", "value_type"), headers=IN_CSV),
    mismatch("B11", VERTEX, {"instances": [[1, 2]]}, ("/instances/0", "row_length")),
    mismatch("B11 csv", SAGEMAKER, table([PLAIN]) + b"1,2\n", ("/1", "row_length"), headers=IN_CSV),
    Bad("B12", VERTEX, {"instances": [PLAIN, [1]]}, 422, "body_shape", (("/instances/1", "body_shape"),)),
    mismatch("B13 csv", SAGEMAKER, line_with("at", "2026-02-30"), ("/0/at", "value_format"), headers=IN_CSV),
    mismatch("B14 csv", SAGEMAKER, table([PLAIN] * 617) + line_with("number", "x") + table([PLAIN] * 382),
             ("/617/number", "value_type"), headers=IN_CSV),
    mismatch("a header that is none", SAGEMAKER, b"nummer,maybe\n" + table([PLAIN]), ("/0", "row_length"),
             headers=IN_CSV),
]  # fmt: skip

CATALOGUE = [*VERTEX_BODIES, *SAGEMAKER_BODIES, *ROWS]


def send(bad: Bad) -> Reply:
    body = bad.body if isinstance(bad.body, bytes) else json.dumps(bad.body).encode()
    return _SPEAKER.ask(bad.path, body, bad.headers)


def in_sagemaker(reply: Reply) -> tuple[str, list[tuple[str, str]], str]:
    """Return code, faults and message of an error, having checked its shape."""
    document = json.loads(reply.body)
    problem = document["problem"]
    assert list(document) == ["code", "type", "message", "problem"]
    assert document["code"] == reply.status == problem["status"]
    assert document["type"] == ERROR_TYPES[reply.status]
    return (
        problem["code"],
        [(f["pointer"], f["code"]) for f in problem.get("errors", ())],
        document["message"],
    )


def in_vertex(reply: Reply) -> tuple[str, list[tuple[str, str]], str]:
    """Do the same for an error of Vertex AI."""
    document = json.loads(reply.body)
    error = document["error"]
    assert list(document) == ["error"]
    assert error["code"] == reply.status
    assert error["status"] in STATES.values()
    info, request, *violations = error["details"]
    assert info["domain"] == "fairway"
    assert all(isinstance(value, str) for value in info["metadata"].values())
    assert request["requestId"] == dict(reply.headers)[b"fairway-request-id"].decode()
    faults = [(f["field"], f["reason"].lower()) for found in violations for f in found["fieldViolations"]]
    return info["reason"].lower(), faults, error["message"]


@pytest.mark.parametrize("bad", CATALOGUE, ids=lambda bad: f"{bad.path[1:7]} {bad.row}")
def test_a_bad_call_gets_its_answer(bad: Bad) -> None:
    """Status, code, pointers into the body as it was sent, and the shape of the dialect."""
    reply = send(bad)

    code, faults, message = (in_vertex if bad.path == VERTEX else in_sagemaker)(reply)
    expected = STATUSES.get(bad.status, bad.status) if bad.path == VERTEX else bad.status
    assert (reply.status, code) == (expected, bad.code), message
    assert tuple(faults[: len(bad.faults)]) == bad.faults
    assert bad.said in message
    headers = dict(reply.headers)
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"cache-control"] == b"no-store"
    assert len(reply.body) <= 8192
    assert not re.search(rb"Traceback|site-packages|\.py\b", reply.body)


@pytest.mark.parametrize("bad", VERTEX_BODIES[:4], ids=lambda bad: bad.row)
def test_the_dialects_say_what_the_native_one_says(bad: Bad) -> None:
    """The shape differs; code and message are the native ones, where the body is read natively."""
    theirs = in_vertex(send(bad))
    ours = json.loads(send(dataclasses.replace(bad, path="/predict")).body)
    assert theirs == (
        ours["code"],
        [(f["pointer"], f["code"]) for f in ours.get("errors", ())],
        ours["detail"],
    )


_SEEDS = [
    (dialect.path, dialect.headers, dialect.write([PLAIN, row_with(text="a,b")]))
    for name, dialect in DIALECTS.items()
    if dialect.path != "/predict"
]
_ODD = st.sampled_from(
    [b'"', b",", b"\n", b"{", b"}", b"[", b"]", b"\\", b"\xff", b"\0", b"NaN", b"1e999", b":", b'""', b"\r",
     b'{"features":', b'{"instances":[', b'"parameters":{}', b"\xef\xbb\xbf", b"\\ud800"]
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, Mapping[str, str], bytes]:
    """Return a valid call with a few pieces of its body cut out, doubled or replaced."""
    path, headers, body = draw(st.sampled_from(_SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(body)))
        end = min(len(body), begin + draw(st.integers(0, 12)))
        piece = draw(st.one_of(_ODD, st.just(b""), st.just(body[begin:end] * 2), st.binary(max_size=3)))
        body = body[:begin] + piece + body[end:]
    return path, headers, body


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(call=spoilt())
def test_no_body_is_a_fault_of_the_server(call: tuple[str, Mapping[str, str], bytes]) -> None:
    """Whatever a spoilt body is taken for, it is answered: rows with predictions, or what is wrong."""
    path, headers, body = call
    reply = _SPEAKER.ask(path, body, headers)
    assert reply.status in {200, 400, 413, 422}, reply.body
    if reply.status != 200:
        (in_vertex if path == VERTEX else in_sagemaker)(reply)


def test_no_rows_give_no_predictions() -> None:
    """B10: an empty list is no error."""
    for path, body in ((VERTEX, b'{"instances":[]}'), (VERTEX, b'{"instances":[],"parameters":{}}')):
        assert _SPEAKER.ask(path, body).body == b'{"predictions":[]}'
    assert _SPEAKER.ask(SAGEMAKER, b'{"instances":[]}').body == b'{"predictions":[]}'
    for accept in (CSV, LINES):
        reply = _SPEAKER.ask(SAGEMAKER, b"[]", {"accept": accept})
        assert (reply.status, reply.body) == (200, b"")


def test_the_table_of_the_docs_is_what_is_answered() -> None:
    """Every status that a call can get stands in the table, with what the dialects make of it."""
    rows = re.findall(
        r"^\| (\d{3}) \| (.*?) \| (\d{3}) `(\w+)` \| (\d{3}) `(\w+)` \|$",
        _PAGE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    listed = {int(status): (int(a), b, int(c), d) for status, _, a, b, c, d in rows}
    for status in {bad.status for bad in CATALOGUE}:
        a, kind, c, state = listed[status]
        assert (a, kind) == (status, ERROR_TYPES[status])
        assert c == STATUSES.get(status, status)
        assert state == STATES.get(c, STATES[400 if c < 500 else 500])
    named = {code for _, codes, *_ in rows for code in re.findall(r"`(\w+)`", codes)}
    assert set(MalformedRequest.TITLES) - {"path_invalid"} | {bad.code for bad in CATALOGUE} <= named
    assert named <= set(error_codes())
