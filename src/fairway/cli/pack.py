"""`fairway pack`: a model and everything needed to serve it, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fairway.cli.compile import serving
from fairway.cli.options import Face, model_facts, model_options, verb
from fairway.cli.output import print_facts, print_json, progress, say, size
from fairway.cli.push import PROOF, caution, learnt, own_code


@verb("pack", example="fairway pack model.joblib coffee.fairway --example train.csv --target rating")
@click.argument("model")
@click.argument("path")
@model_options
def command(face: Face, /, *, model: str, path: str, **options: Any) -> None:
    """Write a model file as a bundle, without a registry.

    MODEL is a model file or folder, told by its content, or code of your own, as in model.py:predict. PATH
    is a file if it ends in .fairway, else a folder; nothing is overwritten.
    """
    facts = model_facts(options)
    from fairway import api
    from fairway.bundle.environment import compare_environment
    from fairway.inference.predictors import choices_of
    from fairway.lifecycle.compiling import report_of

    with progress(f"Packing {model}, proving and compiling the copy"):
        bundle = api.pack(model, Path(path), **facts, home=face.home)
    if face.as_json:
        print_json({"path": path, "digest": bundle.digest, "manifest": bundle.manifest})
        return
    differences = compare_environment(bundle.environment)
    say(f"Packed {path}")
    print_facts(
        [
            ("Digest", bundle.digest),
            ("Size", size(bundle.manifest.size)),
            ("Your code", own_code(bundle.manifest)),
            ("Learnt", learnt(bundle.signature)),
            ("Proof", PROOF),
            *serving(choices_of(bundle)[0].reason, report_of(bundle)),
            *(("Differs here", difference) for difference in differences),
            ("Mind", caution(differences)),
            ("Next", f"fairway push {path}"),
        ]
    )
