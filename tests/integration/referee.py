"""HTTP/1.1 as h11 reads it, which shares no code with the server: what was asked, what came back."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
from collections.abc import Iterable
from typing import Any

import h11

from fairway.testing import RunningServer


@dataclasses.dataclass(frozen=True)
class Reply:
    """One answer; `interim` are the statuses of the 1xx answers before it."""

    status: int
    headers: dict[str, str]
    body: bytes
    interim: tuple[int, ...] = ()

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends."""
        return self.headers.get("connection") == "close"


def replies_in(data: bytes, methods: Iterable[str]) -> list[Reply]:
    """Read answers to requests of these methods; bytes that are no whole answer fail.

    A method more than answers is no failure, an answer more than methods is.
    """
    found = []
    for method in methods:
        if not data:
            return found
        reply, data = _first_reply(data, method)
        if method == "HEAD" and reply.status >= 400 and reply.closes:
            # Who could not read the head to its end cannot rely on it to be one of HEAD.
            assert len(data) in {0, int(reply.headers["content-length"])}
            data = b""
        found.append(reply)
    assert not data, f"an answer that nobody asked for: {data[:200]!r}"
    return found


def _first_reply(data: bytes, method: str) -> tuple[Reply, bytes]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    interim: list[int] = []
    head: Any = None
    body = b""
    while True:
        event = client.next_event()
        if isinstance(event, h11.InformationalResponse):
            interim.append(event.status_code)
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            assert isinstance(event, h11.EndOfMessage), event
            headers = {name.decode(): value.decode() for name, value in head.headers}
            return Reply(head.status_code, headers, body, tuple(interim)), bytes(client.trailing_data[0])


@dataclasses.dataclass(frozen=True)
class Asked:
    """One request as h11 reads it; the body is None if its end did not come."""

    method: str
    target: str
    body: bytes | None


def requests_in(data: bytes) -> list[Asked]:
    """Return the requests whose head stands before the first bytes that h11 refuses."""
    found: list[Asked] = []
    while data := data.lstrip(b"\r\n"):
        asked, data = _first_request(_MORE_SPACES.sub(rb"\1 \2 \3", data))
        if asked is not None:
            found.append(asked)
    return found


# RFC 9112 allows empty lines before a request (2.2) and more spaces in its first line (3); h11 does not.
_MORE_SPACES = re.compile(rb"\A([A-Z]+) +([!-~]+) +(HTTP/1\.)")


def _first_request(data: bytes) -> tuple[Asked | None, bytes]:
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
    server.receive_data(data)
    asked: Asked | None = None
    body = b""
    with contextlib.suppress(h11.RemoteProtocolError):
        while True:
            event = server.next_event()
            if isinstance(event, h11.Request):
                asked = Asked(event.method.decode(), event.target.decode(), None)
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and asked is not None:
                is_last = server.their_state is h11.MUST_CLOSE
                return dataclasses.replace(asked, body=body), b"" if is_last else server.trailing_data[0]
            else:
                break
    return asked, b""


def connect(server: RunningServer) -> socket.socket:
    """Open a connection that sends what it is given at once."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def read_all(client: socket.socket) -> bytes:
    """Read until the server closes the connection, or resets it for what it did not read."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(65536):
            found += data
    return found


def converse(server: RunningServer, *pieces: bytes) -> bytes:
    """Send pieces, stop sending, and return everything that comes back."""
    with connect(server) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
        return read_all(client)
