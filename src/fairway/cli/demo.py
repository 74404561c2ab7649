"""`fairway demo`: from nothing to a served model that was asked one question, in a few seconds."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import progress
from fairway.errors import FairwayError, MissingExtra, PortInUse
from fairway.settings import load_settings

if TYPE_CHECKING:
    from fairway.registry.records import Version


@verb("demo", example="fairway demo\nfairway demo --once")
@click.option("--port", metavar="NUMBER", help="Port to serve on. Default: 5000.")
@click.option("--once", is_flag=True, help="End after one checked call instead of serving on.")
def command(face: Face, /, *, port: str | None, once: bool) -> None:
    """Train a model of iris flowers, register, serve and check it.

    The check is one real HTTP call to the started server; its curl is printed.
    """
    from fairway import api
    from fairway.cli.trial import Trial

    settings, _ = load_settings(flags={"server.port": port, "home": face.home})
    host = settings.server.host
    number = _free_port(host, settings.server.port)
    with progress("Training on the iris flowers, packing, proving the copy, registering"):
        version = _push_iris(settings.home)
    trial = Trial(face, version, f"http://{_reachable(host)}:{number}", once=once)
    trial.start()
    try:
        api.serve(version.reference, host=host, port=number, home=settings.home)
    except KeyboardInterrupt:
        if not trial.ended_server:
            raise
    if trial.failure is not None:
        raise trial.failure


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
