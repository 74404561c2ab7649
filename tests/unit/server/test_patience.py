"""How long a connection waits for its client, on a clock that the test turns; sockets and parser are real."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from fairway.errors import FairwayError
from fairway.inference.turn import Turn
from fairway.messages import Call, Reply
from fairway.server.call_routes import CallRoute, CallRoutes
from fairway.server.guard import open_guard
from fairway.server.handlers import Receive, Scope, Send, send_reply
from fairway.server.heads import Heads
from fairway.server.wire import Connection

HOST = b"host: localhost\r\n\r\n"
POST = b"POST /predict HTTP/1.1\r\ncontent-length: 2\r\n" + HOST + b"{}"
ELSEWHERE = b"POST /elsewhere HTTP/1.1\r\ncontent-length: 2\r\n" + HOST


class Application:
    """Answers predict calls when it is let, and everything else at once without reading a body."""

    max_body_bytes = 1000

    def __init__(self) -> None:
        self.predictions: Any = self
        self.calls = CallRoutes([CallRoute("/predict", self.predictions)])
        self.heads = Heads()
        self.turn = Turn()
        self.guard = open_guard()
        self.reply_bytes = 3
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def answer(self, _: Call) -> Reply:
        if not self.may_answer.is_set():
            await self.may_answer.wait()
        return Reply(200, [], b"a" * self.reply_bytes)

    def refuse(self, error: FairwayError, _: bytes) -> Reply:
        return Reply(error.status, [], b"")

    def allows_host(self, _: bytes) -> bool:
        return True

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        await send_reply(send, Reply(405, [], b""))


class Client:
    """The other end of one connection, and the connection's clock."""

    def __init__(self, connection: Connection, end: socket.socket, application: Application) -> None:
        self.connection = connection
        self.application = application
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._end, data)
        await self._turn()

    async def receive(self) -> bytes:
        """Return what has come; nothing if the connection was closed."""
        return await asyncio.wait_for(self._loop.sock_recv(self._end, 2**16), 10)

    async def statuses(self) -> list[int]:
        """Return the statuses that came before the connection was closed."""
        found = b""
        while data := await self.receive():
            found += data
        return [int(part[:3]) for part in found.split(b"HTTP/1.1 ")[1:]]

    def reset_clock(self) -> None:
        """Turn the clock back to the time of the machine, which the connection takes its marks from."""
        self._now = self._loop.time()

    async def wait(self, seconds: float) -> None:
        """Let time pass, second by second."""
        for _ in range(int(seconds)):
            self._now += 1.0
            self.connection.sweep(self._now)
            await self._turn()

    @property
    def is_connected(self) -> bool:
        return not self.connection.transport.is_closing()

    async def _turn(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def with_client(check: Callable[[Client], Awaitable[None]]) -> None:
    """Run a check with a connection of its own."""

    async def run() -> None:
        application: Any = Application()
        config = uvicorn.Config(application, http=Connection, ws="none", lifespan="off", log_config=None)
        config.load()
        config.loaded_app = application
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        _, connection = await loop.connect_accepted_socket(
            lambda: Connection(config=config, server_state=ServerState(), app_state={}), ours
        )
        with theirs:
            await check(Client(connection, theirs, application))
            connection.transport.abort()
            await asyncio.sleep(0)

    asyncio.run(run())


def test_a_client_that_never_reads_is_dropped_after_half_a_minute() -> None:
    """C6: not before, for it may be slow, and not later."""

    async def check(client: Client) -> None:
        client.application.reply_bytes = 2**24
        await client.send(POST)
        await client.wait(20)
        assert client.is_connected
        await client.wait(10)
        assert not client.is_connected
        assert client.connection.transport.get_write_buffer_size() == 0

    with_client(check)


def test_a_client_that_reads_slowly_is_served() -> None:
    """Some kilobytes per second are slow, and not nothing."""

    async def check(client: Client) -> None:
        client.application.reply_bytes = 2**24
        await client.send(POST)
        for _ in range(10):
            await client.wait(10)
            for _ in range(4):
                await client.receive()
        assert client.is_connected

    with_client(check)


def test_an_idle_connection_is_closed() -> None:
    """Five seconds after its last answer, and without a word."""

    async def check(client: Client) -> None:
        await client.send(POST)
        await client.wait(4)
        assert client.is_connected
        await client.wait(3)
        assert await client.statuses() == [200]

    with_client(check)


def test_a_body_that_comes_after_its_answer_does_not_keep_a_connection_open() -> None:
    """The call was refused before its body was read."""

    async def check(client: Client) -> None:
        await client.send(ELSEWHERE)
        await client.send(b"{}")
        await client.wait(7)
        assert await client.statuses() == [405]

    with_client(check)


def test_a_body_that_never_comes_after_its_answer_gets_no_second_one() -> None:
    """A 408 would be taken for the answer to the next call."""

    async def check(client: Client) -> None:
        await client.send(ELSEWHERE)
        await client.wait(12)
        assert await client.statuses() == [405]

    with_client(check)


def test_nobody_is_late_whose_answer_is_due() -> None:
    """The half request behind a slow call gets its ten seconds when that is answered."""

    async def check(client: Client) -> None:
        client.application.may_answer.clear()
        await client.send(POST + POST[:30])
        await client.wait(50)
        client.application.may_answer.set()
        assert (await client.receive()).startswith(b"HTTP/1.1 200 ")
        client.reset_clock()
        await client.wait(9)
        await client.send(POST[30:])
        assert (await client.receive()).startswith(b"HTTP/1.1 200 ")

    with_client(check)


def test_a_half_request_behind_an_answered_one_is_late_after_ten_seconds() -> None:
    """It is no idle connection, so it is told."""

    async def check(client: Client) -> None:
        await client.send(POST + POST[:30])
        await client.wait(12)
        assert await client.statuses() == [200, 408]

    with_client(check)
