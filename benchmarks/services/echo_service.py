"""The limit: asyncio protocols over a C parser that send a constant answer. No model, no validation.

Run: `echo_service.py PORT WORKERS`. The workers share one listening socket.
"""

import asyncio
import os
import socket
import sys

import httptools
import uvloop

BODY = b'{"prediction":[0]}'
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)


class Echo(asyncio.Protocol):
    """One connection; the parser calls `on_message_complete` once per request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport and start a parser."""
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Hand the bytes to the parser."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Send the answer."""
        self.transport.write(REPLY)  # type: ignore[attr-defined]  # a TCP transport writes


async def serve(bound: socket.socket) -> None:
    """Serve until stopped."""
    server = await asyncio.get_running_loop().create_server(Echo, sock=bound)
    await server.serve_forever()


if __name__ == "__main__":
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    bound = socket.create_server(("127.0.0.1", port), backlog=2048)
    for _ in range(workers - 1):
        if not os.fork():
            break
    uvloop.run(serve(bound))
