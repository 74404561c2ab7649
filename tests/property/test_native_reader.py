"""The fast way of reading a body equals the reference, and nothing but an answer or a refusal comes out."""

from __future__ import annotations

import dataclasses
import json
import math
from contextlib import nullcontext
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

from fairway.bundle.signature import KINDS, Input, Kind, Output, Signature
from fairway.bundle.validation import escape_pointer
from fairway.errors import FAULT_CODES, FairwayError, SignatureMismatch
from fairway.messages import Call, Columns, Outputs, Prediction, Target, Timing
from fairway.protocols.json_body import parse_json
from fairway.protocols.native import ENVELOPES, NativeProtocol, NativeReader
from fairway.protocols.problems import problem_reply

often = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

# -- what is drawn --

ODD_NAMES = (
    "a",
    "age",
    "a/b",
    "m~n",
    "a b",
    "",
    'quo"te',
    "back\\slash",
    "new\nline",
    "nul\x00",
    "\x7f",
    "größe",
    "日本",
    "😀",
    "\u2028",
    "class",
    "f0",
    "rows",
    "Record",
    *ENVELOPES,
)
names = st.one_of(
    st.sampled_from(["a", "age", "b"]),
    st.sampled_from(ODD_NAMES),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        [
            "",
            "low",
            "high",
            'say "x"',
            '""',
            "},{",
            "],[",
            '"},{"',
            '"],["',
            "]}",
            "\\",
            "\\u0022",
            "\x00",
            "\x7f",
            "\ud800",
            "x" * 13,
        ]
    ),
)
borders = [2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, 2**63 - 1, 2**63, 2**64, 10**30, 2**80, 10**400]
integers = st.one_of(
    st.integers(-100, 100), st.sampled_from([*borders, *(-b for b in borders)]), st.integers(-(2**70), 2**70)
)
floats = st.one_of(
    st.floats(),
    st.floats(-10, 10),
    st.integers(-100, 100).map(float),
    st.sampled_from([0.0, -0.0, 3.0, 5e-324, 1.7976931348623157e308, float(2**53), float(2**53 - 1), 1e17]),
)
moments = st.one_of(
    st.datetimes().map(lambda d: d.isoformat()),
    st.sampled_from(
        ["2026-02-28", "2026-02-30", "2026-02-28T13:45", "2026-02-28 13:45Z", "2026-02-28T13:45:00.123+02:00",
         "0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00", "20260228", "2026-W01-1", "now"]
    ),
)  # fmt: skip

_TAME: dict[str, st.SearchStrategy[Any]] = {
    "number": st.one_of(
        st.floats(-1e15, 1e15),
        st.floats(allow_nan=False, allow_infinity=False),
        st.integers(-20, 20),
        st.sampled_from([0.0, -0.0, 5e-324, 1.7976931348623157e308, 2**53 - 1, 1 - 2**53, float(2**53 - 1)]),
    ),
    "integer": st.one_of(st.integers(-20, 20), st.integers(-(2**63), 2**63 - 1)),
    "boolean": st.booleans(),
    "category": st.sampled_from(["low", "high", "new", 'in "quotes"']),
    "int levels": st.integers(0, 4),
    "text": st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        st.sampled_from(['""', "\\", "},{", "],[", '"},{"a":1', "} , {"]),
    ),
    "datetime": st.one_of(
        st.datetimes().map(lambda d: d.isoformat()), st.sampled_from(["2026-02-28 13:45Z"])
    ),
    "category_list": st.lists(st.sampled_from(["low", "high", "new"]), max_size=3),
    "text_list": st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=3),
}
_WILD: dict[str, st.SearchStrategy[Any]] = {
    "number": st.one_of(floats, integers),
    "integer": st.one_of(integers, st.integers(-5, 5).map(float), floats),
    "boolean": st.booleans(),
    "category": st.one_of(st.sampled_from(["low", "high", "new"]), texts),
    "int levels": st.one_of(integers, st.integers(0, 4).map(float)),
    "text": texts,
    "datetime": moments,
    "category_list": st.lists(texts, max_size=3),
    "text_list": st.lists(texts, max_size=3),
}
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), integers, floats, texts, moments),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=4,
)


def lists(name: str, kind: Kind) -> st.SearchStrategy[Input]:
    """Return a strategy of inputs that hold lists, of lengths that were seen or that nobody knows."""
    return st.sampled_from([Input(name, kind), Input(name, kind, minimum=1, maximum=2)])


@st.composite
def inputs(draw: st.DrawFn, name: str) -> Input:
    """Draw one input of any kind."""
    kind = draw(st.sampled_from(KINDS))
    nullable = draw(st.booleans())
    if kind in {"number", "integer"} and draw(st.booleans()):
        return Input(name, kind, nullable, minimum=-10, maximum=10, typical=1)
    if kind in {"category", "category_list"}:
        levels: Any = draw(st.sampled_from([(), ("low", "high"), (1, 2, 3)]))
        typical: Any = levels[0] if levels else "x"
        if kind == "category_list":
            return dataclasses.replace(
                draw(lists(name, kind)), nullable=nullable, levels=levels, typical=[typical]
            )
        return Input(name, kind, nullable, levels=levels, typical=typical)
    if kind == "text_list":
        return dataclasses.replace(draw(lists(name, kind)), nullable=nullable, typical=["x"])
    if kind == "vector":
        width = draw(st.integers(1, 3))
        return Input(name, kind, nullable, typical=[0.0] * width, width=width)
    typical = {"boolean": True, "datetime": "2026-01-01", "text": "x"}.get(kind, 1)
    return Input(name, kind, nullable, typical=typical)


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    """Draw a signature of one to four inputs."""
    found = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    policy = st.sampled_from(["flag", "reject", "pass"])
    return Signature(
        tuple(draw(inputs(name)) for name in found),
        (Output("prediction", "score", "number"),),
        unseen_category=draw(policy),
        out_of_range=draw(policy),
    )


def values_for(entry: Input, *, tame: bool) -> st.SearchStrategy[Any]:
    """Return a strategy of values that an input takes (tame), or may refuse."""
    strategies = _TAME if tame else _WILD
    if entry.kind == "vector":
        width = entry.width or 1
        return st.lists(strategies["number"], min_size=width, max_size=width)
    if entry.levels and isinstance(entry.levels[0], int):
        level = strategies["int levels"]
        return st.lists(level, max_size=3) if entry.kind == "category_list" else level
    return strategies[entry.kind]


@st.composite
def records(draw: st.DrawFn, signature: Signature, *, tame: bool, whole: bool) -> list[tuple[str, Any]]:
    """Draw one record as key-value pairs; in a tame one at most a key stands twice."""
    pairs: list[tuple[str, Any]] = []
    for entry in signature.inputs:
        if not entry.nullable or draw(st.booleans()):
            pairs.append((entry.name, draw(values_for(entry, tame=tame))))
        elif whole or draw(st.booleans()):
            pairs.append((entry.name, None))
    faults = ["", "", "", "order", "twice"] if tame else ["", "value", "missing", "unknown", "twice"]
    wrong = "" if whole and tame else draw(st.sampled_from(faults))
    place = draw(st.integers(0, max(0, len(pairs) - 1)))
    if wrong == "order":
        pairs.reverse()
    elif wrong == "unknown":
        pairs.append((draw(texts), draw(anything)))
    elif wrong == "value" and pairs:
        pairs[place] = (pairs[place][0], draw(anything))
    elif wrong == "missing" and pairs:
        del pairs[place]
    elif wrong == "twice" and pairs:
        pairs.append((pairs[place][0], draw(st.one_of(st.just(pairs[place][1]), anything))))
    return pairs


class Json:
    """A writer of JSON that can do what `json.dumps` cannot: repeat keys, odd escapes, odd spaces."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self._odd = draw(st.booleans())
        self._space = draw(st.sampled_from(["", "", " ", "\n\t", "\r\n  "]))

    def write(self, value: Any) -> str:
        """Write a value; a list of pairs wrapped in `Pairs` becomes an object."""
        space = self._space
        if isinstance(value, Pairs):
            body = ",".join(f"{space}{self._text(k)}{space}:{space}{self.write(v)}" for k, v in value.pairs)
            return "{" + body + space + "}"
        if isinstance(value, dict):
            return self.write(Pairs(list(value.items())))
        if isinstance(value, list):
            return "[" + space + f"{space},{space}".join(map(self.write, value)) + space + "]"
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, float) and math.isfinite(value) and self._odd:
            return self._number(value)
        return json.dumps(value)

    def _number(self, value: float) -> str:
        way = self._draw(st.sampled_from(["%r", "%.17e", "%.25f", "%g", "%.40e"]))
        return way % value

    def _text(self, text: str) -> str:
        if not self._odd:
            return json.dumps(text, ensure_ascii=False)
        way = self._draw(st.sampled_from(["ascii", "plain", "escaped"]))
        if way != "escaped":
            return json.dumps(text, ensure_ascii=way == "ascii")
        units = text.encode("utf-16-be", "surrogatepass")
        return '"' + "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2)) + '"'


class Pairs:
    """An object whose keys may repeat."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


@st.composite
def bodies(draw: st.DrawFn, signature: Signature) -> bytes:
    """Draw a body in one of the forms: valid two times of three, else with something wrong."""
    tame = draw(st.integers(0, 2)) > 0
    as_array = draw(st.booleans())
    rows: list[Any] = []
    for _ in range(draw(st.integers(1 if tame else 0, 3))):
        pairs = draw(records(signature, tame=tame, whole=as_array))
        rows.append([value for _, value in pairs] if as_array else Pairs(pairs))
    document: Any = rows
    form = draw(st.sampled_from(["record", "list", "one", *ENVELOPES]))
    if form == "record" and rows and not as_array:
        document = rows[0]
    elif form == "one" and rows:
        document = Pairs([(draw(st.sampled_from(ENVELOPES)), rows[0])])
    elif form in ENVELOPES:
        document = Pairs([(form, rows)])
        if not tame and draw(st.booleans()):
            document.pairs.append((draw(st.sampled_from([form, "extra"])), rows))
    text = Json(draw).write(document)
    around = draw(st.sampled_from(["", " ", "\n"] if tame else ["", "", "\x0b", "\ufeff", ",", "}"]))
    text = draw(st.sampled_from([around + text, text + around]))
    return text.encode("utf-8", "surrogatepass")


# -- what is compared --

PROTOCOL = NativeProtocol()
SLICED = NativeProtocol(slice_bytes=1, slice_rows=1)
"""Reads and writes as if every body were large: cut at every border."""
ABC_SIGNATURE = Signature(
    (Input("a", "number", typical=1.0), Input("b", "text", typical="x")), (Output("y", "score", "number"),)
)
ABC, SLICED_ABC = PROTOCOL.prepare(ABC_SIGNATURE), SLICED.prepare(ABC_SIGNATURE)


def read(reader: NativeReader, body: bytes, *, way: str) -> tuple[Any, ...]:
    """Return all that a caller could tell two ways of reading apart by."""
    target = Target(Call("POST", "/predict", "", lambda _: "", body), "")
    try:
        columns = reader.read(target) if way == "both" else reader._read_reference(target, body)
    except FairwayError as error:
        problem_reply(error, "id")
        faults = [fault.as_dict() for fault in error.faults]
        return ("refused", error.code, error.detail, error.hint, faults, repr(error.example))
    return ("read", target.form, *seen(columns))


def seen(columns: Columns) -> tuple[Any, ...]:
    """Return columns so that equal means equal: types count, NaN equals itself, -0.0 is not 0.0."""
    return (list(columns.names), [[repr(v) for v in row] for row in columns.rows], columns.flags)


def takes_fast_way(reader: NativeReader, body: bytes) -> bool:
    """Tell whether the fast way alone reads the body."""
    return reader._read_fast(Target(Call("POST", "/predict", "", lambda _: "", body), ""), body) is not None


@st.composite
def signatures_with_bodies(draw: st.DrawFn) -> tuple[Signature, bytes]:
    """Draw a signature and a body for it."""
    signature = draw(signatures())
    return signature, draw(bodies(signature))


@given(signatures_with_bodies())
@often
def test_the_fast_way_equals_the_reference(drawn: tuple[Signature, bytes]) -> None:
    """Equal values, types, form and flags for what is accepted; the same refusal for what is not."""
    signature, body = drawn
    reader = PROTOCOL.prepare(signature)
    expected = read(reader, body, way="reference")
    event(f"{expected[0]}, {'fast' if takes_fast_way(reader, body) else 'reference'}")
    assert expected == read(reader, body, way="both")
    sliced = SLICED.prepare(signature)
    event(f"{expected[0]} in slices, {'fast' if takes_fast_way(sliced, body) else 'reference'}")
    assert expected == read(sliced, body, way="both")


@example(b'{"a":1,"a":2,"b":"x"}')
@example(b'{"a":1,"\\u0061":2,"b":"x"}')
@example(b'{"a":1,"b":"x","b":"x"}')
@example(b'{"a":1,"b":"\\"\\"","b":"x"}')
@example(b'{"a":1,"b":"\\u0022\\u0022"}')
@example(b'{"a":1,"b":"\\u0022","a":2}')
@example(b'{"a":1,"b":"x","a":2,"b":"\\"\\"\\"\\""}')
@example(b'[{"a":1,"b":"x"},{"a":1,"b":"x","a":1}]')
@example(b'{"records":[{"a":1,"b":"x"}],"records":[]}')
@example(b'{"a":9007199254740993,"b":"x"}')
@example(b'{"a":9007199254740992,"b":"x"}')
@example(b'{"a":-9007199254740993.0,"b":"x"}')
@example(b'{"a":1e400,"b":"x"}')
@example(b'{"a":-0,"b":"x"}')
@example(b'{"a":-0.0,"b":"x"}')
@example(b'{"a":01,"b":"x"}')
@example(b'{"a":1.,"b":"x"}')
@example(b'{"a":NaN,"b":"x"}')
@example(b'{"a":1,"b":"\\ud800"}')
@example(b'{"a":1,"b":"\xed\xa0\x80"}')
@example(b'{"\\ud800":1,"\\ud800":2}')
@example(b'{"a":1,"b":"x"}\x00')
@example(b"\xef\xbb\xbf[]")
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'{"a":' + b"9" * 5000 + b',"b":"x"}')
@given(
    st.one_of(
        st.binary(max_size=40),
        st.text(alphabet='{}[]",:ab01eE+-. \\u\ud800', max_size=40).map(
            lambda text: text.encode("utf-8", "surrogatepass")
        ),
    )
)
@often
def test_any_bytes_give_columns_or_a_refusal_that_can_be_written_down(body: bytes) -> None:
    """No input whatever raises anything but a FairwayError, and both ways say the same."""
    expected = read(ABC, body, way="reference")
    assert expected == read(ABC, body, way="both")
    assert expected == read(SLICED_ABC, body, way="both")


@given(signatures_with_bodies(), st.data())
@often
def test_mutated_bodies_give_columns_or_a_refusal(
    drawn: tuple[Signature, bytes], data: st.DataObject
) -> None:
    """A byte changed, removed, repeated or added never breaks the reader, nor makes the ways differ."""
    signature, body = drawn
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(body) - 1)))
        piece = data.draw(
            st.sampled_from([b"", b'"', b"\\", b"[", b"]", b"{", b"0", b",", b"\xff", b"u", body[at:]])
        )
        body = body[:at] + piece + body[at + data.draw(st.integers(0, 1)) :]
    reader, sliced = PROTOCOL.prepare(signature), SLICED.prepare(signature)
    expected = read(reader, body, way="reference")
    assert expected == read(reader, body, way="both")
    assert expected == read(sliced, body, way="both")


@pytest.mark.parametrize(
    "body",
    [
        b'[{"a":1,"b":"},{"},{"a":2,"b":"\\"},{\\""}]',
        b'{"records":[ {"a":1,"b":"x"} , {"a":2,"b":"y"} ] }\n',
        b'[[1,"],["],[2,"y"] ,\t[3,"z"]]',
        b'{"data":[[1,"x"],[2,"y"]]}',
    ],
)
def test_a_list_of_rows_is_read_in_slices_and_not_by_the_reference(body: bytes) -> None:
    """What looks like a border of rows may stand inside a text."""
    assert takes_fast_way(SLICED_ABC, body)
    assert read(SLICED_ABC, body, way="both") == read(ABC, body, way="reference")


def test_rows_beyond_the_limit_are_counted_in_slices_too() -> None:
    """The error names how many came."""
    reader = NativeProtocol(max_rows=2, slice_bytes=1).prepare(ABC_SIGNATURE)
    refused = read(reader, b'[[1,"x"],[2,"y"],[3,"z"],[4,"x"]]', way="both")
    assert refused[1:3] == ("too_many_rows", "the body holds 4 rows; the limit is 2")


@given(signatures_with_bodies())
@often
def test_a_refusal_points_into_the_body_and_its_example_works(drawn: tuple[Signature, bytes]) -> None:
    """Every pointer leads to a value of the body or to where one is missing; the example is answered."""
    signature, body = drawn
    reader = PROTOCOL.prepare(signature)
    target = Target(Call("POST", "/predict", "", lambda _: "", body), "")
    with (
        pytest.raises(FairwayError)
        if read(reader, body, way="both")[0] == "refused"
        else nullcontext() as caught
    ):
        reader.read(target)
    if caught is None:
        return
    error = caught.value
    document = json.loads(problem_reply(error, "id").body)
    assert document["code"] == error.code
    if isinstance(error, SignatureMismatch):
        for fault in error.faults:
            assert fault.code in FAULT_CODES
            assert leads_somewhere(json.loads(body), fault.pointer), fault
    if error.example is not None:
        outcome = read(reader, json.dumps(error.example).encode(), way="both")
        assert outcome[0] == "read", (error.example, outcome)


def leads_somewhere(document: Any, pointer: str) -> bool:
    """Tell whether a pointer (RFC 6901) leads to a value, or to an absent member of an object."""
    parts = pointer.split("/")[1:]
    for place, part in enumerate(parts):
        if isinstance(document, dict):
            names = {
                escape_pointer(name if len(name) <= 80 else name[:77] + "..."): name for name in document
            }
            if part not in names:
                return place == len(parts) - 1
            document = document[names[part]]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return False
    return True


# -- writing --

answers = st.one_of(
    st.floats(), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.text(max_size=5), st.none()
)


@given(st.data(), st.sampled_from(["", "probabilities", "flags", "probabilities,flags"]))
@often
def test_what_is_encoded_reads_back(data: st.DataObject, include: str) -> None:
    """Every form's reply is JSON that holds the very outputs; what JSON cannot hold is null and flagged."""
    rows = data.draw(st.integers(1, 4))
    outputs = data.draw(st.lists(st.text(max_size=4), min_size=1, max_size=3, unique=True))
    assume(not {"flags", "probabilities"} & set(outputs))
    values = {name: data.draw(st.lists(answers, min_size=rows, max_size=rows)) for name in outputs}
    shares = [[0.25, 0.75]] * rows
    signature = Signature((Input("a", "number", typical=1.0),), (), classes=("no", "yes"))
    key = data.draw(st.sampled_from(["", *ENVELOPES]))
    body = json.dumps([{"a": 1}] * rows if not key else {key: [{"a": 1}] * rows}).encode()
    call = Call("POST", "/predict", f"include={include}" if include else "", lambda _: "", body)
    target = PROTOCOL.open(call)
    columns = PROTOCOL.prepare(signature).read(target)
    prediction = Prediction(
        target.id,
        "m",
        1,
        classes=("no", "yes"),
        columns=columns,
        outputs=Outputs(values, shares),
        timing=Timing(0),
    )
    reply = PROTOCOL.encode(target, prediction)
    assert reply.body == SLICED.encode(target, prediction).body
    answer = json.loads(reply.body, parse_constant=pytest.fail)
    wanted = [{name: held(values[name][n]) for name in outputs} for n in range(rows)]
    if key in {"features", "input"}:
        got = answer["prediction"]
        assert got == ([row[outputs[0]] for row in wanted] if len(outputs) == 1 else wanted)
    else:
        got = answer["predictions"]
        assert [{k: row[k] for k in outputs} for row in got] == wanted
        assert all(("probabilities" in row) == ("probabilities" in include) for row in got)
        assert all(("flags" in row) == ("flags" in include) for row in got)
    lost = sum(isinstance(v, float) and not math.isfinite(v) for column in values.values() for v in column)
    assert dict(reply.headers).get(b"fairway-flags", b"0") == str(lost).encode()


def held(value: Any) -> Any:
    """Return what JSON can hold of a value."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(
    st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(),
        ),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
        max_leaves=10,
    )
)
@often
def test_the_reference_reads_what_json_writes(document: Any) -> None:
    """The strict reader changes nothing about a valid document."""
    assert parse_json(msgspec.json.encode(document)) == document
