"""The strict reader of JSON: exact about what is wrong and where, whatever is thrown at it."""

from __future__ import annotations

from typing import Any

import pytest

from fairway.errors import MalformedRequest
from fairway.protocols.json_body import parse_json


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b"{}", {}),
        (b" [1, 2.5, true, null] \n", [1, 2.5, True, None]),
        (b'"\\ud83d\\ude00"', "😀"),
        ('"größe"'.encode(), "größe"),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"1e308", 1e308),
        (b"-0.0", -0.0),
        (b"1e-999", 0.0),
        (b"[" * 32 + b"]" * 32, None),
    ],
)
def test_valid_json_is_read(body: bytes, document: Any) -> None:
    """Values are exact: large integers stay integers."""
    found = parse_json(body)
    assert document is None or repr(document) == repr(found)


@pytest.mark.parametrize(
    ("body", "code", "detail"),
    [
        (b"", "body_empty", "the body is empty"),
        (b" \r\n\t", "body_empty", "the body is empty"),
        (b"{", "json_invalid", "expecting property name enclosed in double quotes at byte 1"),
        (b'{"a":1', "json_invalid", "expecting ',' delimiter at byte 6"),
        ('{"größe" 1}'.encode(), "json_invalid", "expecting ':' delimiter at byte 11"),
        (b"[1,]", "json_invalid", "at byte 3"),
        (b"{} x", "json_invalid", "extra data at byte 3"),
        (b"[01]", "json_invalid", "at byte 2"),
        (b"'a'", "json_invalid", "expecting value at byte 0"),
        (b'"a\nb"', "json_invalid", "invalid control character at at byte 2"),
        (b"\xef\xbb\xbf{}", "json_invalid", "byte 0"),
        (b'{"a":"\xff"}', "encoding_invalid", "the body is not valid UTF-8: byte 6 cannot be read"),
        (b'"\xed\xa0\x80"', "encoding_invalid", "byte 1 cannot be read"),
        ("[1]".encode("utf-16"), "encoding_invalid", "byte 0 cannot be read"),
        (b"[" * 33 + b"]" * 33, "json_too_deep", "the JSON is nested more than 32 levels deep"),
        (b"[" * 200_000, "json_too_deep", "nested more than 32 levels"),
        (b'{"a":' * 200_000, "json_too_deep", "nested more than 32 levels"),
    ],
)
def test_what_is_no_json_says_where(body: bytes, code: str, detail: str) -> None:
    """The code is stable, the place is a byte of the body."""
    with pytest.raises(MalformedRequest) as caught:
        parse_json(body)
    assert caught.value.code == code
    assert caught.value.title == MalformedRequest.TITLES[code]
    assert detail in caught.value.detail
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "code", "pointer", "message"),
    [
        (
            b'[{"a/b":[1,NaN]}]',
            "json_nonfinite",
            "/0/a~1b/1",
            "NaN is not JSON; send null where a value is missing",
        ),
        (b"-Infinity", "json_nonfinite", "", "-Infinity is not JSON"),
        (b'{"a":1e999}', "json_nonfinite", "/a", "the number is too large for a float64"),
        (
            b'{"a":' + b"9" * 5000 + b"}",
            "json_number_range",
            "/a",
            "an integer of 5000 digits cannot be read",
        ),
        (b'{"a":1,"a":1}', "json_duplicate_key", "/a", "the key 'a' stands twice in one object"),
        (b'[{},{"a":1,"b":2,"b":3,"a":4}]', "json_duplicate_key", "/1/b", "the key 'b' stands twice"),
        (b'{"a":1,"\\u0061":1}', "json_duplicate_key", "/a", "the key 'a' stands twice"),
        (b'{"x":["\\ud800"]}', "encoding_invalid", "/x/0", "the text holds half of a surrogate pair"),
        (b'{"x":{"\\udfff":1}}', "encoding_invalid", "/x", "a key holds half of a surrogate pair"),
        (b'{"\\ud800":1,"\\ud800":1}', "encoding_invalid", "", "a key holds half of a surrogate pair"),
    ],
)
def test_what_json_does_not_have_is_refused_at_its_place(
    body: bytes, code: str, pointer: str, message: str
) -> None:
    """Where other readers let it pass in silence."""
    with pytest.raises(MalformedRequest) as caught:
        parse_json(body)
    fault = caught.value.faults[0]
    assert (caught.value.code, fault.code, fault.pointer) == (code, code, pointer)
    assert fault.message.startswith(message)


def test_every_such_place_is_listed_in_order_up_to_twenty() -> None:
    """The first names the error."""
    with pytest.raises(MalformedRequest) as caught:
        parse_json(b'{"a":NaN,"b":{"c":1e999,"d":"\\ud800"}}')
    assert [f.pointer for f in caught.value.faults] == ["/a", "/b/c", "/b/d"]
    assert caught.value.code == "json_nonfinite"
    with pytest.raises(MalformedRequest) as caught:
        parse_json(b"[" + b"NaN," * 50 + b"1]")
    assert len(caught.value.faults) == 20


def test_the_depth_can_be_set() -> None:
    """A row in a list in an envelope is three levels deep."""
    assert parse_json(b"[[[]]]", max_depth=3) == [[[]]]
    with pytest.raises(MalformedRequest, match="more than 2 levels"):
        parse_json(b"[[[]]]", max_depth=2)


def test_a_long_key_is_cut() -> None:
    """A reply does not hold the body again."""
    key = "k" * 5000
    with pytest.raises(MalformedRequest) as caught:
        parse_json(f'{{"{key}":1,"{key}":2}}'.encode())
    assert len(caught.value.detail) < 300
