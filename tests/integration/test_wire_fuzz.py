"""Valid requests cut into any packets, and damaged ones, against h11's reading of the same bytes."""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from fairway.testing import RunningServer

from .conftest import IRIS_ROW, Watch, wait_until
from .referee import Asked, Reply, connect, read_all, replies_in, requests_in

often = settings(max_examples=150, suppress_health_check=list(HealthCheck))
MAX_PACKETS = 8
PAUSE_S = 0.001
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Request(NamedTuple):
    """What is sent, and what must answer it."""

    sent: bytes
    method: str
    status: int
    body: bytes | None = None


# -- what is drawn --

headers = st.lists(
    st.sampled_from(
        [b"x: 1\r\n", b"X-Y:\t2 \r\n", b"content-type: application/json\r\n", b"accept: */*\r\n"]
    ),
    max_size=3,
    unique=True,
).map(b"".join)


@st.composite
def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    """Return a body in chunks of any size, some with an extension, and perhaps a trailer."""
    data = b""
    while body:
        size = draw(st.integers(1, len(body)))
        extension = draw(st.sampled_from([b"", b"", b";a", b';a="b;c"']))
        data += b"%x%s\r\n%s\r\n" % (size, extension, body[:size])
        body = body[size:]
    return data + b"0\r\n" + draw(st.sampled_from([b"", b"", b"x-sum: 1\r\n"])) + b"\r\n"


@st.composite
def calls(draw: st.DrawFn) -> Request:
    """Return a predict call that any other can be told from by its answer."""
    x = draw(st.integers(100, 999))
    body = b'{"x":%d}' % x
    model = draw(st.sampled_from([b"moody", b"moody", b"slow", b"moody:1"]))
    head = b"POST /models/%s/predict HTTP/1.1\r\nhost: localhost\r\n" % model + draw(headers)
    head += draw(
        st.sampled_from([b"", b"", b"expect: 100-continue\r\n", b"upgrade: h2c\r\nconnection: upgrade\r\n"])
    )
    if draw(st.booleans()):
        sent = head + b"content-length: %d\r\n\r\n" % len(body) + body
    else:
        sent = head + b"transfer-encoding: chunked\r\n\r\n" + draw(chunked(body))
    return Request(sent, "POST", 200, b'{"prediction":%d.0}' % (2 * x))


def _page(method: str, path: str, status: int) -> st.SearchStrategy[Request]:
    line = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n".encode()
    return headers.map(lambda lines: Request(line + lines + b"\r\n", method, status))


pages = st.one_of(
    _page("GET", "/livez", 200),
    _page("HEAD", "/livez", 200),
    _page("GET", "/no", 404),
    _page("GET", "/predict", 405),
)
faulty = headers.map(
    lambda lines: Request(
        b"POST /predict HTTP/1.1\r\nhost: localhost\r\n" + lines + b"content-length: 1\r\n\r\n{", "POST", 400
    )
)
sequences = st.lists(st.one_of(calls(), calls(), pages, faulty), min_size=1, max_size=6)
cuts = st.lists(st.floats(0, 1, exclude_max=True), max_size=MAX_PACKETS)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Return a sequence of requests in which a few bytes were changed, dropped, doubled or put in."""
    data = bytearray(b"".join(request.sent for request in draw(sequences)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["change", "drop", "double", "insert"])):
            case "change":
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "drop":
                del data[place : place + draw(st.integers(1, 40))]
            case "double":
                data[place:place] = data[place : place + draw(st.integers(1, 80))]
            case _:
                data[place:place] = draw(st.sampled_from(INSERTED))
    return bytes(data)


INSERTED = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"0", b"0\r\n\r\n", b";",
    b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"host: localhost\r\n",
    b"connection: close\r\n", b"expect: 100-continue\r\n", b"connection: upgrade\r\nupgrade: x\r\n",
    b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
]  # fmt: skip


# -- what must hold --


def converse(server: RunningServer, data: bytes, places: Sequence[float]) -> bytes:
    """Send *data* cut at *places*, a moment between the packets, and return everything that comes back."""
    marks = sorted({int(place * len(data)) for place in places} | {0, len(data)})
    with connect(server) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for start, end in itertools.pairwise(marks):
                client.sendall(data[start:end])
                select.select([client], [], [], PAUSE_S)
            client.shutdown(socket.SHUT_WR)
        return read_all(client)


def expected_body(asked: Asked) -> bytes | None:
    """Return the answer to a call of one of the doubling models, if this is a valid one."""
    if asked.method != "POST" or asked.target not in {
        f"/models/{m}/predict" for m in ("moody", "slow", "moody:1")
    }:
        return None
    if asked.body is None:
        return b"no answer without a body"
    with contextlib.suppress(ValueError):
        document: Any = json.loads(asked.body)
        if isinstance(document, dict) and document.keys() == {"x"} and type(document["x"]) is int:
            return b'{"prediction":%d.0}' % (2 * document["x"])
    return None


def is_refusal(reply: Reply) -> bool:
    """Tell whether the connection was ended over bytes that are no request."""
    return 400 <= reply.status < 500 and reply.closes


def assert_unharmed(server: RunningServer, watch: Watch) -> None:
    """Prove that the log tells of no failure, and that the server answers."""
    answer = server.ask("/predict", IRIS_ROW)
    assert (answer.status, answer.json()) == (200, {"prediction": 0})
    mark = answer.headers["fairway-prediction-id"]
    wait_until(lambda: any(event.get("request_id") == mark for event in watch.events()))
    lines = watch.events()
    assert {line["event"] for line in lines} <= {"access"}
    assert all(line["status"] < 500 for line in lines)


def test_valid_requests_are_answered_however_they_are_cut(server: RunningServer) -> None:
    """One whole answer for each, the right one, in order."""
    watch = Watch(server)

    @often
    @given(sequences, cuts)
    def check(requests: list[Request], places: list[float]) -> None:
        data = b"".join(request.sent for request in requests)
        answers = replies_in(converse(server, data, places), [request.method for request in requests])
        assert [answer.status for answer in answers] == [request.status for request in requests]
        for answer, request in zip(answers, requests, strict=True):
            assert request.body in {None, answer.body}

    check()
    assert_unharmed(server, watch)


def test_damaged_requests_are_read_as_another_parser_reads_them(server: RunningServer) -> None:
    """What h11 calls a request is answered in order, or refused, and nothing behind a refusal is answered."""
    watch = Watch(server)

    @often
    @given(damaged(), cuts)
    def check(data: bytes, places: list[float]) -> None:
        asked = requests_in(data)
        methods = [request.method for request in asked]
        # A refusal may come on top, with a body or without: only the server knows of what.
        got = converse(server, data, places).removesuffix(CONTINUE)  # of a body that did not come
        answers = replies_in(got, [*methods, "HEAD"])
        statuses = [answer.status for answer in answers]
        assert 408 not in statuses
        assert max(statuses, default=0) < 500
        answered = answers[:-1] if answers and is_refusal(answers[-1]) else answers
        event("refused" if len(answered) < len(answers) else "answered")
        assert not any(map(is_refusal, answered))
        whole = sum(request.body is not None for request in asked)
        # One whose body does not come may be answered, if the answer does not depend on it.
        assert len(answered) in {whole, len(asked)} or (answered != answers and len(answered) < whole)
        for answer, request in zip(answered, asked, strict=False):
            assert answer.status != 200 or expected_body(request) in {None, answer.body}

    check()
    assert_unharmed(server, watch)
