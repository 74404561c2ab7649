"""A port that is shared and still one's own, and a server that ends without losing who is at the door."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from typing import Any

import pytest
import uvicorn

from fairway.errors import PortInUse
from fairway.server.listen import _Server, begin_to_listen, listen, share_port

linux = pytest.mark.skipif(sys.platform != "linux", reason="the port is shared as Linux does")
REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


async def hello(scope: Any, _: Any, send: Any) -> None:
    """Answer any request."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


def test_who_has_connected_and_asked_before_a_server_closes_is_answered() -> None:
    """Its event loop was busy with something else while they came, and learns of both at the same time."""
    callers: list[socket.socket] = []
    with listen("127.0.0.1", 0) as bound:
        begin_to_listen(bound)
        address = bound.getsockname()
        config = uvicorn.Config(hello, log_config=None, lifespan="off")
        server = _Server(config)

        def be_busy() -> None:
            server.should_exit = True
            for _ in range(20):
                callers.append(socket.create_connection(address, timeout=10))
                callers[-1].sendall(REQUEST)
            time.sleep(0.2)  # the timer of the server's main loop is due before it looks who has come

        async def serve() -> None:
            asyncio.get_running_loop().call_later(0.3, be_busy)
            await server.serve(sockets=[bound])

        def run() -> None:
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                runner.run(serve())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        answers = [caller.makefile("rb").read() for caller in callers]
        for caller in callers:
            caller.close()

    assert [b"hello" in answer for answer in answers] == [True] * 20


@linux
def test_nobody_new_is_let_in_while_a_server_closes_and_again_by_the_next_one() -> None:
    """The filter lasts as long as the socket, which a replacement inherits."""
    from fairway.server.listen import _admit, _turn_away

    with listen("127.0.0.1", 0) as bound:
        begin_to_listen(bound)
        _turn_away(bound)
        with pytest.raises(TimeoutError):
            socket.create_connection(bound.getsockname(), timeout=0.2)
        _admit(bound)
        _admit(bound)
        socket.create_connection(bound.getsockname(), timeout=5).close()


@linux
def test_a_shared_port_is_still_ours_alone() -> None:
    """Connections are spread over all sockets, and a second server is told that the port is in use."""
    with listen("127.0.0.1", 0) as bound:
        begin_to_listen(bound)
        sockets = share_port(bound, 3)
        port = bound.getsockname()[1]
        with pytest.raises(PortInUse), listen("127.0.0.1", port):
            pass
        callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(120)]
        waiting = [accept_all(twin) for twin in sockets]
        for each in (*callers, *sockets):
            each.close()

    assert sum(waiting) == 120
    assert min(waiting) > 10


def accept_all(bound: socket.socket) -> int:
    """Accept everybody who waits, and return how many that were."""
    bound.setblocking(False)
    count = 0
    while True:
        try:
            bound.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1
