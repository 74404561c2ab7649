"""Where a request ends and how long it may be: the checks of RFC 9112 that the parser leaves out.

The parser refuses what is no HTTP. This refuses what is too long, and what another parser on the way might
have read otherwise.
"""

from __future__ import annotations

import re

from fairway.errors import BodyTooLarge, HeadersTooLarge, MalformedRequest, RequestError, UriTooLong

MAX_URL_BYTES = 32 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 100
MAX_CHUNKS = 65_536
MAX_FRAMING_BYTES = 2**20
"""Most bytes of a request that are not its body: the head, the lines of the chunks, trailers."""

_ABSOLUTE_URL = re.compile(rb"(?i:https?)://([^/?#]+)([^#]*)")

Headers = list[tuple[bytes, bytes]]


class Framing:
    """What is known of one request's frame while it is being received.

    Args:
        max_body_bytes: Longest body.
    """

    __slots__ = (
        "_chunks",
        "_codings",
        "_header_bytes",
        "_limit_hint",
        "_max_body_bytes",
        "_wire_bytes",
        "body_bytes",
        "declared_bytes",
        "expects_continue",
        "hosts",
    )

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._limit_hint = ""
        self._header_bytes = self._wire_bytes = self._chunks = 0
        self._codings: list[bytes] = []
        self.hosts: list[bytes] = []
        self.body_bytes = 0
        self.declared_bytes = 0
        self.expects_continue = False

    def limit_body(self, size: int, hint: str) -> None:
        """Let the body have another length than usual; called before the head is checked."""
        self._max_body_bytes, self._limit_hint = size, hint

    def count_url(self, size: int) -> None:
        """Refuse a request target that is longer than any.

        Raises:
            UriTooLong: It is.
        """
        if size > MAX_URL_BYTES:
            raise UriTooLong(MAX_URL_BYTES)

    def count_header(self, size: int, count: int) -> None:
        """Refuse too many or too long headers; trailers are counted among them.

        Raises:
            HeadersTooLarge: They are.
        """
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES or count >= MAX_HEADERS:
            raise HeadersTooLarge(MAX_HEADER_BYTES, MAX_HEADERS)

    def note(self, name: bytes, value: bytes) -> None:
        """Take note of a header if it says where the request ends or whom it is for."""
        if name == b"host":
            self.hosts.append(value)
        elif name == b"content-length":
            # The parser lets one such header through, of digits below 2^64; there may be zeros before them.
            self.declared_bytes = int(value.strip()[-20:])
        elif name == b"expect":
            self.expects_continue = value.lower() == b"100-continue"
        elif name == b"transfer-encoding":
            self._codings.append(value.lower())

    def check_head(self, method: bytes, version: str) -> None:
        """Refuse a head that could be read in two ways, or announces more than is read.

        Raises:
            RequestError: It could.
            BodyTooLarge: It does.
        """
        if version == "1.0":
            self.expects_continue = False  # RFC 9110, 10.1.1
        elif version != "1.1":
            raise RequestError("this is another version of HTTP", hint="speak HTTP/1.1")
        if len(self.hosts) > 1 or (not self.hosts and version == "1.1"):
            raise RequestError("the request names no host, or several", hint="send one Host header")
        if self._codings and (self._codings != [b"chunked"] or version == "1.0"):
            raise RequestError("the body has a transfer coding that is not read here", hint="send it chunked")
        if method == b"CONNECT":
            raise RequestError("this is no proxy")
        if self.declared_bytes > self._max_body_bytes:
            raise BodyTooLarge(self._max_body_bytes, hint=self._limit_hint)

    def to_origin(self, url: bytes, headers: Headers) -> bytes:
        """Return the path of a full address; its own host takes the place of the header (RFC 9112, 3.2.2).

        Raises:
            RequestError: The address holds a user name (RFC 9110, 4.2.4).
        """
        absolute = None if url.startswith(b"/") else _ABSOLUTE_URL.fullmatch(url)
        if absolute is None:
            return url
        authority, rest = absolute.groups()
        if b"@" in authority:
            raise RequestError("the address holds a user name")
        self.hosts = [authority]
        headers[:] = [header for header in headers if header[0] != b"host"]
        headers.append((b"host", authority))
        return rest if rest.startswith(b"/") else b"/" + rest

    def count_chunk(self) -> None:
        """Refuse too many chunks: tiny ones cost far more than their bytes.

        Raises:
            MalformedRequest: There are.
        """
        self._chunks += 1
        if self._chunks > MAX_CHUNKS:
            raise MalformedRequest("chunk_limit", f"the body has more than {MAX_CHUNKS} chunks")

    def count_body(self, size: int) -> None:
        """Refuse a body that turns out to be too long.

        Raises:
            BodyTooLarge: It does.
        """
        self.body_bytes += size
        if self.body_bytes > self._max_body_bytes:
            raise BodyTooLarge(self._max_body_bytes, hint=self._limit_hint)

    def count_wire(self, size: int, *, has_head: bool) -> None:
        """Refuse a head, chunk lines or trailers without an end, which the parser collects or skips.

        Raises:
            HeadersTooLarge: The head has none.
            MalformedRequest: What stands around the chunks has none.
        """
        self._wire_bytes += size
        if self._wire_bytes - self.body_bytes <= MAX_FRAMING_BYTES:
            return
        if not has_head:
            raise HeadersTooLarge(MAX_HEADER_BYTES, MAX_HEADERS)
        raise MalformedRequest("chunk_limit", "the lines around the chunks are too long")
