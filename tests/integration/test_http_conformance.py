"""RFC 9110 and 9112 over raw sockets: what is a request, where it ends, what answers it, in which order.

Behind every row a further request is sent. It is answered if the row leaves the connection open, and it is
not if the row ends it: what is left of a refused request must never become a request.
"""

from __future__ import annotations

import contextlib
import json
import socket
from typing import NamedTuple

import pytest

from fairway.testing import RunningServer

from .conftest import IRIS_ROW, Watch, wait_until
from .referee import connect, converse, read_all, replies_in

BODY = json.dumps(IRIS_ROW).encode()
HOST = b"host: localhost\r\n"
LAST = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
EXPECT = b"expect: 100-continue\r\n"
IDENTITY = b"transfer-encoding: identity\r\n"
SIZE = b"content-length: %d\r\n\r\n" % len(BODY)
SIZED = SIZE + BODY
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
UPGRADE = (
    b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
)


def get(path: bytes = b"/livez", *, version: bytes = b"1.1", extra: bytes = b"") -> bytes:
    return b"GET %s HTTP/%s\r\n%s%s\r\n" % (path, version, HOST, extra)


def predict(x: float, *, model: bytes = b"moody") -> bytes:
    body = json.dumps({"x": x}).encode()
    head = b"POST /models/%s/predict HTTP/1.1\r\n" % model + HOST
    return head + b"content-length: %d\r\n\r\n%s" % (len(body), body)


class Row(NamedTuple):
    """What is sent, the status that answers it, and whether the connection stays open."""

    sent: bytes
    status: int = 200
    stays: bool = True
    method: str = "POST"


OK = {
    "a length": Row(POST + SIZED),
    "a length with zeros before it": Row(POST + b"content-length: %060d\r\n\r\n" % len(BODY) + BODY),
    "a length with spaces around it": Row(POST + b"content-length: \t %d \t\r\n\r\n" % len(BODY) + BODY),
    "spaces around other values": Row(POST + b"content-type: \t application/json \t\r\n" + SIZED),
    "no space before a value": Row(b"POST /predict HTTP/1.1\r\nhost:localhost\r\n" + SIZED),
    "names in any case": Row(POST.replace(b"host", b"HOST") + SIZED.upper()[:16] + SIZED[16:]),
    "empty lines before a request": Row(b"\r\n\r\n" + POST + SIZED),
    "chunks": Row(CHUNKED + CHUNKS),
    "chunks in any case": Row(POST + b"Transfer-Encoding: CHUNKED\r\n\r\n" + CHUNKS),
    "an upper-case size": Row(CHUNKED + CHUNKS[:2].upper() + CHUNKS[2:]),
    "a size with zeros before it": Row(CHUNKED + b"0000" + CHUNKS),
    "chunk extensions": Row(CHUNKED + b'%x;a;b=c;d="e;f"\r\n%s\r\n0;g\r\n\r\n' % (len(BODY), BODY)),
    "trailers": Row(CHUNKED + CHUNKS[:-2] + b"x-sum: 1\r\n\r\n"),
    "trailers that would change the request": Row(
        CHUNKED + CHUNKS[:-2] + b"content-type: text/xml\r\nhost: a.b\r\ncontent-encoding: gzip\r\n\r\n"
    ),
    "a body that GET has no use for": Row(get(extra=b"content-length: 2\r\n") + b"{}", method="GET"),
    "HEAD": Row(b"HEAD /livez HTTP/1.1\r\n" + HOST + b"\r\n", method="HEAD"),
    "HEAD of what is not there": Row(b"HEAD /no HTTP/1.1\r\n" + HOST + b"\r\n", 404, method="HEAD"),
    "HEAD of the predict route": Row(b"HEAD /predict HTTP/1.1\r\n" + HOST + b"\r\n", 405, method="HEAD"),
    "OPTIONS": Row(b"OPTIONS /predict HTTP/1.1\r\n" + HOST + b"\r\n", 405, method="OPTIONS"),
    "OPTIONS of the server": Row(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 404, method="OPTIONS"),
    "a full address": Row(b"POST http://localhost/predict HTTP/1.1\r\n" + HOST + SIZED),
    "a full address, whose host counts": Row(
        b"GET http://localhost:80/livez?a HTTP/1.1\r\nhost: evil.example\r\n\r\n", method="GET"
    ),
    "a full address of a foreign host": Row(get(b"http://evil.example/livez"), 421, method="GET"),
    "a full address without a path": Row(get(b"http://localhost"), method="GET"),
    "a method too many": Row(POST.replace(b"POST /predict", b"DELETE /livez") + SIZED, 405),
    "a wish for HTTP/2": Row(get(extra=UPGRADE), method="GET"),
    "a wish for HTTP/2 with a body": Row(POST + UPGRADE + SIZED),
    "a wish for HTTP/2 with chunks": Row(POST + UPGRADE + b"transfer-encoding: chunked\r\n\r\n" + CHUNKS),
    "a wish for a web socket": Row(get(extra=UPGRADE.replace(b"h2c", b"websocket")), method="GET"),
    "an expectation that nobody knows": Row(POST + b"expect: a-miracle\r\n" + SIZED),
    "bytes beyond ASCII in a value": Row(get(extra=b"x: \xff\xfe\r\n"), method="GET"),
    "close": Row(get(extra=b"connection: close\r\n"), stays=False, method="GET"),
    "close on the short way": Row(POST + b"connection: close\r\n" + SIZED, stays=False),
    "close among others": Row(POST + b"connection: keep-alive, Close\r\n" + SIZED, stays=False),
    "HTTP/1.0": Row(get(version=b"1.0"), stays=False, method="GET"),
    "HTTP/1.0 that wants to stay": Row(
        POST.replace(b"1.1", b"1.0") + b"connection: keep-alive\r\n" + SIZED, stays=False
    ),
    "HTTP/1.0 expects nothing": Row(POST.replace(b"1.1", b"1.0") + EXPECT + SIZED, stays=False),
}  # fmt: skip

SHAPES = {
    "chunks and a length": POST + b"transfer-encoding: chunked\r\n" + SIZE + CHUNKS,
    "a length and chunks": POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKS,
    "two lengths": POST + b"content-length: 2\r\n" + SIZED,
    "the same length twice": POST + SIZE[:-2] + SIZED,
    "a list of lengths": POST + b"content-length: 2, 2\r\n\r\n{}",
    "a positive length": POST + b"content-length: +2\r\n\r\n{}",
    "a negative length": POST + b"content-length: -2\r\n\r\n{}",
    "a length in hex": POST + b"content-length: 0x2\r\n\r\n{}",
    "a length in two parts": POST + b"content-length: 0 2\r\n\r\n{}",
    "a length with a fraction": POST + b"content-length: 2.0\r\n\r\n{}",
    "a length in other digits": POST + "content-length: \u0662\r\n\r\n{}".encode(),
    "an empty length": POST + b"content-length:\r\n\r\n{}",
    "a length beyond 64 bits": POST + b"content-length: 18446744073709551618\r\n\r\n{}",
    "a space before the colon": POST + b"content-length : 2\r\n\r\n{}",
    "a tab before the colon": POST + b"transfer-encoding\t: chunked\r\n\r\n" + CHUNKS,
    "a name that begins with a space": POST + b" content-length: 2\r\n\r\n{}",
    "a folded value": POST + b"x: a\r\n b\r\n" + SIZED,
    "a folded length": POST + b"content-length:\r\n 2\r\n\r\n{}",
    "an empty name": POST + b": a\r\n" + SIZED,
    "a line without a colon": POST + b"content-length\r\n\r\n",
    "bare line feeds": POST.replace(b"\r\n", b"\n") + SIZED,
    "one bare line feed": POST + b"x: a\n" + SIZED,
    "a bare carriage return": POST + b"x: a\rcontent-length: 2\r\n\r\n{}",
    "the end of the head without CR": POST + b"content-length: 2\r\n\n{}",
    "NUL in a value": POST + b"x: a\x00b\r\n" + SIZED,
    "a control character in a value": POST + b"x: a\x01b\r\n" + SIZED,
    "brackets in a name": POST + b"x(: a\r\n" + SIZED,
    "identity coding": POST + IDENTITY + SIZED,
    "chunked, then identity": POST + b"transfer-encoding: chunked, identity\r\n\r\n" + CHUNKS,
    "identity, then chunked": POST + IDENTITY + b"transfer-encoding: chunked\r\n\r\n" + CHUNKS,
    "gzip, chunked": POST + b"transfer-encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "chunked twice": POST + b"transfer-encoding: chunked, chunked\r\n\r\n" + CHUNKS,
    "chunked in two headers": CHUNKED[:-2] + b"transfer-encoding: chunked\r\n\r\n" + CHUNKS,
    "a coding like chunked": POST + b"transfer-encoding: xchunked\r\n\r\n" + CHUNKS,
    "a vertical tab before chunked": POST + b"transfer-encoding: \x0bchunked\r\n\r\n" + CHUNKS,
    "no coding": POST + b"transfer-encoding:\r\n\r\n" + CHUNKS,
    "chunks in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + CHUNKS,
    "a chunk size beyond 64 bits": CHUNKED + b"1000000000000000%x\r\n" % len(BODY) + BODY,
    "a chunk size with a sign": CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a space": CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
    "a chunk without its line end": CHUNKED + b"2\r\n{}0\r\n\r\n",
    "a chunk size that ends with LF": CHUNKED + b"2\n{}\r\n0\r\n\r\n",
    "a chunk that ends with LF": CHUNKED + b"2\r\n{}\n0\r\n\r\n",
    "an extension that ends with LF": CHUNKED + b"2;a\n{}\r\n0\r\n\r\n",
    "a trailer that is none": CHUNKED + b"0\r\nx y\r\n\r\n",
    "no host": b"POST /predict HTTP/1.1\r\n" + SIZED,
    "two hosts": POST + HOST + SIZED,
    "HTTP/0.9 with its number": get(version=b"0.9"),
    "HTTP/2.0": get(version=b"2.0"),
    "HTTP/1.10": get(version=b"1.10"),
    "another protocol": b"GET /livez XTTP/1.1\r\n" + HOST + b"\r\n",
    "lower-case http": b"GET /livez http/1.1\r\n" + HOST + b"\r\n",
    "a space in the path": get(b"/live z"),
    "an unknown method": b"get /livez HTTP/1.1\r\n" + HOST + b"\r\n",
    "a path without a slash": get(b"livez"),
    "a full address with a name and password": get(b"http://a:b@localhost/livez"),
    "a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("name", OK)
def test_a_request_gets_one_answer_and_the_next_one_its_own(server: RunningServer, name: str) -> None:
    """The answer is whole, and the connection stays or ends as the request says."""
    row = OK[name]
    answers = replies_in(converse(server, row.sent + LAST), [row.method, "GET"])
    assert [answer.status for answer in answers] == [row.status, 200][: 1 + row.stays]
    assert answers[0].closes is not row.stays
    assert answers[0].interim == ()
    if row.sent.startswith(b"POST") and row.status == 200:
        assert answers[0].body == b'{"prediction":0}'


@pytest.mark.parametrize("name", SHAPES)
def test_what_could_be_read_in_two_ways_is_refused(server: RunningServer, name: str) -> None:
    """400, once, and nothing that follows is taken for a request."""
    (answer,) = replies_in(converse(server, SHAPES[name] + LAST), ["POST", "GET"])
    assert (answer.status, answer.closes) == (400, True)
    assert json.loads(answer.body)["code"] == "request_invalid"


@pytest.mark.parametrize("name", SHAPES)
def test_who_asked_before_is_answered_first(server: RunningServer, name: str) -> None:
    """The refusal waits for its turn behind a page, and is not lost."""
    answers = replies_in(converse(server, get() + SHAPES[name] + LAST), ["GET", "POST", "GET"])
    assert [answer.status for answer in answers] == [200, 400]


def test_without_a_version_nothing_is_answered_as_http_1(server: RunningServer) -> None:
    """HTTP/0.9: what follows its one line is no header, and ends the connection."""
    answers = replies_in(converse(server, b"GET /livez\r\n" + LAST), ["GET", "GET"])
    assert [answer.status for answer in answers] == [400]


def test_every_way_through_the_server_keeps_the_order(server: RunningServer) -> None:
    """Short calls, pages, a slow call, chunks, refusals, HEAD in one packet: each has its answer in turn."""
    watch = Watch(server)
    asked = [
        (predict(1), "POST", (200, b'{"prediction":2.0}')),
        (get(), "GET", (200, None)),
        (predict(2), "POST", (200, b'{"prediction":4.0}')),
        (predict(5, model=b"slow"), "POST", (200, b'{"prediction":10.0}')),
        (predict(3), "POST", (200, b'{"prediction":6.0}')),
        (b"HEAD /livez HTTP/1.1\r\n" + HOST + b"\r\n", "HEAD", (200, b"")),
        (CHUNKED + CHUNKS, "POST", (200, b'{"prediction":0}')),
        (get(b"/no"), "GET", (404, None)),
        (POST + b"content-length: 1\r\n\r\n{", "POST", (400, None)),
        (POST + EXPECT + SIZED, "POST", (200, b'{"prediction":0}')),
        (predict(4), "POST", (200, b'{"prediction":8.0}')),
    ]
    asked += [(predict(x), "POST", (200, b'{"prediction":%.1f}' % (2 * x))) for x in range(100, 200)]
    data = b"".join(sent for sent, _, _ in asked)
    answers = replies_in(converse(server, data), [method for _, method, _ in asked])
    expected = [(status, body) for _, _, (status, body) in asked]
    got = [
        (a.status, a.body if body is not None else None)
        for a, (_, body) in zip(answers, expected, strict=True)
    ]
    assert got == expected
    assert [line["status"] for line in watch.access_lines(len(asked))] == [status for status, _ in expected]
    assert "Traceback" not in watch.text()


def test_a_client_that_stops_sending_gets_all_its_answers(server: RunningServer) -> None:
    """Half closed while a slow call is predicted; the half request behind it is none."""
    data = converse(server, predict(4, model=b"slow") + predict(5) + predict(6)[:-1])
    assert [a.body for a in replies_in(data, ["POST"] * 3)] == [
        b'{"prediction":8.0}',
        b'{"prediction":10.0}',
    ]


def test_a_request_behind_the_last_one_is_not_even_predicted(server: RunningServer) -> None:
    """RFC 9112, 9.6: whoever said close has asked for the last time."""
    watch = Watch(server)
    final = predict(1).replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    answers = replies_in(converse(server, final + predict(2) * 5), ["POST"])
    assert len(answers) == 1
    mark = server.ask("/predict", IRIS_ROW).headers["fairway-prediction-id"]
    wait_until(lambda: any(event.get("request_id") == mark for event in watch.events()))
    assert len(watch.events()) == 2


def receive_until(client: socket.socket, ending: bytes) -> bytes:
    """Read until what came ends so."""
    found = b""
    while not found.endswith(ending):
        data = client.recv(65536)
        assert data, found
        found += data
    return found


def test_a_body_that_waits_for_its_permission(server: RunningServer) -> None:
    """100, then the body, then the answer, and the connection stays."""
    with connect(server) as client:
        for _ in range(2):
            client.sendall(POST + EXPECT + SIZE)
            assert receive_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(BODY)
            (answer,) = replies_in(receive_until(client, b"}"), ["POST"])
            assert (answer.status, answer.closes) == (200, False)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (POST.replace(b"/predict", b"/no") + EXPECT + SIZE, 404),
        (POST + EXPECT + b"content-length: 99999999999\r\n\r\n", 413),
    ],
    ids=["no such route", "too large"],
)
def test_a_body_that_nobody_wants_is_not_asked_for(server: RunningServer, head: bytes, status: int) -> None:
    """No 100; and since the client may send its body or not, the connection ends."""
    with connect(server) as client:
        client.sendall(head)
        data = read_all(client)
    (answer,) = replies_in(data, ["POST"])
    assert (answer.status, answer.closes, answer.interim) == (status, True, ())


MEBIBYTE = b" " * 2**20
EARLY = {
    "a length": (b"content-length: %d\r\n\r\n" % len(MEBIBYTE), MEBIBYTE, [404, 200]),
    "chunks": (b"transfer-encoding: chunked\r\n\r\n", b"100000\r\n%s\r\n0\r\n\r\n" % MEBIBYTE, [404, 200]),
    "too many chunks": (b"transfer-encoding: chunked\r\n\r\n", b"100000\r\n%s\r\n" % MEBIBYTE * 12, [404]),
}


@pytest.mark.parametrize("framing", EARLY)
def test_who_is_answered_early_gets_no_second_answer(server: RunningServer, framing: str) -> None:
    """The body of a call to nowhere comes after its 404: it is dropped, and too much ends all."""
    begin, body, expected = EARLY[framing]
    with connect(server) as client:
        client.sendall(POST.replace(b"/predict", b"/no") + begin)
        found = receive_until(client, b"}")
        client.sendall(body + LAST)
        client.shutdown(socket.SHUT_WR)
        found += read_all(client)
    assert [answer.status for answer in replies_in(found, ["POST", "GET"])] == expected


@pytest.mark.parametrize(
    ("beginning", "endless", "status", "code"),
    [
        (get()[:-2] + b"x: ", b"a", 431, "headers_too_large"),
        (get()[:-2], b"x: a\r\n", 431, "headers_too_large"),
        (b"GET /", b"a", 414, "uri_too_long"),
        (CHUNKED + b"1;", b"a", 400, "chunk_limit"),
        (CHUNKED + b"0\r\nx: ", b"a", 400, "chunk_limit"),
        (CHUNKED + b"0\r\n", b"x: a\r\n", 431, "headers_too_large"),
    ],
    ids=["a value", "headers", "a path", "a chunk extension", "a trailer", "trailers"],
)
def test_what_never_ends_is_cut_off(
    server: RunningServer, beginning: bytes, endless: bytes, status: int, code: str
) -> None:
    """Two mebibytes are more than any part around a body may have, in any packets."""
    sent = beginning + endless * (2 * 2**20 // len(endless))
    (answer,) = replies_in(converse(server, sent), ["GET"])
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)


def test_a_client_that_never_reads_is_not_read_either(server: RunningServer) -> None:
    """It may send calls for as long as it likes: the server stops reading them when its answers pile up."""
    ask = b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n"
    with connect(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(1.0)
        sent = send_until_stuck(client, ask * 1000, limit=2**26)
        assert server.ask("/predict", IRIS_ROW).status == 200
    assert sent < 2**26


def send_until_stuck(client: socket.socket, data: bytes, *, limit: int) -> int:
    """Return how many bytes were sent before the other side took no more."""
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < limit:
            sent += client.send(data)
    return sent
