"""Serve models, find the settings that serve them best, and measure what a call costs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.api._common import outside_loop, settings_of
from fairway.errors import UsageError

if TYPE_CHECKING:
    import socket

    from fairway.inference.pool import Pool
    from fairway.server.app import App
    from fairway.server.bench import HotPath
    from fairway.server.cells import SharedCounts
    from fairway.settings import Settings
    from fairway.tuning.trials import Tuning


def serve(  # noqa: PLR0913 - everything that the command line can state, by name
    *references: str,
    host: str | None = None,
    port: int | str | None = None,
    predictor: str | None = None,
    workers: int | str | None = None,
    max_loaded: int | str | None = None,
    require_signed_by: Sequence[str] = (),
    auth: bool | None = None,
    keys_file: str | Path | None = None,
    home: str | Path | None = None,
) -> None:
    """Serve models over HTTP until stopped.

    Args:
        *references: Models of the registry (`coffee`, `coffee:3`, `coffee@challenger`), or paths of bundles.
            None serves what the setting `server.models` names, or else the whole registry.
        host: Address to listen on.
        port: Port to listen on; 0 lets the system choose.
        predictor: See `load`.
        workers: Processes that answer. More than one share the memory of the models, and a main thread is
            needed to serve from.
        max_loaded: Versions that stay in memory; the one that was not asked for longest goes first, and comes
            back when it is asked for. 0, the default, keeps all that are served.
        require_signed_by: Names or ids of trusted keys. A version that none of them has signed whole is not
            served, also when an alias moves to it later. Default: the setting.
        auth: Whether callers need an API key. Default: the setting, by which they do once there is one.
        keys_file: File of API keys.
        home: Folder of the registry.

    Raises:
        NotSigned: A required key has not signed a model, or not all of it.
        PortInUse: Another process listens there.
        SettingsError: Other machines reach the address, and there is no key.
        FairwayError: A model cannot be found, loaded or trusted.
    """
    from fairway.assemble import build_app, build_guard, build_log, build_pool
    from fairway.server.listen import listen, run

    stated = {
        "host": host,
        "port": port,
        "workers": workers,
        "max_loaded": max_loaded,
        "predictor": predictor,
        "require_signed_by": tuple(require_signed_by) or None,
        "auth": None if auth is None else "on" if auth else "off",
        "keys_file": None if keys_file is None else Path(keys_file),
    }
    settings = settings_of(home, {f"server.{name}": value for name, value in stated.items()})
    references = references or settings.server.models
    if settings.server.workers > 1:
        _serve_with_workers(settings, references)
        return
    with listen(settings.server.host, settings.server.port) as bound:
        settings = _with_port(settings, bound)
        log = build_log(settings.log)
        guard = build_guard(settings, references, log=log)
        _let_platforms_connect(settings, bound)
        pool = build_pool(settings, references, log=log)
        run(build_app(settings, pool, guard=guard, log=log), bound, log=log, models=pool.served_models())


def _serve_with_workers(settings: Settings, references: Sequence[str]) -> None:
    from fairway.assemble import build_app, build_guard, build_log, build_pool
    from fairway.inference.aside import load_aside
    from fairway.server.listen import check_workers, listen

    check_workers(settings.server.workers)
    from fairway.server.supervisor import supervise

    with listen(settings.server.host, settings.server.port) as bound:
        settings = _with_port(settings, bound)
        log = build_log(settings.log, threaded=False)
        # What it holds is made once, so that every worker reads the sessions that another one has begun.
        guard = load_aside(lambda: build_guard(settings, references, log=log))
        guard.ring.let_go()
        _let_platforms_connect(settings, bound)

        def build(pool: Pool, shared: SharedCounts) -> App:
            guard.ring.look_again()
            return build_app(settings, pool, guard=guard, log=log, shared=shared)

        supervise(
            lambda: build_pool(settings, references, log=log),
            build,
            bound,
            workers=settings.server.workers,
            log=log,
            patience_s=settings.limits.predict_timeout_s,
        )


def _let_platforms_connect(settings: Settings, bound: socket.socket) -> None:
    """Take connections already while models are loaded, where somebody ends whoever takes none."""
    from fairway.server.listen import begin_to_listen

    if settings.platforms.vertex_health_route:  # Vertex AI tries four times in forty seconds
        begin_to_listen(bound)


def _with_port(settings: Settings, bound: socket.socket) -> Settings:
    """Return the settings with the port that the system has chosen, if it had to."""
    server = dataclasses.replace(settings.server, port=bound.getsockname()[1])
    return dataclasses.replace(settings, server=server)


def tune(
    reference: str | Path,
    *,
    seconds: float = 20.0,
    write: bool = False,
    tell: Callable[[str], None] | None = None,
    home: str | Path | None = None,
) -> Tuning:
    """Find out by measuring which settings serve a model best on this machine.

    The model is served on loopback with one setting after the other, while callers ask it for a typical row.

    Args:
        reference: A reference, or the path of a bundle.
        seconds: Time for all loads together; servers need some more to start.
        write: Whether to write the recommended settings into the nearest `fairway.toml`, or into a new one in
            the working directory.
        tell: Gets what is being tried.
        home: Folder of the registry.

    Raises:
        FairwayError: The model cannot be served, or does not answer.
    """
    from fairway.settings import settings_file
    from fairway.tuning.file import set_in_file
    from fairway.tuning.trials import Tuner

    tuning = Tuner(str(reference), home=settings_of(home).home, seconds=seconds, tell=tell or str).run()
    if not write:
        return tuning
    path = settings_file()
    replaced = set_in_file(path, {advice.key: advice.value for advice in tuning.advice})
    return dataclasses.replace(tuning, written=str(path), replaced=replaced)


def bench(
    reference: str | Path,
    *,
    rows: Sequence[int | str] = (1, 100),
    seconds: float = 2.0,
    home: str | Path | None = None,
) -> list[HotPath]:
    """Measure what a call to a model costs in this process, stage by stage.

    The golden examples go through the server's own connection, engine and model; only the network is missing.

    Args:
        reference: A reference, or the path of a bundle.
        rows: Numbers of rows per call; each is measured.
        seconds: About how long to measure each of them.
        home: Folder of the registry.

    Returns:
        One entry per number of rows.
    """
    from fairway.assemble import build_app, build_pool
    from fairway.log import Log
    from fairway.server.bench import measure
    from fairway.server.guard import open_guard

    counts = [_row_count(count) for count in rows]
    settings = settings_of(home)
    with Path(os.devnull).open("wb") as nowhere:
        log = Log(nowhere, level=settings.log.level, access=settings.log.access)
        pool = build_pool(settings, [str(reference)], log=log)
        (model,) = pool.served()
        found = outside_loop(
            lambda: measure(
                lambda stopwatch: build_app(settings, pool, guard=open_guard(), log=log, stopwatch=stopwatch),
                model,
                rows=counts,
                seconds=seconds,
            )
        )
        log.close()
    return found


def _row_count(given: int | str) -> int:
    try:
        count = int(given)
    except ValueError:
        count = 0
    if count < 1:
        raise UsageError(f"{given!r} is not a number of rows", hint="--rows 1,100")
    return count
