"""Compile a bundle with every compiler, prove each result, and say which predictor shall serve.

What comes out are files and a report: an attachment of the version, keyed by the bundle's digest and outside
it. The bundle itself never changes.
"""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairway.bundle.bundle import Bundle
from fairway.bundle.golden import GoldenExamples
from fairway.bundle.signature import Signature
from fairway.bundle.validation import Validator
from fairway.compilers.base import Compiled, NotConvertible, find_compilers, load_compiled
from fairway.compilers.numpy import read_program
from fairway.compilers.parity import TOLERANCES, Group, ask_original, prove_equal, seconds_per_call
from fairway.compilers.report import FORMAT, NATIVE, REPORT, proven, write_report
from fairway.compilers.rows import proof_rows
from fairway.errors import MissingExtra
from fairway.flavors.base import Predictor
from fairway.messages import Columns

_MANY = 100
_OWN_CODE = "code of your own stands around it"


@dataclasses.dataclass(frozen=True)
class CompilationResult:
    """What became of a compilation.

    Attributes:
        files: Contents by path: `<compiler>/...` for every compiled form that was proven, and `report.json`.
        report: The content of `report.json`: which predictor serves and why, and for each compiler verdict,
            rows, tolerance, worst row and seconds per call.
    """

    files: Mapping[str, bytes]
    report: dict[str, Any]

    @property
    def predictor(self) -> str:
        """Name of the predictor that shall serve: a compiler's, or `native`."""
        name: str = self.report["predictor"]
        return name

    @property
    def reason(self) -> str:
        """Why this one, in a sentence."""
        reason: str = self.report["reason"]
        return reason


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is compiled, and what the result is compared with.

    Attributes:
        model: The fitted model.
        native: The model bound to its signature by its flavor.
        signature: Typed inputs and outputs.
        options: The flavor's own, which say how the model is fed.
        golden: Golden examples.
        code: Source files that travel with the model, by path.
        digest: Digest of the bundle; empty for a model outside any.
        obstacle: Why it cannot be compiled, if that is known beforehand.
    """

    model: Any
    native: Predictor
    signature: Signature
    options: Mapping[str, Any]
    golden: GoldenExamples
    code: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    digest: str = ""
    obstacle: str = ""

    @functools.cached_property
    def golden_rows(self) -> Columns:
        """The golden examples as the columns of a call."""
        return self.golden.columns(Validator(self.signature))


def compile_bundle(
    bundle: Bundle,
    model: Any,
    predictor: Predictor,
    *,
    rows: Columns | None = None,
    compilers: Sequence[str] | None = None,
) -> CompilationResult:
    """Compile a bundle's model and prove the result against the original.

    Args:
        bundle: The bundle.
        model: The model that its flavor loaded.
        predictor: The model bound to the signature by its flavor: what a compiled one is compared with.
        rows: Further rows for the proof, such as the example that the bundle was packed with.
        compilers: Names of the compilers to try; all by default.
    """
    subject = Subject(
        model,
        predictor,
        bundle.signature,
        bundle.manifest.options,
        bundle.golden,
        code=bundle.code,
        digest=bundle.digest,
        obstacle=_OWN_CODE if bundle.manifest.preprocess or bundle.manifest.postprocess else "",
    )
    return compile_model(subject, rows=rows, compilers=compilers)


def compile_model(
    subject: Subject, *, rows: Columns | None = None, compilers: Sequence[str] | None = None
) -> CompilationResult:
    """Compile a model and prove the result against the original; see `compile_bundle`."""
    names = sorted(find_compilers()) if compilers is None else compilers
    attempts = {name: _compile(name, subject) for name in names}
    if any(attempt.predictor for attempt in attempts.values()):
        groups = _groups(subject, rows)
        attempts = {name: _proven(attempt, subject, groups) for name, attempt in attempts.items()}
    entries = {name: attempt.entry for name, attempt in attempts.items()}
    timing = _timing(subject.native, subject.golden_rows)
    chosen, reason = _choose(entries, timing)
    report = {
        "format": FORMAT,
        "digest": subject.digest,
        "predictor": chosen,
        "reason": reason,
        "native": timing,
        "compilers": entries,
        "environment": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
    }
    files = {
        f"{name}/{path}": data
        for name, attempt in attempts.items()
        if attempt.compiled is not None and attempt.entry["verdict"] == "equal"
        for path, data in attempt.compiled.files.items()
    }
    files[REPORT] = write_report(report)
    return CompilationResult(files, report)


@dataclasses.dataclass(frozen=True)
class _Attempt:
    """One compiler's try: what the report says of it, and the compiled model if there is one."""

    entry: dict[str, Any]
    compiled: Compiled | None = None
    predictor: Predictor | None = None


def _compile(name: str, subject: Subject) -> _Attempt:
    signature = subject.signature
    if subject.obstacle:
        return _Attempt({"verdict": "not convertible", "reason": subject.obstacle})
    try:
        compiled = find_compilers()[name].compile(
            subject.model, signature, subject.options, code=subject.code
        )
        predictor = load_compiled(name, compiled.files.__getitem__, signature)
    except NotConvertible as reason:
        return _Attempt({"verdict": "not convertible", "reason": str(reason)})
    except MissingExtra as reason:
        return _Attempt({"verdict": "not available", "reason": f"{reason.detail} ({reason.hint})"})
    except Exception as error:  # noqa: BLE001 - a compiler that fails is one less; the model serves without it
        return _Attempt(_failed(error))
    return _Attempt({}, compiled, predictor)


def _groups(subject: Subject, rows: Columns | None) -> list[Group]:
    """Return the rows of the proof with the original's answers."""
    signature = subject.signature
    try:
        program, _ = read_program(subject.model, signature, subject.options, subject.code)
    except NotConvertible:
        # A compiler from elsewhere knows more than ours: its result is proven without thresholds and ties.
        program = None
    groups = proof_rows(signature, program, subject.golden_rows, rows)
    return ask_original(subject.native, signature.names, groups)


def _proven(attempt: _Attempt, subject: Subject, groups: Sequence[Group]) -> _Attempt:
    if attempt.compiled is None or attempt.predictor is None:
        return attempt
    try:
        return dataclasses.replace(
            attempt, entry=_prove(attempt.compiled, attempt.predictor, subject, groups)
        )
    except Exception as error:  # noqa: BLE001 - as above
        return _Attempt(_failed(error))


def _prove(
    compiled: Compiled, predictor: Predictor, subject: Subject, groups: Sequence[Group]
) -> dict[str, Any]:
    precision = compiled.precision
    proof = prove_equal(predictor, subject.signature.names, groups, tolerance=TOLERANCES[precision])
    if not proof.fault:
        proof.fault = _golden_fault(subject, predictor, proof.tolerance)
    return {
        **proof.to_dict(),
        "reason": proof.fault or "every row that was tried is answered alike",
        "precision": precision,
        **_timing(predictor, subject.golden_rows),
    }


def _failed(error: Exception) -> dict[str, Any]:
    return {"verdict": "failed", "reason": f"the compiler raised {type(error).__name__}: {error}"}


def _golden_fault(subject: Subject, predictor: Predictor, tolerance: float) -> str:
    examples = dataclasses.replace(subject.golden, tolerance=max(tolerance, subject.golden.tolerance))
    outputs = predictor.predict(subject.golden_rows, probabilities=examples.probabilities is not None)
    return next(iter(examples.differences(outputs)), "")


def _timing(predictor: Predictor, golden: Columns) -> dict[str, float]:
    if not len(golden):
        return {"seconds_one_row": 0.0, "seconds_100_rows": 0.0}
    one = Columns(golden.names, golden.rows[:1])
    many = Columns(golden.names, [golden.rows[n % len(golden)] for n in range(_MANY)])
    return {
        "seconds_one_row": seconds_per_call(predictor, one),
        "seconds_100_rows": seconds_per_call(predictor, many),
    }


def _choose(entries: Mapping[str, dict[str, Any]], native: Mapping[str, float]) -> tuple[str, str]:
    """Return the name of the fastest predictor for one row among those proven, and why."""
    found = proven({"compilers": entries})
    if not found:
        return NATIVE, f"the model serves as it is, because it was not compiled ({_reasons(entries)})"
    missing = [f"; {name}: {e['reason']}" for name, e in entries.items() if e["verdict"] == "not available"]
    best, also = found[0], "".join(missing)
    took, before = entries[best]["seconds_one_row"] * 1e6, native["seconds_one_row"] * 1e6
    if took >= before:
        return NATIVE, (
            f"the model serves as it is, which takes {before:.0f} microseconds a row, {best} {took:.0f}{also}"
        )
    return best, (
        f"{best} was proven equal and takes {took:.1f} microseconds a row, the original {before:.0f}{also}"
    )


def _reasons(entries: Mapping[str, dict[str, Any]]) -> str:
    """Return what every compiler said; once if they say the same."""
    said = {entry["reason"] for entry in entries.values()}
    return (
        said.pop() if len(said) == 1 else "; ".join(f"{name}: {e['reason']}" for name, e in entries.items())
    )
