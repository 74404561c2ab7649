"""`fairway convert`: a model file becomes one that runs no code."""

from __future__ import annotations

import dataclasses

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_facts, print_json, progress, say, size


@verb(
    "convert",
    example="fairway convert model.joblib model.skops --example train.csv --target rating\n"
    "fairway convert booster.pkl booster.ubj",
)
@click.argument("model", metavar="FILE")
@click.argument("path", metavar="OUT")
@click.option("--example", metavar="FILE", help="Table to prove the copy with: CSV, Parquet, JSON or NDJSON.")
@click.option("--target", metavar="COLUMN", help="Column of the table that the model predicts.")
@click.option("--code", metavar="FILE", multiple=True, help="Module of yours that the model needs.")
@click.option(
    "--trust", metavar="TYPE", multiple=True, help="Type (module.Class) that the model file may construct."
)
def command(
    face: Face,
    /,
    *,
    model: str,
    path: str,
    example: str | None,
    target: str | None,
    code: tuple[str, ...],
    trust: tuple[str, ...],
) -> None:
    """Write a model in a format that runs no code.

    The ending of OUT chooses it: .skops (scikit-learn), .ubj or .json (XGBoost), .txt (LightGBM),
    .cbm (CatBoost). With --example both models must give the same answers, else nothing is written and the
    exit code is 3.
    """
    from fairway import api

    with progress(f"Converting {model}"):
        done = api.convert(model, path, example=example, target=target, code=code, trust=trust)
    if face.as_json:
        print_json(dataclasses.asdict(done))
        return
    say(f"Wrote {done.path}")
    proof = f"the same answers on {done.rows:,} rows" if done.rows else "not compared: give --example FILE"
    print_facts(
        [
            ("Model", done.type),
            ("Format", f"{done.format}, {size(done.size)}"),
            ("Proof", proof),
            ("Next", f"fairway push {done.path} --example FILE"),
        ]
    )
