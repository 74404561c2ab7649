"""`fairway tune`: which settings serve a model best on this machine, with the figures and the reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fairway.cli.options import Face, verb
from fairway.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from fairway.tuning.trials import Trial, Tuning


@verb("tune", example="fairway tune coffee\nfairway tune coffee@production --write")
@click.argument("reference", metavar="MODEL")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=20.0,
    show_default=True,
    help="Time for all loads together; servers need some more to start.",
)
@click.option("--write", is_flag=True, help="Write the recommended settings into fairway.toml.")
def command(face: Face, /, *, reference: str, seconds: float, write: bool) -> None:
    """Measure settings on this machine and recommend the best.

    Serves MODEL on loopback with one setting after the other, lets 1, 8 and 32 callers ask, and says which
    settings to use and why. Nothing is changed without --write.
    """
    from fairway import api

    def tell(text: str) -> None:
        click.echo(f"trying {text}", err=True)

    tuning = api.tune(reference, seconds=seconds, write=write, tell=tell, home=face.home)
    if face.as_json:
        print_json(tuning)
    else:
        _print(tuning, is_written=write)


def _print(tuning: Tuning, *, is_written: bool) -> None:
    print_table(
        ["SETTINGS", "CALLERS", "CALLS/S", "P50 MS", "P99 MS"],
        [row for trial in tuning.trials for row in _rows(trial)],
    )
    say("")
    for advice in tuning.advice:
        say(f"{advice.key} = {advice.value}: {advice.reason}")
    say("")
    if is_written:
        say(f"Written to {tuning.written}.")
        for key, before in tuning.replaced.items():
            say(f"  {key} was {before}")
    else:
        say("Write them into fairway.toml with: fairway tune " + tuning.reference + " --write")


def _rows(trial: Trial) -> list[tuple[object, ...]]:
    settings = ", ".join(f"{key} = {value}" for key, value in trial.settings.items())
    if not trial.loads:
        return [(settings, "", trial.failure, "", "")]
    names = [settings, *[""] * (len(trial.loads) - 1)]
    return [
        (name, load.callers, f"{load.calls_per_s:,.0f}", f"{load.p50_ms:.2f}", f"{load.p99_ms:.2f}")
        for name, load in zip(names, trial.loads, strict=True)
    ]
