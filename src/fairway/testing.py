"""For tests of models, flavors and clients: a server in a process of its own, and what a flavor must do."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairway.bundle.bundle import Bundle
    from fairway.flavors.base import Flavor
    from fairway.inference.loaded import LoadedModel

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0
_ADDRESS = re.compile(rb"^fairway serves .* on http://127\.0\.0\.1:(\d+)\r?$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Answer:
    """A reply as it came over the wire.

    Attributes:
        status: HTTP status.
        headers: Headers by lower-case name.
        body: The whole body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as parsed JSON."""
        return json.loads(self.body)


@dataclasses.dataclass(frozen=True)
class RunningServer:
    """A server that `running_server` has started.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        process: The process.
        log: File with everything that it printed.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Address of the server, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str = "",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Send one request on a connection of its own and return the whole reply.

        Args:
            path: Path and query.
            body: Bytes, an iterator of bytes (in chunks), or data that is sent as JSON. Default: no body.
            method: HTTP method; POST with a body and GET without by default.
            headers: Sent as they are.
            timeout_s: Longest wait for the server.
        """
        if body is not None and not isinstance(body, bytes | Iterator):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        with contextlib.closing(connection):
            verb = method or ("GET" if body is None else "POST")
            chunked = isinstance(body, Iterator)
            connection.request(verb, path, body, dict(headers or {}), encode_chunked=chunked)
            reply = connection.getresponse()
            return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())

    def stop(self) -> int:
        """Ask the server to end, as a container's platform does (SIGTERM), and return its exit code."""
        self.process.terminate()
        return self.process.wait(STOP_DEADLINE_S)


@contextlib.contextmanager
def running_server(
    *references: str | Path,
    home: Path,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    python: str | Path = sys.executable,
) -> Iterator[RunningServer]:
    """Run `fairway serve` on a free port of 127.0.0.1 until the block ends.

    Args:
        *references: What to serve: references, or paths of bundles. None serves the whole registry.
        home: Folder of the registry.
        environ: Variables beside those of this process, such as `{"FAIRWAY_LIMITS_MAX_ROWS": "10"}`.
        folder: Working directory, which gets the log. Default: a new one that goes away afterwards.
        python: Interpreter of another environment that has fairway.

    Raises:
        TimeoutError: The server does not answer in time, or has ended; the message holds its last lines.

    Example:
        >>> with running_server("iris", home=home) as server:  # doctest: +SKIP
        ...     server.ask("/predict", {"features": [5.1, 3.5, 1.4, 0.2]}).json()
        {'prediction': [0]}
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairway-server-")))
        # A file, not a pipe: a pipe that nobody reads would fill up and hold the server.
        log = folder / "server.log"
        command = [str(python), "-m", "fairway", "serve", *map(str, references), "--port", "0"]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                [*command, "--home", str(home)],
                cwd=folder,
                env={**os.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield _wait_until_alive(process, log)
        finally:
            _end(process)


def _wait_until_alive(process: subprocess.Popen[bytes], log: Path) -> RunningServer:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := _ADDRESS.search(log.read_bytes()):
            server = RunningServer(int(found[1]), process, log)
            with contextlib.suppress(OSError, http.client.HTTPException):
                if server.ask("/livez").status == http.HTTPStatus.OK:
                    return server
        time.sleep(0.01)
    tail = log.read_text(errors="replace")[-2000:]
    what = "ended" if process.poll() is not None else f"did not answer within {START_DEADLINE_S:g} s"
    raise TimeoutError(f"the server {what}:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check_flavor(
    flavor: Flavor,
    model: Any,
    example: Any,
    *,
    answers: Any = None,
    probabilities: Any = None,
    target: str | None = None,
    code: Sequence[str | Path] = (),
    in_new_process: bool = True,
) -> Bundle:
    """Check that a flavor keeps its promises for one model: what is served answers as the model itself does.

    The model is packed, saved, opened and loaded again; then every row of *example* is sent as a client would
    send it, and compared with what the model says of the example as it stands.

    Args:
        flavor: The flavor, such as `fairway.flavors.sklearn.FLAVOR`.
        model: A fitted model.
        example: Rows in any form that `pack` takes.
        answers: What the model predicts for the example. Default: `model.predict(example)`.
        probabilities: Its probabilities. Default: `model.predict_proba(example)`, if there are classes.
        target: Column of the example that is not an input; *answers* is needed, then.
        code: Modules that the model needs.
        in_new_process: Whether the copy is proven in a fresh process, too. Whoever checks many models may
            hand the bundles to `fairway.inference.proof.prove` together instead.

    Returns:
        The bundle.

    Raises:
        AssertionError: A promise is not kept; says which.
        BundleError: The model cannot be packed or loaded.

    Example:
        >>> check_flavor(FLAVOR, LogisticRegression().fit(X, y), X)  # doctest: +SKIP
    """
    from fairway.bundle.bundle import open_bundle
    from fairway.flavors.base import flavor_of
    from fairway.inference.loaded import load_model
    from fairway.inference.proof import prove
    from fairway.lifecycle.pack import Facts, Wishes, make_bundle

    type_names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(model).__mro__]
    _expect(any(map(flavor.matches, type_names)), f"{flavor.name} does not match {type_names[0]}")
    _expect(flavor_of(model) is flavor, f"{type_names[0]} is taken by {flavor_of(model).name}")
    bundle = make_bundle(
        model, name="checked", example=example, code=code, facts=Facts(), wishes=Wishes(target=target)
    )
    with tempfile.TemporaryDirectory(prefix="fairway-check-") as folder:
        opened = open_bundle(bundle.save(Path(folder) / "checked.fairway"))
        _expect(opened.digest == bundle.digest, "the saved bundle has another digest")
        loaded = load_model(opened)
    records = _as_sent(example, loaded.signature.names)
    replies = _ask(loaded, records)
    expected = model.predict(example) if answers is None else answers
    names = [output.name for output in loaded.signature.outputs]
    got = [[reply[name] for name in names] for reply in replies]
    _expect_close(_as_rows(expected), got, flavor.tolerance, "prediction")
    if loaded.signature.classes:
        shares = model.predict_proba(example) if probabilities is None else probabilities
        got = [list(reply["probabilities"].values()) for reply in replies]
        _expect_close(_as_rows(shares), got, flavor.tolerance, "probabilities")
    alone = _ask(loaded, records[0])
    _expect_close([list(_flat(replies[0]))], [list(_flat(alone))], flavor.tolerance, "a record sent alone")
    if in_new_process:
        prove(bundle)
    return bundle


def _as_sent(example: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of an example as the records of a request; a missing value is left out."""
    from fairway.bundle.tables import read_table

    table = read_table(example)
    if table.form == "matrix" and len(names) == len(table.columns):
        table = table.rename(names)
    rows = [{name: row[name] for name in names if row[name] is not None} for row in table.records()]
    return [
        {k: v.isoformat() if isinstance(v, datetime.datetime) else v for k, v in row.items()} for row in rows
    ]


def _ask(loaded: LoadedModel, body: Any) -> Any:
    """Return what a server would answer to *body*."""
    from fairway.inference.engine import engine_of
    from fairway.messages import Call
    from fairway.protocols.native import NativeProtocol

    call = Call("POST", "/predict", "include=probabilities", lambda _: "", json.dumps(body).encode())
    reply = json.loads(asyncio.run(engine_of(loaded).answer(call, NativeProtocol())).body)
    return reply["predictions"] if isinstance(body, list) else reply


def _as_rows(answers: Any) -> list[list[Any]]:
    """Return what a model answered as one list per row, whatever it came in."""
    values = answers.to_numpy() if hasattr(answers, "to_numpy") else answers
    rows = values.tolist() if hasattr(values, "tolist") else list(values)
    return [list(row) if isinstance(row, list | tuple) else [row] for row in rows]


def _flat(reply: Any) -> Iterator[Any]:
    for value in reply.values():
        yield from value.values() if isinstance(value, dict) else [value]


def _expect_close(expected: list[list[Any]], got: list[list[Any]], tolerance: float, what: str) -> None:
    from fairway.bundle.golden import is_close

    _expect(len(expected) == len(got), f"{what}: {len(expected)} rows expected, {len(got)} came")
    for n, (want, have) in enumerate(zip(expected, got, strict=True)):
        same = len(want) == len(have) and all(map(is_close, want, have, [tolerance] * len(want)))
        _expect(same, f"{what}: row {n} should be {want}, and is {have}")


def _expect(condition: bool, message: str) -> None:  # noqa: FBT001 - reads like assert
    if not condition:
        raise AssertionError(message)
