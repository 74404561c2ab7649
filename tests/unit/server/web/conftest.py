"""The whole application in this process around models that answer by rule: no socket, no framework."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import platform
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from fairway.bundle.bundle import CARD, ENVIRONMENT, SIGNATURE, Bundle
from fairway.bundle.manifest import FileEntry, Manifest
from fairway.bundle.names import Reference
from fairway.bundle.signature import Input, Output, Signature
from fairway.inference.engine import Engine
from fairway.inference.loaded import LoadedModel
from fairway.inference.pool import Pool
from fairway.inference.sources import Entry, Look
from fairway.messages import Columns, Outputs
from fairway.protocols.native import NativeProtocol
from fairway.registry.registry import Registry, open_registry
from fairway.server.app import App
from fairway.server.call_routes import CallRoute
from fairway.server.guard import Guard, open_guard
from fairway.server.handlers import Predictions
from fairway.server.management.application import Management
from fairway.server.management.office import Office
from fairway.server.metrics import Metrics
from fairway.server.platforms import INVOCATIONS_ROUTE, Platforms, VertexRoutes

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FORM_TYPE = "application/x-www-form-urlencoded"

FLOWER = Signature(
    inputs=(
        Input("sepal length (cm)", "number", minimum=4.3, maximum=7.9, typical=5.8),
        Input("petals", "integer", minimum=0, maximum=9, typical=5),
        Input("wild", "boolean", typical=True),
        Input("pressed", "boolean", nullable=True),
        Input("soil", "category", levels=("loam", "clay"), typical="loam"),
        Input("zone", "category", nullable=True, levels=(9, 10), typical=10),
        Input("seen by", "category_list", levels=("bee", "moth", "a/b~c"), typical=["bee"]),
        Input("notes", "text", max_chars=500, typical="blue leaf"),
        Input("steps", "text_list", max_chars=50, typical=["dig"]),
        Input("picked", "datetime", typical="2026-02-28T13:45:00"),
        Input("scan", "vector", width=3, typical=[0.5, 1.0, -2.0]),
    ),
    outputs=(Output("kind", "label", "text"), Output("height", "score", "number")),
    classes=("lily", "rose"),
)


@dataclasses.dataclass(frozen=True)
class Page:
    """A reply of the application."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def html(self) -> Tree:
        return Tree(self.text)


class Tree(HTMLParser):
    """What an HTML parser sees: every element with its attributes, and the text of the whole page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def shown(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def find(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        """Return the attributes of every element of a tag that has these values."""
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(key.strip("_")) == value for key, value in wanted.items())
        ]


class ByRule:
    """A predictor that answers every row with the same outputs, or raises."""

    def __init__(self, signature: Signature, answer: Mapping[str, Any], shares: Sequence[float]) -> None:
        self._names = [output.name for output in signature.outputs]
        self._answer = answer
        self._shares = list(shares)
        self.rows: list[dict[str, Any]] = []

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        self.rows.extend(columns.records())
        if "raise" in self._answer:
            raise RuntimeError("a secret of the model")
        values = {name: [self._answer.get(name)] * len(columns) for name in self._names}
        return Outputs(values, [self._shares] * len(columns) if probabilities and self._shares else None)


class InMemory:
    """A source of models that holds them itself."""

    def __init__(self, bundles: Mapping[str, Bundle]) -> None:
        self._bundles = bundles

    def look(self, _: Sequence[Reference]) -> Look:
        found = {
            str(reference): self.resolve(reference)
            for model in self._bundles
            for reference in (Reference(model), Reference(model, alias="production"))
        }
        return Look(tuple(self._bundles), found)

    def resolve(self, reference: Reference) -> Entry:
        return Entry(reference.model, 3, self._bundles[reference.model].digest)

    def open(self, entry: Entry) -> Bundle:
        return self._bundles[entry.model]

    def token(self) -> object:
        return 0


class Site:
    """The application and what its models saw."""

    def __init__(self, app: App, pool: Pool, predictors: Mapping[str, ByRule]) -> None:
        self.app = app
        self.client = ("127.0.0.1", 1)
        self.pool = pool
        self.predictors = predictors

    def ask(
        self, path: str, *, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Page:
        """Send one request and return the whole reply."""
        return asyncio.run(self._ask(path, method, body, {"accept": BROWSER, **(headers or {})}))

    def submit(self, path: str, fields: Sequence[tuple[str, str]] | bytes) -> Page:
        """Submit a form as a browser does."""
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        return self.ask(path, method="POST", body=body, headers={"content-type": FORM_TYPE})

    async def _ask(self, path: str, method: str, body: bytes, headers: Mapping[str, str]) -> Page:
        sent: list[Any] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        bare, _, query = path.partition("?")
        lines = [
            (name.encode(), value.encode()) for name, value in {"host": "127.0.0.1:5000", **headers}.items()
        ]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": bare,
            "raw_path": bare.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": lines,
            "server": ("127.0.0.1", 5000),
            "client": self.client,
        }
        try:
            await self.app(scope, receive, send)
        except RuntimeError:
            assert sent, "the application raised without an answer"
        text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Page(sent[0]["status"], found, text)


def make_bundle(name: str, signature: Signature, **facts: Any) -> Bundle:
    """Return a bundle that holds a signature and a card."""
    lock = {"python": platform.python_version(), "packages": {}}
    members = {
        SIGNATURE: json.dumps(signature.to_dict()).encode(),
        ENVIRONMENT: json.dumps(lock).encode(),
        CARD: b"# A model\n",
    }
    files = {path: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for path, data in members.items()}
    known: dict[str, Any] = {"flavor": "sklearn", "created": "2026-11-20T10:00:00Z", "model_type": "Ridge"}
    known |= {"python": "3.11.2", "fairway": "0.1.0"} | facts
    manifest = Manifest(name=name, files=files, **known)
    return Bundle.from_files(manifest, members.__getitem__)


@pytest.fixture
def flower() -> Signature:
    """Give a signature with an input of every kind."""
    return FLOWER


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Give a function that serves models: name -> (signature, facts, answer, shares)."""
    opened: list[Registry] = []

    def open_empty() -> Registry:
        opened.append(open_registry(tmp_path / "home"))
        return opened[-1]

    def make(
        models: Mapping[str, tuple[Signature, Mapping[str, Any], Mapping[str, Any], Sequence[float]]],
        guard: Guard | None = None,
    ) -> Site:
        bundles = {name: make_bundle(name, model[0], **model[1]) for name, model in models.items()}
        predictors = {name: ByRule(model[0], model[2], model[3]) for name, model in models.items()}

        def load(entry: Entry, bundle: Bundle) -> LoadedModel:
            predictor = predictors[entry.model]
            return LoadedModel(bundle, name=entry.model, version=entry.version, predictor=predictor)

        pool = Pool(InMemory(bundles), load, notify=lambda *_, **__: None)
        pool.load_all()
        log: Any = types.SimpleNamespace(event=lambda *_, **__: None, access=lambda _: None)
        metrics = Metrics()
        predictions = Predictions(
            Engine(pool, metrics), NativeProtocol(), metrics=metrics, log=log, max_body_bytes=10 * 2**20
        )
        office = Office(open_empty, home=tmp_path / "home", policy="allowlist", gates={}, predictor="auto")
        app = App(
            predictions=predictions,
            explanations=predictions,
            guard=guard or open_guard(),
            pool=pool,
            metrics=metrics,
            log=log,
            version="0.1.0",
            management=Management(office, log=log),
            platforms=Platforms(
                [CallRoute(INVOCATIONS_ROUTE, predictions)], vertex=VertexRoutes(), max_body_bytes=10 * 2**20
            ),
        )
        return Site(app, pool, predictors)

    yield make
    for registry in opened:
        registry.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """Give a server of one model, `flower`."""
    facts = {"description": "What grows here?", "author": "ada", "metrics": {"r2": 0.5}}
    answer = {"kind": "rose", "height": 93.29749194380493}
    return make_site({"flower": (FLOWER, facts, answer, (0.25, 0.75))})
