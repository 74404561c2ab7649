"""The composition root: the one place that names the concrete parts and puts them together."""

from __future__ import annotations

import getpass
import importlib.metadata
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fairway.bundle.admission import check_admitted, check_signed
from fairway.bundle.bundle import Bundle, is_bundle, looks_like_path, open_bundle
from fairway.errors import SettingsError
from fairway.inference.engine import Engine, Recorder, Router
from fairway.inference.explain.desk import ExplainLimits
from fairway.inference.loaded import LoadedModel, load_model
from fairway.inference.pool import Pool
from fairway.inference.scheduling import Limits
from fairway.inference.shelf import Shelf
from fairway.inference.sources import BundleSource, Entry, RegistrySource, Source
from fairway.inference.stopwatch import Stopwatch
from fairway.log import Log
from fairway.protocols.base import Dialect
from fairway.protocols.explaining import ExplainProtocol
from fairway.protocols.native import NativeProtocol
from fairway.protocols.sagemaker import SageMakerProtocol
from fairway.protocols.vertex import VertexProtocol
from fairway.registry.key_file import KeyFile
from fairway.server.access import ROUTES
from fairway.server.app import App, tell_lifetime
from fairway.server.call_routes import CallRoute
from fairway.server.cells import SharedCounts
from fairway.server.guard import Guard, Policy, is_loopback
from fairway.server.handlers import EXPLAIN_ROUTE, MODEL_EXPLAIN_ROUTE, Predictions
from fairway.server.keyring import KeyRing, KeySource, RegistryKeys
from fairway.server.management.application import Management
from fairway.server.management.office import Office
from fairway.server.metrics import Metrics
from fairway.server.multi_model import INVOKE_ROUTE, MultiModel, check_multi_model
from fairway.server.multi_model import RULES as MULTI_MODEL_RULES
from fairway.server.platforms import INVOCATIONS_ROUTE, Platforms, read_vertex_routes
from fairway.server.wire import Connection
from fairway.settings import ExplainSettings, LimitsSettings, LogSettings, Settings

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from fairway.registry.registry import Registry


def open_stores(settings: Settings, *, forking: int = 0) -> Registry:
    """Open the registry that the settings name; loads the database libraries.

    Args:
        settings: Settings in force.
        forking: Id of the process that forks workers later; 0 if none does.

    Raises:
        FairwayError: It cannot be opened; see `fairway.registry.registry.open_registry`.
    """
    from fairway.registry.registry import open_registry

    return open_registry(
        settings.home,
        database=settings.registry,
        artifacts=settings.artifacts,
        cache_bytes=settings.artifacts_cache_bytes,
        forking=forking,
    )


def build_protocol(limits: LimitsSettings) -> NativeProtocol:
    """Return the native dialect with its limits."""
    return NativeProtocol(**_body_limits(limits))


def build_explain_protocol(limits: LimitsSettings) -> ExplainProtocol:
    """Return the native dialect for the routes that explain."""
    return ExplainProtocol(**_body_limits(limits))


def _body_limits(limits: LimitsSettings) -> dict[str, int]:
    return {
        "max_rows": limits.max_rows,
        "max_depth": limits.max_json_depth,
        "max_text_chars": limits.max_text_chars,
        "max_gzip_bytes": limits.max_body_bytes if limits.gzip_requests else 0,
    }


def build_limits(settings: Settings) -> Limits:
    """Return what the settings say of the scheduling of a model's calls."""
    return Limits(
        timeout_s=settings.limits.predict_timeout_s,
        max_queue=settings.limits.max_queue,
        batching=settings.batching.mode,
        batch_rows=settings.batching.max_rows,
        batch_window_s=settings.batching.window_ms / 1e3,
    )


def build_explain_limits(settings: ExplainSettings) -> ExplainLimits:
    """Return what the settings say of explanations."""
    return ExplainLimits(budget_s=settings.budget_s, max_rows=settings.max_rows, max_queue=settings.max_queue)


def build_pool(settings: Settings, names: Sequence[str], *, log: Log) -> Pool:
    """Return a pool with every model loaded and proven.

    Args:
        settings: Settings in force.
        names: References, or paths of bundle files and folders; not both. Empty serves the whole registry.
        log: Gets what happens to models.

    Raises:
        FairwayError: A model cannot be found, loaded or trusted.
    """
    paths = [Path(name) for name in names if looks_like_path(name)]
    source: Source
    # This process loads; if there are to be several workers, it forks them afterwards.
    forking = os.getpid() if settings.server.workers > 1 else 0
    if settings.platforms.sagemaker_multi_model:
        check_multi_model(len(names), settings.server.workers)
        source = Shelf(lambda path: open_trusted(bundle_at(path), settings.home))
    elif paths and len(paths) == len(names):
        source, names = BundleSource([open_trusted(bundle_at(path), settings.home) for path in paths]), ()
    else:
        address = f"{socket.gethostname()}:{settings.server.port}"
        opening = partial(open_stores, settings, forking=forking)
        source = RegistrySource(opening, server=address, notify=log.event)

    limits = build_limits(settings)
    required = settings.server.require_signed_by

    def load(entry: Entry, bundle: Bundle) -> LoadedModel:
        if required:
            check_signed(settings.home, bundle, required)
        return load_model(
            bundle,
            name=entry.model,
            version=entry.version,
            limits=limits,
            predictor=settings.server.predictor,
        )

    pool = Pool(
        source,
        load,
        names=names,
        notify=log.event,
        max_loaded=0 if isinstance(source, Shelf) else settings.server.max_loaded,
        load_timeout_s=settings.server.load_timeout_s,
        patience_s=settings.limits.predict_timeout_s,
    )
    pool.load_all()
    return pool


def build_app(
    settings: Settings,
    pool: Pool,
    *,
    guard: Guard,
    log: Log,
    shared: SharedCounts | None = None,
    stopwatch: Stopwatch | None = None,
) -> App:
    """Return the server's application around a pool.

    Args:
        settings: Settings in force.
        pool: The models.
        guard: Judges every request.
        log: Gets access lines and failures.
        shared: The counts that all workers share; for a worker.
        stopwatch: Times the stages of every call; for measurements, never for a server.
    """
    metrics = Metrics(
        models=lambda: [(model.name, model.version, model.digest) for model in pool.served()],
        dropped_lines=lambda: log.lost,
        pool=pool,
        counts=shared,
        processes=_process_tree(shared) if shared else None,
    )
    router: Router = pool
    recorder: Recorder = metrics
    protocol: Dialect = build_protocol(settings.limits)
    if stopwatch is not None:
        router, recorder, protocol = stopwatch.around(router, recorder, protocol)
    lifetime = ("worker.started", "worker.stopped") if shared else ("server.started", "server.stopped")
    engine = Engine(
        router, recorder, limits=build_limits(settings), explain=build_explain_limits(settings.explain)
    )
    serve = partial(
        Predictions,
        engine,
        metrics=metrics,
        log=log,
        max_body_bytes=settings.limits.max_body_bytes,
        log_inputs=settings.log.inputs,
    )
    return App(
        predictions=serve(protocol),
        explanations=serve(
            build_explain_protocol(settings.limits), routes=(EXPLAIN_ROUTE, MODEL_EXPLAIN_ROUTE)
        ),
        guard=guard,
        pool=pool,
        metrics=metrics,
        log=log,
        host=settings.server.host,
        allowed_hosts=settings.server.allowed_hosts,
        version=importlib.metadata.version("fairway"),
        management=None if pool.is_fixed else build_management(settings, log=log),
        platforms=build_platforms(settings, pool, serve),
        tasks=(
            partial(tell_lifetime, log, *lifetime),
            pool.watch,
            Connection.watch,
            metrics.watch,
            *guard.ring.tasks(),
        ),
    )


def build_platforms(settings: Settings, pool: Pool, serve: Callable[..., Predictions]) -> Platforms:
    """Return the routes of platforms.

    Args:
        settings: Settings in force.
        pool: The models.
        serve: Makes what answers the calls of a dialect.

    Raises:
        SettingsError: A route that a platform asks for cannot be.
    """
    asked, limits = settings.platforms, settings.limits
    vertex = read_vertex_routes(asked.vertex_predict_route, asked.vertex_health_route)
    sagemaker = SageMakerProtocol(
        build_protocol(limits),
        max_rows=limits.max_rows,
        max_depth=limits.max_json_depth,
        max_text_chars=limits.max_text_chars,
        default_accept=asked.sagemaker_accept,
    )
    calls: dict[str, Dialect] = {INVOCATIONS_ROUTE: sagemaker}
    multi_model = None
    if isinstance(pool.source, Shelf):
        calls[INVOKE_ROUTE] = sagemaker
        multi_model = MultiModel(
            pool.source,
            pool,
            folder=asked.sagemaker_models,
            protocol=sagemaker,
            max_loaded=settings.server.max_loaded,
        )
    if vertex.predict:
        calls[vertex.predict] = VertexProtocol(build_protocol(limits), max_depth=limits.max_json_depth)
    return Platforms(
        [CallRoute(path, serve(protocol, routes=(path, path))) for path, protocol in calls.items()],
        vertex=vertex,
        multi_model=multi_model,
        max_body_bytes=limits.max_body_bytes,
        workers=settings.server.workers,
    )


def build_management(settings: Settings, *, log: Log) -> Management:
    """Return the management interface to the registry that the settings name; opened by its first call."""
    office = Office(
        partial(open_stores, settings),
        home=settings.home,
        policy=settings.trust.policy,
        gates=settings.gates,
        predictor=settings.server.predictor,
    )
    return Management(office, log=log)


def build_guard(settings: Settings, names: Sequence[str], *, log: Log) -> Guard:
    """Return the guard of a server, with the keys of the key file and of the registry read.

    Args:
        settings: Settings in force.
        names: What is served, as for `build_pool`: with bundles there is no registry to ask.
        log: Gets what becomes of the keys.

    Raises:
        SettingsError: Other machines reach the server, there is no key, and nobody said that none is needed.
        FairwayError: The keys cannot be read.
    """
    server = settings.server
    sources: dict[str, KeySource] = {}
    if server.keys_file is not None:
        sources["file"] = KeyFile(server.keys_file)
    store = None
    if server.auth != "off" and not (names and all(map(looks_like_path, names))):
        sources["registry"] = store = RegistryKeys(partial(open_stores, settings))
    ring = KeyRing(sources, store=store, notify=log.event)
    if server.auth != "off":
        ring.load()
    vertex = read_vertex_routes(
        settings.platforms.vertex_predict_route, settings.platforms.vertex_health_route
    )
    guard = Guard(
        ring,
        Policy(
            mode=server.auth,
            public_form=server.public_form,
            trusted_proxies=tuple(map(_network, server.trusted_proxies)),
            user=_user(),
        ),
        routes={
            **ROUTES,
            **vertex.rules(),
            **(MULTI_MODEL_RULES if settings.platforms.sagemaker_multi_model else {}),
        },
    )
    if not guard.is_on and server.auth == "auto" and not is_loopback(server.host):
        raise SettingsError(
            f"without API keys everybody who reaches {server.host} could use the server",
            hint="make a key: fairway keys create NAME --role predict; or say so: --no-auth",
        )
    return guard


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as cause:
        raise SettingsError(
            f"server.trusted_proxies holds {text[:60]!a}: {cause}", hint="such as 10.0.0.7 or 10.0.0.0/8"
        ) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _process_tree(shared: SharedCounts) -> Collector:
    from fairway.server.process_tree import ProcessTree

    return ProcessTree(shared.master, shared.pids)


def build_log(settings: LogSettings, *, threaded: bool = True) -> Log:
    """Return the log of a server, on standard error; without a thread for a process that will fork."""
    return Log(level=settings.level, access=settings.access, threaded=threaded)


def looks_like_bundle(model: object) -> bool:
    """Tell whether what is pushed is a bundle (by its content) rather than a model or model file."""
    return isinstance(model, str | Path) and is_bundle(Path(model))


def bundle_at(path: Path) -> Path:
    """Return the only bundle file in a folder that is no bundle: platforms unpack archives into one."""
    if path.is_dir() and not is_bundle(path):
        found = [inside for inside in path.glob("*.fairway") if is_bundle(inside)]
        if len(found) == 1:
            return found[0]
    return path


def open_trusted(path: Path, home: Path) -> Bundle:
    """Open a bundle file or folder that this home made itself, or that a key which it trusts has signed.

    Raises:
        UntrustedBundle: Somebody else made it, or an attachment of it.
    """
    bundle = open_bundle(path)
    check_admitted(home, bundle)
    return bundle
