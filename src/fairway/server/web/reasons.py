"""From an explanation to what a page shows: signed bars, and texts in which the heavy words are marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairway.server.web.text import number_text, percent_text, shown, visible_lines

MAX_TEXT_CHARS = 20_000
_DIGITS = 4
_STRENGTHS = 3
_LEAST_SHARE = 0.1
"""Of the heaviest word's weight: lighter words are not marked."""

_LEAST_ERROR = 1e-4
"""Of the longest bar: what is less is a matter of rounding."""

_MINUS = "\N{MINUS SIGN}"

Document = Mapping[str, Any]


def reasons_of(explanation: Document | None, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the page says of an explanation; the keys are described in `_reasons.html`."""
    if explanation is None:
        return None
    if "error" in explanation:
        return {"error": shown(str(explanation["error"].get("detail", ""))), "targets": [], "notes": []}
    targets = [_target(target, explanation, record) for target in explanation.get("targets", ())]
    return {"error": "", "targets": targets, "notes": _notes(explanation)}


def _target(target: Document, explanation: Document, record: Mapping[str, Any]) -> dict[str, Any]:
    is_share = target["scale"] in {"probability", "agreement"}
    features, words = target.get("features"), target.get("words")
    return {
        "title": _title(target),
        "summary": _summary(target, is_share=is_share),
        "features": None
        if features is None
        else _bars([(_named(e), e["contribution"], e) for e in features], is_share=is_share),
        "method": _method(target, explanation.get("features")),
        "words": None
        if words is None
        else _bars([(e["word"], e["weight"], e) for e in words], is_share=is_share),
        "texts": _texts(words or (), record),
        "fit": _fit(target, explanation.get("words")),
    }


def _title(target: Document) -> str:
    if target["class"] is None:
        return f"Why this {shown(target['output'], 60)}"
    return f"Why {shown(str(target['class']), 60)}"


def _summary(target: Document, *, is_share: bool) -> str:
    words = {
        "probability": "The probability is",
        "agreement": "The model gives labels only; their agreement with this one is",
        "output": "The answer is",
        "log-odds": "On the scale of log-odds the answer is",
        "log": "On the scale of its logarithm the answer is",
    }
    start = words.get(target["scale"], "The score is")
    value = f"{start} {_amount(target['value'], is_share=is_share)}"
    if "base" not in target:
        return value + "."
    return f"{value}; with nothing known of the row it is {_amount(target['base'], is_share=is_share)}."


def _bars(entries: Sequence[tuple[str, float, Document]], *, is_share: bool) -> list[dict[str, Any]]:
    """Return one bar per entry: label, signed amount, and the place of the bar in hundredths of the width."""
    longest = max((abs(value) for _, value, _ in entries), default=0.0) or 1.0
    found = []
    for label, value, entry in entries:
        half = 50 * abs(value) / longest
        error = entry.get("standard_error") or 0.0
        found.append(
            {
                "label": shown(label, 120) or '""',
                "amount": _signed(value, is_share=is_share),
                "about": f"\u00b1 {_amount(error, is_share=is_share)}"
                if error >= _LEAST_ERROR * longest
                else "",
                "side": "against" if value < 0 else "for",
                "start": round(50 - half if value < 0 else 50, 2),
                "width": round(half, 2),
            }
        )
    return found


def _amount(value: float, *, is_share: bool) -> str:
    return percent_text(value) if is_share else number_text(value, digits=_DIGITS)


def _signed(value: float, *, is_share: bool) -> str:
    sign = _MINUS if value < 0 else "+"
    return sign + _amount(abs(value), is_share=is_share)


def _named(entry: Document) -> str:
    value = entry["value"]
    if value is None:
        return f"{entry['input']} (no value)"
    text = number_text(value, digits=6) if isinstance(value, int | float) else str(value)
    return f"{entry['input']} = {text}"


def _method(target: Document, part: Document | None) -> str:
    if part is None:
        return ""
    if part["method"] == "trees":
        return "Exact contributions in the trees of the model."
    rows = part["background"]["rows"]
    exact = "exact" if part["method"] == "shapley_exact" else f"from {part['permutations']} permutations"
    missed = (
        "" if target["additivity"]["holds"] else " They do not add up to the answer: is the model random?"
    )
    return f"Shapley values, {exact}, compared with {rows} rows.{missed}"


def _fit(target: Document, part: Document | None) -> str:
    if part is None:
        return ""
    fit = target.get("fit")
    if fit is None:
        return "There are no words to leave out."
    facts = [f"LIME, {part['samples']} changed texts"]
    if fit["r2"] is not None:
        facts.append(f"a fit of {percent_text(max(fit['r2'], 0.0))}")
    if fit["stability"] is not None:
        facts.append(f"a stability of {percent_text(fit['stability'])}")
    return ", ".join(facts) + "."


def _notes(explanation: Document) -> list[str]:
    if explanation.get("complete", True):
        return []
    budget = number_text(float(explanation["budget_s"]), digits=3)
    return [f"The time ({budget} s) was up before everything was asked: take the amounts as estimates."]


# -- texts -----------------------------------------------------------------------------------------------


def _texts(words: Sequence[Document], record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the texts of the record in pieces, with the heavy words marked by side and strength."""
    heaviest = max((abs(entry["weight"]) for entry in words), default=0.0)
    if not heaviest:
        return []
    found = []
    for name in dict.fromkeys(entry["input"] for entry in words):
        value = record.get(name)
        texts = [(None, value)] if isinstance(value, str) else list(enumerate(value or ()))
        own = [entry for entry in words if entry["input"] == name]
        items = [_pieces(str(text), _places(own, item, heaviest)) for item, text in texts]
        found.append({"name": shown(name), "items": items})
    return found


def _places(words: Sequence[Document], item: int | None, heaviest: float) -> list[tuple[int, int, float]]:
    return sorted(
        (place[-2], place[-1], entry["weight"] / heaviest)
        for entry in words
        if abs(entry["weight"]) >= _LEAST_SHARE * heaviest
        for place in entry["places"]
        if item is None or place[0] == item
    )


def _pieces(text: str, places: Sequence[tuple[int, int, float]]) -> list[dict[str, Any]]:
    pieces: list[dict[str, Any]] = []
    end = 0
    for start, stop, share in places:
        if stop > MAX_TEXT_CHARS:
            break
        pieces.append({"text": visible_lines(text[end:start]), "side": "", "strength": 0})
        pieces.append(
            {
                "text": visible_lines(text[start:stop]),
                "side": "against" if share < 0 else "for",
                "strength": max(1, min(_STRENGTHS, round(abs(share) * _STRENGTHS))),
            }
        )
        end = stop
    rest = text[end:MAX_TEXT_CHARS] + ("\N{HORIZONTAL ELLIPSIS}" if len(text) > MAX_TEXT_CHARS else "")
    return [*pieces, {"text": visible_lines(rest), "side": "", "strength": 0}]
