"""`fairway push`: a model becomes the next version in the registry."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fairway.cli.compile import serving
from fairway.cli.options import Face, model_facts, model_options, verb
from fairway.cli.output import print_facts, print_json, progress, say, size

if TYPE_CHECKING:
    from fairway.bundle.environment import Difference
    from fairway.bundle.manifest import Manifest
    from fairway.bundle.signature import Signature

PROOF = "the packed copy, loaded in a fresh process, answers the golden examples as the original did"


@verb(
    "push",
    example="fairway push model.joblib --name coffee --example train.csv --target rating\n"
    "fairway push coffee.fairway\n"
    "fairway push model.py:Model --name coffee --example rows.json --file weights.npz",
    remote=True,
)
@click.argument("model")
@model_options
@click.option("--reason", metavar="TEXT", default="", help="Why; kept in the history.")
def command(face: Face, /, *, model: str, reason: str, **options: Any) -> None:
    """Register a model file or bundle as the next version.

    MODEL is a model file or folder, told by its content; a bundle that this registry knows; or code of your
    own: model.py:predict names a function, model.py:Model a class.

    The signature is learnt from the table given with --example. The first version of a model is what its
    bare name stands for until the alias `production` is set.
    """
    facts = model_facts(options)
    from fairway import api

    with progress(f"Packing {model}, proving and compiling the copy, registering it") as tell:
        version = api.push(model, **facts, reason=reason, progress=_uploading(tell), **face.place)
    view = api.show(version.reference, **face.place)
    if face.as_json:
        print_json({**dataclasses.asdict(version), "predictor": view.predictor, "reason": view.reason})
        return
    say(f"Registered {version.reference}")
    print_facts(
        [
            ("Digest", version.digest),
            ("Model", f"{version.model_type} ({version.flavor}, {size(version.size)})"),
            ("Your code", own_code(view.manifest)),
            ("Learnt", learnt(view.signature)),
            ("Proof", PROOF),
            *serving(view.reason, view.compilation),
            *(("Differs here", difference) for difference in view.differences),
            ("Mind", caution(view.differences)),
            ("Next", next_step(version.model, version.version, production=_production(view.aliases))),
        ]
    )


def _uploading(tell: Callable[[str], None]) -> Callable[[int, int], None]:
    """Return what tells how far an upload is."""

    def tell_progress(done: int, total: int) -> None:
        doing = "Uploading" if done < total else "Uploaded; the server proves and registers it:"
        tell(f"{doing} {size(done)} of {size(total)}")

    return tell_progress


def own_code(manifest: Manifest) -> str:
    """Return which functions of the author's own stand around the model; empty if there are none."""
    places = {"before": manifest.preprocess, "after": manifest.postprocess}
    return ", ".join(f"{entry} {place} it" for place, entry in places.items() if entry)


def caution(differences: list[Difference]) -> str:
    """Return what to do where another release has saved the model file than the one that answered here."""
    saved = [difference for difference in differences if difference.saved and difference.matters]
    if not saved:
        return ""
    release = f"{saved[0].name} {saved[0].recorded}"
    return (
        f"the golden examples are what {saved[0].name} {saved[0].present} answers, which may not be what "
        f"{release} did; pack the model under {release} to have that proven"
    )


def learnt(signature: Signature) -> str:
    """Return what was learnt in one line: `5 inputs (3 number, 1 category, 1 text) -> rating (number)`."""
    kinds = Counter(entry.kind for entry in signature.inputs)
    shown = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    outputs = ", ".join(f"{output.name} ({output.type})" for output in signature.outputs)
    noun = "input" if len(signature.inputs) == 1 else "inputs"
    classes = f", {len(signature.classes)} classes" if signature.classes else ""
    return f"{len(signature.inputs)} {noun} ({shown}) -> {outputs}{classes}"


def next_step(model: str, version: int, *, production: int | None) -> str:
    """Return the command that makes the new version answer."""
    if production is None:
        return f"fairway serve {model}"
    return f"fairway promote {model}:{version}   (production is {model}:{production} now)"


def _production(aliases: dict[str, int]) -> int | None:
    return aliases.get("production")
