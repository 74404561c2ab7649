"""The native dialect: every form that a body may have, what is refused, and how an answer looks."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from fairway.bundle.signature import Input, Output, Signature
from fairway.errors import (
    BodyShape,
    BodyTooLarge,
    FairwayError,
    MalformedRequest,
    RequestError,
    SignatureMismatch,
    TooManyRows,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from fairway.messages import Call, Columns, Outputs, Prediction, Reply, Target, Timing
from fairway.protocols.native import ENVELOPES, NativeProtocol

SCORE = (Output("rating", "score", "number"),)
TWO = Signature((Input("a", "number", typical=1.0), Input("b", "text", nullable=True, typical="x")), SCORE)
ONE = Signature((Input("a", "number", typical=1.0),), SCORE)
VECTOR = Signature((Input("v", "vector", width=2, typical=[0.0, 0.0]),), SCORE)
DATA = Signature((Input("data", "number", typical=1.0), Input("b", "number", typical=1.0)), SCORE)
PROTOCOL = NativeProtocol(max_rows=3, max_depth=5, max_text_chars=9)


class Model:
    """The part of a loaded model that a dialect knows."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature

    def reader(self, protocol: Any) -> Any:
        return protocol.prepare(self.signature)


def call(body: bytes = b"{}", *, path: str = "/predict", query: str = "", **headers: str) -> Call:
    """Return a call; header names are written with `_`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call("POST", path, query, lambda name: named.get(name, ""), body)


def read(signature: Signature, body: Any) -> tuple[Target, Columns]:
    """Read a body that is given as data or bytes."""
    target = PROTOCOL.open(call(body if isinstance(body, bytes) else json.dumps(body).encode()))
    return target, PROTOCOL.read(target, Model(signature))


def refused(signature: Signature, body: Any) -> FairwayError:
    """Return the refusal of a body."""
    with pytest.raises(FairwayError) as caught:
        read(signature, body)
    return caught.value


# -- opening --


@pytest.mark.parametrize(
    ("path", "reference"),
    [("/predict", ""), ("/models/coffee/predict", "coffee"), ("/models/coffee:3/predict", "coffee:3")],
)
def test_the_reference_comes_from_the_path(path: str, reference: str) -> None:
    """As it was written; whether it exists is not known here."""
    assert PROTOCOL.open(call(path=path)).reference == reference


@pytest.mark.parametrize(
    ("query", "include"),
    [
        ("", set()),
        ("include=", set()),
        ("include=flags", {"flags"}),
        ("include=flags,probabilities", {"flags", "probabilities"}),
        ("include=flags&include=probabilities", {"flags", "probabilities"}),
        ("include=flags%2Cprobabilities", {"flags", "probabilities"}),
    ],
)
def test_include_asks_for_more(query: str, include: set[str]) -> None:
    """Once with commas, or several times."""
    assert PROTOCOL.open(call(query=query)).include == include


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("include=proba", "include does not know 'proba'"),
        ("verbose=1", "there is no query parameter 'verbose'"),
        ("include=%00", r"include does not know '\\x00'"),
        ("&" * 200, "the query has more than 100 parameters"),
        ("x" * 5000, "there is no query parameter 'x{80}'"),
    ],
)
def test_a_query_that_is_not_understood_is_refused(query: str, message: str) -> None:
    """A misspelt wish is not silently dropped."""
    with pytest.raises(MalformedRequest, match=message) as caught:
        PROTOCOL.open(call(query=query))
    assert caught.value.code == "query_invalid"


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/x-www-form-urlencoded",
    ],
)
def test_json_is_read_under_these_content_types(media_type: str) -> None:
    """Also without one, and under the one that curl sends when nobody chose."""
    PROTOCOL.open(call(b' {"a":1}', content_type=media_type))


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("text/xml", b"{}"),
        ("text/plain", b"{}"),
        ("application/json; charset=latin-1", b"{}"),
        ("application/json; x=1", b"{}"),
        ("application/x-www-form-urlencoded", b"a=1"),
    ],
)
def test_other_content_types_are_refused(media_type: str, body: bytes) -> None:
    """With what to send instead."""
    with pytest.raises(UnsupportedMediaType) as caught:
        PROTOCOL.open(call(body, content_type=media_type))
    assert caught.value.hint == "send the header Content-Type: application/json"


def test_a_compressed_body_is_refused() -> None:
    """Only `identity`, which means nothing, is understood."""
    PROTOCOL.open(call(content_encoding="identity"))
    with pytest.raises(UnsupportedEncoding):
        PROTOCOL.open(call(content_encoding="gzip"))


UNPACKS = NativeProtocol(max_gzip_bytes=10_000)


def test_a_compressed_body_is_unpacked_where_that_is_switched_on() -> None:
    """It becomes the body of the call; other ways of compressing stay unknown."""
    packed = call(gzip.compress(b'{"a":1}'), content_encoding="GZIP")
    UNPACKS.open(packed)
    assert packed.body == b'{"a":1}'
    with pytest.raises(UnsupportedEncoding, match="only gzip"):
        UNPACKS.open(call(b"", content_encoding="br"))


@pytest.mark.parametrize("text", [b"a" * 10_001, b"a" * 9_000], ids=["the limit", "a hundredfold"])
def test_a_compressed_body_grows_to_its_limit_only(text: bytes) -> None:
    """To that of every body, and to a hundred times what came."""
    with pytest.raises(BodyTooLarge):
        UNPACKS.open(call(gzip.compress(text), content_encoding="gzip"))


@pytest.mark.parametrize(
    "data",
    [b"{}", b"", gzip.compress(b"{}" * 50)[:-3], gzip.compress(b"{}") * 2, gzip.compress(b"{}") + b"x"],
    ids=["not gzip", "empty", "cut off", "two files", "something behind"],
)
def test_what_is_not_one_gzip_file_is_refused(data: bytes) -> None:
    """As any other malformed body."""
    with pytest.raises(RequestError) as caught:
        UNPACKS.open(call(data, content_encoding="gzip"))
    assert caught.value.code == "request_invalid"


# -- forms --

ROW = [1.0, "x"]


@pytest.mark.parametrize(
    ("body", "key", "single"),
    [
        ({"a": 1, "b": "x"}, "", True),
        ({"b": "x", "a": 1}, "", True),
        ([{"a": 1, "b": "x"}], "", False),
        ([[1, "x"]], "", False),
        ({"features": [1, "x"]}, "features", True),
        ({"input": [1, "x"]}, "input", True),
        ({"features": {"a": 1, "b": "x"}}, "features", True),
        ({"input": {"a": 1, "b": "x"}}, "input", True),
        ({"instances": {"a": 1, "b": "x"}}, "instances", False),
        *(({key: [[1, "x"]]}, key, False) for key in ENVELOPES),
        *(({key: [{"a": 1, "b": "x"}]}, key, False) for key in ENVELOPES),
    ],
)
def test_every_form_gives_the_same_row(body: Any, key: str, single: bool) -> None:
    """Record, list, and rows under an envelope key; the reply has the form of the request."""
    target, columns = read(TWO, body)
    assert [list(row) for row in columns.rows] == [ROW]
    assert (target.form.key, target.form.single) == (key, single)


@pytest.mark.parametrize("body", [[], *({key: []} for key in ENVELOPES)])
def test_no_row_is_a_list_of_none(body: Any) -> None:
    """Not an error: a program that has nothing to ask gets nothing back."""
    target, columns = read(TWO, body)
    assert len(columns) == 0
    assert not target.form.single


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"input": 3}, [[3.0]]),
        ({"input": [3]}, [[3.0]]),
        ({"features": [3, 4]}, [[3.0], [4.0]]),
        ({"data": 3}, [[3.0]]),
        ({"data": [3, 4]}, [[3.0], [4.0]]),
        ([3, 4], [[3.0], [4.0]]),
        ([[3], [4]], [[3.0], [4.0]]),
        ({"a": 3}, [[3.0]]),
    ],
)
def test_a_model_of_one_input_takes_bare_values(body: Any, rows: list[list[float]]) -> None:
    """A row of one value needs no brackets."""
    assert [list(row) for row in read(ONE, body)[1].rows] == rows


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"input": [1, 2]}, [[[1.0, 2.0]]]),
        ({"input": [[1, 2]]}, [[[1.0, 2.0]]]),
        ({"data": [[1, 2], [3, 4]]}, [[[1.0, 2.0]], [[3.0, 4.0]]]),
        ([[1, 2], [[3, 4]]], [[[1.0, 2.0]], [[3.0, 4.0]]]),
        ({"v": [1, 2]}, [[[1.0, 2.0]]]),
    ],
)
def test_a_model_of_one_list_takes_the_bare_list(body: Any, rows: list[list[Any]]) -> None:
    """A flat list is its value, a list of lists is several."""
    assert [list(row) for row in read(VECTOR, body)[1].rows] == rows


def test_an_input_that_is_called_like_an_envelope_is_an_input() -> None:
    """The signature wins."""
    assert read(DATA, {"data": 1, "b": 2})[1].rows[0] == [1.0, 2.0]
    assert read(DATA, {"records": [[1, 2]]})[0].form.key == "records"


def test_names_that_need_escapes_are_read() -> None:
    """Quotes, backslashes and control characters: nothing is too odd for a column."""
    names = ['quo"te', "back\\slash", "line\nbreak", "nul\x00"]
    odd = Signature(tuple(Input(name, "number", typical=0.0) for name in names), SCORE)
    for body in (dict.fromkeys(names, 1), [dict.fromkeys(names, 1)], {"records": [dict.fromkeys(names, 1)]}):
        assert [list(row) for row in read(odd, body)[1].rows] == [[1.0] * 4]
    assert [list(row) for row in read(odd, {"features": [1, 1, 1, 1]})[1].rows] == [[1.0] * 4]


@pytest.mark.parametrize(
    ("body", "message", "pointer"),
    [
        (None, "expected an object or an array, got null", ""),
        (3, "expected an object or an array, got integer", ""),
        ("x", "expected an object or an array, got string", ""),
        ([1, "x"], "expected a list of rows, got a flat list of values", ""),
        ({"data": [1, "x"]}, "expected a list of rows, got a flat list of values", "/data"),
        ({"data": 3}, "expected an array of rows under 'data', got integer", "/data"),
        ({"features": None}, "expected an array of rows under 'features', got null", "/features"),
        ({"data": [], "extra": 1}, "'extra' stands beside the envelope key 'data'", "/data"),
        ({"data": [], "records": []}, "'records' stands beside the envelope key 'data'", "/data"),
        ([[1, "x"], {"a": 1, "b": "x"}], "the rows are not all objects or all arrays", "/1"),
        ({"data": [{"a": 1, "b": ""}, [1, ""]]}, "the rows are not all objects or all arrays", "/data/1"),
    ],
)
def test_a_body_of_no_known_form_is_refused(body: Any, message: str, pointer: str) -> None:
    """With the place, and where it can be told, what to send instead."""
    error = refused(TWO, body)
    assert isinstance(error, BodyShape)
    assert (error.detail, error.faults[0].pointer) == (message, pointer)
    if error.example is not None:
        read(TWO, error.example)


def test_a_flat_list_is_shown_in_its_brackets() -> None:
    """If it has the length of a row."""
    assert refused(TWO, [1, "x"]).example == [[1, "x"]]
    assert refused(TWO, {"data": [1, "x"]}).example == {"data": [[1, "x"]]}
    assert refused(TWO, ["1", "x"]).example == [[1.0, "x"]]
    assert refused(TWO, [1, "x", 2]).example is None


# -- faults --


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"a": "1", "c": 2}, ["/a", "/c"]),
        ([{"a": 1}, {"a": "1"}], ["/1/a"]),
        ([[1, "x"], ["1", 2]], ["/1/0", "/1/1"]),
        ({"features": ["1", 2]}, ["/features/0", "/features/1"]),
        ({"features": [1]}, ["/features"]),
        ({"input": {"a": None}}, ["/input/a"]),
        ({"records": [{"a": 1}, {}]}, ["/records/1/a"]),
        ({"instances": [[1, "x"], 3]}, ["/instances/1"]),
    ],
)
def test_faults_point_into_the_body_as_it_was_sent(body: Any, pointers: list[str]) -> None:
    """Whatever its form."""
    error = refused(TWO, body)
    assert isinstance(error, SignatureMismatch)
    assert [fault.pointer for fault in error.faults] == pointers


@pytest.mark.parametrize(
    ("body", "example"),
    [
        ({"a": "1", "b": "mine"}, {"a": 1.0, "b": "mine"}),
        ({"A": 7, "b": "mine"}, {"a": 1.0, "b": "mine"}),
        ({"aa": 7, "b": "mine"}, {"a": 7, "b": "mine"}),
        ([{"a": 1, "b": "other"}, {"a": "1", "b": "mine"}], [{"a": 1.0, "b": "mine"}]),
        ([[5, "other"], [5, 6]], [[5, "x"]]),
        ({"features": ["1", "mine"]}, {"features": [1.0, "mine"]}),
        ({"features": [1]}, {"features": [1.0, "x"]}),
        ({"records": [{"b": "mine"}]}, {"records": [{"a": 1.0, "b": "mine"}]}),
    ],
)
def test_the_corrected_example_has_the_callers_form_and_values(body: Any, example: Any) -> None:
    """What fitted is kept, misspelt names are put right, the rest is typical; no other row is shown."""
    error = refused(TWO, body)
    assert error.example == example
    read(TWO, error.example)


def test_the_fast_way_leaves_duplicate_keys_to_the_reference() -> None:
    """Also those that hide behind escapes and quotation marks in texts."""
    for body in (
        b'{"a":1,"b":"x","a":2}',
        b'{"a":1,"b":"x","\\u0061":2}',
        b'[{"a":1,"b":"\\"\\""},{"a":1,"b":"x","b":"y"}]',
        b'{"a":1,"b":"\\u0022","b":"\\u0022"}',
        b'{"features":[1,"x"],"features":[2,"y"]}',
    ):
        assert refused(TWO, body).code == "json_duplicate_key"
    for body in (b'{"a":1,"b":"\\"\\""}', b'{"a":1,"b":"\\u0022"}', b'{"features":[1,"\\""]}'):
        assert '"' in read(TWO, body)[1].rows[0][1]
    lists = Signature((Input("t", "text_list", typical=["x"]), Input("a", "number", typical=0.0)), SCORE)
    assert read(lists, b'{"t":["\\"","x"],"a":1}')[1].rows[0] == (['"', "x"], 1.0)


@pytest.mark.parametrize(
    ("given", "corrected"),
    [
        ("two eggs\r\n\n flour", ["two eggs", " flour"]),
        (["eggs", None, 3, {"a": 1}, " ", "flour"], ["eggs", "flour"]),
        ([["eggs"]], ["salt"]),
        (["eggs"] * 100 + [None], ["salt"]),
        (7, ["salt"]),
        ("\n", ["salt"]),
    ],
    ids=["lines", "other items", "nested", "very many", "number", "nothing"],
)
def test_a_list_of_texts_is_put_right(given: Any, corrected: list[str]) -> None:
    """The example keeps the texts that were sent; where there are none it shows typical ones."""
    lists = Signature((Input("t", "text_list", typical=["salt"]), Input("a", "number", typical=0.0)), SCORE)
    assert refused(lists, {"t": given, "a": 1}).example == {"t": corrected, "a": 1}


def test_limits_are_kept() -> None:
    """Rows, depth and text length, each with its own error."""
    for rows in ([{"a": 1}] * 4, [[1, None]] * 4, {"data": [[1, None]] * 4}, {"records": [{"a": 1}] * 4}):
        error = refused(TWO, rows)
        assert isinstance(error, TooManyRows)
        assert error.detail == "the body holds 4 rows; the limit is 3"
    assert isinstance(refused(TWO, [{"a": "x"}] * 4), TooManyRows)
    assert isinstance(refused(TWO, {"data": [["x", 1]] * 4}), TooManyRows)
    assert isinstance(refused(ONE, [3] * 4), TooManyRows)
    assert refused(TWO, [[[[[[]]]]]]).code == "json_too_deep"
    assert refused(TWO, {"a": 1, "b": "x" * 10}).faults[0].code == "value_too_long"
    assert refused(TWO, b'{"a":1,"b":"' + b"x," * 9 + b'"}').faults[0].code == "value_too_long"
    assert refused(TWO, b'[{"a":1},{"a":1},{"a":1},').code == "json_invalid"
    assert refused(DATA, b'{"data":[[1],[2],[3],[4]]}').faults[0].pointer == "/data"


def test_what_types_cannot_say_is_left_to_the_reference() -> None:
    """Dates that do not exist, and values that a policy rejects, get their faults in every form."""
    dated = Signature(
        (Input("d", "datetime", typical="2026-01-01"), Input("a", "number", typical=1.0)), SCORE
    )
    assert refused(dated, {"d": "2026-02-30", "a": 1}).faults[0].code == "value_format"
    assert refused(dated, [["2026-02-30", 1]]).faults[0].pointer == "/0/0"
    ranged = Signature(
        (Input("a", "number", minimum=0, maximum=1, typical=1.0),), SCORE, out_of_range="reject"
    )
    assert refused(ranged, {"a": 2}).faults[0].code == "out_of_range"
    assert refused(ranged, {"a": 2}).example == {"a": 1.0}
    both = Signature((*ranged.inputs, Input("b", "number", typical=2.0)), SCORE, out_of_range="reject")
    assert refused(both, {"a": 2, "b": "3"}).example == {"a": 1.0, "b": 2.0}


def test_a_row_with_very_many_faults_is_answered_by_a_typical_one() -> None:
    """Which of its values were right is not looked at."""
    wide = Signature(tuple(Input(f"x{n}", "number", typical=1.0) for n in range(30)), SCORE)
    error = refused(wide, {f"x{n}": "wrong" if n else 7 for n in range(30)})
    assert error.example == wide.typical_row()


# -- encoding --


def encode(body: Any, values: dict[str, list[Any]], *, query: str = "", shares: Any = None) -> Reply:
    """Return the reply to a body that a model answered with *values*."""
    target = PROTOCOL.open(call(json.dumps(body).encode(), query=query))
    columns = PROTOCOL.read(target, Model(TWO))
    prediction = Prediction(
        target.id,
        "coffee",
        3,
        classes=("no", "yes"),
        columns=columns,
        outputs=Outputs(values, shares),
        timing=Timing(0),
    )
    return PROTOCOL.encode(target, prediction)


RECORD = {"a": 1, "b": "x"}


@pytest.mark.parametrize(
    ("body", "values", "answer"),
    [
        (RECORD, {"rating": [93.3]}, {"rating": 93.3}),
        ([RECORD], {"rating": [93.3]}, {"predictions": [{"rating": 93.3}]}),
        (
            {"records": [RECORD]},
            {"rating": [1], "top": [True]},
            {"predictions": [{"rating": 1, "top": True}]},
        ),
        ([], {"rating": []}, {"predictions": []}),
        ({"features": [1, "x"]}, {"species": [0]}, {"prediction": [0]}),
        ({"features": [[1, "x"], [2, "y"]]}, {"species": [0, 1]}, {"prediction": [0, 1]}),
        ({"input": [1, "x"]}, {"species": ["setosa"]}, {"prediction": "setosa"}),
        ({"input": [[1, "x"]]}, {"species": ["setosa"]}, {"prediction": ["setosa"]}),
        ({"input": []}, {"species": []}, {"prediction": []}),
        ({"input": [1, "x"]}, {"a": [1], "b": [2]}, {"prediction": {"a": 1, "b": 2}}),
        ({"features": [1, "x"]}, {"a": [1], "b": [2]}, {"prediction": [{"a": 1, "b": 2}]}),
    ],
)
def test_an_answer_has_the_form_of_its_request(body: Any, values: dict[str, list[Any]], answer: Any) -> None:
    """Objects with the named outputs; only the two tutorial keys answer `prediction`."""
    assert json.loads(encode(body, values).body) == answer


def test_a_reply_names_its_model_and_its_prediction() -> None:
    """And nothing unasked stands in the body."""
    reply = encode(RECORD, {"rating": [1.5]}, shares=[[0.25, 0.75]])
    headers = dict(reply.headers)
    assert reply.status == 200
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"fairway-model"] == b"coffee:3"
    assert len(headers[b"fairway-prediction-id"]) == 36
    assert b"fairway-flags" not in headers
    assert json.loads(reply.body) == {"rating": 1.5}


def test_probabilities_come_by_class_when_asked_for() -> None:
    """In every form."""
    shares = [[0.25, 0.75]]
    wanted = {"no": 0.25, "yes": 0.75}
    asked = {"query": "include=probabilities", "shares": shares}
    assert json.loads(encode(RECORD, {"y": ["yes"]}, **asked).body) == {"y": "yes", "probabilities": wanted}
    assert json.loads(encode({"input": [1, "x"]}, {"y": ["yes"]}, **asked).body) == {
        "prediction": "yes",
        "probabilities": wanted,
    }
    assert json.loads(encode({"features": [1, "x"]}, {"y": ["yes"]}, **asked).body) == {
        "prediction": ["yes"],
        "probabilities": [wanted],
    }
    assert json.loads(encode(RECORD, {"y": ["yes"]}, query="include=probabilities").body) == {"y": "yes"}


def test_a_number_that_json_does_not_have_is_null_and_flagged() -> None:
    """The header counts, the body says which when asked."""
    reply = encode([RECORD] * 3, {"y": [float("nan"), 1.0, float("-inf")]}, query="include=flags")
    assert json.loads(reply.body)["predictions"] == [
        {"y": None, "flags": {"y": "nonfinite_output"}},
        {"y": 1.0, "flags": {}},
        {"y": None, "flags": {"y": "nonfinite_output"}},
    ]
    assert dict(reply.headers)[b"fairway-flags"] == b"2"
    assert json.loads(encode(RECORD, {"y": [1.0]}, query="include=flags").body) == {"y": 1.0, "flags": {}}


def test_flags_of_inputs_and_outputs_stand_together() -> None:
    """One row may have both."""
    flagged = Signature((Input("a", "number", minimum=0, maximum=1, typical=1.0),), SCORE)
    target = PROTOCOL.open(call(b'{"a":5}', query="include=flags"))
    columns = PROTOCOL.read(target, Model(flagged))
    outputs = Outputs({"y": [float("nan")]})
    prediction = Prediction(target.id, "m", 0, classes=(), columns=columns, outputs=outputs, timing=Timing(0))
    reply = PROTOCOL.encode(target, prediction)
    assert json.loads(reply.body)["flags"] == {"a": "out_of_range", "y": "nonfinite_output"}
    assert dict(reply.headers)[b"fairway-flags"] == b"2"


def test_an_error_is_a_problem_document() -> None:
    """The dialect's own shape."""
    reply = PROTOCOL.encode_error(TooManyRows(4, 3), "the-id")
    assert reply.status == 413
    assert json.loads(reply.body)["code"] == "too_many_rows"
