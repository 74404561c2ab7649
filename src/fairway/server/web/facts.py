"""What a page says about a served model: its name and version, what it takes and answers, who made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fairway.bundle.manifest import Manifest
from fairway.bundle.signature import Output, Signature
from fairway.server.web.text import number_text, shown

_TYPE_WORDS = {"number": "number", "integer": "whole number", "text": "text", "boolean": "yes or no"}
_SHOWN_CLASSES = 6
_SHOWN_INPUTS = 6
_DATE_CHARS = 10


class PackedModel(Protocol):
    """The part of a bundle that pages read."""

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""


class ServedModel(Protocol):
    """The part of a loaded model that pages read."""

    @property
    def name(self) -> str:
        """Name that it is served under."""

    @property
    def version(self) -> int:
        """Version number; 0 for a bundle that no registry has numbered."""

    @property
    def reference(self) -> str:
        """Name and version as a caller writes them."""

    @property
    def signature(self) -> Signature:
        """Its inputs and outputs."""

    @property
    def bundle(self) -> PackedModel:
        """The bundle that it was loaded from."""


def card(model: ServedModel, aliases: Sequence[str]) -> dict[str, Any]:
    """Return what the list of models shows of one; the keys are described in `index.html`."""
    manifest, signature = model.bundle.manifest, model.signature
    return {
        "name": model.name,
        "version": model.version,
        "aliases": [shown(alias) for alias in aliases],
        "description": manifest.description,
        "model_type": shown(manifest.model_type),
        "answers": [answer(output, signature) for output in signature.outputs],
        "n_inputs": len(signature.inputs),
        "inputs": [shown(name, 40) for name in signature.names[:_SHOWN_INPUTS]],
        "more_inputs": max(0, len(signature.inputs) - _SHOWN_INPUTS),
    }


def is_plain(signature: Signature) -> bool:
    """Tell whether the only output is called "prediction", so that its name adds nothing on a page."""
    return [output.name for output in signature.outputs] == ["prediction"]


def answer(output: Output, signature: Signature) -> dict[str, str]:
    """Return an output's name, empty where it adds nothing, and what its value is, in words."""
    if output.kind == "label" and signature.classes:
        names = [shown(str(label), 40) for label in signature.classes[:_SHOWN_CLASSES]]
        more = len(signature.classes) - len(names)
        words = "one of " + ", ".join(names) + (f" and {more} more" if more else "")
    else:
        words = _TYPE_WORDS[output.type]
    return {"name": "" if is_plain(signature) else shown(output.name), "words": words}


def about(model: ServedModel) -> list[tuple[str, str]]:
    """Return the facts beside a model's form, as pairs of a term and its text; empty ones are left out."""
    manifest = model.bundle.manifest
    facts = [
        ("Model type", manifest.model_type),
        ("Made with", ", ".join(f"{name} {version}" for name, version in manifest.framework.items())),
        ("Packed", manifest.created[:_DATE_CHARS]),
        ("By", manifest.author),
        *((name, number_text(value, digits=6)) for name, value in manifest.metrics.items()),
        *manifest.tags.items(),
    ]
    return [(shown(term, 60), shown(text)) for term, text in facts if text]
