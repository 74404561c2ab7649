"""Bodies that a client has compressed: read only where that is switched on, and never to any length."""

from __future__ import annotations

import zlib

from fairway.errors import BodyTooLarge, RequestError

MAX_RATIO = 100
"""How many times longer than it came a body may become; rows of JSON stay well below."""

_GZIP = 16 + zlib.MAX_WBITS


def gunzip(data: bytes, *, max_bytes: int) -> bytes:
    """Return what *data* was before gzip.

    Raises:
        BodyTooLarge: It is longer than *max_bytes*, or more than a hundred times longer than what came.
        RequestError: It is no gzip, was cut off, or holds several files.
    """
    limit = min(max_bytes, MAX_RATIO * len(data))
    reader = zlib.decompressobj(_GZIP)
    try:
        body = reader.decompress(data, limit + 1)
    except zlib.error:
        raise _not_gzip() from None
    if len(body) > limit:
        raise BodyTooLarge(limit)
    if not reader.eof or reader.unused_data:
        raise _not_gzip()
    return body


def _not_gzip() -> RequestError:
    return RequestError("the body is not one whole gzip file", hint="compress it again, or send it as it is")
