"""What a client says and how it reads the answer, without any I/O: written once for every kind of client."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from fairway.errors import RemoteError, UsageError


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: scheme, host, port and the path in front of its routes."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent.

    Attributes:
        method: HTTP method.
        target: Path and query, below the address of the server.
        body: Bytes of the body.
        headers: Headers that belong to the body.
        single: Whether one row was asked for in a list form, so that the one answer is to be unpacked.
        raw: Whether the caller wrote the body, and gets the document of the reply as it is.
    """

    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    single: bool = False
    raw: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A prediction as a client receives it.

    Attributes:
        outputs: One dict of named outputs for one record, a list of them for many.
        id: Prediction id of the call; row n of it is `<id>.<n>`. Labels that arrive later name it.
        model: Name of the model that answered.
        version: Its version number.
    """

    outputs: Any
    id: str
    model: str
    version: int


def parse_url(url: str) -> Address:
    """Return the address behind *url*.

    Raises:
        UsageError: It is not an http or https URL, or it holds a user name, a query or a fragment.
    """
    hint = "give the address of the server, such as http://127.0.0.1:5000"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!a} is not a URL: {error}", hint=hint) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isprintable() or " " in url:
        raise UsageError(f"{url!a} is not an http or https URL", hint=hint)
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(
            "the URL of a server holds no user name, query or fragment", hint="a key goes into api_key=..."
        )
    default = 443 if parts.scheme == "https" else 80
    return Address(parts.scheme, parts.hostname, default if port is None else port, parts.path.rstrip("/"))


def key_headers(key: str | None) -> dict[str, str]:
    """Return the header that carries *key*.

    Raises:
        UsageError: The key holds characters that no header may hold.
    """
    if key is None:
        return {}
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("the key holds characters that no key has", hint="is there a line end at its end?")
    return {"authorization": f"Bearer {key}"}


def predict_request(data: Any, *, model: str | None = None, include: Iterable[str] = ()) -> Request:
    """Return the request that asks for predictions of *data*.

    Args:
        data: One record (a dict, a pandas Series, a flat list or array of numbers); many of them (a list of
            records or of lists, a frame, an array, a list of texts); or bytes: a JSON body to send as it is.
        model: Reference of the model, or None for the server's first one.
        include: What to add to the outputs: `probabilities`, `flags`, `explanation`.

    Raises:
        UsageError: The data holds a value that JSON has no form for.
    """
    path = f"/models/{quote(model, safe=':@')}/predict" if model else "/predict"
    wanted = [include] if isinstance(include, str) else list(include)
    query = "?" + urlencode({"include": ",".join(wanted)}) if wanted else ""
    headers = {"content-type": "application/json"}
    if isinstance(data, bytes):
        return Request("POST", path + query, data, headers, raw=True)
    body, single = _body_of(_as_python(data))
    return Request("POST", path + query, encode(body), headers, single=single)


def explain_request(
    data: Any, *, model: str | None = None, of: str = "", method: str = "auto", seed: int = 0
) -> Request:
    """Return the request that asks for predictions of *data* with their explanations.

    Args:
        data: See `predict_request`.
        model: Reference of the model, or None for the server's first one.
        of: Class or output to be explained, `each`, or the empty string for what is predicted.
        method: `auto`, `shapley` or `words`.
        seed: Which samples are drawn.
    """
    request = predict_request(data, model=model)
    path = request.target.removesuffix("/predict") + "/explain"
    wishes = {"of": of, "method": method if method != "auto" else "", "seed": seed or ""}
    query = urlencode({name: wish for name, wish in wishes.items() if wish != ""})
    return dataclasses.replace(request, target=f"{path}?{query}" if query else path)


def encode(value: Any) -> bytes:
    """Return *value* as JSON: NaN and other missing values as null, dates as ISO 8601.

    Raises:
        UsageError: There is a value that JSON has no form for.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_foreign_value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"the data cannot be sent as JSON: {error}") from error


def read_answer(request: Request, headers: Mapping[str, str], body: Any) -> Answer:
    """Return the answer to a predict request from the headers (lower-case names) and the decoded body."""
    outputs = body
    if not request.raw and isinstance(body, dict) and isinstance(body.get("predictions"), list):
        outputs = body["predictions"]
        if request.single and len(outputs) == 1:
            outputs = outputs[0]
    model, _, version = headers.get("fairway-model", "").partition(":")
    number = int(version) if version.isdecimal() else 0
    return Answer(outputs, headers.get("fairway-prediction-id", ""), model, number)


def read_reply(status: int, headers: Mapping[str, str], body: bytes, *, accept: tuple[int, ...] = ()) -> Any:
    """Return the JSON document of a reply.

    Args:
        status: HTTP status.
        headers: Headers by lower-case name.
        body: Bytes of the body.
        accept: Statuses beside 2xx that are an answer, not an error.

    Raises:
        RemoteError: The status is none of these, or the body is not JSON.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = None
    if document is not None and (200 <= status < 300 or status in accept):
        return document
    if isinstance(document, dict) and "detail" in document:
        raise RemoteError(document, status)
    kind = headers.get("content-type", "no content type")
    raise RemoteError(
        {
            "code": "remote_error",
            "title": RemoteError.title,
            "status": status,
            "detail": f"the server answered {status} with {kind}, which is no answer of fairway",
            "hint": "is the address that of a fairway server, and is there a proxy before it?",
        },
        status,
    )


def unreachable(address: Address, reason: str, *, code: str = "remote_unreachable") -> RemoteError:
    """Return the error that says that no reply came; its status code is 0."""
    problem = {
        "code": code,
        "title": "The server gave no answer",
        "detail": f"{address} gave no answer: {reason}",
        "hint": "is it running there? start one with: fairway serve MODEL",
    }
    return RemoteError(problem, 0)


def _body_of(data: Any) -> tuple[Any, bool]:
    """Return the body for *data* and whether it is one row in a list form."""
    if not isinstance(data, list):
        return data, False
    if data and all(isinstance(row, dict) for row in data):
        return data, False
    if data and not any(isinstance(row, str | list | dict) for row in data):
        return {"instances": [data]}, True
    return {"instances": data}, False


def _as_python(data: Any) -> Any:
    """Turn frames, series and arrays into dicts and lists; anything else stays as it is."""
    if isinstance(data, tuple):
        return list(data)
    if isinstance(data, dict | list | str | int | float | bool) or data is None:
        return data
    if hasattr(data, "index") and hasattr(data, "to_dict") and getattr(data, "ndim", 0) == 1:
        return {str(name): value for name, value in data.to_dict().items()}  # a pandas Series: one record
    if hasattr(data, "columns") or hasattr(data, "to_pylist"):
        from fairway.bundle.tables import read_table

        return read_table(data).records()
    if hasattr(data, "tolist"):
        return data.tolist()
    if isinstance(data, Mapping):
        return dict(data)
    return list(data) if isinstance(data, Iterable) else data


def _foreign_value(value: Any) -> Any:
    """Return a value that JSON knows for one of numpy or pandas."""
    if type(value).__name__ in {"NAType", "NaTType"}:
        return None
    for kind in (str, float):  # subclasses such as numpy.str_ and numpy.float64
        if isinstance(value, kind):
            return kind(value)
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime(warn=False)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of the type {type(value).__name__} has no form in JSON")
