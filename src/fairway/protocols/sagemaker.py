"""The dialect of Amazon SageMaker: `/invocations` with JSON, JSON Lines or CSV, and what Accept asks for.

SageMaker hands a container the headers Content-Type and Accept and some of its own, and no query: what else a
caller wants of an answer stands in its header for attributes.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from fairway.bundle.names import check_name
from fairway.bundle.signature import Signature
from fairway.errors import (
    FairwayError,
    MalformedRequest,
    ModelNotFound,
    NameInvalid,
    NotAcceptable,
    UnsupportedMediaType,
)
from fairway.messages import Call, Columns, ExplainWish, Prediction, Reply, Target
from fairway.protocols.accept import choose_form
from fairway.protocols.base import ReadsBodies
from fairway.protocols.lines import Unwrapper, is_utf8, listed, split_lines, wrapped
from fairway.protocols.native import NativeProtocol, answer_rows, flags_of, reply_headers
from fairway.protocols.problems import error_headers, problem_document
from fairway.protocols.query import read_include
from fairway.protocols.table import ABSENT, PRESENT, TableReader, encode_table

JSON, LINES, CSV = "application/json", "application/jsonlines", "text/csv"
FORMS = (JSON, LINES, CSV)
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"

_OTHER_NAMES = dict.fromkeys(
    ["application/x-jsonlines", "application/jsonl", "application/x-ndjson", "application/ndjson"], LINES
)
_INCLUDE = re.compile(r"(?:^|;)\s*fairway-include\s*=\s*([^;]*)")
_INSTANCES = re.compile(rb'[ \t\n\r]*\{[ \t\n\r]*"instances"[ \t\n\r]*:[ \t\n\r]*\[[ \t\n\r]*\{')
_instances: Any = msgspec.json.Decoder(
    msgspec.defstruct("Instances", [("instances", list[msgspec.Raw])], forbid_unknown_fields=True)
).decode

ERROR_TYPES = {
    400: "BadRequestException",
    401: "UnauthorizedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    405: "MethodNotAllowedException",
    406: "NotAcceptableException",
    409: "ConflictException",
    413: "RequestEntityTooLargeException",
    415: "UnsupportedMediaTypeException",
    422: "BadRequestException",
    429: "TooManyRequestsException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
    504: "RequestTimeoutException",
    507: "InsufficientStorageException",
}
"""What `type` says of a status, which is the one of the native routes; see `type_of` for the others."""


class Asked(msgspec.Struct, frozen=True):
    """How a call was written, and how its answer is to be.

    Attributes:
        sent: Media type of the body.
        wanted: Media type of the reply.
        header: What the content type says of a line of names.
        native: Form of a JSON body.
    """

    sent: str
    wanted: str
    header: str = ""
    native: Any = None


class SageMakerProtocol:
    """Implement `fairway.protocols.base.Dialect` for `/invocations`.

    Args:
        native: The native dialect, whose readers read the rows of JSON.
        max_rows: Most rows in one call.
        max_depth: Deepest nesting of a value.
        max_text_chars: Longest text in one value.
        default_accept: Media type of a reply for which the call asks none.
    """

    name = "sagemaker"

    def __init__(
        self,
        native: NativeProtocol,
        *,
        max_rows: int,
        max_depth: int,
        max_text_chars: int,
        default_accept: str = JSON,
    ) -> None:
        self._native = native
        self._max_rows = max_rows
        self._max_depth = max_depth
        self._max_text_chars = max_text_chars
        self._offered = (default_accept, *(form for form in FORMS if form != default_accept))

    def open(self, call: Call) -> Target:
        """Read the types from the headers, and what is wanted beside the answers."""
        self._native.unpack(call)
        sent, header = _read_content_type(call)
        wanted = choose_form(call.header("accept"), self._offered)
        if not wanted:
            raise NotAcceptable(
                "the Accept header takes none of the forms that a reply can have",
                hint=f"ask for one of {', '.join(FORMS)}",
            )
        target = Target(call, _reference_in(call.path), _read_include(call))
        if wanted == CSV and target.include - {"probabilities"}:
            raise MalformedRequest(
                "query_invalid",
                f"CSV has no place for {', '.join(sorted(target.include - {'probabilities'}))}",
                hint="send the header Accept: application/json",
            )
        if "explanation" in target.include:
            target.explain = ExplainWish()
        target.form = Asked(sent, wanted, header)
        return target

    def prepare(self, signature: Signature) -> Any:
        """Compile the signature to readers of CSV and of wrapped rows."""
        return SageMakerReader(
            signature,
            max_rows=self._max_rows,
            max_depth=self._max_depth,
            max_text_chars=self._max_text_chars,
        )

    def read(self, target: Target, model: ReadsBodies) -> Columns:
        """Read the body as what its type says; rows of JSON by the model's native reader."""
        asked: Asked = target.form
        reader: SageMakerReader = model.reader(self)
        if asked.sent == CSV:
            return reader.table.read(target.call.body, asked.header)
        if asked.sent == LINES:
            rows = split_lines(target.call.body, max_rows=self._max_rows, max_depth=self._max_depth)
            columns = self._read_list(target, model, reader, rows)
        else:
            columns = self._read_json(target, model, reader)
        target.form = msgspec.structs.replace(asked, native=target.form)
        return columns

    def _read_json(self, target: Target, model: ReadsBodies, reader: SageMakerReader) -> Columns:
        body = target.call.body
        found = _INSTANCES.match(body)
        if (
            found is not None
            and "instances" not in model.signature.names
            and reader.unwrapper.begins(body[found.end() - 1 : found.end() + 64])
        ):
            try:
                rows = list(map(bytes, _instances(body).instances))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                rows = []
            inside = reader.unwrapper.rows_of(rows)
            if (
                inside is not None
                and is_utf8(body)
                and body.count(b'"') == 2 + sum(row.count(b'"') for row in rows)
            ):
                key, found_rows = inside
                target.call.body = b'{"instances":' + listed(found_rows) + b"}"
                return self._read_wrapped(target, model, key)
        return self._native.read(target, model)

    def _read_list(
        self, target: Target, model: ReadsBodies, reader: SageMakerReader, rows: Sequence[bytes]
    ) -> Columns:
        inside = reader.unwrapper.rows_of(rows)
        if inside is None:
            target.call.body = listed(rows)
            return self._native.read(target, model)
        key, found_rows = inside
        target.call.body = listed(found_rows)
        return self._read_wrapped(target, model, key)

    def _read_wrapped(self, target: Target, model: ReadsBodies, key: bytes) -> Columns:
        try:
            return self._native.read(target, model)
        except FairwayError as error:
            raise wrapped(error, key.decode()) from None

    def encode(self, target: Target, prediction: Prediction) -> Reply:
        """Write the answers in the form that was asked for."""
        asked: Asked = target.form
        if asked.wanted == JSON and asked.native is not None:
            target.form = asked.native
            return self._native.encode(target, prediction)
        flags = flags_of(prediction)
        if asked.wanted == CSV:
            body = encode_table(prediction, probabilities="probabilities" in target.include)
        else:
            rows = answer_rows(target, prediction.outputs, prediction.classes, flags, prediction.explanations)
            if asked.wanted == JSON:
                body = msgspec.json.encode({"predictions": rows})
            else:
                body = msgspec.json.Encoder().encode_lines(rows)
        return Reply(200, reply_headers(prediction, _TYPE_HEADERS[asked.wanted], flags), body)

    def encode_error(self, error: FairwayError, request_id: str) -> Reply:
        """Write status, type and message as SageMaker's own containers do, and the problem beside them."""
        document = problem_document(error, request_id)
        body = {
            "code": error.status,
            "type": error_type(error),
            "message": document["detail"],
            "problem": document,
        }
        return Reply(error.status, error_headers(error, request_id, JSON), msgspec.json.encode(body))


_TYPE_HEADERS = {
    JSON: (b"content-type", b"application/json"),
    LINES: (b"content-type", b"application/jsonlines"),
    CSV: (b"content-type", b"text/csv; charset=utf-8; header=absent"),
}


def error_type(error: FairwayError) -> str:
    """Return what `type` says of an error."""
    if isinstance(error, ModelNotFound):
        return "ModelNotFoundException"
    return type_of(error.status)


def type_of(status: int) -> str:
    """Return what `type` says of a status."""
    return ERROR_TYPES.get(status) or ERROR_TYPES[400 if status < 500 else 500]


class SageMakerReader:
    """One model's readers beside the native one."""

    def __init__(self, signature: Signature, *, max_rows: int, max_depth: int, max_text_chars: int) -> None:
        self.table = TableReader(
            signature, max_rows=max_rows, max_depth=max_depth, max_text_chars=max_text_chars
        )
        self.unwrapper = Unwrapper(signature.names)


def _read_content_type(call: Call) -> tuple[str, str]:
    """Return the media type of the body, and what it says of a line of names."""
    text = call.header("content-type")
    if not text or text == JSON:
        return JSON, ""
    essence, *parameters = (part.strip().lower() for part in text.split(";"))
    media_type = _OTHER_NAMES.get(essence, essence)
    if media_type not in FORMS:
        raise UnsupportedMediaType(
            "this route reads JSON, JSON Lines and CSV", hint=f"send one of {', '.join(FORMS)}"
        )
    header = ""
    for parameter in filter(None, parameters):
        name, _, value = parameter.partition("=")
        value = value.strip().strip('"')
        if name.strip() == "header" and media_type == CSV and value in {PRESENT, ABSENT}:
            header = value
        elif name.strip() != "charset" or value != "utf-8":
            raise UnsupportedMediaType(
                f"the content type has a parameter that is not known here: {parameter[:80]!a}",
                hint="send UTF-8; of CSV, header=present or header=absent may be said",
            )
    return media_type, header


def _read_include(call: Call) -> frozenset[str]:
    include = read_include(call.query) if call.query else frozenset[str]()
    found = _INCLUDE.search(call.header(ATTRIBUTES))
    return include | read_include(f"include={found[1].strip()}") if found else include


def _reference_in(path: str) -> str:
    """Return the model that the path of a multi-model endpoint names, or the empty string."""
    return name_of(path[len("/models/") : -len("/invoke")]) if path.startswith("/models/") else ""


@functools.lru_cache(maxsize=1024)
def name_of(model: str) -> str:
    """Return the name under which a model of a multi-model endpoint serves.

    SageMaker's own names are arbitrary; one that is no name here is replaced by its hash.
    """
    try:
        return check_name("model", model)
    except NameInvalid:
        return f"model-{hashlib.sha256(model.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"
