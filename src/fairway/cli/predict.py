"""`fairway predict`: one question to a model, from the registry, a bundle, or a running server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fairway.cli.options import Face, predictor_option, verb
from fairway.cli.output import print_json_line
from fairway.errors import UsageError


@verb(
    "predict",
    example="fairway predict iris '{\"features\": [5.1, 3.5, 1.4, 0.2]}'\n"
    "fairway predict coffee:2 @rows.json --include probabilities\n"
    "fairway predict coffee - --server http://127.0.0.1:5000 < row.json",
    remote=True,
)
@click.argument("reference")
@click.argument("data", metavar="JSON|@FILE|-")
@click.option(
    "--include", metavar="NAMES", default="", help="What to add: probabilities, flags, explanation."
)
@predictor_option
def command(
    face: Face,
    /,
    *,
    reference: str,
    data: str,
    include: str,
    predictor: str | None,
) -> None:
    """Print what a model predicts for one row or many.

    The data is a JSON record or a list of records: as an argument, in a file (@FILE), or piped in (-).
    """
    wanted = tuple(name.strip() for name in include.split(",") if name.strip())
    body = read_data(data)
    if face.server is not None:
        from fairway.client.client import Client

        with Client(face.server, api_key=face.key) as client:
            print_json_line(client.predict(body, reference, include=wanted))
        return
    from fairway import api

    print_json_line(api.predict(reference, body, include=wanted, predictor=predictor, home=face.home))


def read_data(data: str) -> bytes:
    """Return the JSON text that the argument gives or points to; the model's own reader decodes it.

    Raises:
        UsageError: The file cannot be read.
    """
    if data == "-":
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data.encode()
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        message = f"{data[1:]} cannot be read: {error.strerror}"
        raise UsageError(message, hint="give JSON, @FILE, or - for standard input") from error
