"""Behaviour of structured logging: one JSON object per line, at once or buffered, and never an error."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

import fairway.log
from fairway.log import EVENTS, MAX_WAITING_BYTES, PIECE_BYTES, Log, encode_line, timestamp

SOURCE = Path(fairway.log.__file__).parent


def lines_of(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def wait_until(condition: Any, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        pause.wait(0.005)


def test_event_is_one_json_line_with_time_level_and_fields() -> None:
    """An event is written at once as one JSON object."""
    stream = io.BytesIO()
    log = Log(stream)
    log.event("model.loaded", model="coffee", version=3)
    log.flush()
    (line,) = lines_of(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("at"))
    assert line == {"level": "info", "event": "model.loaded", "model": "coffee", "version": 3}


def test_events_below_the_level_are_not_written() -> None:
    """The level is the least important one that is written."""
    stream = io.BytesIO()
    log = Log(stream, level="warning")
    log.event("model.loaded")
    log.event("model.failed", level="error")
    log.flush()
    assert [line["event"] for line in lines_of(stream)] == ["model.failed"]


def test_access_lines_are_written_soon_without_a_flush() -> None:
    """Buffered lines follow by themselves."""
    stream = io.BytesIO()
    log = Log(stream)
    log.access({"route": "/predict", "status": 200})
    log.access(b'{"route":"/other"}')
    wait_until(lambda: stream.getvalue().count(b"\n") == 2)
    assert [line["route"] for line in lines_of(stream)] == ["/predict", "/other"]
    log.access({"route": "/later"})
    wait_until(lambda: stream.getvalue().count(b"\n") == 3)
    log.close()


def test_an_event_comes_after_the_access_lines_before_it() -> None:
    """The order of lines is the order in which they were given."""
    stream = io.BytesIO()
    log = Log(stream)
    log.access({"n": 1})
    log.event("server.stopped")
    log.close()
    assert [line["event"] for line in lines_of(stream)] == ["access", "server.stopped"]


def test_access_lines_can_be_turned_off() -> None:
    """`log.access = false` keeps events and drops access lines."""
    stream = io.BytesIO()
    log = Log(stream, access=False)
    log.access({"n": 1})
    log.flush()
    assert stream.getvalue() == b""


def test_text_streams_are_served_too() -> None:
    """A text stream without a binary one beneath receives text."""
    stream = io.StringIO()
    log = Log(stream)
    log.event("server.started", host="café")
    log.flush()
    assert json.loads(stream.getvalue())["host"] == "café"


@pytest.mark.parametrize(
    "text", ["\x1b[31m\n\r\0", "\x7f\x9b31m", "\u202etxt.exe", "\u2028\u2029", "\u2066x"]
)
def test_control_characters_never_reach_the_terminal(text: str) -> None:
    """Controls and marks of reading direction are written as JSON escapes and read back unchanged."""
    line = encode_line({"value": text})
    assert line.decode().isprintable()
    assert json.loads(line) == {"value": text}


@pytest.mark.parametrize(
    "value", ["\ud800", 2**80, float("nan"), {1, 2}, object(), Path("x"), b"\xff", [[1j]]]
)
def test_any_value_can_be_logged(value: object) -> None:
    """What JSON cannot hold becomes text or null."""
    assert "value" in json.loads(encode_line({"value": value}))


def test_an_exception_is_written_with_type_message_and_traceback() -> None:
    """A cause can be found in the log."""
    try:
        raise ValueError("no good")  # noqa: TRY301
    except ValueError as error:
        line = json.loads(encode_line({"error": error}))
    assert line["error"]["type"] == "ValueError"
    assert line["error"]["message"] == "no good"
    assert "test_log.py" in line["error"]["traceback"]


def test_a_broken_pipe_never_raises_and_is_counted() -> None:
    """A reader that went away costs lines, not calls."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream:
        log = Log(stream)
        log.access({"n": 1})
        log.event("server.stopped")
        log.close()
        assert log.lost == 2


def test_a_closed_stream_never_raises() -> None:
    """A closed stream loses lines silently."""
    stream = io.BytesIO()
    log = Log(stream)
    stream.close()
    log.event("server.stopped")
    log.flush()
    assert log.lost == 1


def test_a_reader_that_hangs_does_not_fill_the_memory() -> None:
    """Beyond a bound lines are dropped and counted, and the caller never waits for the reader."""

    class Hanging(io.RawIOBase):
        free = threading.Event()

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.free.wait(10)
            return len(data)

    stream = Hanging()
    log = Log(stream)
    line = encode_line({"text": "x" * 100_000})
    for _ in range(3 * MAX_WAITING_BYTES // len(line)):
        log.access(line)
    assert log.lost > 0
    stream.free.set()
    log.close()


def test_threads_may_share_a_log() -> None:
    """Every line of every thread arrives, each whole."""
    stream = io.BytesIO()
    log = Log(stream)

    def work(number: int) -> None:
        for count in range(200):
            log.access({"thread": number, "count": count})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert {(line["thread"], line["count"]) for line in lines_of(stream)} == {
        (number, count) for number in range(4) for count in range(200)
    }


def test_waiting_lines_are_written_at_exit() -> None:
    """A process that ends right after a call has logged it."""
    code = "from fairway.log import Log; Log().access({'route': '/predict'})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert json.loads(done.stderr)["route"] == "/predict"


def test_without_a_thread_an_event_is_written_before_the_call_returns() -> None:
    """A process that will fork runs nothing beside itself."""
    stream = io.BytesIO()
    before = threading.active_count()
    log = Log(stream, threaded=False)
    log.event("model.loaded", model="coffee")
    assert [line["event"] for line in lines_of(stream)] == ["model.loaded"]
    assert threading.active_count() == before


@pytest.mark.skipif(sys.platform == "win32", reason="pipes cannot be asked there, and there are no forks")
def test_without_a_thread_a_reader_that_hangs_holds_up_nobody() -> None:
    """What does not fit into the pipe waits, and follows when somebody reads again."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as stream:
        os.set_blocking(writing, False)
        filled = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                filled += os.write(writing, b" " * 1024)
        os.set_blocking(writing, True)
        log = Log(stream, threaded=False)
        log.event("worker.died", worker=1)
        log.event("worker.died", worker=2)
        assert reader.read(filled) == b" " * filled
        log.flush()
        assert [json.loads(reader.readline())["worker"] for _ in range(2)] == [1, 2]
        assert log.lost == 0


def test_a_log_in_a_worker_begins_anew() -> None:
    """It has a thread, says who speaks, and leaves to the parent what was the parent's to write."""
    stream = io.BytesIO()
    log = Log(stream, threaded=False)
    log._keep(b'{"event":"of the parent"}')
    log.start_in_worker(worker=1, pid=42)
    log.event("worker.started")
    wait_until(lambda: stream.getvalue().endswith(b"\n"))
    (line,) = lines_of(stream)
    assert (line["event"], line["worker"], line["pid"]) == ("worker.started", 1, 42)
    log.close()


def test_lines_of_several_processes_are_written_in_pieces_that_a_pipe_keeps_whole() -> None:
    """A piece ends with a line; only a line that is longer than a piece may exceed it."""

    class Pieces(io.BytesIO):
        sizes: ClassVar[list[int]] = []

        def write(self, data: Any) -> int:
            assert data.endswith(b"\n")
            self.sizes.append(len(data))
            return super().write(data)

    stream = Pieces()
    log = Log(stream, threaded=False)
    log.start_in_worker(worker=0)
    lines = [b'{"text":"%s"}' % (b"x" * (7 * n)) for n in range(100)] + [b'{"text":"%s"}' % (b"y" * 9000)]
    for line in lines:
        log._keep(line)
    log.flush()
    assert stream.getvalue().splitlines() == lines
    assert sorted(stream.sizes)[-2] <= PIECE_BYTES < max(stream.sizes)
    assert len(stream.sizes) < 20
    log.close()


def test_timestamps_of_one_process_never_lie_about_the_second() -> None:
    """The cached second is the present one."""
    before = time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
    stamp = timestamp()
    after = time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
    assert before <= stamp[:16] <= after


def test_the_list_of_events_is_complete_and_holds_no_other() -> None:
    """`EVENTS` names what the source logs: nothing undocumented, nothing that never happens."""
    sources = [path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if path.name != "log.py"]
    logged = {name for text in sources for name in re.findall(r"(?:\.event|notify)\(\s*\"([\w.]+)\"", text)}
    assert logged - set(EVENTS) == set()
    never = {name for name in EVENTS if not any(f'"{name}"' in text for text in sources)}
    assert never <= {"access"}
