"""Bad requests to a running server: each gets its one stated answer, and leaves the server as it was.

The ids are those of the catalogue of hostile inputs (A: bodies, B: rows, C: HTTP). Whatever was sent, the
next valid call is answered rightly and promptly, each call is one line of the log and one count of the
metrics, and neither log nor reply holds what was not meant for it.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import re
import socket
import time
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fairway.testing import Answer, RunningServer, running_server

from .conftest import IRIS_ROW, MIXED_ROW, Watch, counts, problem_of, snapshot, wait_until

pytestmark = pytest.mark.filterwarnings("error")

JSON = {"content-type": "application/json"}
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
PARTS = b"--b\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n" * 101 + b"--b--\r\n"
SECRET = "fw_not-for-any-log"  # noqa: S105 - looks like a key, and is to be found nowhere
IRIS, MIXED, STRICT, MOODY, RECIPES = (
    f"/models/{name}/predict" for name in ("iris", "mixed", "strict", "moody", "recipes")
)
MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Bad:
    """A request and the answer that it must get.

    Attributes:
        row: Row of the catalogue.
        body: Bytes, or data that is sent as JSON.
        status: Expected status.
        code: Expected top-level code.
        faults: Expected (pointer, code) of the first faults; nothing is said of others when empty.
        path: Where it is sent.
        headers: What is sent beside the content type.
        total: Expected `errors_total`.
        said: Texts that the reply must hold.
        method: HTTP method.
    """

    row: str
    body: Any
    status: int
    code: str
    faults: tuple[tuple[str, str], ...] = ()
    path: str = "/predict"
    headers: Mapping[str, str] = dataclasses.field(default_factory=lambda: JSON)
    total: int | None = None
    said: tuple[str, ...] = ()
    method: str = "POST"


def iris_with(**changes: str) -> bytes:
    """Return an iris record as text, with values written as given."""
    values = {name: json.dumps(value) for name, value in IRIS_ROW.items()} | changes
    return ("{" + ",".join(f'"{name}":{value}' for name, value in values.items()) + "}").encode()


def mixed_with(**changes: Any) -> dict[str, Any]:
    return MIXED_ROW | changes


def mismatch(row: str, body: Any, *faults: tuple[str, str], path: str = MIXED, **more: Any) -> Bad:
    """Return a request whose rows do not fit."""
    return Bad(row, body, 422, "signature_mismatch", faults, path=path, **more)


BODIES = [
    Bad("A1", b"", 400, "body_empty"),
    Bad("A1 blank", b" \r\n\t ", 400, "body_empty"),
    Bad("A2", b'{"sepal_length":5.1,"sepal_wid', 400, "json_invalid", said=("byte 20",)),
    Bad("A2 bytes are counted, not characters", '{"é":1,"b'.encode(), 400, "json_invalid", said=("byte 8",)),
    Bad("A3", iris_with(petal_width="NaN"), 400, "json_nonfinite", (("/petal_width", "json_nonfinite"),)),
    Bad("A3 in an array", b'{"features":[5.1,3.5,NaN,0.2]}', 400, "json_nonfinite",
        (("/features/2", "json_nonfinite"),)),
    Bad("A4", iris_with(petal_width="-Infinity"), 400, "json_nonfinite",
        (("/petal_width", "json_nonfinite"),)),
    Bad("A5", iris_with(sepal_width="1e999"), 400, "json_nonfinite", (("/sepal_width", "json_nonfinite"),)),
    Bad("A6", b"[" * 33 + b"]" * 33, 400, "json_too_deep"),
    Bad("A6 200,000", b"[" * 200_000 + b"]" * 200_000, 400, "json_too_deep"),
    Bad("A6 in a value", iris_with(petal_width="[" * 50_000 + "]" * 50_000), 400, "json_too_deep"),
    Bad("A6 unclosed", b'{"features":' + b"[" * 200_000, 400, "json_too_deep"),
    Bad("A7", b'{"a":' * 200_000 + b"1" + b"}" * 200_000, 400, "json_too_deep"),
    Bad("A8", iris_with(petal_width="9" * 100_000), 400, "json_number_range",
        (("/petal_width", "json_number_range"),)),
    Bad("A8 negative, in an array", b'{"features":[5.1,-' + b"1" * 100_000 + b",1,1]}", 400,
        "json_number_range", (("/features/1", "json_number_range"),)),
    Bad("A9", iris_with()[:-1] + b',"petal_width":0.3}', 400, "json_duplicate_key",
        (("/petal_width", "json_duplicate_key"),)),
    Bad("A9 in a row", b'{"records":[' + iris_with() + b"," + iris_with()[:-1] + b',"petal_width":0.3}]}',
        400, "json_duplicate_key", (("/records/1/petal_width", "json_duplicate_key"),)),
    Bad("A9 envelope", b'{"features":[5.1,3.5,1.4,0.2],"features":[6,3,5,2]}', 400, "json_duplicate_key",
        (("/features", "json_duplicate_key"),)),
    Bad("A9 in other words", iris_with()[:-1] + b',"\\u0070etal_width":0.3}', 400, "json_duplicate_key",
        (("/petal_width", "json_duplicate_key"),)),
    Bad("A9 with escaped quotes to hide it", b'{"text":"\\"\\"","text":"b"}', 400, "json_duplicate_key",
        (("/text", "json_duplicate_key"),), path=RECIPES),
    Bad("A10", b'{"text":"\xff"}', 400, "encoding_invalid", path=RECIPES, said=("byte 9",)),
    Bad("A10 overlong", b'{"text":"\xc0\xaf"}', 400, "encoding_invalid", path=RECIPES),
    Bad("A10 UTF-16", iris_with().decode().encode("utf-16"), 400, "encoding_invalid"),
    Bad("A11", b'{"text":"\\ud800"}', 400, "encoding_invalid",
        (("/text", "encoding_invalid"),), path=RECIPES),
    Bad("A11 halves in the wrong order", b'{"text":"\\udc00\\ud800"}', 400, "encoding_invalid", path=RECIPES),
    Bad("A11 in a key", iris_with()[:-1] + b',"\\udfff":1}', 400, "encoding_invalid"),
    Bad("A12", iris_with(), 415, "media_type", headers={"content-type": "text/xml"}),
    Bad("A12 charset", iris_with(), 415, "media_type",
        headers={"content-type": "application/json; charset=latin-1"}),
    Bad("A12 form", b"a=1&b=2", 415, "media_type",
        headers={"content-type": "application/x-www-form-urlencoded"}),
    Bad("A13", b"\x1f\x8b\x08\x00", 415, "content_encoding", headers=JSON | {"content-encoding": "gzip"}),
    Bad("C18", PARTS, 415, "media_type",
        headers=MULTIPART),
    Bad("C18 form", PARTS, 415,
        "media_type", path="/models/iris", headers=MULTIPART),
    Bad("C18 header", b"--b\r\nx: " + b"a" * MIB + b"\r\n\r\n1\r\n--b--\r\n", 415, "media_type",
        path="/models/iris", headers=MULTIPART),
    Bad("A15", b" " * (10 * MIB + 1), 413, "body_too_large"),
    Bad("A18", b"[" + b"[1]," * 999_999 + b"[1]]", 413, "too_many_rows", path=MOODY),
    Bad("A18 bare values", {"inputs": [1] * 10_001}, 413, "too_many_rows", path=MOODY),
    Bad("A19", {f"key_{n}": n for n in range(100_000)}, 422, "signature_mismatch", total=100_004,
        faults=(("/sepal_length", "feature_missing"),)),
    Bad("A20 null", b"null", 422, "body_shape"),
    Bad("A20 number", b"3", 422, "body_shape"),
    Bad("A20 text", b'"x"', 422, "body_shape"),
    Bad("A20 true", b"true", 422, "body_shape"),
    Bad("A21", iris_with() + b" x", 400, "json_invalid"),
    Bad("A21 a second document", iris_with() * 2, 400, "json_invalid"),
    Bad("A22", b'{"text":"' + b"a" * (10 * MIB - 11) + b'"}', 422, "signature_mismatch",
        (("/text", "value_too_long"),), path=RECIPES),
]  # fmt: skip

ROWS = [
    mismatch("B1", {"age": 30}, ("/member", "feature_missing"), ("/city", "feature_missing"),
             ("/since", "feature_missing"), ("/tags", "feature_missing"), total=4),
    mismatch("B1 in a list", [MIXED_ROW, {k: v for k, v in MIXED_ROW.items() if k != "city"}],
             ("/1/city", "feature_missing"), total=1),
    mismatch("B2", IRIS_ROW | {"petal_lenght": 1.4}, ("/petal_lenght", "feature_unknown"), path=IRIS,
             said=("did you mean 'petal_length'?",), total=1),
    mismatch("B2 envelope and more", {"records": [MIXED_ROW | {"aeg": 3}]},
             ("/records/0/aeg", "feature_unknown"), said=("did you mean 'age'?",)),
    mismatch("B3", IRIS_ROW | {"petal_width": "abc"}, ("/petal_width", "value_type"), path=IRIS),
    mismatch("B3 digits", IRIS_ROW | {"petal_width": "0.2"}, ("/petal_width", "value_type"), path=IRIS,
             said=("without quotes",)),
    mismatch("B3 object", IRIS_ROW | {"petal_width": {}}, ("/petal_width", "value_type"), path=IRIS),
    mismatch("B4", mixed_with(city=3), ("/city", "value_type")),
    mismatch("B4 in a list value", mixed_with(tags=["new", 3]), ("/tags/1", "value_type")),
    mismatch("B5", IRIS_ROW | {"petal_width": True}, ("/petal_width", "value_type"), path=IRIS),
    mismatch("B5 integer", mixed_with(age=True), ("/age", "value_type")),
    mismatch("B5 reversed", mixed_with(member=1), ("/member", "value_type")),
    mismatch("B6", mixed_with(age=None, city=None), ("/age", "value_missing"), ("/city", "value_missing"),
             total=2),
    mismatch("B6 in a list value", mixed_with(tags=["new", None]), ("/tags/1", "value_type")),
    mismatch("B7 by policy", mixed_with(city="Paris"), ("/city", "category_unknown"), path=STRICT),
    mismatch("B7 by policy, in a list value", mixed_with(tags=["new", "odd"]), ("/tags", "category_unknown"),
             path=STRICT),
    mismatch("B8", mixed_with(age=1.5), ("/age", "value_type")),
    mismatch("B9 by policy", {"instances": [MIXED_ROW, mixed_with(age=300)]},
             ("/instances/1/age", "out_of_range"), path=STRICT),
    mismatch("B11", {"features": [[1, 2, 3, 4], [1, 2, 3]]}, ("/features/1", "row_length"), path=IRIS),
    mismatch("B11 one row", {"input": [1, 2, 3]}, ("/input", "row_length"), path=IRIS),
    Bad("B12", [IRIS_ROW, [1, 2, 3, 4]], 422, "body_shape", (("/1", "body_shape"),)),
    mismatch("B12 values among rows", [IRIS_ROW, 3], ("/1", "value_type"), path=IRIS),
    mismatch("B13", mixed_with(since="2026-02-30"), ("/since", "value_format")),
    mismatch("B13 words", mixed_with(since="yesterday"), ("/since", "value_format")),
    mismatch("B13 year", mixed_with(since="0000-01-01"), ("/since", "value_format")),
    mismatch("B14", {"records": [MIXED_ROW] * 617 + [mixed_with(age="x")] + [MIXED_ROW] * 382},
             ("/records/617/age", "value_type"), total=1),
    Bad("B15", {"x": 13}, 500, "model_error", path=MOODY),
    Bad("B17", [{"x": 21}, {"x": 1}], 500, "model_contract", path=MOODY),
]  # fmt: skip

HTTP = [
    Bad("C1", None, 405, "method_not_allowed", method="GET"),
    Bad("C1 model", None, 405, "method_not_allowed", path=IRIS, method="DELETE"),
    Bad("C1 health", b"{}", 405, "method_not_allowed", path="/health"),
    Bad("C1 invented", None, 400, "request_invalid", method="BREW"),
    Bad("C2", None, 404, "not_found", path="/no/such/thing", method="GET"),
    Bad("C2 page", None, 404, "not_found", path="/no", method="GET", headers={"accept": "application/json"}),
    Bad("C2 model", IRIS_ROW, 404, "model_not_found", path="/models/tulip/predict"),
    Bad("C2 version", IRIS_ROW, 404, "version_not_found", path="/models/iris:99/predict"),
    Bad("C2 a version beyond every number", IRIS_ROW, 422, "name_invalid",
        path="/models/iris:99999999999999999999/predict"),
    Bad("C2 alias", IRIS_ROW, 404, "alias_not_found", path="/models/iris@nobody/predict"),
    Bad("C2 no reference", IRIS_ROW, 422, "name_invalid", path="/models/iris:x/predict"),
    Bad("C2 no name", IRIS_ROW, 422, "name_invalid", path="/models/IRIS/predict"),
    Bad("C2 nothing", IRIS_ROW, 404, "model_not_found", path="/models/predict"),
    Bad("C2 empty", IRIS_ROW, 404, "not_found", path="/models//predict"),
    Bad("C2 nested", IRIS_ROW, 404, "not_found", path="/models/iris/1/predict"),
    Bad("C2 query", IRIS_ROW, 400, "query_invalid", path="/predict?fields=flags"),
    Bad("C2 query value", IRIS_ROW, 400, "query_invalid", path="/predict?include=secrets"),
    Bad("C2 query of many", IRIS_ROW, 400, "query_invalid", path="/predict?" + "include=flags&" * 2000),
    Bad("C13", IRIS_ROW, 421, "host_not_allowed", headers=JSON | {"host": "evil.example"}),
    Bad("C13 with a port", None, 421, "host_not_allowed", headers={"host": "evil.example:80"}, path="/health",
        method="GET"),
    Bad("C19 NUL", IRIS_ROW, 400, "path_invalid", path="/models/iris%00/predict"),
    Bad("C19 dots", IRIS_ROW, 400, "path_invalid", path="/models/%2e%2e%2f%2e%2e%2fetc/predict"),
    Bad("C19 plain dots", None, 400, "path_invalid", path="/static/../../etc/passwd", method="GET"),
    Bad("C19 encoded twice", None, 400, "path_invalid", path="/static/%252e%252e%252fetc", method="GET"),
    Bad("C19 backslash", None, 400, "path_invalid", path="/static/..%5c..%5cetc", method="GET"),
    Bad("C19 line end", None, 400, "path_invalid", path="/models/a%0d%0aset-cookie:x", method="GET"),
]  # fmt: skip

CATALOGUE = [*BODIES, *ROWS, *HTTP]


def send(server: RunningServer, bad: Bad) -> Answer:
    headers = {"authorization": f"Bearer {SECRET}", **bad.headers}
    return server.ask(bad.path, bad.body, method=bad.method, headers=headers)


def assert_answers(server: RunningServer) -> int:
    """Prove the server unharmed: every valid call is answered rightly, and soon one within 100 ms.

    Returns:
        How many calls that took; a busy machine may hold up some.
    """
    for calls in range(1, 101):
        started = time.perf_counter()
        answer = server.ask("/predict", IRIS_ROW, headers=JSON)
        seconds = time.perf_counter() - started
        assert (answer.status, answer.json()) == (200, {"prediction": 0})
        if seconds < 0.1:
            return calls
    raise AssertionError("the server answers a valid call no more within 100 ms")


def requests_by_status(server: RunningServer) -> dict[str, float]:
    found: dict[str, float] = {}
    for labels, value in counts(server, "http_server_request_duration_seconds_count").items():
        if 'http_route="/metrics"' not in labels:
            status = re.findall(r'http_response_status_code="(\d+)"', labels)[0]
            found[status] = found.get(status, 0) + value
    return found


@pytest.mark.parametrize("bad", CATALOGUE, ids=lambda bad: bad.row)
def test_a_bad_request_gets_its_answer_and_harms_nothing(server: RunningServer, bad: Bad) -> None:
    """Status, code and pointers are as the catalogue says; one log line, one count, valid calls as before."""
    watch = Watch(server)
    counted = requests_by_status(server)
    answer = send(server, bad)
    valid = assert_answers(server)

    problem = problem_of(answer)
    assert (answer.status, problem["code"]) == (bad.status, bad.code), problem
    errors = [(fault["pointer"], fault["code"]) for fault in problem.get("errors", ())]
    assert tuple(errors[: len(bad.faults)]) == bad.faults
    if bad.total is not None:
        assert problem["errors_total"] == bad.total
        assert len(errors) == min(20, bad.total)
    for said in bad.said:
        assert said in answer.body.decode()

    lines = watch.access_lines(1 + valid)
    assert [line["status"] for line in lines] == [bad.status, *[200] * valid]
    assert lines[0]["request_id"] == problem["request_id"]
    assert lines[0]["code"] == bad.code
    assert SECRET not in watch.text()
    events = [event["event"] for event in watch.events() if event["event"] != "access"]
    assert events == (["prediction.failed"] if bad.status == 500 else [])

    after = requests_by_status(server)
    change = {
        status: n - counted.get(status, 0) for status, n in after.items() if n != counted.get(status, 0)
    }
    assert change == {"200": valid, str(bad.status): 1}


def test_no_bad_request_is_a_fault_of_the_server() -> None:
    """Only a model that fails on valid input is answered with a 5xx."""
    assert {bad.row for bad in CATALOGUE if bad.status >= 500} == {"B15", "B17"}


FLAGGED = [
    ("B7", MIXED, mixed_with(city="Paris"), {"city": "category_unknown"}),
    ("B7 in a list value", MIXED, mixed_with(tags=["odd", "new"]), {"tags": "category_unknown"}),
    ("B9", MIXED, mixed_with(age=300), {"age": "out_of_range"}),
    ("B9 both", MIXED, mixed_with(age=-1, city=""), {"age": "out_of_range", "city": "category_unknown"}),
    ("B16", MOODY, {"x": 7}, {"prediction": "nonfinite_output"}),
    ("B16 infinite", MOODY, {"x": 8}, {"prediction": "nonfinite_output"}),
]


@pytest.mark.parametrize(
    ("path", "body", "flags"), [row[1:] for row in FLAGGED], ids=[row[0] for row in FLAGGED]
)
def test_what_was_not_seen_in_training_is_answered_with_a_flag(
    server: RunningServer, path: str, body: Any, flags: dict[str, str]
) -> None:
    """Nothing is added to the body unasked; the header counts the flags."""
    plain = server.ask(path, body)
    assert plain.status == 200
    assert plain.headers["fairway-flags"] == str(len(flags))
    assert set(plain.json()) == {"prediction"}
    asked = server.ask(f"{path}?include=flags", [MIXED_ROW if path == MIXED else {"x": 1}, body])
    assert [row["flags"] for row in asked.json()["predictions"]] == [{}, flags]
    if "prediction" in flags:
        assert plain.json() == {"prediction": None}


def test_no_rows_give_no_predictions(server: RunningServer) -> None:
    """B10: in every form that holds a list."""
    watch = Watch(server)
    for body in ([], {"records": []}, {"instances": []}, {"data": []}):
        answer = server.ask("/predict", body)
        assert (answer.status, answer.json()) == (200, {"predictions": []})
    assert [line["rows"] for line in watch.access_lines(4)] == [0] * 4


def test_nothing_is_predicted_when_one_row_is_bad(server: RunningServer) -> None:
    """B14: the rows that were counted before are all there are."""
    before = counts(server, "fairway_rows_total")
    assert server.ask(MIXED, [MIXED_ROW] * 999 + [{}]).status == 422
    assert counts(server, "fairway_rows_total") == before


def test_three_faults_are_three_pointers_and_a_body_that_works(server: RunningServer) -> None:
    """The corrected example is accepted as it stands."""
    wrong = {"sepal_length": "5.1", "sepal_width": 3.5, "petal_lenght": 1.4, "petal_width": None}
    problem = problem_of(server.ask("/predict", wrong))
    found = {fault["pointer"]: fault["code"] for fault in problem["errors"]}
    assert found == {
        "/sepal_length": "value_type",
        "/petal_length": "feature_missing",
        "/petal_lenght": "feature_unknown",
        "/petal_width": "value_missing",
    }
    corrected = problem["example"]
    assert corrected["sepal_width"] == 3.5
    assert corrected["petal_length"] == 1.4
    assert server.ask("/predict", corrected).status == 200


def test_a_failing_model_tells_its_cause_to_the_log_alone(server: RunningServer) -> None:
    """B15: the exception's text stands under the request id, and nowhere else."""
    watch = Watch(server)
    answer = server.ask(MOODY, {"x": 13})
    problem = problem_of(answer)
    assert b"secret-path" not in answer.body
    failed = wait_until(lambda: [event for event in watch.events() if event["event"] == "prediction.failed"])
    assert failed[0]["request_id"] == problem["request_id"]
    assert failed[0]["reference"] == "moody:1"
    assert "secret-path" in failed[0]["cause"]["message"]
    errors = counts(server, "fairway_errors_total")
    assert errors['{code="model_error",model="moody",version="1"}'] >= 1


def test_methods_that_are_allowed_are_named(server: RunningServer) -> None:
    """C1: with the Allow header."""
    assert server.ask("/predict").headers["allow"] == "POST"
    assert set(server.ask("/health", b"").headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_a_browser_gets_a_page_and_a_program_a_problem(server: RunningServer) -> None:
    """C2: HTML only where it was asked for."""
    page = server.ask("/nowhere", headers={"accept": "text/html,application/xhtml+xml"})
    assert page.status == 404
    assert page.headers["content-type"].startswith("text/html")
    assert problem_of(server.ask("/nowhere", headers={"accept": "*/*"}))["code"] == "not_found"


def test_a_missing_content_type_is_read_as_json(server: RunningServer) -> None:
    """Clients of the tutorials send none, or what curl sends."""
    for headers in ({}, {"content-type": "application/x-www-form-urlencoded"}, {"content-type": ""}):
        answer = server.ask("/predict", {"features": [5.1, 3.5, 1.4, 0.2]}, headers=headers)
        assert answer.json() == {"prediction": [0]}


def chunks(total: int, size: int = 64 * 1024) -> Iterator[bytes]:
    for _ in range(total // size):
        yield b" " * size


def test_a_body_without_a_length_is_cut_at_the_limit(server: RunningServer) -> None:
    """A16: 413, whatever comes after."""
    answer = server.ask("/predict", chunks(12 * MIB), headers=JSON)
    assert problem_of(answer)["code"] == "body_too_large"
    assert_answers(server)


def test_a_declared_length_beyond_the_limit_is_refused_unread(server: RunningServer) -> None:
    """A15: the answer comes although not one byte of the body was sent."""
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 104857600\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(head)
        assert client.recv(64 * 1024).startswith(b"HTTP/1.1 413 ")
    assert_answers(server)


def cpu_seconds(server: RunningServer) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def gzip_bomb(blocks: int) -> bytes:
    """Return about ten kilobytes for each block, which stands for ten mebibytes of zeros."""
    packer = zlib.compressobj(wbits=31)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(10 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * blocks


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads the work of a process from /proc")
def test_a_gzip_bomb_costs_next_to_nothing(zoo: Path) -> None:
    """A14: ten megabytes that would become ten gigabytes, to a server that reads gzip."""
    headers = JSON | {"content-encoding": "gzip"}
    bomb = gzip_bomb(1000)
    assert 9 * MIB < len(bomb) < 10 * MIB
    with running_server("iris", home=zoo, environ={"FAIRWAY_LIMITS_GZIP_REQUESTS": "true"}) as server:
        assert server.ask("/predict", gzip.compress(iris_with()), headers=headers).status == 200
        before = cpu_seconds(server)
        for body in (bomb, bomb[: 60 * 1024]):  # beside the event loop, and on the short way
            answer = server.ask("/predict", body, headers=headers)
            assert (answer.status, problem_of(answer)["code"]) == (413, "body_too_large")
        assert cpu_seconds(server) - before < 2.0  # unpacking it would take ten
        assert_answers(server)


def memory(server: RunningServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


def bad(row: str) -> Bad:
    return next(bad for bad in CATALOGUE if bad.row == row)


def cut_off(server: RunningServer) -> None:
    assert server.ask("/predict", chunks(12 * MIB), headers=JSON).status == 413


REPEATED = {
    **{row: (bad(row), 100) for row in ("A6 200,000", "A7", "A8", "A13", "C2 query of many")},
    **{row: (bad(row), 8) for row in ("A15", "A18", "A19", "A22")},
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")
@pytest.mark.parametrize("row", [*REPEATED, "A16"])
def test_repeated_bad_requests_leave_no_memory_behind(server: RunningServer, row: str) -> None:
    """M: once warm, the server is never larger than it was before; what one body takes comes and goes."""
    if row == "A16":
        again, times = partial(cut_off, server), 24
    else:
        one, times = REPEATED[row]
        again = partial(send, server, one)

    def growth() -> int:
        """Return by how much the smallest of the last calls exceeds the largest of the early ones."""
        samples = []
        for _ in range(times):
            again()
            samples.append(memory(server))
        return min(samples[-times // 4 :]) - max(samples[times // 4 : times // 2])

    # An allocator takes what it will use again, once; what leaks grows every time.
    assert any(growth() <= MIB for _ in range(5))


def test_refusing_a_huge_integer_takes_no_time(server: RunningServer) -> None:
    """A8: under 25 ms, for Python needs a tenth of a second to turn as many digits into a number."""
    times = []
    while len(times) < 50 and min(times, default=1.0) >= 0.025:
        started = time.perf_counter()
        send(server, bad("A8"))
        times.append(time.perf_counter() - started)
    assert min(times) < 0.025


def test_the_registry_is_as_it_was(server: RunningServer, zoo: Path) -> None:
    """R: not one row or artifact changes, whatever is asked."""
    before = snapshot(zoo)
    for one in (bad("A2"), bad("B3"), bad("B15"), bad("B17"), bad("C2 version"), bad("C19 dots")):
        send(server, one)
    assert snapshot(zoo) == before


def test_a_server_starts_no_process_and_writes_no_file(server: RunningServer, zoo: Path) -> None:
    """F: no child, and nothing new in its folder or home."""
    folder = server.log.parent
    before = sorted(path for root in (folder, zoo) for path in root.rglob("*"))
    for one in (bad("A22"), bad("B15"), bad("C19 NUL"), bad("C19 dots")):
        send(server, one)
    assert sorted(path for root in (folder, zoo) for path in root.rglob("*")) == before
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    if children.exists():
        assert children.read_text(encoding="ascii") == ""


HEAVY = {
    "a million records": b"[" + b'{"a":1},' * 1_000_000 + b"{}]",
    "a row of a million names": ("{" + ",".join(f'"{n}":1' for n in range(600_000)) + "}").encode(),
    "two million texts": b"[" + b'"a",' * 2_000_000 + b'"a"]',
    "a name a million times": b"{" + b'"a":1,' * 1_000_000 + b'"a":1}',
}


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_body_does_not_hold_up_the_others(server: RunningServer, name: str) -> None:
    """While it is read, every other call is answered; no single call can stop a server."""
    slowest, began = 0.0, time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        heavy = pool.submit(server.ask, "/predict", HEAVY[name], headers=JSON)
        while not heavy.done():
            started = time.perf_counter()
            assert server.ask("/livez").status == 200
            slowest = max(slowest, time.perf_counter() - started)
    took = time.perf_counter() - began
    assert 400 <= heavy.result().status < 500
    problem_of(heavy.result())
    assert slowest < max(0.5, took / 2)
