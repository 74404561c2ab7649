"""The report of a compilation: which predictor serves a bundle and why, and what each compiler came to.

It is the file `report.json` of the attachment that `compilation.py` fills, and all that is read of it when a
model is loaded: nothing here knows how models are compiled or compared.
"""

from __future__ import annotations

from typing import Any

import msgspec

from fairway.bundle.signature import Signature
from fairway.compilers.base import Read, load_compiled
from fairway.errors import ArtifactCorrupt, PredictorNotProven
from fairway.flavors.base import Predictor

ATTACHMENT = "compiled"
"""Name of the attachment that holds the report and every compiled form that was proven."""

NATIVE = "native"
REPORT = "report.json"
FORMAT = 1


def read_report(read: Read) -> dict[str, Any]:
    """Return the report that `compile_bundle` wrote.

    Raises:
        ArtifactCorrupt: It is no report, or one of a newer format.
    """
    try:
        report: dict[str, Any] = msgspec.json.decode(read(REPORT))
        number, _ = report["format"], (report["predictor"], report["reason"], report["compilers"].items())
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError) as cause:
        raise ArtifactCorrupt("the compilation report cannot be read") from cause
    if number != FORMAT:
        raise ArtifactCorrupt(
            f"the compilation report has the unknown format {number}", hint="compile the version again"
        )
    return report


def write_report(report: dict[str, Any]) -> bytes:
    """Return a report as it is kept."""
    return msgspec.json.format(msgspec.json.encode(report, order="sorted"))


def failure_report(digest: str, reason: str) -> dict[str, Any]:
    """Return the report of a compilation that came to no end: the model serves as it is."""
    why = f"the model serves as it is, because it could not be compiled: {reason}"
    return {"format": FORMAT, "digest": digest, "predictor": NATIVE, "reason": why, "compilers": {}}


def proven(report: dict[str, Any]) -> list[str]:
    """Return the compilers whose result was proven equal, the fastest for one row first."""
    times = {
        name: entry["seconds_one_row"]
        for name, entry in report["compilers"].items()
        if entry["verdict"] == "equal"
    }
    return sorted(times, key=times.__getitem__)


def check_proven(name: str, report: dict[str, Any]) -> None:
    """Refuse a compiler whose result was not proven.

    Raises:
        PredictorNotProven: Says why, and names those that were.
    """
    found = proven(report)
    if name in found:
        return
    entry = report["compilers"].get(name)
    why = entry["reason"] if entry else "it was not tried"
    raise PredictorNotProven(
        f"the predictor {name!r} must not serve this model: {why}",
        hint=f"what may serve it: {', '.join([*found, NATIVE])}",
    )


def load_proven(name: str, report: dict[str, Any], read: Read, signature: Signature) -> Predictor:
    """Return the predictor that a compiler wrote, if it was proven.

    Args:
        name: The compiler.
        report: What `read_report` gave.
        read: Gives the verified bytes of a file of the attachment.
        signature: The bundle's signature.

    Raises:
        PredictorNotProven: The compiler's result was not proven for this bundle.
        ArtifactCorrupt: The files are damaged.
        MissingExtra: The predictor's library is not installed.
    """
    check_proven(name, report)
    return load_compiled(name, lambda path: read(f"{name}/{path}"), signature)


def load_predictor(read: Read, signature: Signature, *, name: str | None = None) -> Predictor | None:
    """Return the compiled predictor that shall serve, or None where the native one does.

    Args:
        read: Gives the verified bytes of a file of the attachment.
        signature: The bundle's signature.
        name: Compiler to use instead of the one that the report chose.

    Raises:
        PredictorNotProven: *name* was not proven for this bundle.
        ArtifactCorrupt: The files are damaged.
        MissingExtra: The predictor's library is not installed.
    """
    report = read_report(read)
    chosen = name or report["predictor"]
    return None if chosen == NATIVE else load_proven(chosen, report, read, signature)
