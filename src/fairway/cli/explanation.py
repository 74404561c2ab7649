"""An explanation on a terminal: bars of plus and minus, words between the same signs; colour is extra."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from fairway.cli.output import clean, say

MAX_ENTRIES = 20
BAR_CHARS = 24
_NAME_CHARS = 40
_LEAST_SHARE = 0.1
"""Of the heaviest word's weight: lighter words are not marked in the text."""

_LEAST_ERROR = 1e-4
"""Of the longest bar: what is less is a matter of rounding."""

_METHODS = {
    "trees": "exact contributions in the model's trees",
    "shapley_exact": "Shapley values, exact",
    "shapley": "Shapley values, estimated",
}


def show_explained(document: Any, body: bytes) -> None:
    """Print predictions with their explanations.

    Args:
        document: The reply of an explain call, in any form.
        body: What was asked, to show its texts with the words marked.
    """
    rows = _sent_rows(body)
    answers = list(_answers(document))
    for n, answer in enumerate(answers):
        if len(answers) > 1:
            say(f"row {n}")
        explanation = answer.pop("explanation", None) or {}
        say(", ".join(f"{name}: {_number(value)}" for name, value in answer.items()))
        for target in explanation.get("targets", ()):
            _show_target(target, explanation, rows[n] if n < len(rows) else None)
        if not explanation.get("complete", True):
            say("", f"The time ({explanation['budget_s']:g} s) was up before all was asked that should be.")
        if n + 1 < len(answers):
            say("")


def _answers(document: Any) -> Iterator[dict[str, Any]]:
    """Yield one dict per row, whatever the form of the reply."""
    if isinstance(document.get("predictions"), list):
        yield from document["predictions"]
    elif isinstance(document.get("explanation"), list):  # the envelope `features`, or `input` with rows
        for n in range(len(document["explanation"])):
            yield {key: values[n] for key, values in document.items()}
    else:
        yield document


def _sent_rows(body: bytes) -> list[Any]:
    """Return the rows of a body where they are records or bare texts; an empty list else."""
    try:
        data = json.loads(body)
    except ValueError:
        return []
    if isinstance(data, dict) and len(data) == 1 and isinstance(next(iter(data.values())), list):
        values = next(iter(data.values()))
        return [data] if all(isinstance(value, str) for value in values) else values
    return data if isinstance(data, list) else [data]


def _show_target(target: Mapping[str, Any], explanation: Mapping[str, Any], row: Any) -> None:
    say("", _heading(target))
    if "features" in target:
        _bars([(_named(entry), entry["contribution"], entry) for entry in target["features"]])
        _say_method(target, explanation["features"])
    if "words" in target:
        _show_words(target, explanation["words"], row)


def _heading(target: Mapping[str, Any]) -> str:
    scales = {"probability": "probability of", "agreement": "agreement with", "output": "the output"}
    what = scales.get(target["scale"], f"{target['scale']} of")
    name = target["output"] if target["class"] is None else target["class"]
    base = f", {_number(target['base'])} without any input" if "base" in target else ""
    return f"{what} {name}: {_number(target['value'])}{base}"


def _say_method(target: Mapping[str, Any], part: Mapping[str, Any]) -> None:
    facts = [_METHODS.get(part["method"], part["method"])]
    if part["permutations"]:
        facts.append(f"{part['permutations']} permutations")
    if part["background"]:
        facts.append(f"compared with {part['background']['rows']} rows")
    if not target["additivity"]["holds"]:
        facts.append(f"they miss the answer by {_number(target['additivity']['difference'])}")
    say(f"({', '.join(facts)})")


def _show_words(target: Mapping[str, Any], part: Mapping[str, Any], row: Any) -> None:
    words = target["words"]
    if not words:
        say("There are no words to leave out.")
        return
    _bars([(entry["word"], entry["weight"], entry) for entry in words])
    for name, item, text in _texts(words, row):
        say("")
        click.echo(_marked(text, words, name, item))
    fit = target["fit"]
    r2 = "" if fit["r2"] is None else f", fit R2 {fit['r2']:.2f}"
    stability = "" if fit["stability"] is None else f", stability {fit['stability']:.2f}"
    say(f"(LIME, {part['samples']} samples, seed {part['seed']}{r2}{stability})")


def _bars(entries: Sequence[tuple[str, float, Mapping[str, Any]]]) -> None:
    shown = entries[:MAX_ENTRIES]
    longest = max((abs(value) for _, value, _ in shown), default=0.0) or 1.0
    width = min(max((len(clean(name)) for name, *_ in shown), default=0), _NAME_CHARS)
    for name, value, entry in shown:
        length = round(abs(value) / longest * BAR_CHARS)
        left, right = ("-" * length, "") if value < 0 else ("", "+" * length)
        bar = f"{left:>{BAR_CHARS}}|{right:<{BAR_CHARS}}"
        error = entry["standard_error"] or 0.0
        about = f" ± {error:.2g}" if error > _LEAST_ERROR * longest else ""
        text = f"  {clean(name)[:_NAME_CHARS]:<{width}}  {value:>+10.4g}  {bar}{about}".rstrip()
        click.echo(click.style(text, fg=_colour(value) if length else None))
    if len(entries) > MAX_ENTRIES:
        say(f"  and {len(entries) - MAX_ENTRIES} more, each of less weight")


def _named(entry: Mapping[str, Any]) -> str:
    value = entry["value"]
    return f"{entry['input']} = {value if isinstance(value, str) else _number(value)}"


def _texts(words: Sequence[Mapping[str, Any]], row: Any) -> Iterator[tuple[str, int | None, str]]:
    """Yield the texts of the row that hold words: name of the input, place in its list, text."""
    for name in dict.fromkeys(entry["input"] for entry in words):
        value = row.get(name) if isinstance(row, dict) else row
        if isinstance(value, str):
            yield name, None, value
        elif isinstance(value, list):
            yield from ((name, n, text) for n, text in enumerate(value) if isinstance(text, str))


def _marked(text: str, words: Sequence[Mapping[str, Any]], name: str, item: int | None) -> str:
    """Return a text whose heavy words stand between signs."""
    heaviest = max(abs(entry["weight"]) for entry in words)
    places = sorted(
        (*place[-2:], entry["weight"])
        for entry in words
        if entry["input"] == name and abs(entry["weight"]) > _LEAST_SHARE * heaviest
        for place in entry["places"]
        if item is None or place[0] == item
    )
    parts, end = [], 0
    for start, stop, weight in places:
        sign = "-" if weight < 0 else "+"
        word = f"[{sign}{clean(text[start:stop])}{sign}]"
        parts += [clean(text[end:start]), click.style(word, fg=_colour(weight), bold=True)]
        end = stop
    return "".join([*parts, clean(text[end:])])


def _colour(value: float) -> str:
    return "red" if value < 0 else "green"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
