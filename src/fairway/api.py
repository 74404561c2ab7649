"""The public verbs: one function each, the same that the command line calls.

Functions take plain values and a `home`; everything else comes from the settings (see `settings.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import getpass
import json
import os
import platform
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fairway.errors import FairwayError, UsageError
from fairway.settings import Settings, load_settings

if TYPE_CHECKING:  # every verb loads what it needs when it is called: `fairway --help` needs none of it
    from fairway.batch.local import Progress, ScoreSummary
    from fairway.bundle.bundle import Bundle
    from fairway.bundle.manifest import Manifest
    from fairway.bundle.signature import Signature
    from fairway.inference.loaded import LoadedModel
    from fairway.registry.records import Event, ModelSummary, Move, Version
    from fairway.registry.registry import Registry
    from fairway.server.bench import HotPath
    from fairway.tuning.trials import Tuning

Result = TypeVar("Result")

PRODUCTION = "production"
_POLICY_OPTIONS = frozenset({"unseen_category", "out_of_range"})


@dataclasses.dataclass(frozen=True)
class ModelView:
    """Everything about one version and its model.

    Attributes:
        version: The version.
        manifest: What its bundle says of itself.
        signature: Its inputs and outputs.
        card: The model card, in Markdown.
        predictor: What answers for it where everything is installed: a compiler's name, or `native`.
        reason: Why this one, in a sentence.
        compilation: The report of its compilation; None if it was not compiled.
        versions: All versions of the model, oldest first.
        aliases: Version number by alias.
        history: Everything that happened to the model, oldest first.
    """

    version: Version
    manifest: Manifest
    signature: Signature
    card: str
    predictor: str
    reason: str
    compilation: dict[str, Any] | None
    versions: list[Version]
    aliases: dict[str, int]
    history: list[Event]

    def _repr_html_(self) -> str:
        from fairway.bundle.display import html_of_view

        return html_of_view(self)


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that `doctor` looked at."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def pack(  # noqa: PLR0913 - the one verb that states everything about a model; all but two by name
    model: Any,
    path: str | Path,
    *,
    example: Any,
    name: str | None = None,
    target: str | None = None,
    outputs: Sequence[str] = (),
    code: Sequence[str | Path] = (),
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    author: str = "",
    description: str = "",
    lineage: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    feed: str | None = None,
    unseen_category: str = "flag",
    out_of_range: str = "flag",
    compile: str = "auto",  # noqa: A002 - the word that the command line has for it
    home: str | Path | None = None,
) -> Bundle:
    """Write a trained model and everything that is needed to serve it to *path*.

    The packed copy is loaded in a fresh process and must answer the golden examples as the original did. It
    is compiled there, too; what was proven equal is attached to the bundle.

    Args:
        model: A fitted estimator or pipeline, or the path of a joblib or pickle file.
        path: Where the bundle goes: a folder, or one file if it ends in `.fairway`. Never overwritten.
        example: Rows as they will arrive in production: a file (CSV, Parquet, JSON, NDJSON), a pandas, polars
            or pyarrow frame, an array, a list of dicts, a list of texts.
        name: Name of the model. Default: the stem of the model file, or of *path*.
        target: Column of the example that is not an input.
        outputs: Names of the outputs. Default: `prediction`.
        code: Modules of yours (`.py` files or package folders) that the model needs.
        metrics: Figures to record, by name.
        tags: Free key-value pairs.
        author: Who packs it. Default: the user of this process.
        description: What the model is for.
        lineage: Where it comes from (data, commit, run), by name.
        kinds: Kinds of inputs that are stated rather than learnt, by name.
        feed: How the model is fed (`frame`, `matrix`, `records`, `texts`). Default: found out by trying.
        unseen_category: `flag`, `reject` or `pass` categories that the example does not hold.
        out_of_range: The same for numbers outside the example's range.
        compile: `auto` lets the model serve as it is where nothing compiled was proven, `require` refuses
            that, `off` does not compile.
        home: Folder of the registry that will know the bundle as its own.

    Raises:
        BundleError: The model, its file or the example cannot be used.
        PackedModelDiffers: The packed copy answers otherwise.
        PredictorNotProven: Nothing compiled was proven, and *compile* is `require`.

    Example:
        >>> bundle = fw.pack(model, "iris.fairway", example=X)  # doctest: +SKIP
    """
    from fairway.bundle import trust
    from fairway.lifecycle.compiling import check_mode
    from fairway.lifecycle.pack import Facts, Wishes, pack_model

    target_path = Path(path)
    if target_path.exists():
        raise UsageError(
            f"{target_path} exists and is not overwritten", hint="choose another path or remove it"
        )
    bundle = pack_model(
        model,
        name=name or _default_name(model) or target_path.stem,
        example=_needed(example),
        code=code,
        facts=Facts(
            metrics=metrics or {},
            tags=tags or {},
            author=author or _actor(),
            description=description,
            lineage=lineage or {},
        ),
        wishes=Wishes(
            target=target,
            outputs=outputs,
            kinds=kinds or {},
            feed=feed,
            unseen_category=unseen_category,
            out_of_range=out_of_range,
        ),
        compile=check_mode(compile),
    )
    bundle.save(target_path)
    trust.remember(_settings(home).home, bundle)
    return bundle


def push(
    model: Any,
    *,
    name: str | None = None,
    example: Any = None,
    reason: str = "",
    compile: str = "auto",  # noqa: A002 - see pack
    home: str | Path | None = None,
    **options: Any,
) -> Version:
    """Register a model as the next version.

    Args:
        model: What `pack` takes, or the path of a bundle that this home packed.
        name: Name of the model. Default: the stem of its file; for a bundle, the name that it has.
        example: See `pack`. Not for a bundle, which holds its own.
        reason: Why; kept in the history.
        compile: See `pack`. What a bundle brings along is not compiled again; `off` leaves it out.
        home: Folder of the registry.
        **options: Everything else that `pack` takes.

    Returns:
        The new version. A refused push leaves no trace in the registry.

    Raises:
        UntrustedBundle: The bundle was packed elsewhere.
        PredictorNotProven: Nothing compiled was proven, and *compile* is `require`.
    """
    import tempfile

    from fairway.assemble import looks_like_bundle, open_trusted
    from fairway.lifecycle.compiling import check_mode, compile_packed

    mode = check_mode(compile)

    folder = _settings(home).home
    if looks_like_bundle(model):
        stated = sorted(name for name, value in {"example": example, **options}.items() if value)
        stated = [name for name in stated if name not in _POLICY_OPTIONS]
        if stated:
            raise UsageError(
                f"a bundle holds its own {stated[0]}; it cannot be stated again",
                hint="push the model file instead, or the bundle alone",
            )
        bundle = compile_packed(open_trusted(Path(model), folder), mode=mode)
        with _registry(folder) as registry:
            return registry.register(bundle, name=name, actor=_actor(), reason=reason)
    name = name or _default_name(model)
    if not name:
        raise UsageError("the model needs a name", hint='give one: name="coffee"')
    with tempfile.TemporaryDirectory(prefix="fairway-push-") as temporary, _registry(folder) as registry:
        path = Path(temporary) / "bundle"
        bundle = pack(model, path, name=name, example=example, compile=mode, home=folder, **options)
        return registry.register(bundle, actor=_actor(), reason=reason)


def pull(reference: str, path: str | Path, *, home: str | Path | None = None) -> Bundle:
    """Write a version of the registry to *path*, as `pack` does.

    Raises:
        ArtifactDigest: A stored file is not the one that was registered.
    """
    from fairway.bundle import trust

    folder = _settings(home).home
    with _registry(folder) as registry:
        bundle = registry.open(registry.resolve(reference))
        bundle.save(Path(path))
    trust.remember(folder, bundle)
    return bundle


def compile(reference: str | Path, *, home: str | Path | None = None) -> dict[str, Any]:  # noqa: A001 - the verb
    """Compile a version, or a bundle file or folder, prove the result, and attach what was proven.

    The model is loaded and run in a fresh process. A running server takes a new predictor at its next start.

    Args:
        reference: A reference, or the path of a bundle that this home packed.
        home: Folder of the registry.

    Returns:
        The report: `predictor` and `reason`, and for each of the `compilers` verdict, rows, worst difference
        and time.

    Raises:
        PackedModelDiffers: The model does not answer here as it did when it was packed.
        UntrustedBundle: The bundle was packed elsewhere.
    """
    from fairway.assemble import looks_like_path
    from fairway.bundle import trust
    from fairway.bundle.bundle import open_bundle
    from fairway.lifecycle.compiling import prove_and_compile, report_of

    folder = _settings(home).home
    if looks_like_path(str(reference)):
        bundle = open_bundle(reference, attachments=False)
        trust.check_known(folder, bundle)
        compiled = prove_and_compile(bundle)
        trust.remember(folder, compiled)
        compiled.save_attachments(Path(reference))
        return report_of(compiled) or {}
    with _registry(folder) as registry:
        version = registry.resolve(str(reference))
        compiled = prove_and_compile(registry.open(version, attachments=False))
        for attachment in compiled.attachments.values():
            registry.attach(attachment, actor=_actor())
    return report_of(compiled) or {}


def load(
    reference: str | Path, *, predictor: str | None = None, home: str | Path | None = None
) -> LoadedModel:
    """Load a version, or a bundle file or folder, into this process and replay its golden examples.

    Args:
        reference: A reference, or the path of a bundle.
        predictor: What answers: `auto`, `native`, `numpy` or `onnx`. Default: the setting.
        home: Folder of the registry.

    Raises:
        PackedModelDiffers: It does not answer here as it did when it was packed.
        PredictorNotProven: *predictor* was not proven for it.
    """
    from fairway.assemble import looks_like_path, open_trusted
    from fairway.inference.loaded import load_model

    settings = _settings(home, {"server.predictor": predictor})
    bind = functools.partial(
        load_model, timeout_s=settings.limits.predict_timeout_s, predictor=settings.server.predictor
    )
    if looks_like_path(str(reference)):
        return bind(open_trusted(Path(reference), settings.home))
    with _registry(settings.home) as registry:
        version = registry.resolve(str(reference))
        bundle = registry.open(version)
    return bind(bundle, name=version.model, version=version.version)


def list_models(*, home: str | Path | None = None) -> list[ModelSummary]:
    """Return a summary of every model, by name."""
    with _registry(_settings(home).home) as registry:
        return registry.models()


def show(reference: str, *, home: str | Path | None = None) -> ModelView:
    """Return everything about the version that a reference stands for, and about its model."""
    from fairway.inference.predictors import choices_of
    from fairway.lifecycle.compiling import report_of

    with _registry(_settings(home).home) as registry:
        version = registry.resolve(reference)
        bundle = registry.open(version)
        choice = choices_of(bundle)[0]
        summaries = {summary.name: summary for summary in registry.models()}
        return ModelView(
            version=version,
            manifest=bundle.manifest,
            signature=bundle.signature,
            card=bundle.card,
            predictor=choice.name,
            reason=choice.reason,
            compilation=report_of(bundle),
            versions=registry.versions(version.model),
            aliases=summaries[version.model].aliases,
            history=registry.history(version.model),
        )


def alias(reference: str, alias: str, *, reason: str = "", home: str | Path | None = None) -> Move:
    """Let an alias stand for the version that *reference* stands for now.

    Args:
        reference: Usually a version, such as `coffee:2`.
        alias: Name such as `production`.
        reason: Why; kept in the history.
        home: Folder of the registry.
    """
    with _registry(_settings(home).home) as registry:
        version = registry.resolve(reference)
        return registry.move_alias(version.model, alias, version.version, actor=_actor(), reason=reason)


def remove_alias(reference: str, *, reason: str = "", home: str | Path | None = None) -> Move:
    """Take an alias away; its history stays.

    Args:
        reference: The alias, such as `coffee@challenger`.
        reason: Why; kept in the history.
        home: Folder of the registry.
    """
    from fairway.bundle.names import parse_reference

    parsed = parse_reference(reference)
    if parsed.alias is None:
        raise UsageError(f"{reference!r} names no alias", hint="write it like coffee@challenger")
    with _registry(_settings(home).home) as registry:
        return registry.remove_alias(parsed.model, parsed.alias, actor=_actor(), reason=reason)


def rollback(
    model: str, alias: str = PRODUCTION, *, reason: str = "", home: str | Path | None = None
) -> Move:
    """Let an alias stand for what it stood for before; done again it goes further back.

    Raises:
        NothingToRollBack: The alias has no earlier target.
    """
    with _registry(_settings(home).home) as registry:
        return registry.rollback(model, alias, actor=_actor(), reason=reason)


def predict(
    reference: str | Path,
    data: Any,
    *,
    include: Iterable[str] = (),
    predictor: str | None = None,
    home: str | Path | None = None,
) -> Any:
    """Predict without a server, through the same reader, model and writer.

    Args:
        reference: A reference, or the path of a bundle.
        data: A record, a list of records, a frame, or a body as JSON text.
        include: What to add: any of `probabilities`, `flags`.
        predictor: See `load`.
        home: Folder of the registry.

    Returns:
        The JSON document that a server would answer.
    """
    from fairway.assemble import build_protocol
    from fairway.client._wire import predict_request
    from fairway.inference.engine import engine_of
    from fairway.messages import Call

    settings = _settings(home)
    model = load(reference, predictor=predictor, home=settings.home)
    body = data.encode() if isinstance(data, str) else data
    request = predict_request(body, include=include)
    query = request.target.partition("?")[2]
    call = Call("POST", "/predict", query, lambda _: "", request.body or b"")
    protocol = build_protocol(settings.limits)
    reply = _outside_loop(lambda: asyncio.run(engine_of(model).answer(call, protocol)))
    return json.loads(reply.body)


def score(  # noqa: PLR0913 - everything about a run is said here; all but three by name
    reference: str | Path,
    source: str | Path,
    output: str | Path,
    *,
    format: str | None = None,  # noqa: A002 - the word for it everywhere
    include: Iterable[str] = (),
    keep: Iterable[str] | None = (),
    strict: bool = False,
    overwrite: bool = False,
    restart: bool = False,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    home: str | Path | None = None,
) -> ScoreSummary:
    """Predict every row of a file, in constant memory, on all cores.

    A run that was interrupted goes on when the same call is made again, and its output is the same to the
    last byte as that of a run that was not.

    Args:
        reference: A reference, or the path of a bundle.
        source: The input: CSV, TSV, NDJSON, Parquet, Arrow IPC file (feather) or stream, told by its content.
        output: Where the predictions go. The file is there when all rows are.
        format: Format of the output: `csv`, `tsv`, `ndjson`, `parquet`, `arrow`, `arrows`. Default: by its
            name.
        include: What to add: `probabilities`.
        keep: Columns of the input to copy to the output; None copies all.
        strict: Stop at the first row that does not fit, instead of noting it in `<output>.errors.ndjson`.
        overwrite: Replace an output that is there.
        restart: Forget what an interrupted run has done.
        workers: Processes. Default: one per core.
        on_progress: Told now and then how far it is.
        home: Folder of the registry.

    Raises:
        BatchError: The input cannot be read or does not fit the model, the output exists, a row is at fault.
    """
    from fairway.batch.local import ScoreOptions, score_file

    settings = _settings(home)
    options = ScoreOptions(
        format=format,
        include=frozenset(include),
        keep=None if keep is None else tuple(keep),
        strict=strict,
        overwrite=overwrite,
        restart=restart,
        workers=workers,
        max_text_chars=settings.limits.max_text_chars,
        max_depth=settings.limits.max_json_depth,
    )
    # The registry is closed again when the model is there: workers are forked from this process.
    model = load(reference, home=settings.home)
    return score_file(model, Path(source), Path(output), options, on_progress=on_progress or (lambda _: None))


def serve(
    *references: str,
    host: str | None = None,
    port: int | str | None = None,
    predictor: str | None = None,
    workers: int | str | None = None,
    home: str | Path | None = None,
) -> None:
    """Serve models over HTTP until stopped.

    Args:
        *references: Models of the registry (`coffee`, `coffee:3`, `coffee@challenger`), or paths of bundles.
            None serves the whole registry.
        host: Address to listen on.
        port: Port to listen on; 0 lets the system choose.
        predictor: See `load`.
        workers: Processes that answer. More than one share the memory of the models, and a main thread is
            needed to serve from.
        home: Folder of the registry.

    Raises:
        PortInUse: Another process listens there.
        FairwayError: A model cannot be found, loaded or trusted.
    """
    from fairway.assemble import build_app, build_log, build_pool
    from fairway.server.listen import listen, run

    stated = {"host": host, "port": port, "workers": workers, "predictor": predictor}
    settings = _settings(home, {f"server.{name}": value for name, value in stated.items()})
    if settings.server.workers > 1:
        _serve_with_workers(settings, references)
        return
    with listen(settings.server.host, settings.server.port) as bound:
        log = build_log(settings.log)
        pool = build_pool(settings, references, log=log)
        run(build_app(settings, pool, log=log), bound, log=log, models=pool.served_models())


def _serve_with_workers(settings: Settings, references: Sequence[str]) -> None:
    from fairway.assemble import build_app, build_log, build_pool
    from fairway.server.listen import check_workers, listen

    check_workers(settings.server.workers)
    from fairway.server.supervisor import supervise

    with listen(settings.server.host, settings.server.port) as bound:
        log = build_log(settings.log, threaded=False)
        supervise(
            lambda: build_pool(settings, references, log=log),
            lambda pool, shared: build_app(settings, pool, log=log, shared=shared),
            bound,
            workers=settings.server.workers,
            log=log,
            patience_s=settings.limits.predict_timeout_s,
        )


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

    tuning = Tuner(str(reference), home=_settings(home).home, seconds=seconds, tell=tell or str).run()
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

    counts = [_row_count(count) for count in rows]
    settings = _settings(home)
    with Path(os.devnull).open("wb") as nowhere:
        log = Log(nowhere, level=settings.log.level, access=settings.log.access)
        pool = build_pool(settings, [str(reference)], log=log)
        (model,) = pool.served()
        found = _outside_loop(
            lambda: measure(
                lambda stopwatch: build_app(settings, pool, log=log, stopwatch=stopwatch),
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


def doctor(reference: str | None = None, *, home: str | Path | None = None) -> list[Check]:
    """Look at Python, packages, home and registry; with a reference also at that model's environment."""
    settings = _settings(home)
    checks = [
        Check("python", ok=True, detail=f"Python {platform.python_version()} on {platform.platform()}"),
        Check("sqlite", ok=True, detail=f"SQLite {sqlite3.sqlite_version}"),
        _check_home(settings.home),
        _check_registry(settings.home),
    ]
    if reference is not None:
        checks.extend(_check_model(reference, settings))
    return checks


def _check_home(home: Path) -> Check:
    if not home.exists():
        return Check("home", ok=True, detail=f"{home} does not exist yet; the first push makes it")
    free = shutil.disk_usage(home).free
    detail = f"{home}, {free / 2**30:.1f} GiB free"
    return Check("home", ok=free > 2**27, detail=detail, hint="free some disk space")


def _check_registry(home: Path) -> Check:
    if not (home / "registry.db").exists():
        return Check("registry", ok=True, detail="no registry yet")
    try:
        with _registry(home) as registry:
            problems = registry.check()
            count = len(registry.models())
    except FairwayError as error:
        return Check("registry", ok=False, detail=error.detail, hint=error.hint)
    if problems:
        return Check("registry", ok=False, detail="; ".join(problems), hint="restore the home from a backup")
    return Check("registry", ok=True, detail=f"{count} models, database intact")


def _check_model(reference: str, settings: Settings) -> list[Check]:
    from fairway.bundle.lockfile import compare_environment, requirements

    try:
        with _registry(settings.home) as registry:
            bundle = registry.open(registry.resolve(reference))
    except FairwayError as error:
        return [Check(reference, ok=False, detail=error.detail, hint=error.hint)]
    found = [Check("files", ok=True, detail=f"{len(bundle.manifest.files)} files, every hash is right")]
    changed = compare_environment(bundle.environment)
    wanted = " ".join(f"'{line}'" for line in requirements(bundle.environment))
    try:
        load(reference, home=settings.home)
    except FairwayError as error:
        found.append(
            Check(
                "golden examples",
                ok=False,
                detail=error.detail,
                hint=f"pip install {wanted}" if changed else error.hint,
            )
        )
    else:
        found.append(Check("golden examples", ok=True, detail="answered as when the model was packed"))
    detail = "; ".join(changed) if changed else "as recorded"
    found.append(
        Check("environment", ok=found[-1].ok or not changed, detail=detail, hint=f"pip install {wanted}")
    )
    return found


def _settings(home: str | Path | None, flags: Mapping[str, Any] | None = None) -> Settings:
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    if home is not None:
        given["home"] = str(home)
    settings, _ = load_settings(flags=given)
    return settings


@contextlib.contextmanager
def _registry(home: Path) -> Iterator[Registry]:
    from fairway.assemble import open_home

    registry = open_home(home)
    try:
        yield registry
    finally:
        registry.close()


def _outside_loop(run: Callable[[], Result]) -> Result:
    """Call what runs an event loop of its own, also where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(run).result()


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _default_name(model: Any) -> str:
    return Path(model).stem.lower() if isinstance(model, str | Path) else ""


def _needed(example: Any) -> Any:
    if example is None:
        raise UsageError(
            "the signature is learnt from an example table, and none was given",
            hint="--example train.csv --target COLUMN",
        )
    return example
