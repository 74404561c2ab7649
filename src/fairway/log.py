"""Structured logging: events with fields, one JSON object per line, and a buffered path for access lines.

What is logged and when is decided where it happens; this file decides how a line looks, when it is written,
and holds the one list of event names. A log that cannot be written is never a reason for a call to fail.
"""

from __future__ import annotations

import atexit
import re
import select
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import msgspec

EVENTS: dict[str, str] = {
    "access": "A call was answered; the only event that is buffered.",
    "audit.head": "The newest event of the record, at the start and when it has changed, at most once a "
    "minute; `fairway audit verify --head SEQ:HASH` compares with it.",
    "connection.failed": "Something went wrong below HTTP; `detail` holds the words of the library.",
    "environment.differs": "A package or Python is not the one that a model was packed with, `warning` where "
    "it matters; told at the load, if the original answers. The golden examples were answered all the same.",
    "keys.failed": "API keys cannot be read, or their use not noted; the last ones known stay in force.",
    "keys.followed": "API keys can be read again.",
    "management.failed": "A management call was answered with 5xx: the registry is away, or too much waits.",
    "model.failed": "A model could not be loaded or proven; the version before it goes on serving.",
    "model.loaded": "A model was loaded and answered its golden examples; `predictor` says what answers.",
    "model.swapped": "Another version of a model serves now, or the same one by another predictor.",
    "model.unloaded": "A version has left the memory; calls that it has still to answer are answered.",
    "prediction.failed": "The model raised, timed out or broke its contract on valid input.",
    "refusal.unrecorded": "That a version was refused could not be put into the history.",
    "registry.failed": "The registry cannot be read; the loaded models go on serving. Told each minute.",
    "registry.recovered": "The registry can be read again, after `seconds`.",
    "request.failed": "A fault of fairway itself; the reply was 500 internal_error.",
    "server.started": "The server listens.",
    "server.stopped": "The server has answered its last call.",
    "worker.died": "A worker has crashed or was killed; another takes its place in `restart_in_s`.",
    "worker.failed": "A worker ends because of `cause`; `worker.died` follows.",
    "worker.started": "A worker serves; the events of workers hold its number and process id.",
    "worker.stopped": "A worker has answered its last call.",
    "worker.stuck": "A worker has shown no sign of life for `seconds` and is killed.",
}
"""Every event name with what it means; `docs/reference/log-events.md` is made from it."""

LEVELS = ("debug", "info", "warning", "error")

FLUSH_INTERVAL_S = 0.1
FLUSH_BYTES = 1024 * 1024
"""Lines that wait are written early beyond this. A thread that runs more often than the interval asks would
contend with the event loop for the interpreter."""

CLOSE_PATIENCE_S = 1.0
MAX_WAITING_BYTES = 8 * 2**20
"""Lines beyond this are dropped and counted: a reader that hangs must not fill the memory."""

PIECE_BYTES = getattr(select, "PIPE_BUF", 512)
"""What a pipe keeps whole when several processes write to it."""

# JSON escapes C0 controls. DEL, C1 controls, the Unicode line separators and the marks that turn the
# reading direction are legal in JSON text, yet a terminal or a viewer acts on them.
_UNSAFE = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")


class Log:
    """Writes events as JSON lines; safe to share between threads.

    Args:
        stream: Where lines go: a binary or text stream. Default: standard error.
        level: Least important level that is written.
        access: Whether access lines are written.
        threaded: Whether a background thread writes. A process that will fork must have none: without, lines
            are written at once if somebody reads, and wait for the next event or `flush` otherwise.

    Example:
        >>> log = Log(io.BytesIO())
        >>> log.event("model.loaded", model="coffee", version=3)
    """

    def __init__(
        self,
        stream: IO[bytes] | IO[str] | None = None,
        *,
        level: str = "info",
        access: bool = True,
        threaded: bool = True,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._least = LEVELS.index(level)
        self._access = access
        self._threaded = threaded
        self._is_shared = not threaded
        self._facts: dict[str, Any] = {}
        self._closed = False
        self._begin()
        _open_logs.add(self)

    def _begin(self) -> None:
        self._lines: list[bytes] = []
        self._waiting = 0
        self._lost = 0
        self._buffering = threading.Lock()
        self._writing = threading.Lock()
        self._due = threading.Event()
        self._full = threading.Event()
        self._writer: threading.Thread | None = None

    def start_in_worker(self, **facts: Any) -> None:
        """Begin anew in a forked process, with a thread; what waits is the parent's to write.

        Args:
            facts: Fields of every event from now on, such as the worker's number.
        """
        self._threaded = True
        self._facts = facts
        self._begin()

    @property
    def lost(self) -> int:
        """Number of lines that could not be written."""
        return self._lost

    def event(self, name: str, *, level: str = "info", **fields: Any) -> None:
        """Keep one event for the next write, after the lines that wait.

        Events are rare and somebody reads along, so the write follows at once; it happens in the background,
        because a reader that hangs must not hold up whoever logs.

        Args:
            name: One of `EVENTS`.
            level: One of `LEVELS`.
            fields: Facts. An exception becomes its type, message and traceback; what JSON cannot hold
                becomes text.
        """
        if LEVELS.index(level) >= self._least:
            line = {"at": timestamp(), "level": level, "event": name, **self._facts, **fields}
            self._keep(encode_line(line))
            self._full.set()
            self._wake_writer()

    def access(self, line: bytes | Mapping[str, Any]) -> None:
        """Keep one access line for the next write, which follows within `FLUSH_INTERVAL_S`.

        Args:
            line: Fields of the call; or a whole JSON object in bytes, without a line end, that its caller
                has made with `encode_line`.
        """
        if not self._access:
            return
        if not isinstance(line, bytes):
            line = encode_line({"at": timestamp(), "level": "info", "event": "access", **line})
        self._keep(line)
        if not self._due.is_set():
            self._wake_writer()
        elif self._waiting >= FLUSH_BYTES and not self._full.is_set():
            self._full.set()

    def flush(self, *, patience_s: float = -1) -> None:
        """Write every line that waits. A stream that is closed or broken loses them; nothing is raised.

        Args:
            patience_s: How long to wait for a write that is under way; without limit by default.
        """
        if not self._writing.acquire(timeout=patience_s):
            return
        try:
            if not self._threaded and not _takes_bytes(self._stream):
                return
            with self._buffering:
                lines, self._lines, self._waiting = self._lines, [], 0
            if lines and not self._write(lines):
                with self._buffering:
                    self._lost += len(lines)
        finally:
            self._writing.release()

    def close(self) -> None:
        """Write what waits and end the background thread. The stream stays open; it belongs to the caller."""
        self._closed = True
        self._due.set()
        self._full.set()
        self.flush(patience_s=CLOSE_PATIENCE_S)

    def _keep(self, line: bytes) -> None:
        with self._buffering:
            if self._waiting + len(line) > MAX_WAITING_BYTES:
                self._lost += 1
                return
            self._lines.append(line)
            self._waiting += len(line) + 1

    def _write(self, lines: Sequence[bytes]) -> bool:
        try:
            stream: Any = getattr(self._stream, "buffer", self._stream)
            for data in _pieces(lines) if self._is_shared else [b"\n".join(lines) + b"\n"]:
                stream.write(data.decode() if hasattr(stream, "encoding") else data)
                stream.flush()
        except (OSError, ValueError, AttributeError):  # broken pipe, full disk; closed; no stream at all
            return False
        return True

    def _wake_writer(self) -> None:
        if not self._threaded:
            self.flush()
            return
        self._due.set()
        # A fork leaves the thread behind in the parent, so its being alive is asked, not remembered.
        with self._buffering:
            if self._writer is None or not self._writer.is_alive():
                self._writer = threading.Thread(
                    target=_write_when_due, args=(self,), name="fairway-log", daemon=True
                )
                self._writer.start()


def _write_when_due(log: Log) -> None:
    """Run in the background thread of *log*: the one place beside the class that touches its insides."""
    while not log._closed:  # noqa: SLF001
        log._due.wait()  # noqa: SLF001
        log._full.wait(FLUSH_INTERVAL_S)  # noqa: SLF001
        log._due.clear()  # noqa: SLF001 - before the write: a line that comes during it wakes the thread again
        log._full.clear()  # noqa: SLF001
        log.flush()


def _pieces(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Join lines to pieces that a pipe does not mix with those of others; a longer line may suffer."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) >= PIECE_BYTES:
            yield piece
            piece = b""
        piece += line + b"\n"
    yield piece


def _takes_bytes(stream: Any) -> bool:
    """Tell whether a stream takes a piece without waiting; what cannot be asked is taken to."""
    try:
        asked = select.poll()
        asked.register(stream.fileno(), select.POLLOUT)
        return bool(asked.poll(0))
    except (OSError, ValueError, AttributeError):
        return True


_open_logs: weakref.WeakSet[Log] = weakref.WeakSet()


@atexit.register
def _flush_all() -> None:
    for log in list(_open_logs):
        log.flush(patience_s=CLOSE_PATIENCE_S)


def encode_line(fields: Mapping[str, Any]) -> bytes:
    """Return *fields* as one line of JSON without a line end; never raises."""
    try:
        line = msgspec.json.encode(fields, enc_hook=_as_json)
    except Exception:  # noqa: BLE001 - half a surrogate, an integer of 200 bits, a cycle: all of them are text
        line = msgspec.json.encode({name: _as_text(value) for name, value in fields.items()})
    if line.isascii() and b"\x7f" not in line:
        return line
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0].decode()):04x}".encode(), line)


def _as_json(value: Any) -> Any:
    if isinstance(value, BaseException):
        text = "".join(traceback.format_exception(value))
        return {"type": type(value).__name__, "message": str(value), "traceback": text}
    return str(value)


def _as_text(value: Any) -> str:
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else ascii(value)


_second: tuple[int, str] = (-1, "")


def timestamp() -> str:
    """Return the present moment in UTC as ISO 8601 with milliseconds: `2026-05-03T12:00:00.123Z`."""
    global _second  # noqa: PLW0603 - the text of a second is made once; replacing the pair is atomic
    now, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    second, text = _second
    if second != now:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        _second = (now, text)
    return f"{text}.{milliseconds:03d}Z"
