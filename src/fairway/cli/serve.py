"""`fairway serve`: models answer over HTTP, with a page each."""

from __future__ import annotations

from typing import Any

import click

from fairway.cli.options import Face, predictor_option, verb


@verb("serve", example="fairway serve coffee recipes@production --port 8000\nfairway serve coffee.fairway")
@click.argument("references", nargs=-1, metavar="[MODEL]...")
@click.option(
    "--host", metavar="ADDRESS", help="Address to listen on. Default: 127.0.0.1, this machine only."
)
@click.option("--port", metavar="NUMBER", help="Port to listen on. Default: 5000.")
@click.option(
    "--workers", metavar="NUMBER", help="Processes that answer; they share the models in memory. Default: 1."
)
@click.option(
    "--max-loaded",
    metavar="NUMBER",
    help="Versions that stay in memory; others are loaded when they are asked for. Default: all.",
)
@predictor_option
@click.option(
    "--require-signed-by",
    metavar="KEY",
    multiple=True,
    help="Serve only what this key has signed: name or id of a trusted key. Repeat for more; any will do.",
)
@click.option(
    "--keys-file", metavar="FILE", help="File of API keys; they count beside those of the registry."
)
@click.option(
    "--auth/--no-auth",
    default=None,
    help="Ask every caller for an API key, or nobody. Default: everybody, once there is a key.",
)
def command(face: Face, /, *, references: tuple[str, ...], **options: Any) -> None:
    """Serve models over HTTP until stopped.

    A MODEL is one of the registry (coffee, coffee:3, coffee@production) or a bundle. None
    serves what server.models names, or else the whole registry. A bare name or an alias is followed: when it
    moves, the server swaps without losing a call.

    Without API keys it is served on this machine only: another --host needs a key, or --no-auth.
    """
    from fairway import api

    api.serve(*references, **options, home=face.home)
