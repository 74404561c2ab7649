"""Which predictors may answer for a bundle, in which order: the original, and what was proven equal to it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from fairway.bundle.attachment import Attachment
from fairway.bundle.bundle import Bundle
from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.compilers.report import ATTACHMENT, NATIVE, check_proven, load_proven, proven, read_report
from fairway.errors import ArtifactCorrupt, FairwayError, PredictorNotProven
from fairway.flavors.base import ModelFiles, Predictor, flavor_named
from fairway.flavors.chain import Around, Chain, read_between
from fairway.flavors.opening import load_packed
from fairway.flavors.own_code import OwnCode, check_code_allowed

__all__ = ["AUTO", "NATIVE", "Choice", "choices_of", "load_native"]

AUTO = "auto"
_NOT_COMPILED = "the model serves as it is, because it was not compiled"


@dataclasses.dataclass(frozen=True)
class Choice:
    """One predictor that may answer.

    Attributes:
        name: A compiler's name, or `native`.
        reason: Why it comes at this place, in a sentence.
        bind: Returns the predictor; raises if it cannot be loaded here.
        tolerance: How far its numbers may be off, by its proof.
    """

    name: str
    reason: str
    bind: Callable[[], Predictor]
    tolerance: float = 0.0


def choices_of(bundle: Bundle, wanted: str = AUTO) -> list[Choice]:
    """Return what may answer for a bundle: the report's choice, then what else was proven, then the original.

    Args:
        bundle: The verified bundle with its attachments.
        wanted: `auto`, or the name of the one predictor that is to answer.

    Raises:
        PredictorNotProven: *wanted* is neither the original nor proven for this bundle.
        ArtifactCorrupt: The report of the compilation cannot be read, and *wanted* needs it.
    """
    native = Choice(NATIVE, _NOT_COMPILED, lambda: load_native(bundle)[1])
    attachment = bundle.attachments.get(ATTACHMENT)
    if wanted == NATIVE:
        return [dataclasses.replace(native, reason="native was asked for")]
    if attachment is None:
        if wanted == AUTO:
            return [native]
        raise PredictorNotProven(
            f"the predictor {wanted!r} must not serve this model: it was not compiled",
            hint="compile it: fairway compile MODEL",
        )
    try:
        report = read_report(attachment.read)
    except ArtifactCorrupt as error:
        if wanted != AUTO:
            raise
        return [dataclasses.replace(native, reason=f"the model serves as it is: {error}")]
    if wanted != AUTO:
        check_proven(wanted, report)
        return [_compiled(wanted, report, attachment, bundle, reason=f"{wanted} was asked for")]
    native = dataclasses.replace(native, reason=report["reason"])
    compiled = [
        _compiled(name, report, attachment, bundle, reason=_rank(name, report)) for name in proven(report)
    ]
    # Sorting keeps the order of the rest: the fastest first, the original last.
    return sorted([*compiled, native], key=lambda choice: choice.name != report["predictor"])


def load_native(bundle: Bundle) -> tuple[Any, Predictor]:
    """Return the model that the bundle's flavor loads, and the same bound to its signature.

    Raises:
        BundleError: The model cannot be loaded.
        MissingExtra: Its framework is not installed.
    """
    manifest = bundle.manifest
    flavor = flavor_named(manifest.flavor)
    code = CodeSpace(bundle.code, label=f"{manifest.name} {bundle.digest[:12]}")
    trust = Trust(types=frozenset(manifest.trusted))
    model = load_packed(flavor, ModelFiles(bundle.model_paths, bundle.read), code, trust=trust)
    around = Around(manifest.preprocess, manifest.postprocess, manifest.vectorised)
    if not around:
        return model, flavor.predictor(model, bundle.signature, manifest.options)
    check_code_allowed(around.preprocess or around.postprocess, trust)
    between = read_between(bundle.read)
    inner = flavor.predictor(model, between.signature, manifest.options)
    return model, Chain(inner, between, bundle.signature, around.steps(OwnCode(code, bundle.data)))


def _rank(name: str, report: dict[str, Any]) -> str:
    if name == report["predictor"]:
        return str(report["reason"])
    return f"{name} was proven equal, too"


def _compiled(
    name: str, report: dict[str, Any], attachment: Attachment, bundle: Bundle, *, reason: str
) -> Choice:
    bind = functools.partial(_bind_compiled, name, report, attachment, bundle)
    return Choice(name, reason, bind, tolerance=report["compilers"][name]["tolerance"])


def _bind_compiled(name: str, report: dict[str, Any], attachment: Attachment, bundle: Bundle) -> Predictor:
    try:
        return load_proven(name, report, attachment.read, bundle.signature)
    except FairwayError:
        raise
    except Exception as cause:  # whatever the run-time library of another release says to the files
        raise ArtifactCorrupt(
            f"the compiled model cannot be loaded: {cause}", hint="compile the version again"
        ) from cause
