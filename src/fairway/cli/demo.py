"""`fairway demo`: from nothing to a served model that was asked one question, in a few seconds."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_facts, print_json, progress, say
from fairway.client.client import Client
from fairway.errors import FairwayError, MissingExtra, PortInUse, RemoteError
from fairway.settings import load_settings

if TYPE_CHECKING:
    from fairway.registry.records import Version

BODY = b'{"features":[5.1,3.5,1.4,0.2]}'
EXPECTED = {"prediction": [0]}
START_TIMEOUT_S = 60.0
_STARTING = (0, 503)  # nobody listens yet; the model is not ready yet


@verb("demo", example="fairway demo\nfairway demo --once")
@click.option("--port", metavar="NUMBER", help="Port to serve on. Default: 5000.")
@click.option("--once", is_flag=True, help="End after one checked call instead of serving on.")
def command(face: Face, /, *, port: str | None, once: bool) -> None:
    """Train a model of iris flowers, register, serve and check it.

    The check is one real HTTP call to the started server; its curl is printed.
    """
    from fairway import api

    settings, _ = load_settings(flags={"server.port": port, "home": face.home})
    host = settings.server.host
    number = _free_port(host, settings.server.port)
    with progress("Training on the iris flowers, packing, proving the copy, registering"):
        version = _push_iris(settings.home)
    trial = _Trial(face, version, f"http://{_reachable(host)}:{number}", once=once)
    trial.start()
    try:
        api.serve("iris", host=host, port=number, home=settings.home)
    except KeyboardInterrupt:
        if not trial.ended_server:
            raise
    if trial.failure is not None:
        raise trial.failure


class _Trial(threading.Thread):
    """Asks the server that starts in the main thread one question, prints the answer, may end the server.

    Attributes:
        failure: Why the server did not answer as it must, or None.
        ended_server: Whether the server was told to stop from here.
    """

    def __init__(self, face: Face, version: Version, url: str, *, once: bool) -> None:
        super().__init__(name="fairway-demo", daemon=True)
        self._face = face
        self._version = version
        self._url = url
        self._once = once
        self.failure: FairwayError | None = None
        self.ended_server = False

    def run(self) -> None:
        """Wait for the server, ask, print."""
        try:
            self._report(_ask(self._url))
        except FairwayError as error:
            self.failure = error
        if self._once or self.failure is not None:
            self.ended_server = True
            signal.raise_signal(signal.SIGINT)  # the way in which a person ends it

    def _report(self, reply: Any) -> None:
        if reply != EXPECTED:
            raise FairwayError(f"the server answered {json.dumps(reply)} instead of {json.dumps(EXPECTED)}")
        curl = f"curl -s {self._url}/predict -H 'content-type: application/json' -d '{BODY.decode()}'"
        answer = json.dumps(reply, separators=(",", ":"))
        reference = self._version.reference
        if self._face.as_json:
            print_json({"reference": reference, "url": self._url, "curl": curl, "reply": reply})
            return
        accuracy = self._version.metrics["accuracy"]
        print_facts(
            [
                ("Registered", f"{reference}, accuracy {accuracy:.2f} on flowers that it had not seen"),
                ("Page", f"{self._url}/models/iris"),
                ("API", f"{self._url}/docs"),
                ("Ask it", curl),
                ("Answer", f"{answer}   (just checked)"),
            ]
        )
        if not self._once:
            say("", "Serving until Ctrl-C.")


def _ask(url: str) -> Any:
    """Return the answer to `BODY`, as soon as the server gives one."""
    deadline = time.monotonic() + START_TIMEOUT_S
    pause = threading.Event()
    with Client(url, timeout_s=10.0) as client:
        while True:
            try:
                return client.predict(BODY)
            except RemoteError as error:
                if error.status_code not in _STARTING or time.monotonic() > deadline:
                    raise
            pause.wait(0.02)


def _push_iris(home: Any) -> Version:
    """Train on two thirds of the flowers, measure on the rest, and register the model.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    from fairway import api

    try:
        from sklearn.datasets import load_iris
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import train_test_split
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise MissingExtra("scikit-learn", "sklearn", purpose="the demo") from error
    iris = load_iris()
    train, test, train_kinds, test_kinds = train_test_split(
        iris.data, iris.target, test_size=1 / 3, random_state=0, stratify=iris.target
    )
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train, train_kinds)
    return api.push(
        model,
        name="iris",
        example={name: train[:, place].tolist() for place, name in enumerate(iris.feature_names)},
        metrics={"accuracy": float(model.score(test, test_kinds))},
        description="Tells three kinds of iris by four measures: 0 setosa, 1 versicolor, 2 virginica.",
        lineage={"data": "iris flowers of R. A. Fisher, 1936, from scikit-learn"},
        reason="fairway demo",
        home=home,
    )


def _reachable(host: str) -> str:
    """Return the address under which a server that listens on *host* is reached from this machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104


def _free_port(host: str, port: int) -> int:
    """Return *port*, or a free one for 0, before anything is trained: the trial must not ask another server.

    Raises:
        PortInUse: Something listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name == "posix":  # elsewhere the option lets two sockets share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(host, port) from error
            raise FairwayError(f"cannot listen on {host}, port {port}: {error.strerror}") from error
        number: int = probe.getsockname()[1]
    return number
