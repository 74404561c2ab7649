"""What a connection may cost: headers, addresses, chunks, and the patience of the server."""

from __future__ import annotations

import json
import re
import selectors
import socket
import time

import pytest

from fairway.testing import RunningServer

from .conftest import IRIS_ROW, Elapsed

HOST = b"host: localhost\r\n"
BODY = json.dumps(IRIS_ROW).encode()
PATIENCE_S = 10.0
SWEEP_S = 1.5


def exchange(server: RunningServer, sent: bytes) -> tuple[int, str]:
    """Send bytes and return status and code of the first reply."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(sent)
        return read_reply(client)


def read_reply(client: socket.socket) -> tuple[int, str]:
    found = b""
    while data := client.recv(65536):
        found += data
    status = re.findall(rb"HTTP/1\.1 (\d{3}) (?!Continue)", found)
    return int(status[0]), json.loads(found[found.rindex(b"\r\n\r\n") :])["code"]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\n" + HOST + b"\r\n", (414, "uri_too_long")),
        (b"GET / HTTP/1.1\r\n" + HOST + b"x: " + b"a" * 2**20 + b"\r\n\r\n", (431, "headers_too_large")),
        (
            b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"x%d: 1\r\n" % n for n in range(10_000)) + b"\r\n",
            (431, "headers_too_large"),
        ),
        (
            b"POST /predict HTTP/1.1\r\n"
            + HOST
            + b"transfer-encoding: chunked\r\n\r\n"
            + b"1\r\n \r\n" * 65_537,
            (400, "chunk_limit"),
        ),
        (
            b"POST /predict HTTP/1.1\r\n" + HOST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            (400, "request_invalid"),
        ),
        (b"POST /predict HTTP/1.1\r\n" + HOST + b"x: a\nb: c\x00\r\n\r\n", (400, "request_invalid")),
    ],
    ids=["C10", "C8", "C9", "A17", "C11", "C12"],
)
def test_what_is_too_large_or_ambiguous_is_refused(
    server: RunningServer, sent: bytes, expected: tuple[int, str]
) -> None:
    """The reply says what it was, and the connection is closed."""
    assert exchange(server, sent) == expected


def test_clients_that_keep_the_server_waiting_are_sent_away(server: RunningServer) -> None:
    """Half headers, half bodies, one byte at a time, a promise that is not kept: 408 after ten seconds."""
    beginnings = {
        "C3": b"POST /predict HTTP/1.1\r\nhost: loc",
        "C4": b"POST /predict HTTP/1.1\r\n" + HOST + b"content-length: 50\r\n\r\n{",
        "C5": b"POST /predict HTTP/1.1\r\n" + HOST + b"content-length: 500\r\n\r\n",
        "C20": b"POST /predict HTTP/1.1\r\n" + HOST + b"expect: 100-continue\r\ncontent-length: 50\r\n\r\n",
    }
    clients = {row: socket.create_connection(("127.0.0.1", server.port)) for row in beginnings}
    started, elapsed = time.monotonic(), Elapsed()
    for row, client in clients.items():
        client.sendall(beginnings[row])
    trickle(clients["C5"], until=started + PATIENCE_S + 2 * SWEEP_S)
    for client in clients.values():
        client.settimeout(2 * PATIENCE_S)
        with client:
            assert read_reply(client) == (408, "request_timeout")
    assert elapsed.seconds() < PATIENCE_S + 4 * SWEEP_S
    assert server.ask("/predict", IRIS_ROW).status == 200


def trickle(client: socket.socket, *, until: float) -> None:
    """Send one byte now and then until the server answers."""
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ)
        while time.monotonic() < until and not selector.select(timeout=0.5):
            client.sendall(b" ")


def test_a_call_in_small_pieces_is_still_answered(server: RunningServer) -> None:
    """Bytes that come one by one, but come, are a request as any other."""
    request = b"POST /predict HTTP/1.1\r\n" + HOST + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            client.sendall(bytes([byte]))
        found = b""
        while b'{"prediction":0}' not in found:
            found += client.recv(65536)
    assert found.startswith(b"HTTP/1.1 200 OK\r\n")
