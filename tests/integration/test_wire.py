"""Bytes that no client library sends: pipelines, chunks, halves, nonsense, and clients that go away."""

from __future__ import annotations

import json
import random
import re
import socket
import struct
from typing import Any

import pytest

from fairway.testing import RunningServer

from .conftest import IRIS_ROW, Watch, wait_until

BODY = json.dumps(IRIS_ROW).encode()


def request(body: bytes = BODY, *, path: str = "/predict", method: str = "POST", extra: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n".encode()
    return head + extra + b"\r\n" + body


LAST = b"connection: close\r\n"
POST = b"POST /predict HTTP/1.1\r\nhost: localhost\r\n"
GET = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n"


def connect(server: RunningServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    found = b""
    try:
        while data := client.recv(65536):
            found += data
    except ConnectionResetError:
        pass
    return found


def exchange(server: RunningServer, *pieces: bytes) -> bytes:
    with connect(server) as client:
        for piece in pieces:
            client.sendall(piece)
        return read_all(client)


def statuses(data: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


def assert_unharmed(server: RunningServer, watch: Watch) -> list[dict[str, Any]]:
    """Prove that a valid call is answered and that the log tells of no failure; return what it tells."""
    answer = server.ask("/predict", IRIS_ROW)
    assert (answer.status, answer.json()) == (200, {"prediction": 0})
    mark = answer.headers["fairway-prediction-id"]
    wait_until(lambda: any(event.get("request_id") == mark for event in watch.events()))
    events = watch.events()
    assert {event["event"] for event in events} == {"access"}
    assert "Traceback" not in watch.text()
    return events


def test_pipelined_requests_are_answered_in_order(server: RunningServer) -> None:
    """Every request of one packet gets its own answer, also the bad ones among them."""
    watch = Watch(server)
    nowhere = request(path="/no", method="GET", body=b"")
    data = exchange(server, request() + request(b"{") + request(b"[]") + nowhere + request(extra=LAST))
    assert statuses(data) == [200, 400, 200, 404, 200]
    assert data.count(b'{"prediction":0}') == 2
    assert_unharmed(server, watch)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_body_in_chunks_is_one_body(server: RunningServer, size: int) -> None:
    """Also one byte at a time."""
    chunks = [BODY[n : n + size] for n in range(0, len(BODY), size)]
    body = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks) + b"0\r\n\r\n"
    head = POST + b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    watch = Watch(server)
    data = exchange(server, head, *(body[n : n + 50] for n in range(0, len(body), 50)))
    assert statuses(data) == [200]
    assert data.endswith(b'{"prediction":0}')
    assert_unharmed(server, watch)


NONSENSE = {
    "nonsense": b"\x00\xff\x13\x37" * 20 + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "unknown method": b"BREW /predict HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "both length and chunks": (POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "two lengths": POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
    "negative length": POST + b"content-length: -1\r\n\r\n",
    "bad chunk": POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "header without colon": b"GET /livez HTTP/1.1\r\nhost localhost\r\n\r\n",
    "NUL in a header": GET + b"x: a\x00b\r\n\r\n",
    "folded header": GET + b"x: a\r\n b: c\r\n\r\n\x00",
    "raw bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "no path": b"GET http:// HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", NONSENSE)
def test_what_is_no_request_is_refused_with_a_problem(server: RunningServer, name: str) -> None:
    """400 request_invalid, one line of the log, and the connection ends."""
    watch = Watch(server)
    data = exchange(server, NONSENSE[name])
    assert statuses(data) == [400]
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["code"] == "request_invalid"
    lines = assert_unharmed(server, watch)
    assert [line["status"] for line in lines] == [400, 200]
    assert lines[0]["request_id"] == problem["request_id"]


def test_who_asked_before_the_nonsense_is_answered(server: RunningServer) -> None:
    """The answer belongs to the request, not to what came behind it."""
    watch = Watch(server)
    data = exchange(server, request() + b"\x00nonsense\r\n\r\n")
    assert statuses(data)[0] == 200
    assert b'{"prediction":0}' in data
    assert_unharmed(server, watch)


ODD = {
    "no version": b"GET /\r\n\r\n",
    "no host": b"GET /livez HTTP/1.0\r\n\r\n",
    "absolute address": b"GET http://localhost/livez HTTP/1.1\r\nhost: localhost\r\n" + LAST + b"\r\n",
    "upgrade": GET + b"connection: upgrade, close\r\nupgrade: websocket\r\n"
    b"sec-websocket-key: x\r\nsec-websocket-version: 13\r\n\r\n",
    "upgrade to HTTP/2": GET + b"connection: upgrade, close\r\nupgrade: h2c\r\n\r\n",
    "options": b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "connect": b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    "trace": b"TRACE /livez HTTP/1.1\r\nhost: localhost\r\nx-secret: a\r\nconnection: close\r\n\r\n",
    "two hosts": GET + b"host: evil.example\r\nconnection: close\r\n\r\n",
    "expect": request(extra=LAST + b"expect: 100-continue\r\n"),
    "a megabyte of header": GET + b"connection: close\r\nx: "
    + b"a" * 2**20 + b"\r\n\r\n",
    "ten thousand headers": GET + b"connection: close\r\n"
    + b"x: a\r\n" * 10_000 + b"\r\n",
    "a long path": b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_requests_get_an_answer_and_no_traceback(server: RunningServer, name: str) -> None:
    """None of them is a fault of the server."""
    watch = Watch(server)
    data = exchange(server, ODD[name])
    assert statuses(data)
    assert all(status < 500 for status in statuses(data))
    assert b"x-secret" not in data
    assert_unharmed(server, watch)


@pytest.mark.parametrize("cut", [1, 20, 60, -1])
def test_a_request_that_is_cut_off_is_no_request(server: RunningServer, cut: int) -> None:
    """The client closes halfway, in the head or in the body: nothing is predicted, nothing fails."""
    watch = Watch(server)
    for _ in range(20):
        with connect(server) as client:
            client.sendall(request()[:cut])
    assert len(assert_unharmed(server, watch)) == 1


def reset(client: socket.socket) -> None:
    """Close with RST instead of FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_a_client_that_resets_leaves_no_trace_in_the_log(server: RunningServer) -> None:
    """C7: before, during and after the response."""
    watch = Watch(server)
    many = json.dumps([IRIS_ROW] * 10_000).encode()
    for body in (BODY, many):
        for wait_for_bytes in (False, True):
            client = connect(server)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(request(body) * 3)
            if wait_for_bytes:
                assert client.recv(10)
            reset(client)
    assert_unharmed(server, watch)


def test_a_client_that_leaves_while_its_call_is_predicted_harms_nobody(server: RunningServer) -> None:
    """The model goes on, its answer goes nowhere."""
    watch = Watch(server)
    client = connect(server)
    client.sendall(request(b'{"x":99}', path="/models/moody/predict"))
    reset(client)
    assert_unharmed(server, watch)
    # It ends after the others that came later; its line is not to be one of the next test's.
    wait_until(lambda: any(line.get("model") == "moody" for line in watch.access_lines(1)))


def test_random_damage_never_ends_in_a_failure(server: RunningServer) -> None:
    """Bytes of valid requests are changed, dropped, doubled and cut; the seed is fixed."""
    chance = random.Random(20260503)  # noqa: S311 - not for secrets
    watch = Watch(server)
    valid = [request(), request(b"[" + BODY + b"]"), request(path="/models/iris:1/predict?include=flags")]
    for _ in range(300):
        data = bytearray(chance.choice(valid))
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    del data[place : place + chance.randint(1, 5)]
                case 2:
                    data[place:place] = data[place : place + chance.randint(1, 40)]
                case _:
                    data[place:place] = chance.randbytes(chance.randint(1, 8))
        with connect(server) as client:
            client.sendall(bytes(data))
            client.shutdown(socket.SHUT_WR)
            found = statuses(read_all(client))
            assert all(200 <= status < 500 for status in found), bytes(data)
    assert_unharmed(server, watch)
