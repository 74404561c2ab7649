"""A model that answers with what it was given, and every dialect in which it can be asked."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import hashlib
import io
import json
import platform
import struct
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairway.bundle.bundle import CARD, ENVIRONMENT, SIGNATURE, Bundle
from fairway.bundle.manifest import FileEntry, Manifest
from fairway.bundle.signature import Input, Output, Signature
from fairway.inference.engine import engine_of
from fairway.inference.loaded import LoadedModel
from fairway.messages import Call, Columns, Outputs, Reply
from fairway.protocols.base import Dialect
from fairway.protocols.native import NativeProtocol
from fairway.protocols.sagemaker import SageMakerProtocol
from fairway.protocols.vertex import VertexProtocol
from fairway.server.handlers import Predictions
from fairway.server.metrics import Metrics

JSON = "application/json"
LINES = "application/jsonlines"
CSV = "text/csv"
LIMITS: Any = {"max_rows": 1000, "max_depth": 32, "max_text_chars": 1000}
MAX_BODY_BYTES = 2**20

ALL_KINDS = Signature(
    inputs=(
        Input("number", "number", typical=0.5),
        Input("maybe", "number", nullable=True, minimum=-1e9, maximum=1e9, typical=0.5),
        Input("integer", "integer", typical=1),
        Input("boolean", "boolean", typical=True),
        Input("level", "category", levels=("low", "high, very"), typical="low"),
        Input("grade", "category", nullable=True, levels=(1, 2), typical=1),
        Input("text", "text", nullable=True, typical="a"),
        Input("words", "text_list", typical=["a"]),
        Input("tags", "category_list", levels=("a", "b/c~d"), typical=["a"]),
        Input("at", "datetime", nullable=True, typical="2026-02-28T13:45:00"),
        Input("scan", "vector", width=3, typical=[0.0, 0.0, 0.0]),
    ),
    outputs=(
        Output("digest", "label", "text"),
        Output("odd", "score", "number"),
        Output("rank", "score", "integer"),
    ),
    classes=("no", "yes"),
)
ONE_NUMBER = Signature((Input("x", "number", typical=0.5),), (Output("y", "score", "number"),))


class Echo:
    """Answers every row with a digest of its exact values, and with numbers that depend on every bit."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        digests = [hashlib.sha256(repr(list(row)).encode()).digest() for row in columns.rows]
        odd = [struct.unpack(">Q", digest[:8])[0] / 2**53 for digest in digests]
        kinds: dict[str, list[Any]] = {
            "text": [f'{digest.hex()[:8]}, "é"\n' for digest in digests],
            "number": odd,
            "integer": [digest[0] - 128 for digest in digests],
        }
        values = {output.name: kinds[output.type] for output in self._signature.outputs}
        shares = [[share / 3000, 1 - share / 3000] for share in odd]
        return Outputs(values, shares if probabilities else None)


def model_of(signature: Signature) -> LoadedModel:
    """Return a loaded model that echoes."""
    lock = {"python": platform.python_version(), "packages": {}}
    members = {
        SIGNATURE: json.dumps(signature.to_dict()).encode(),
        ENVIRONMENT: json.dumps(lock).encode(),
        CARD: b"# A model\n",
    }
    files = {path: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for path, data in members.items()}
    manifest = Manifest(
        name="echo",
        files=files,
        flavor="sklearn",
        created="2026-11-20T10:00:00Z",
        model_type="Echo",
        python="3.11.2",
        fairway="0.1.0",
    )
    bundle = Bundle.from_files(manifest, members.__getitem__)
    return LoadedModel(bundle, name="echo", version=3, predictor=Echo(signature))


def protocols() -> dict[str, Dialect]:
    """Return every dialect by the path at which it is spoken here."""
    native = NativeProtocol(**LIMITS)
    return {
        "/predict": native,
        "/invocations": SageMakerProtocol(NativeProtocol(**LIMITS), **LIMITS),
        "/vertex": VertexProtocol(NativeProtocol(**LIMITS)),
    }


class Speaker:
    """One model, asked in this process as a connection would ask."""

    def __init__(self, signature: Signature) -> None:
        log: Any = types.SimpleNamespace(event=lambda *_, **__: None, access=lambda _: None)
        engine, metrics = engine_of(model_of(signature)), Metrics()
        self._calls = {
            path: Predictions(
                engine, protocol, metrics=metrics, log=log, max_body_bytes=MAX_BODY_BYTES, routes=(path, path)
            )
            for path, protocol in protocols().items()
        }

    def ask(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Send one call."""
        bare, _, query = path.partition("?")
        sent = {"content-type": JSON, **(headers or {})}
        call = Call("POST", bare, query, lambda name: sent.get(name, ""), body)
        return asyncio.run(self._calls[bare].answer(call))


Rows = Sequence[Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Dialectal:
    """One way to ask for the predictions of rows.

    Attributes:
        path: Where it is asked.
        write: Makes the body of rows.
        read: Returns of a reply one dict of outputs per row.
        headers: What is sent.
        takes: Whether rows can be written so at all.
    """

    path: str
    write: Callable[[Rows], bytes]
    read: Callable[[bytes], list[dict[str, Any]]]
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    takes: Callable[[Rows], bool] = lambda _: True


def _json(make: Callable[[Rows], Any]) -> Callable[[Rows], bytes]:
    return lambda rows: json.dumps(make(rows)).encode()


def _arrays(rows: Rows) -> list[list[Any]]:
    return [list(row.values()) for row in rows]


def _lines(make: Callable[[Mapping[str, Any]], Any]) -> Callable[[Rows], bytes]:
    return lambda rows: b"".join(json.dumps(make(row)).encode() + b"\n" for row in rows)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def table(rows: Rows, *, names: bool = False) -> bytes:
    """Return rows as CSV."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    if names:
        writer.writerow(rows[0])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return buffer.getvalue().encode()


def _reversed(rows: Rows) -> Rows:
    return [dict(reversed(row.items())) for row in rows]


def _predictions(body: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(body)["predictions"]
    return found


def _of_lines(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def _of_table(body: bytes) -> list[dict[str, Any]]:
    rows = csv.reader(io.StringIO(body.decode(), newline=""))
    readers = {"text": str, "number": float, "integer": int}
    outputs = ALL_KINDS.outputs
    return [
        {output.name: readers[output.type](cell) for output, cell in zip(outputs, row, strict=True)}
        for row in rows
    ]


def _has_texts(rows: Rows) -> bool:
    """An empty text is a missing value in CSV."""
    return all(value != "" for row in rows for value in row.values())


SAGEMAKER = "/invocations"
VERTEX = "/vertex"
DIALECTS: dict[str, Dialectal] = {
    "native": Dialectal("/predict", _json(list), _predictions),
    "native arrays": Dialectal("/predict", _json(_arrays), _predictions),
    "native records": Dialectal("/predict", _json(lambda rows: {"records": rows}), _predictions),
    "native, one by one": Dialectal(
        "/predict",
        _json(lambda rows: rows[0]),
        lambda body: [json.loads(body)],
        takes=lambda rows: len(rows) == 1,
    ),
    "vertex": Dialectal(VERTEX, _json(lambda rows: {"instances": rows}), _predictions),
    "vertex arrays": Dialectal(VERTEX, _json(lambda rows: {"instances": _arrays(rows)}), _predictions),
    "vertex with parameters": Dialectal(
        VERTEX, _json(lambda rows: {"parameters": {}, "instances": rows}), _predictions
    ),
    "sagemaker": Dialectal(SAGEMAKER, _json(list), _predictions),
    "sagemaker instances": Dialectal(
        SAGEMAKER, _json(lambda rows: {"instances": _arrays(rows)}), _predictions
    ),
    "sagemaker wrapped": Dialectal(
        SAGEMAKER,
        _json(lambda rows: {"instances": [{"features": row} for row in _arrays(rows)]}),
        _predictions,
    ),
    "sagemaker wrapped records": Dialectal(
        SAGEMAKER, _json(lambda rows: {"instances": [{"data": row} for row in rows]}), _predictions
    ),
    "sagemaker lines": Dialectal(SAGEMAKER, _lines(dict), _predictions, {"content-type": LINES}),
    "sagemaker lines both ways": Dialectal(
        SAGEMAKER,
        _lines(lambda row: list(row.values())),
        _of_lines,
        {"content-type": "application/x-ndjson", "accept": LINES},
    ),
    "sagemaker wrapped lines": Dialectal(
        SAGEMAKER, _lines(lambda row: {"features": list(row.values())}), _predictions, {"content-type": LINES}
    ),
    "sagemaker csv": Dialectal(SAGEMAKER, table, _predictions, {"content-type": CSV}, _has_texts),
    "sagemaker csv both ways": Dialectal(
        SAGEMAKER, table, _of_table, {"content-type": f"{CSV}; charset=utf-8", "accept": CSV}, _has_texts
    ),
    "sagemaker csv with names": Dialectal(
        SAGEMAKER,
        lambda rows: table(_reversed(rows), names=True),
        _of_lines,
        {"content-type": f"{CSV}; header=present", "accept": LINES},
        _has_texts,
    ),
    "sagemaker csv from json": Dialectal(SAGEMAKER, _json(list), _of_table, {"accept": CSV}),
}
"""Every way to ask. A further dialect adds its entries here."""
