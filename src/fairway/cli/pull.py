"""`fairway pull`: a version leaves the registry as a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_facts, print_json, progress, say, size


@verb("pull", example="fairway pull coffee:2 coffee.fairway", remote=True)
@click.argument("reference")
@click.argument("path")
def command(face: Face, /, *, reference: str, path: str) -> None:
    """Write a version of the registry as a bundle.

    PATH is a file if it ends in .fairway, else a folder. Nothing is overwritten.
    """
    from fairway import api
    from fairway.api._common import settings_of
    from fairway.bundle.admission import is_foreign

    with progress(f"Writing {path}"):
        bundle = api.pull(reference, Path(path), **face.place)
    if face.as_json:
        print_json({"path": path, "digest": bundle.digest, "manifest": bundle.manifest})
        return
    say(f"Wrote {reference} to {path}")
    # What another registry packed is checked as any foreign file is before it is loaded here.
    following = "push" if is_foreign(settings_of(face.home).home, bundle) else "serve"
    print_facts(
        [
            ("Digest", bundle.digest),
            ("Size", size(bundle.manifest.size)),
            ("Next", f"fairway {following} {path}"),
        ]
    )
