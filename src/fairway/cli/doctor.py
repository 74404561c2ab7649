"""`fairway doctor`: is this machine fit to serve, and is the registry whole."""

from __future__ import annotations

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, progress, say
from fairway.errors import EXIT_FAILED


@verb("doctor", example="fairway doctor\nfairway doctor coffee@production --requirements coffee.txt")
@click.argument("reference", required=False, metavar="[MODEL]")
@click.option(
    "--requirements", metavar="FILE", help="Write what MODEL was packed with, for pip install -r FILE."
)
def command(face: Face, /, *, reference: str | None, requirements: str | None) -> int:
    """Check whether this machine is fit to serve.

    Looks at Python, the packages, the home folder and the registry; with MODEL, a reference or the path of
    a bundle, also at the differences between this environment and the one that the model was packed in.
    Where it does not answer its golden examples, prints the command that makes an environment in which it
    did. Ends with 1 if a check fails.
    """
    from fairway import api

    with progress("Checking"):
        checks = api.doctor(reference, requirements=requirements, home=face.home)
    if face.as_json:
        print_json(checks)
    else:
        for check in checks:
            say(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}")
            if not check.ok and check.hint:
                say(f"      Try: {check.hint}")
    return 0 if all(check.ok for check in checks) else EXIT_FAILED
