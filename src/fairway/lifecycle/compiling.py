"""From a packed model to its compiled predictor: tried and proven in a fresh process, kept as an attachment.

The process that proves the packed copy goes on to compile it, so that a push starts one process, not two. A
compiler may fail, hang or take its process down: the model then serves as it is, and the report says why.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from fairway.bundle.attachment import Attachment, build_attachment
from fairway.bundle.bundle import Bundle, open_bundle
from fairway.bundle.signing import seals_of
from fairway.bundle.validation import Validator
from fairway.compilers.report import ATTACHMENT, REPORT, failure_report, proven, read_report, write_report
from fairway.errors import ArtifactCorrupt, FairwayError, PredictorNotProven, UsageError
from fairway.inference import proof
from fairway.inference.predictors import load_native
from fairway.messages import Columns

Mode = Literal["auto", "off", "require"]
MODES: tuple[Mode, ...] = ("auto", "off", "require")

MAX_ROWS = 1000
"""Rows of the example that the proof gets, spread over all of them; it takes no more."""


def check_mode(text: str) -> Mode:
    """Return *text* if it says how to compile.

    Raises:
        UsageError: It does not.
    """
    for mode in MODES:
        if mode == text:
            return mode
    raise UsageError(f"compile cannot be {text!r}", hint=f"use one of: {', '.join(MODES)}")


def prove_and_compile(
    bundle: Bundle, *, rows: Columns | None = None, mode: Mode = "auto", timeout_s: float = 600.0
) -> Bundle:
    """Prove a packed model in a fresh process, compile it there, and return it with what came of it.

    Its seals stay, though none covers what was made here.

    Args:
        bundle: The packed model.
        rows: Rows of the example, for the comparison of compiled and original.
        mode: `auto` keeps the original where nothing compiled was proven, `require` refuses that, `off` does
            not compile.
        timeout_s: Longest time for all of it.

    Raises:
        BundleError: The packed copy does not answer as the original did.
        PredictorNotProven: Nothing compiled was proven, and *mode* is `require`.
    """
    if mode == "off":
        proof.prove(bundle, timeout_s=timeout_s)
        return bundle.with_attachments(seals_of(bundle))
    with tempfile.TemporaryDirectory(prefix="fairway-proof-") as temporary:
        folder = Path(temporary)
        path = bundle.with_attachments([]).save(folder / "bundle")
        given = folder / "rows.json"
        given.write_bytes(msgspec.json.encode(_spread(rows)))
        ended = proof.run_fresh(__name__, [str(path), str(given)], folder=folder, timeout_s=timeout_s)
        proof.judge(ended)
        found = open_bundle(path).attachments.get(ATTACHMENT) if ended.status == 0 else None
        if found:
            attachment = _kept(found)
        else:
            attachment = _failure(bundle, f"the process that compiled it failed ({ended.last_words})")
    compiled = bundle.with_attachments([*seals_of(bundle), attachment])
    if mode == "require":
        require_compiled(compiled)
    return compiled


def compile_packed(bundle: Bundle, *, mode: Mode = "auto") -> Bundle:
    """Return a bundle that was packed before, with a compiled predictor as *mode* wishes.

    What it brings along is kept. A model that cannot even be loaded here is no obstacle to `auto`: whether it
    may be registered was decided when it was packed.

    Raises:
        PredictorNotProven: Nothing compiled was proven, and *mode* is `require`.
    """
    if mode == "off":
        return bundle.with_attachments(seals_of(bundle))
    if ATTACHMENT not in bundle.attachments:
        try:
            bundle = prove_and_compile(bundle, mode="auto")
        except FairwayError as error:
            bundle = bundle.with_attachments([*seals_of(bundle), _failure(bundle, error.detail)])
    if mode == "require":
        require_compiled(bundle)
    return bundle


def report_of(bundle: Bundle) -> dict[str, Any] | None:
    """Return the report of a bundle's compilation, or None if there is none that this release reads."""
    attachment = bundle.attachments.get(ATTACHMENT)
    if attachment is None:
        return None
    try:
        return read_report(attachment.read)
    except ArtifactCorrupt:
        return None


def require_compiled(bundle: Bundle) -> None:
    """Refuse a bundle for which nothing compiled was proven.

    Raises:
        PredictorNotProven: Says why.
    """
    report = report_of(bundle)
    if report is None or not proven(report):
        why = report["reason"] if report else "it was not compiled"
        raise PredictorNotProven(
            f"no compiled predictor of {bundle.manifest.name!r} was proven: {why}",
            hint="leave --compile at auto to serve the model as it is",
        )


def _spread(rows: Columns | None) -> list[list[Any]]:
    """Return at most `MAX_ROWS` rows, evenly chosen, as JSON can hold them."""
    if rows is None:
        return []
    step = max(1, -(-len(rows) // MAX_ROWS))
    return [list(row) for row in rows.rows[::step]]


def _kept(attachment: Attachment) -> Attachment:
    """Return the same attachment in memory."""
    contents = {path: attachment.read(path) for path in attachment.manifest.files}
    return build_attachment(attachment.subject, attachment.name, contents)


def _failure(bundle: Bundle, reason: str) -> Attachment:
    report = failure_report(bundle.digest, reason)
    return build_attachment(bundle.digest, ATTACHMENT, {REPORT: write_report(report)})


def main(arguments: Sequence[str]) -> None:
    """Prove the bundle at a path; then compile it with the rows of a file, and attach the result to it."""
    path, given = map(Path, arguments)
    if not proof.main([str(path)]):
        return
    from fairway.compilers.compilation import compile_bundle
    from fairway.inference.loaded import load_model

    bundle = open_bundle(path)
    names = bundle.signature.names
    records = [dict(zip(names, row, strict=True)) for row in msgspec.json.decode(given.read_bytes())]
    rows = Validator(bundle.signature).check(records, pointer=str) if records else None
    result = compile_bundle(bundle, *load_native(bundle), rows=rows)
    compiled = bundle.with_attachments([build_attachment(bundle.digest, ATTACHMENT, result.files)])
    for name in proven(result.report):
        load_model(compiled, predictor=name)  # as a server does, golden examples included
    compiled.save_attachments(path)
