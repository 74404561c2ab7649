"""`fairway bench`: where the time of a call goes, for one model on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, print_table, progress, say

if TYPE_CHECKING:
    from fairway.server.bench import HotPath


@verb("bench", example="fairway bench coffee\nfairway bench coffee.fairway --rows 1,10,1000 --seconds 5")
@click.argument("reference")
@click.option("--rows", default="1,100", show_default=True, metavar="NUMBERS", help="Rows per call.")
@click.option(
    "--seconds",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.1, 600),
    help="Time for each of them.",
)
def command(face: Face, /, *, reference: str, rows: str, seconds: float) -> None:
    """Print the microseconds that each stage of a call takes.

    The model's golden examples go through the server's own connection, engine and model, in this process and
    without a network: what a client, the kernel and other calls add is not in the figures.
    """
    from fairway import api

    with progress("Measuring"):
        found = api.bench(reference, rows=rows.split(","), seconds=seconds, home=face.home)
    if face.as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: list[HotPath]) -> None:
    from fairway.inference.stopwatch import STAGES

    model = f"{found[0].reference}, {found[0].predictor} predictor"
    say(f"{model}: microseconds per call, in one process without a network", "")
    headings = [f"{path.rows} ROW{'S' * (path.rows != 1)}" for path in found]
    print_table(
        ["STAGE", *headings, "WHAT HAPPENS"],
        [
            *(
                (stage, *(f"{path.stages_us[stage]:.1f}" for path in found), what)
                for stage, what in STAGES.items()
            ),
            ("whole call", *(f"{path.call_us:.1f}" for path in found), "measured without a stopwatch inside"),
            ("calls/s", *(f"{path.calls_per_s:,.0f}" for path in found), "that one core has the time for"),
            ("rows/s", *(f"{path.calls_per_s * path.rows:,.0f}" for path in found), ""),
        ],
    )
