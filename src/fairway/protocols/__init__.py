"""Wire dialects: bytes to messages and back. No sockets, no engine."""
