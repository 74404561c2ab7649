"""Many connections that call at the same time: their rows are predicted together, to the same last bit."""

from __future__ import annotations

import json
import re
import socket
import threading
from pathlib import Path
from typing import Any

import fairway as fw
from fairway.testing import RunningServer, running_server

from .conftest import iris_model, iris_table

CALLERS = 12
ROUNDS = 40
_QUEUE = re.compile(rb"queue;dur=([0-9.]+)")


def request(body: bytes) -> bytes:
    """Return one call as bytes."""
    head = b"POST /predict?include=probabilities HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    return b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body)


def read_reply(stream: Any) -> tuple[int, bytes, bytes]:
    """Return status, head and body of the next reply."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        assert line, "the connection was closed"
        head += line
    length = int(re.search(rb"content-length: (\d+)", head)[1])  # type: ignore[index]
    return int(head.split()[1]), head, stream.read(length)


class Caller(threading.Thread):
    """One connection that sends its bodies round by round, two at once in every third one."""

    def __init__(self, server: RunningServer, bodies: list[bytes], gate: threading.Barrier) -> None:
        super().__init__()
        self._port, self._bodies, self._gate = server.port, bodies, gate
        self.replies: list[tuple[int, bytes, bytes]] = []

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=30) as opened:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = opened.makefile("rb")
            for number in range(0, len(self._bodies), 2):
                self._gate.wait(30)
                pair = [request(body) for body in self._bodies[number : number + 2]]
                if number % 3:
                    opened.sendall(b"".join(pair))
                    self.replies += [read_reply(stream) for _ in pair]
                else:
                    for one in pair:
                        opened.sendall(one)
                        self.replies.append(read_reply(stream))


def test_calls_of_many_connections_are_answered_as_if_each_were_alone(tmp_path: Path) -> None:
    """Bit by bit, in their order, pipelined or not; a call that is refused disturbs nobody."""
    home = tmp_path / "home"
    fw.push(iris_model(), name="iris", example=iris_table(), compile="require", home=home)
    names = list(iris_table())
    table = list(zip(*(list(column) for column in iris_table().values()), strict=True))
    records = [dict(zip(names, map(float, row), strict=True)) for row in table]
    alone = fw.predict("iris", records[:50], include=["probabilities"], home=home)["predictions"]
    bodies = [json.dumps(record).encode() for record in records[:50]]
    with running_server("iris", home=home) as server:
        gate = threading.Barrier(CALLERS)
        plans = [[(7 * c + n) % 51 for n in range(2 * ROUNDS)] for c in range(CALLERS)]
        callers = [Caller(server, [(*bodies, b'{"x": 1}')[n] for n in plan], gate) for plan in plans]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(60)
    queued = 0.0
    for caller, plan in zip(callers, plans, strict=True):
        assert len(caller.replies) == len(plan)
        for place, (status, head, body) in zip(plan, caller.replies, strict=True):
            if place == len(alone):
                assert status == 422
                continue
            assert (status, json.loads(body)) == (200, alone[place])
            queued += float(_QUEUE.search(head)[1])  # type: ignore[index]
    assert queued > 0, "no call ever took a seat: the test has shown nothing"
