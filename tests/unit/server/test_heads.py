"""Heads that were parsed before are found again by their bytes, and by nothing less."""

from typing import Any

from fairway.server.heads import MAX_HEAD_BYTES, MAX_HEADS, Head, Headers, Heads

BODY = b'{"x":1}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n\r\n"


def head_of(length: int = len(BODY)) -> Head:
    """Return what the parser would have made of a head."""
    nobody: Any = None
    return Head("/predict", "", [(b"host", b"a")], body_bytes=length, calls=nobody)


def test_a_kept_head_is_found_with_its_body() -> None:
    """The same bytes with another body of the same length need no parser."""
    heads = Heads()
    head = head_of()
    assert heads.find(HEAD + BODY) is None
    heads.keep(HEAD + BODY, head)
    assert heads.find(HEAD + b'{"x":2}') == (head, b'{"x":2}')


def test_anything_but_one_whole_request_goes_to_the_parser() -> None:
    """Half a body, a pipelined request, one byte of the head changed, half a head."""
    heads = Heads()
    heads.keep(HEAD + BODY, head_of())
    request = HEAD + BODY
    for data in (
        request[:-1],
        request + b"P",
        request * 2,
        request.replace(b"host", b"Host"),
        HEAD[:-2],
        b"",
    ):
        assert heads.find(data) is None


def test_only_a_whole_request_teaches_a_head() -> None:
    """What came in pieces, or together with another request, does not say where the head begins."""
    heads = Heads()
    for data in (b"", HEAD, (HEAD + BODY) * 2, BODY):
        heads.keep(data, head_of())
    assert heads.find(HEAD + BODY) is None


def test_a_long_head_is_not_kept() -> None:
    """The memory is bounded: neither long nor many heads stay."""
    heads = Heads()
    long = HEAD.replace(b"host: a", b"host: " + b"a" * MAX_HEAD_BYTES)
    heads.keep(long + BODY, head_of())
    assert heads.find(long + BODY) is None
    for n in range(3 * MAX_HEADS):
        heads.keep(HEAD.replace(b"host: a", b"host: %d" % n) + BODY, head_of())
    assert len(heads._known) <= MAX_HEADS


def test_headers_read_as_sent_and_empty_when_absent() -> None:
    """Of equal names the first counts; latin-1 as HTTP has it."""
    headers = Headers([(b"content-type", b"a"), (b"content-type", b"b"), (b"x", b"\xe9")])
    assert headers["content-type"] == "a"
    assert headers["x"] == "é"
    assert headers["content-encoding"] == headers["nowhere"] == ""
