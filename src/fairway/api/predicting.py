"""Predict in this process: a call, or every row of a file."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairway.api._common import open_to_look_up, outside_loop, settings_of

if TYPE_CHECKING:
    from fairway.batch.local import Progress, ScoreSummary
    from fairway.client._wire import Request
    from fairway.inference.loaded import LoadedModel
    from fairway.protocols.base import Dialect
    from fairway.settings import Settings


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
    from fairway.bundle.bundle import looks_like_path
    from fairway.inference.loaded import load_model

    settings = settings_of(home, {"server.predictor": predictor})
    bind = functools.partial(
        load_model, timeout_s=settings.limits.predict_timeout_s, predictor=settings.server.predictor
    )
    if looks_like_path(str(reference)):
        from fairway.assemble import open_trusted

        return bind(open_trusted(Path(reference), settings.home))
    with open_to_look_up(settings) as registry:
        version = registry.resolve(str(reference))
        bundle = registry.open(version)
    return bind(bundle, name=version.model, version=version.version)


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
        include: What to add: any of `probabilities`, `flags`, `explanation`.
        predictor: See `load`.
        home: Folder of the registry.

    Returns:
        The JSON document that a server would answer.
    """
    from fairway.assemble import build_protocol
    from fairway.client._wire import predict_request

    settings = settings_of(home)
    model = load(reference, predictor=predictor, home=settings.home)
    body = data.encode() if isinstance(data, str) else data
    request = predict_request(body, include=include)
    return _answer(model, request, build_protocol(settings.limits), settings)


def explain(
    reference: str | Path,
    data: Any,
    *,
    of: str = "",
    method: str = "auto",
    seed: int = 0,
    predictor: str | None = None,
    home: str | Path | None = None,
) -> Any:
    """Predict without a server and say why: what each input contributed, what each word weighs.

    Args:
        reference: A reference, or the path of a bundle.
        data: See `predict`; at most `explain.max_rows` rows.
        of: Name of a class or an output, or `each`. Default: what is predicted.
        method: `shapley` for contributions of whole inputs, `words` for weights of words. Default: what fits
            the inputs.
        seed: Which samples are drawn, where samples are drawn.
        predictor: See `load`.
        home: Folder of the registry.

    Returns:
        The JSON document that a server would answer: the prediction with the key `explanation`.

    Raises:
        ExplanationFailed: The model's answers to changed rows cannot be explained.
        ExplanationTimeout: It is too slow for the least that could be said within `explain.budget_s`.
        TooManyToExplain: There are too many rows.
    """
    from fairway.assemble import build_explain_protocol
    from fairway.client._wire import explain_request

    settings = settings_of(home)
    model = load(reference, predictor=predictor, home=settings.home)
    body = data.encode() if isinstance(data, str) else data
    request = explain_request(body, of=of, method=method, seed=seed)
    return _answer(model, request, build_explain_protocol(settings.limits), settings)


def _answer(model: LoadedModel, request: Request, protocol: Dialect, settings: Settings) -> Any:
    """Return what a server would answer to a request."""
    from fairway.assemble import build_explain_limits
    from fairway.inference.engine import engine_of
    from fairway.messages import Call

    path, _, query = request.target.partition("?")
    call = Call("POST", path, query, lambda _: "", request.body or b"")
    engine = engine_of(model, explain=build_explain_limits(settings.explain))
    reply = outside_loop(lambda: asyncio.run(engine.answer(call, protocol)))
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
    from fairway.inference.aside import load_aside

    settings = settings_of(home)
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
    model = load_aside(functools.partial(load, reference, home=settings.home))
    return score_file(model, Path(source), Path(output), options, on_progress=on_progress or (lambda _: None))
