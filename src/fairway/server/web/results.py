"""From the engine's reply to what a page shows: outputs, probabilities, flags, or what was wrong where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairway.bundle.signature import LIST_KINDS, Input, Signature
from fairway.messages import Reply
from fairway.server.web.facts import is_plain
from fairway.server.web.fields import Message
from fairway.server.web.forms import Texts, parse_number, texts_of
from fairway.server.web.reasons import reasons_of
from fairway.server.web.snippets import parse_json
from fairway.server.web.text import number_text, shown, shown_lines

_BOOLEAN_WORDS = {True: "Yes", False: "No", None: "no answer"}
_BIG_DIGITS = 6
_LONG_CHARS = 24

Problem = Mapping[str, Any]


def header_of(reply: Reply, name: str) -> str:
    """Return a header of the reply by its lower-case name, or the empty string."""
    wanted = name.encode("ascii")
    return next((value.decode("latin-1") for key, value in reply.headers if key == wanted), "")


def result_of(reply: Reply, signature: Signature, record: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the result section shows; the keys are described in `_result.html`.

    Args:
        reply: The engine's reply to a list of one row.
        signature: Inputs and outputs.
        record: The row; an explanation of its texts is shown in them.
    """
    answer = _only_row(parse_json(reply.body))
    outputs = [
        _output(output.name, answer.get(output.name)) | {"is_plain": is_plain(signature)}
        for output in signature.outputs
    ]
    return {
        "outputs": outputs,
        "bars": bars_of(answer.get("probabilities") or {}),
        "flags": flags_of(answer.get("flags") or {}, signature),
        "reasons": reasons_of(answer.get("explanation"), record or {}),
        "id": header_of(reply, "fairway-prediction-id"),
        "reference": header_of(reply, "fairway-model"),
    }


def _only_row(document: Any) -> Mapping[str, Any]:
    """Return the answer to the one row that a form sends as a list."""
    rows = document.get("predictions") if isinstance(document, dict) else None
    return rows[0] if isinstance(rows, list) and rows else {}


def problem_of(reply: Reply) -> Problem:
    """Return the problem document of a refused call; one is made up when the reply holds none."""
    document = parse_json(reply.body)
    if isinstance(document, dict) and "detail" in document:
        return document
    return {"status": reply.status, "title": "The call failed", "detail": "The server gave no reason."}


def bars_of(probabilities: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Return one bar per class, the most probable first; the width is a share of 100."""
    pairs = sorted(probabilities.items(), key=lambda pair: -(pair[1] or 0.0))
    return [
        {
            "label": shown(label) or '""',
            "share": share,
            "top": place == 0,
            "width": 0.0 if share is None else round(100 * min(max(share, 0.0), 1.0), 3),
        }
        for place, (label, share) in enumerate(pairs)
    ]


def flags_of(flags: Mapping[str, Any], signature: Signature) -> list[str]:
    """Return the flags of one row as sentences."""
    inputs = {entry.name: entry for entry in signature.inputs}
    return [_flag_sentence(name, str(code), inputs.get(name)) for name, code in flags.items()]


def messages_of(
    problem: Problem, signature: Signature, texts: Texts
) -> tuple[dict[str, list[Message]], list[Message]]:
    """Sort the faults of a refused record: those of an input, by its name, and those that belong to none."""
    entries = {entry.name: (place, entry) for place, entry in enumerate(signature.inputs)}
    by_input: dict[str, list[Message]] = {}
    others: list[Message] = []
    for fault in problem.get("errors", ()):
        name, rest = _place(str(fault.get("pointer", "")))
        if name in entries:
            place, entry = entries[name]
            typed = texts_of(entry, place, texts)
            by_input.setdefault(name, []).append(_message(fault, entry, rest, typed))
        else:
            others.append(Message(shown(str(fault.get("message", ""))), str(fault.get("code", ""))))
    return by_input, others


def _place(pointer: str) -> tuple[str, str]:
    """Split an RFC 6901 pointer into the only row: the name of an input, and the rest."""
    token, _, rest = pointer.removeprefix("/0/").partition("/")
    return token.replace("~1", "/").replace("~0", "~"), rest


def _message(fault: Mapping[str, Any], entry: Input, rest: str, typed: Sequence[str]) -> Message:
    code = str(fault.get("code", ""))
    text = _plain(code, entry, typed) if not rest else ""
    item = f"Value {int(rest) + 1}: " if rest.isdigit() else ""
    return Message(item + (text or shown(str(fault.get("message", "")))), code)


def _plain(code: str, entry: Input, typed: Sequence[str]) -> str:
    """Return the fault in the words of a person who fills a form, or the empty string if there are none."""
    if code in {"value_missing", "feature_missing"}:
        verb = "Choose" if entry.kind in {"category", "boolean", "category_list"} else "Enter"
        return f"{verb} a value; this input cannot be empty."
    if code == "value_type" and entry.kind in {"number", "integer"} and typed:
        return _number_words(entry, typed[-1])
    return ""


def _number_words(entry: Input, typed: str) -> str:
    wanted = "a whole number" if entry.kind == "integer" else "a number"
    sample = "" if entry.typical is None else f" such as {number_text(entry.typical)}"
    point = typed.strip().replace(",", ".", 1)
    is_comma = typed.count(",") == 1 and not isinstance(parse_number(point), str)
    advice = f" Did you mean {point}?" if is_comma else ""
    return f"Enter {wanted}{sample}; \u2018{shown(typed, 40)}\u2019 is not one.{advice}"


def _output(name: str, value: Any) -> dict[str, Any]:
    """Return an output's name, its value to read at a glance, and the exact value where that is another."""
    if isinstance(value, bool) or value is None:
        text = exact = _BOOLEAN_WORDS[value]
    elif isinstance(value, int | float):
        text, exact = number_text(value, digits=_BIG_DIGITS), number_text(value)
    else:
        text = exact = shown_lines(str(value))
    return {
        "name": shown(name),
        "text": text,
        "exact": exact if exact != text else "",
        "long": len(text) > _LONG_CHARS,
    }


def _flag_sentence(name: str, code: str, entry: Input | None) -> str:
    label = shown(name)
    if code == "category_unknown":
        return f"{label}: this value was not among those seen in training."
    if (
        code == "out_of_range"
        and entry is not None
        and entry.minimum is not None
        and entry.maximum is not None
    ):
        low, high = number_text(entry.minimum, digits=6), number_text(entry.maximum, digits=6)
        what = "the number of entries" if entry.kind in LIST_KINDS else "this number"
        return f"{label}: {what} lies outside the range seen in training, {low} to {high}."
    if code == "nonfinite_output":
        return f"{label}: the model's answer was not a finite number, so there is none to show."
    return f"{label}: {shown(code)}"
