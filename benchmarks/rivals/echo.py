"""The limit: an asyncio protocol that parses HTTP and sends a constant answer. No model, no validation."""

import asyncio
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


async def main(port: int) -> None:
    """Serve until stopped."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
