"""`fairway explain`: why a model answers so, from the registry, a bundle, or a running server."""

from __future__ import annotations

import click

from fairway.cli.explanation import show_explained
from fairway.cli.options import Face, predictor_option, verb
from fairway.cli.output import print_json_line
from fairway.cli.predict import read_data


@verb(
    "explain",
    example="fairway explain iris '{\"features\": [5.1, 3.5, 1.4, 0.2]}'\n"
    "fairway explain news '[\"A late goal decided the match\"]' --of sport\n"
    "fairway explain coffee @row.json --server http://127.0.0.1:5000 --json",
    remote=True,
)
@click.argument("reference")
@click.argument("data", metavar="JSON|@FILE|-")
@click.option("--of", metavar="NAME", default="", help="Class or output to explain, or each.")
@click.option(
    "--method",
    type=click.Choice(("auto", "shapley", "words")),
    default="auto",
    show_default=True,
    help="Contributions of whole inputs, or weights of words. auto: what fits the inputs.",
)
@click.option("--seed", type=click.IntRange(0, 999_999_999), default=0, help="Which samples are drawn.")
@predictor_option
def command(
    face: Face,
    /,
    *,
    reference: str,
    data: str,
    of: str,
    method: str,
    seed: int,
    predictor: str | None,
) -> None:
    """Print what a model predicts, and why.

    What each input contributed, and what each word of a text weighs.

    The data is a JSON record or a short list of records: as an argument, in a file (@FILE), or piped in (-).
    """
    body = read_data(data)
    if face.server is not None:
        from fairway.client.client import Client

        with Client(face.server, api_key=face.key) as client:
            document = client.explain(body, reference, of=of, method=method, seed=seed)
    else:
        from fairway import api

        document = api.explain(
            reference, body, of=of, method=method, seed=seed, predictor=predictor, home=face.home
        )
    if face.as_json:
        print_json_line(document)
    else:
        show_explained(document, body)
