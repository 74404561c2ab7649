"""HTTP over the standard library: connections that are kept open, and what became of one request."""

from __future__ import annotations

import http.client
import selectors
import ssl
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from fairway.client import _wire
from fairway.client._wire import Request

_PIECE_BYTES = 2**20


class Transport:
    """Sends requests to one server. May be shared between threads.

    Args:
        url: Address of the server.
        timeout_s: Longest wait for the connection, and for any next byte of a reply.
        headers: Sent with every request.

    Raises:
        UsageError: *url* is not an http or https URL.
    """

    def __init__(self, url: str, *, timeout_s: float, headers: Mapping[str, str]) -> None:
        self.address = _wire.parse_url(url)
        self._timeout_s = timeout_s
        self._headers = dict(headers)
        self._tls = ssl.create_default_context() if self.address.scheme == "https" else None
        self._idle: deque[http.client.HTTPConnection] = deque()

    def send(
        self, request: Request, *, timeout_s: float | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Return status, headers (lower-case names) and body of the reply.

        Args:
            request: What to send.
            timeout_s: Longest wait for this one, if it is another than usual.

        Raises:
            RemoteError: No reply came; its status code is 0.
        """
        with _Mapped(self.address, timeout_s or self._timeout_s):
            connection, is_new = self._connection()
            try:
                return self._exchange(connection, request, timeout_s)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # The server closed a kept connection just as the request went out. Only a GET may be sent
                # again: a POST could have been answered, and would be counted and logged twice.
                if is_new or request.method != "GET":
                    raise
                return self._exchange(self._connect(), request, timeout_s)

    def fetch(self, request: Request, path: Path) -> tuple[int, Mapping[str, str], bytes]:
        """Do the same, and write the body of a reply with 200 or 206 to a file, piece by piece.

        206 is added to the end of the file. What has come is kept if the connection breaks.
        """
        with _Mapped(self.address, self._timeout_s):
            connection = self._connect()
            try:
                connection.request(
                    request.method,
                    self.address.path + request.target,
                    headers={**self._headers, **request.headers},
                )
                reply = connection.getresponse()
                headers = {name.lower(): value for name, value in reply.getheaders()}
                if reply.status not in {200, 206}:
                    return reply.status, headers, reply.read()
                with path.open("ab" if reply.status == 206 else "wb") as file:
                    while piece := reply.read(_PIECE_BYTES):
                        file.write(piece)
                    if reply.length:  # the standard library takes an early end for the end
                        raise http.client.IncompleteRead(b"", reply.length)
                return reply.status, headers, b""
            finally:
                connection.close()

    def close(self) -> None:
        """Close the connections that wait; more are opened when needed."""
        while self._idle:
            self._idle.pop().close()

    def _exchange(
        self, connection: http.client.HTTPConnection, request: Request, timeout_s: float | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            headers = {**self._headers, **request.headers}
            target = self.address.path + request.target
            if timeout_s is not None:
                connection.timeout = timeout_s
                if connection.sock is not None:
                    connection.sock.settimeout(timeout_s)
            connection.request(request.method, target, body=request.body or None, headers=headers)
            reply = connection.getresponse()
            body = reply.read()
        except BaseException:
            connection.close()
            raise
        if reply.will_close or timeout_s is not None:
            connection.close()
        else:
            self._idle.append(connection)
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, body

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect(), True
            if _is_quiet(connection):
                return connection, False
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        place = (self.address.host, self.address.port)
        if self._tls is not None:
            return http.client.HTTPSConnection(*place, timeout=self._timeout_s, context=self._tls)
        return http.client.HTTPConnection(*place, timeout=self._timeout_s)


class _Mapped:
    """Turns what goes wrong on the way into an error of fairway."""

    def __init__(self, address: _wire.Address, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, TimeoutError):
            reason = f"timed out after {self._timeout_s:g} s"
            raise _wire.unreachable(self._address, reason, code="remote_timeout") from error
        if isinstance(error, OSError | http.client.HTTPException):
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise _wire.unreachable(self._address, reason) from error


def _is_quiet(connection: http.client.HTTPConnection) -> bool:
    """Tell whether a kept connection is still open: an idle one has nothing to read but its own end."""
    if connection.sock is None:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(connection.sock, selectors.EVENT_READ)
        return not selector.select(timeout=0)
