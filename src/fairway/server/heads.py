"""Heads of requests that were parsed before: equal bytes need not be parsed again.

A client that keeps its connection sends the same head with every call. What the parser made of it the first
time, and that it may take the short way, is kept under its exact bytes, so nothing is ever understood here
that the parser has not understood first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairway.server.guard import UNJUDGED, Verdict

if TYPE_CHECKING:
    from fairway.server.handlers import Predictions

MAX_HEADS = 512
MAX_HEAD_BYTES = 2048
"""Together they bound the memory at 1 MiB."""

END = b"\r\n\r\n"


class Headers(dict[str, str]):
    """Headers by lower-case name, the first of equal names; one that was not sent reads as empty.

    Args:
        pairs: Lower-case names and values as they came.
    """

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        # What every call is asked for stands there from the start: a look-up that hits is the cheaper one.
        super().__init__({"content-type": "", "content-encoding": ""})
        self.update((name.decode("latin-1"), value.decode("latin-1")) for name, value in reversed(pairs))

    def __missing__(self, name: str) -> str:
        return ""


class Head:
    """What is known of a request before its body.

    Attributes:
        path: Path of the request target.
        query: Its raw query.
        header: Returns a header by its lower-case name, or the empty string.
        body_bytes: Length of the body.
        calls: Answers such calls.
        verdict: Whether they may go on, as the guard saw it last.
    """

    __slots__ = ("body_bytes", "calls", "header", "path", "query", "verdict")

    def __init__(
        self,
        path: str,
        query: str,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        body_bytes: int,
        calls: Predictions,
    ) -> None:
        self.path = path
        self.query = query
        self.header = Headers(headers).__getitem__
        self.body_bytes = body_bytes
        self.calls = calls
        self.verdict: Verdict = UNJUDGED


class Heads:
    """The heads of one server that may take the short way, by their bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """Return head and body if *data* is exactly one request whose head is known."""
        end = data.find(END, 0, MAX_HEAD_BYTES) + len(END)
        head = self._known.get(data[:end])
        if head is None or len(data) != end + head.body_bytes:
            return None
        return head, data[end:]

    def keep(self, data: bytes, head: Head) -> None:
        """Remember the head at the beginning of *data*, unless there are many already."""
        end = data.find(END, 0, MAX_HEAD_BYTES) + len(END)
        if end > len(END) and len(data) == end + head.body_bytes:
            if len(self._known) >= MAX_HEADS:  # clients whose heads differ each time gain nothing from it
                self._known.clear()
            self._known[data[:end]] = head
