"""From a trained model to a bundle, and to a version of the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairway.api._common import actor, backend, default_name, is_remote, open_registry, settings_of
from fairway.bundle.bundle import open_bundle
from fairway.errors import UsageError
from fairway.lifecycle.taking import take_in

if TYPE_CHECKING:
    from fairway.bundle.bundle import Bundle
    from fairway.client.management import RemoteRegistry
    from fairway.registry.records import Version


_POLICY_OPTIONS = frozenset({"unseen_category", "out_of_range"})


def pack(  # noqa: PLR0913 - the one verb that states everything about a model; all but two by name
    model: Any,
    path: str | Path,
    *,
    example: Any = None,
    name: str | None = None,
    target: str | None = None,
    outputs: Sequence[str] = (),
    classes: Sequence[Any] = (),
    code: Sequence[str | Path] = (),
    files: Sequence[str | Path] = (),
    preprocess: Any = None,
    postprocess: Any = None,
    vectorised: bool = False,
    metrics: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    author: str = "",
    description: str = "",
    lineage: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    feed: str | None = None,
    unseen_category: str = "flag",
    out_of_range: str = "flag",
    trust: Sequence[str] = (),
    compile: str = "auto",  # noqa: A002 - the word that the command line has for it
    home: str | Path | None = None,
) -> Bundle:
    """Write a trained model and everything that is needed to serve it to *path*.

    The packed copy is loaded in a fresh process and must answer the golden examples as the original did. It
    is compiled there, too; what was proven equal is attached to the bundle.

    Args:
        model: A fitted model, or the path of a model file or folder in any format that a flavor reads; or a
            function or class of yours, which `"model.py:predict"` names, too.
        path: Where the bundle goes: a folder, or one file if it ends in `.fairway`. Never overwritten.
        example: Rows as they will arrive in production: a file (CSV, Parquet, JSON, NDJSON), a pandas, polars
            or pyarrow frame, an array, a list of dicts, a list of texts. Needed, unless the model is a folder
            that holds an example.
        name: Name of the model. Default: the stem of the model file, or of *path*.
        target: Column of the example that is not an input.
        outputs: Names of the outputs. Default: `prediction`.
        classes: Classes of a network, in the order of its numbers for them. Models that know their classes
            take none.
        code: Modules of yours (`.py` files or package folders) that the model needs.
        files: Data files that your code reads in `load(files)`.
        preprocess: Function that turns a record into what the model takes (a dict, a text, a vector):
            `"module:function"`, `"module:Class.method"`, or the function itself.
        postprocess: Function that turns the model's answer into the outputs: a value, or a dict of them.
        vectorised: Whether these two take a list of all rows instead of one after the other.
        metrics: Figures to record, by name.
        tags: Free key-value pairs.
        author: Who packs it. Default: the user of this process.
        description: What the model is for.
        lineage: Where it comes from (data, commit, run), by name.
        kinds: Kinds of inputs that are stated rather than learnt, by name.
        feed: How the model is fed (`frame`, `matrix`, `records`, `texts`, `columns`, `tensors`). Default:
            found out by trying; `records` for code of yours.
        unseen_category: `flag`, `reject` or `pass` categories that the example does not hold.
        out_of_range: The same for numbers outside the example's range.
        trust: Types (`module.Class`) that the model file may construct beside those known to be harmless.
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
    from fairway.bundle import known
    from fairway.bundle.safety import Trust
    from fairway.lifecycle.compiling import check_mode
    from fairway.lifecycle.own import Own
    from fairway.lifecycle.pack import Facts, Wishes, pack_model

    settings = settings_of(home)
    target_path = Path(path)
    if target_path.exists():
        raise UsageError(
            f"{target_path} exists and is not overwritten", hint="choose another path or remove it"
        )
    bundle = pack_model(
        model,
        name=name or default_name(model) or target_path.stem,
        example=example,
        own=Own(
            code=code, files=files, preprocess=preprocess, postprocess=postprocess, vectorised=vectorised
        ),
        facts=Facts(
            metrics=metrics or {},
            tags=tags or {},
            author=author or actor(),
            description=description,
            lineage=lineage or {},
        ),
        wishes=Wishes(
            target=target,
            outputs=outputs,
            classes=classes,
            kinds=kinds or {},
            feed=feed,
            unseen_category=unseen_category,
            out_of_range=out_of_range,
        ),
        trust=Trust.naming(trust, policy=settings.trust.policy),
        compile=check_mode(compile),
    )
    bundle.save(target_path)
    known.remember(settings.home, bundle)
    return bundle


def push(  # noqa: PLR0913 - all but the model by name
    model: Any,
    *,
    name: str | None = None,
    example: Any = None,
    reason: str = "",
    compile: str = "auto",  # noqa: A002 - see pack
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Version:
    """Register a model as the next version.

    Args:
        model: What `pack` takes, or the path of a bundle. One that was packed elsewhere is taken as it is if
            a trusted key has signed it; else it is checked, proven and compiled as a foreign model file is.
        name: Name of the model. Default: the stem of its file; for a bundle, the name that it has.
        example: See `pack`. Not for a bundle, which holds its own.
        reason: Why; kept in the history.
        compile: See `pack`. What a bundle brings along is not compiled again; `off` leaves it out.
        home: Folder of the registry.
        server: Address of a server whose registry gets the version; the model is packed and proven here, and
            what the server lacks of the bundle is uploaded. Default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.
        progress: Gets how many bytes of the upload are there, and how many there are in all.
        **options: Everything else that `pack` takes.

    Returns:
        The new version. A refused push leaves no trace in the registry.

    Raises:
        UntrustedBundle: The bundle was packed elsewhere, no key that this home trusts has signed it, and its
            model could run code.
        PredictorNotProven: Nothing compiled was proven, and *compile* is `require`.
    """
    from fairway.assemble import looks_like_bundle
    from fairway.client.management import RemoteRegistry
    from fairway.lifecycle.compiling import check_mode

    mode = check_mode(compile)
    is_bundle = looks_like_bundle(model)
    if is_bundle:
        _check_nothing_stated({"example": example, **options})
    else:
        name = name or default_name(model)
        if not name:
            raise UsageError("the model needs a name", hint='give one: name="coffee"')
    # What is refused is refused before there is a registry: a home that was empty stays so.
    taken = None
    if is_bundle and not is_remote(home, server):
        taken = take_in(open_bundle(model), settings_of(home).home, mode=mode)
    with backend(home, server, key) as registry, tempfile.TemporaryDirectory(prefix="fairway-push-") as made:
        path = Path(made) / ("bundle.fairway" if isinstance(registry, RemoteRegistry) else "bundle")
        if not is_bundle:
            taken = pack(model, path, name=name, example=example, compile=mode, home=home, **options)
        if isinstance(registry, RemoteRegistry):
            return _upload(registry, Path(model) if is_bundle else path, name, reason, mode, progress)
        assert taken is not None  # noqa: S101 - packed just now, or taken in above
        return registry.register(taken, name=name, actor=actor(), reason=reason)


def _check_nothing_stated(options: Mapping[str, Any]) -> None:
    """Refuse what would be stated again of a bundle that states it.

    Raises:
        UsageError: Something is.
    """
    stated = sorted(name for name, value in options.items() if value and name not in _POLICY_OPTIONS)
    if stated:
        raise UsageError(
            f"a bundle holds its own {stated[0]}; it cannot be stated again",
            hint="push the model file instead, or the bundle alone",
        )


def _upload(
    registry: RemoteRegistry,
    path: Path,
    name: str | None,
    reason: str,
    mode: str,
    progress: Callable[[int, int], None] | None,
) -> Version:
    """Send a bundle to a server, as one file."""
    bundle = open_bundle(path)
    with tempfile.TemporaryDirectory(prefix="fairway-push-") as folder:
        if path.is_dir():
            path = bundle.save(Path(folder) / "bundle.fairway")
        return registry.upload(path, name or bundle.manifest.name, reason=reason, mode=mode, tell=progress)


def pull(
    reference: str,
    path: str | Path,
    *,
    home: str | Path | None = None,
    server: str | None = None,
    key: str | None = None,
) -> Bundle:
    """Write a version of the registry to *path*, as `pack` does.

    A bundle that a server sent is no more trusted here than any other that was packed elsewhere.

    Args:
        reference: A model, a version or an alias.
        path: The file or folder to write. Never overwritten.
        home: Folder of the registry.
        server: Address of a server whose registry is meant instead; default: the setting `remote.server`.
        key: API key for the server; default: the variable `FAIRWAY_API_KEY`.

    Raises:
        ArtifactDigest: A stored file is not the one that was registered.
    """
    from fairway.bundle import known
    from fairway.client.management import RemoteRegistry

    with backend(home, server, key) as registry:
        if isinstance(registry, RemoteRegistry):
            with registry.download(reference) as bundle:
                bundle.save(Path(path))
                return open_bundle(path)
        bundle = registry.open(registry.resolve(reference))
        bundle.save(Path(path))
    known.remember(settings_of(home).home, bundle)
    return bundle


def compile(reference: str | Path, *, home: str | Path | None = None) -> dict[str, Any]:  # noqa: A001 - the verb
    """Compile a version, or a bundle file or folder, prove the result, and attach what was proven.

    The model is loaded and run in a fresh process. A running server takes a new predictor by itself.

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
    from fairway.bundle import known
    from fairway.bundle.admission import check_admitted
    from fairway.bundle.bundle import looks_like_path
    from fairway.lifecycle.compiling import prove_and_compile, report_of

    settings = settings_of(home)
    if looks_like_path(str(reference)):
        bundle = open_bundle(reference, attachments=False)
        check_admitted(settings.home, bundle)
        compiled = prove_and_compile(bundle)
        known.remember(settings.home, compiled)
        compiled.save_attachments(Path(reference))
        return report_of(compiled) or {}
    with open_registry(settings) as registry:
        version = registry.resolve(str(reference))
        compiled = prove_and_compile(registry.open(version, attachments=False))
        for attachment in compiled.attachments.values():
            registry.attach(attachment, actor=actor())
    return report_of(compiled) or {}
