"""fairway's own dialect: one record, a list of records, or rows under an envelope key, as JSON.

The fast way decodes and validates in one step with msgspec types made from the signature. Whatever they
refuse is read again by the reference (`json_body.py` and `bundle/validation.py`), which accepts it after
all or lists everything that is wrong.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from fairway.bundle.signature import Signature
from fairway.bundle.validation import RowTypes, Validator, json_kind
from fairway.errors import (
    BodyShape,
    FairwayError,
    SignatureMismatch,
    TooManyRows,
    UnsupportedEncoding,
    UnsupportedMediaType,
)
from fairway.messages import Call, Columns, ExplainWish, LongList, Outputs, Prediction, Reply, Row, Target
from fairway.protocols.base import ReadsBodies
from fairway.protocols.compressed import gunzip
from fairway.protocols.json_body import MAX_DEPTH, parse_json
from fairway.protocols.problems import problem_reply
from fairway.protocols.query import read_include
from fairway.protocols.repair import HINT, corrected_body, corrected_row
from fairway.protocols.slices import decode_slices, encode_slices, end_of_rows

ENVELOPES = ("features", "input", "inputs", "instances", "data", "records")
_TUTORIAL_KEYS = frozenset({"features", "input"})
_LIST_KINDS = frozenset({"vector", "text_list", "category_list"})

SLICE_BYTES = 64 * 1024
SLICE_ROWS = 1024

# Which of the forms a body has can be told from its first bytes; the decoder of that form checks the rest.
_SNIFF = re.compile(
    rb'[ \t\n\r]*(?:\{[ \t\n\r]*"('
    + "|".join(ENVELOPES).encode()
    + rb')"[ \t\n\r]*:[ \t\n\r]*)?(\[[ \t\n\r]*)?([\[{])?'
)


_JSON = (b"content-type", b"application/json")


@functools.lru_cache(maxsize=1024)
def _model_header(model: str, version: int) -> tuple[bytes, bytes]:
    return (b"fairway-model", f"{model}:{version}".encode())


def reply_headers(
    prediction: Prediction, media_type: tuple[bytes, bytes], flags: list[dict[str, str]] | None
) -> list[tuple[bytes, bytes]]:
    """Return the headers of a reply: of what type it is, what has answered, what is noteworthy."""
    headers = [
        media_type,
        _model_header(prediction.model, prediction.version),
        (b"fairway-prediction-id", prediction.id.encode()),
    ]
    if flags:
        headers.append((b"fairway-flags", str(sum(map(len, flags))).encode()))
    return headers


class Form(msgspec.Struct, frozen=True):
    """How a body was written.

    Attributes:
        key: Envelope key, or the empty string.
        single: Whether the body is one row rather than a list of rows.
    """

    key: str = ""
    single: bool = False


_RECORD = Form(single=True)
_LIST = Form()


class NativeProtocol:
    """Implement `fairway.protocols.base.Dialect` for the native routes.

    Args:
        max_rows: Most rows in one call.
        max_depth: Deepest nesting of a body.
        max_text_chars: Longest text in one value.
        slice_bytes: Longer lists of rows are read in slices of about this size.
        slice_rows: Answers to more rows are written in slices.
        max_gzip_bytes: Longest body after unpacking; 0 refuses compressed bodies.
    """

    name = "native"

    def __init__(
        self,
        *,
        max_rows: int = 10_000,
        max_depth: int = MAX_DEPTH,
        max_text_chars: int = 1_000_000,
        slice_bytes: int = SLICE_BYTES,
        slice_rows: int = SLICE_ROWS,
        max_gzip_bytes: int = 0,
    ) -> None:
        self._max_rows = max_rows
        self._max_depth = max_depth
        self._max_text_chars = max_text_chars
        self._slice_bytes = slice_bytes
        self._slice_rows = slice_rows
        self._max_gzip_bytes = max_gzip_bytes

    def open(self, call: Call) -> Target:
        """Read the reference from the path and `include` from the query; unpack the body if need be."""
        encoding = call.header("content-encoding")  # as `accept` has it, without the price of a call
        if encoding:
            self._unpack(call, encoding.lower())
        _check_media_type(call)
        if not call.query:
            return Target(call, _reference_in(call.path))
        target = Target(call, _reference_in(call.path), read_include(call.query))
        if "explanation" in target.include:
            target.explain = ExplainWish()
        return target

    def accept(self, call: Call) -> None:
        """Refuse a body that is not JSON; unpack a compressed one."""
        self.unpack(call)
        _check_media_type(call)

    def unpack(self, call: Call) -> None:
        """Unpack a compressed body, if such are read."""
        encoding = call.header("content-encoding")
        if encoding:
            self._unpack(call, encoding.lower())

    def _unpack(self, call: Call, encoding: str) -> None:
        if encoding == "identity":
            return
        if not self._max_gzip_bytes:
            raise UnsupportedEncoding(
                "compressed bodies are not read here",
                hint="send the body without Content-Encoding, or start the server with limits.gzip_requests",
            )
        if encoding != "gzip":
            raise UnsupportedEncoding("only gzip is read here", hint="send the header Content-Encoding: gzip")
        call.body = gunzip(call.body, max_bytes=self._max_gzip_bytes)

    def prepare(self, signature: Signature) -> NativeReader:
        """Compile the signature to decoders."""
        return NativeReader(
            signature,
            max_rows=self._max_rows,
            max_depth=self._max_depth,
            max_text_chars=self._max_text_chars,
            slice_bytes=self._slice_bytes,
        )

    def read(self, target: Target, model: ReadsBodies) -> Columns:
        """Read the body with the model's own reader."""
        columns: Columns = model.reader(self).read(target)
        return columns

    def encode(self, target: Target, prediction: Prediction) -> Reply:
        """Write outputs, and what `include` asks for, in the form of the request."""
        flags = flags_of(prediction)
        outputs, classes = prediction.outputs, prediction.classes
        if target.form.single or len(outputs) <= self._slice_rows or prediction.explanations is not None:
            document = _body(target, outputs, classes, flags, prediction.explanations)
            body = msgspec.json.encode(document)
        else:
            body = encode_slices(
                _body(
                    target,
                    outputs.part(n, n + self._slice_rows),
                    classes,
                    flags and flags[n : n + self._slice_rows],
                )
                for n in range(0, len(outputs), self._slice_rows)
            )
        return Reply(200, reply_headers(prediction, _JSON, flags), body)

    def encode_error(self, error: FairwayError, request_id: str) -> Reply:
        """Write a problem document."""
        return problem_reply(error, request_id)


def _check_media_type(call: Call) -> None:
    media_type = call.header("content-type")
    if media_type and media_type != "application/json":
        essence, _, parameters = media_type.partition(";")
        charset = parameters.strip().lower()
        if essence.strip().lower() != "application/json" or charset not in {
            "",
            "charset=utf-8",
            'charset="utf-8"',
        }:
            _refuse_media_type(essence.strip().lower(), call.body)


def _refuse_media_type(essence: str, body: bytes) -> None:
    # What curl -d and some HTTP libraries send when nobody chose a type: read as JSON if it looks like it.
    if essence == "application/x-www-form-urlencoded" and body.lstrip()[:1] in {b"{", b"["}:
        return
    raise UnsupportedMediaType(
        "this route reads JSON in UTF-8", hint="send the header Content-Type: application/json"
    )


def _reference_in(path: str) -> str:
    """Return the reference in `/models/{ref}/predict`, or the empty string for `/predict`."""
    return path[len("/models/") : -len("/predict")] if path.startswith("/models/") else ""


class NativeReader:
    """One model's reader: bytes to columns."""

    def __init__(
        self, signature: Signature, *, max_rows: int, max_depth: int, max_text_chars: int, slice_bytes: int
    ) -> None:
        self._slice_bytes = slice_bytes
        self._signature = signature
        self._max_rows = max_rows
        self._max_depth = max_depth
        self._validator = Validator(signature, max_text_chars=max_text_chars)
        self._types = RowTypes(signature, max_text_chars=max_text_chars)
        self._envelopes = frozenset(ENVELOPES) - set(signature.names)
        only = signature.inputs[0] if len(signature.inputs) == 1 else None
        self._only_list = only is not None and only.kind in _LIST_KINDS
        # What looks like a border may stand between two lists of one row, and once inside a text.
        self._tries = 2 + sum(entry.kind in _LIST_KINDS for entry in signature.inputs)
        self._ways = self._fast_ways()

    def read(self, target: Target) -> Columns:
        """Read a body; see `fairway.protocols.base.Reader`."""
        body = target.call.body
        columns = self._read_fast(target, body)
        return self._read_reference(target, body) if columns is None else columns

    # -- the fast way ------------------------------------------------------------------------------------

    def _fast_ways(self) -> dict[tuple[bytes | None, bool, bytes | None], tuple[Any, ...]]:
        """Return by sniffed beginning: decoder, form, whether rows are records, quotes of the envelope."""
        record, array = self._types.record, self._types.array
        ways: dict[tuple[bytes | None, bool, bytes | None], tuple[Any, ...]] = {}
        if record is not None:
            ways[None, False, b"{"] = (_decoder(record), _RECORD, True, 0)
            ways[None, True, b"{"] = (_decoder(list[record]), _LIST, True, 0)  # type: ignore[valid-type]
        if not self._only_list:
            ways[None, True, b"["] = (_decoder(list[array]), _LIST, False, 0)  # type: ignore[valid-type]
        for key in self._envelopes:
            name = key.encode()
            many = Form(key=key)
            if record is not None:
                ways[name, True, b"{"] = (_envelope(key, list[record]), many, True, 2)  # type: ignore[valid-type]
            if self._only_list:
                continue
            ways[name, True, b"["] = (_envelope(key, list[array]), many, False, 2)  # type: ignore[valid-type]
            if key in _TUTORIAL_KEYS and not any(i.kind in _LIST_KINDS for i in self._signature.inputs):
                one = Form(key=key, single=True)  # a list inside would make it several rows
                ways[name, True, None] = (_envelope(key, array), one, False, 2)
        return ways

    def _read_fast(self, target: Target, body: bytes) -> Columns | None:
        found = _SNIFF.match(body)
        way = self._ways.get((found[1], found[2] is not None, found[3])) if found else None
        if way is None:
            return None
        decode, form, as_records, quotes = way
        if len(body) > self._slice_bytes and found is not None and found[2] and not form.single:
            columns = self._read_slices(body, found, as_records=as_records)
            target.form = form
            return columns
        try:
            decoded = decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if form.key:
            decoded = decoded.rows
        rows = [decoded] if form.single else decoded
        if len(rows) > self._max_rows:
            raise TooManyRows(len(rows), self._max_rows)
        made = self._types.columns_of_records(rows) if as_records else self._types.columns_of_arrays(rows)
        if made is None:
            return None
        columns, counted = made
        if body.count(b'"') != quotes + counted and not _only_escaped_quotes(body, quotes + counted, columns):
            return None
        target.form = form
        return columns

    def _read_slices(self, body: bytes, found: re.Match[bytes], *, as_records: bool) -> Columns | None:
        """Do as `_read_fast` does, slice by slice."""
        start, end = found.end(2), end_of_rows(body, enveloped=found[1] is not None)
        if end < start:
            return None
        decode = self._ways[None, True, found[3]][0]
        make = self._types.columns_of_records if as_records else self._types.columns_of_arrays
        rows: list[Row] = LongList()
        flags: list[Any] = LongList()
        count = 0
        try:
            slices = decode_slices(body, start, end, size=self._slice_bytes, decode=decode, tries=self._tries)
            for part, decoded in slices:
                count += len(decoded)
                if count > self._max_rows:  # no more than counted
                    continue
                made = make(decoded)
                if made is None:
                    return None
                if part.count(b'"') != made[1] and not _only_escaped_quotes(part, made[1], made[0]):
                    return None
                rows.extend(made[0].rows)
                if made[0].flags:
                    flags.extend({} for _ in range(len(rows) - len(decoded) - len(flags)))
                    flags.extend(made[0].flags)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if count > self._max_rows:
            raise TooManyRows(count, self._max_rows)
        flags.extend({} for _ in range(len(rows) - len(flags)) if flags)
        return Columns(self._signature.names, rows, flags or None)

    # -- the reference -----------------------------------------------------------------------------------

    def _read_reference(self, target: Target, body: bytes) -> Columns:
        self._refuse_many_rows(body)
        document = parse_json(body, max_depth=self._max_depth)
        form, rows, pointer = self._rows_of(document)
        if len(rows) > self._max_rows:
            raise TooManyRows(len(rows), self._max_rows)
        _check_one_shape(rows, pointer)
        target.form = form
        try:
            return self._validator.check(rows, pointer=pointer)
        except SignatureMismatch as error:
            error.example = corrected_body(self._validator, rows, error, key=form.key, pointer=pointer)
            error.hint = HINT
            raise

    def _refuse_many_rows(self, body: bytes) -> None:
        """Refuse too many rows before they are parsed: to read a million takes the reference seconds."""
        if body.count(b",") < self._max_rows:
            return
        found = _SNIFF.match(body)
        if found is None or found[2] is None or found[3] is None:  # no list of records or arrays
            return
        key = found[1].decode() if found[1] else ""
        if key and key not in self._envelopes:
            return
        count = _envelope(key, list[msgspec.Raw]) if key else _decoder(list[msgspec.Raw])
        try:
            decoded = count(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        rows = decoded.rows if key else decoded
        if len(rows) > self._max_rows:
            raise TooManyRows(len(rows), self._max_rows)

    def _rows_of(self, document: Any) -> tuple[Form, Sequence[Any], Callable[[int], str]]:
        """Return form, rows, and the pointer of row n."""
        if isinstance(document, list):
            if document and self._is_flat(document):
                raise self._needs_wrapping("", document)
            return _LIST, document, lambda n: f"/{n}"
        if not isinstance(document, dict):
            raise BodyShape(
                f"expected an object or an array, got {json_kind(document)}",
                hint="send one record as an object, or a list of records",
                example=self._signature.typical_row(),
            )
        keys = [key for key in document if key in self._envelopes]
        if not keys:
            return _RECORD, [document], lambda _: ""
        key = keys[0]
        if len(document) > 1:
            other = next(name for name in document if name != key)
            raise BodyShape(
                f"{other[:80]!r} stands beside the envelope key {key!r}",
                pointer=f"/{key}",
                hint=f"send the rows alone: {{{key!r}: [...]}}",
            )
        return self._enveloped(key, document[key])

    def _enveloped(self, key: str, value: Any) -> tuple[Form, Sequence[Any], Callable[[int], str]]:
        one = Form(key=key, single=key in _TUTORIAL_KEYS)
        if isinstance(value, list) and not self._is_one_row(key, value):
            if value and self._is_flat(value):
                raise self._needs_wrapping(key, value)
            return Form(key=key), value, lambda n: f"/{key}/{n}"
        if isinstance(value, list | dict) or len(self._signature.inputs) == 1:
            return one, [value], lambda _: f"/{key}"
        raise BodyShape(
            f"expected an array of rows under {key!r}, got {json_kind(value)}",
            pointer=f"/{key}",
            example={key: [self._signature.typical_row()]},
        )

    def _is_flat(self, values: list[Any]) -> bool:
        """Tell whether a list holds bare values although a row has several inputs."""
        several = len(self._signature.inputs) > 1
        return several and not any(isinstance(value, list | dict) for value in values)

    def _is_one_row(self, key: str, values: list[Any]) -> bool:
        if key not in _TUTORIAL_KEYS or not values or any(isinstance(v, list | dict) for v in values):
            return False
        # A flat list of the wrong length is one wrong row, not many: the error then says what is missing.
        return len(self._signature.inputs) > 1 or len(values) == 1 or self._only_list

    def _needs_wrapping(self, key: str, values: list[Any]) -> BodyShape:
        rows = [corrected_row(self._validator, values)]
        return BodyShape(
            "expected a list of rows, got a flat list of values",
            pointer=f"/{key}" if key else "",
            hint="put the row into a list of its own",
            example=({key: rows} if key else rows) if len(values) == len(self._signature.inputs) else None,
        )


def _decoder(kind: Any) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind).decode


def _envelope(key: str, kind: Any) -> Callable[[bytes], Any]:
    return _decoder(
        msgspec.defstruct("Envelope", [("rows", kind)], rename={"rows": key}, forbid_unknown_fields=True)
    )


def _only_escaped_quotes(body: bytes, counted: int, columns: Columns) -> bool:
    r"""Tell whether quotation marks inside texts explain all that the keys and texts do not.

    A duplicate key leaves at least two quotation marks over. Marks inside of a text are written `\"` and
    counted in the decoded text; one written `\u0022` would hide among them, so such a body is not explained.
    """
    if b"\\u0022" in body:
        return False
    inside = 0
    for row in columns.rows:
        for value in row:
            if type(value) is str:
                inside += value.count('"')
            elif type(value) is list:
                inside += sum(item.count('"') for item in value if type(item) is str)
    return body.count(b'"') == counted + inside


def _check_one_shape(rows: Sequence[Any], pointer: Callable[[int], str]) -> None:
    kinds = [isinstance(row, dict) for row in rows if isinstance(row, dict | list)]
    if len(set(kinds)) > 1:
        n = next(i for i, row in enumerate(rows) if isinstance(row, dict) is not kinds[0])
        raise BodyShape("the rows are not all objects or all arrays", pointer=pointer(n))


# -- encoding --------------------------------------------------------------------------------------------


def flags_of(prediction: Prediction) -> list[dict[str, str]] | None:
    """Return per row what is noteworthy: let-through inputs, and outputs that JSON cannot hold."""
    columns = prediction.columns
    flags = columns.flags
    for name, values in prediction.outputs.values.items():
        for n, value in enumerate(values):
            if type(value) is float and not math.isfinite(value):
                if flags is None:
                    flags = [{} for _ in range(len(columns))]
                flags[n] = {**flags[n], name: "nonfinite_output"}  # type: ignore[index]
    return flags  # type: ignore[return-value]


def _body(
    target: Target,
    outputs: Outputs,
    classes: Sequence[str],
    flags: list[dict[str, str]] | None,
    explanations: list[dict[str, Any]] | None = None,
) -> Any:
    form: Form = target.form
    values = outputs.values
    is_tutorial = form.key in _TUTORIAL_KEYS
    # What most calls ask for needs no object per row.
    if not target.include and form.single and not is_tutorial:
        return {name: answers[0] for name, answers in values.items()}
    if not target.include and is_tutorial and len(values) == 1:
        (answers,) = values.values()
        return {"prediction": answers[0] if form.key == "input" and form.single else answers}
    rows = answer_rows(target, outputs, classes, flags, explanations)
    if is_tutorial:
        return _tutorial_body(form, rows, list(values))
    return rows[0] if form.single else {"predictions": rows}


def answer_rows(
    target: Target,
    outputs: Outputs,
    classes: Sequence[str],
    flags: list[dict[str, str]] | None,
    explanations: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Return one object per row. NaN and infinities are written as null by the encoder."""
    values = outputs.values
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    probabilities = outputs.probabilities
    if probabilities is not None and "probabilities" in target.include:
        for row, shares in zip(rows, probabilities, strict=True):
            row["probabilities"] = dict(zip(classes, shares, strict=True))
    if "flags" in target.include:
        for n, row in enumerate(rows):
            row["flags"] = flags[n] if flags else {}
    for row, explanation in zip(rows, explanations or (), strict=False):
        row["explanation"] = explanation
    return rows


def _tutorial_body(form: Form, rows: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Return what the tutorials' clients expect: the key `prediction`, whatever the output's name."""
    answers = [row[names[0]] if len(names) == 1 else {n: row[n] for n in names} for row in rows]
    extras = sorted({key for row in rows for key in row} - set(names))
    body: dict[str, Any] = {"prediction": answers, **{key: [row[key] for row in rows] for key in extras}}
    if form.key == "input" and form.single:
        return {key: values[0] for key, values in body.items()}
    return body
