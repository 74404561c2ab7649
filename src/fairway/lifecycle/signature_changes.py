"""What differs between two signatures, and what each difference means for a client of the older one.

A client sends rows as objects, or as lists of values in the order of the signature (or the bare value of an
only input). Some differences concern one of these ways alone, and each difference says which.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from fairway.bundle.signature import LIST_KINDS, MAX_EXACT_INTEGER, Input, Output, Signature
from fairway.bundle.validation import expected_kind, has_int_levels

Grade = Literal["breaking", "risky", "harmless"]
Clients = Literal["all", "objects", "lists"]

GRADES: tuple[Grade, ...] = ("breaking", "risky", "harmless")
"""Worst first."""

_SHOWN = 5
_SIMILAR = 0.6
_LIST_CLIENTS = "a row that is sent as a list of values"


@dataclasses.dataclass(frozen=True, slots=True)
class SignatureChange:
    """One difference between two signatures.

    Attributes:
        code: What it is, such as `input_added`.
        grade: `breaking` if requests that worked are refused, or their answers cannot be read or mean
            something else; `risky` if they work and the answers may be worse or unexpected; else `harmless`.
        subject: Name of the input, output or policy; empty for what concerns several.
        sentence: What it is and what it means, in words.
        clients: Whom it concerns: `all`, those that send rows as `objects`, or as `lists` of values.
    """

    code: str
    grade: Grade
    subject: str
    sentence: str
    clients: Clients = "all"


def signature_changes(old: Signature, new: Signature) -> list[SignatureChange]:
    """Return every difference, the worst first."""
    found = [*_names(old, new), *_policies(old, new), *_outputs(old, new)]
    inputs = {entry.name: entry for entry in new.inputs}
    for entry in old.inputs:
        if entry.name in inputs:
            found.extend(_input(entry, inputs[entry.name], new))
    return sorted(found, key=lambda change: GRADES.index(change.grade))


# -- which inputs there are ------------------------------------------------------------------------------


def _names(old: Signature, new: Signature) -> Iterator[SignatureChange]:
    gone = [entry for entry in old.inputs if entry.name not in new.names]
    added = [entry for entry in new.inputs if entry.name not in old.names]
    renamed = list(_renamed(gone, added))
    for before, now in renamed:
        gone.remove(before)
        added.remove(now)
        sentence = (
            f"the input {before.name!r} seems to be called {now.name!r} now; "
            f"a body that says {before.name!r} is refused (feature_unknown)"
        )
        yield SignatureChange("input_renamed", "breaking", before.name, sentence, "objects")
    for entry in gone:
        sentence = (
            f"the input {entry.name!r} is gone; a body that holds it is refused (feature_unknown, row_length)"
        )
        yield SignatureChange("input_removed", "breaking", entry.name, sentence)
    for entry in added:
        yield _added(entry)
    yield from _order(old, new, {before.name: now.name for before, now in renamed})


def _renamed(gone: Sequence[Input], added: Sequence[Input]) -> Iterator[tuple[Input, Input]]:
    """Yield pairs of an input that is gone and a new one that seems to be the same under another name."""
    left = list(added)
    for entry in gone:
        alike = [(_likeness(entry.name, other.name), other) for other in left if other.kind == entry.kind]
        likeness, other = max(alike, key=lambda pair: pair[0], default=(0.0, entry))
        if likeness >= _SIMILAR:
            left.remove(other)
            yield entry, other


def _likeness(name: str, other: str) -> float:
    return difflib.SequenceMatcher(None, _plain(name), _plain(other)).ratio()


def _plain(name: str) -> str:
    # Comparing is quadratic in the length, and a name may have any.
    return "".join(character for character in name[:256].casefold() if character.isalnum())


def _added(entry: Input) -> SignatureChange:
    if not entry.nullable:
        sentence = (
            f"the input {entry.name!r} ({expected_kind(entry)}) is new and required; "
            "a body without it is refused (feature_missing, row_length)"
        )
        return SignatureChange("input_added", "breaking", entry.name, sentence)
    sentence = (
        f"the input {entry.name!r} ({expected_kind(entry)}) is new and may be missing, so objects without it "
        f"are taken; {_LIST_CLIENTS} is refused (row_length)"
    )
    return SignatureChange("optional_input_added", "breaking", entry.name, sentence, "lists")


def _order(old: Signature, new: Signature, renamed: dict[str, str]) -> Iterator[SignatureChange]:
    """Yield what list clients meet when the inputs that stayed are in another order."""
    before = [renamed.get(name, name) for name in old.names]
    stayed = [name for name in before if name in new.names]
    now = [name for name in new.names if name in stayed]
    if stayed == now:
        return
    place, (was, is_) = next(
        (n, pair) for n, pair in enumerate(zip(stayed, now, strict=True)) if pair[0] != pair[1]
    )
    sentence = (
        f"the inputs are in another order; value {place + 1} of {_LIST_CLIENTS} was {was!r} and is taken for "
        f"{is_!r}, without an error where the kinds agree"
    )
    yield SignatureChange("inputs_reordered", "breaking", "", sentence, "lists")


# -- what an input takes ---------------------------------------------------------------------------------


def _input(old: Input, new: Input, signature: Signature) -> Iterator[SignatureChange]:
    changed = _kind(old, new, signature)
    if changed is not None:
        yield changed
    if old.nullable and not new.nullable:
        sentence = f"{old.name!r} may not be missing any more; a body with null or without it is refused"
        yield SignatureChange("input_required", "breaking", old.name, f"{sentence} (value_missing)")
    elif new.nullable and not old.nullable:
        sentence = f"{old.name!r} may be missing now"
        yield SignatureChange("input_optional", "harmless", old.name, sentence)
    if old.kind == new.kind == "vector" and old.width != new.width:
        sentence = f"{old.name!r} takes {new.width} numbers instead of {old.width}; others are refused"
        yield SignatureChange("width_changed", "breaking", old.name, sentence)
    if changed is None or changed.grade != "breaking":
        yield from _range(old, new, signature)
    if changed is None:
        yield from _levels(old, new, signature)


_SHAPES = {
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "text": "string",
    "category": "string",
    "datetime": "string",
    "category_list": "strings",
    "text_list": "strings",
    "vector": "numbers",
}


def _shape(entry: Input) -> str:
    """Return what a value of an input looks like in JSON."""
    shape = _SHAPES[entry.kind]
    return {"string": "integer", "strings": "integers"}.get(shape, shape) if has_int_levels(entry) else shape


def _kind(old: Input, new: Input, signature: Signature) -> SignatureChange | None:
    """Return the difference of kind, or None if values look and are read alike."""
    before, now = _shape(old), _shape(new)
    if old.kind == new.kind and before == now:
        return None
    what = f"{old.name!r} is {_kind_of(new)} instead of {_kind_of(old)}"
    widened = (before, now) == ("integer", "number")
    if before != now and not widened:
        sentence = f"{what}; what a client sends is refused (value_type)"
        return SignatureChange("kind_changed", "breaking", old.name, sentence)
    if widened and max(abs(old.minimum or 0), abs(old.maximum or 0)) > MAX_EXACT_INTEGER:
        sentence = f"{what}; an integer beyond 2^53 that no number holds exactly is refused (number_range)"
        return SignatureChange("kind_changed", "breaking", old.name, sentence)
    if new.kind == "datetime":
        sentence = f"{what}; what is no date and time is refused (value_format)"
        return SignatureChange("kind_changed", "breaking", old.name, sentence)
    if new.kind in {"category", "category_list"} and new.levels:
        refused = signature.unseen_category == "reject"
        fate = "refused (category_unknown)" if refused else "taken, though the model knows none of it"
        sentence = f"{what}; what is not among its {len(new.levels)} categories is {fate}"
        return SignatureChange("kind_changed", "breaking" if refused else "risky", old.name, sentence)
    if old.kind == "datetime":
        return SignatureChange("kind_changed", "risky", old.name, f"{what}; the model reads it otherwise")
    return SignatureChange("kind_changed", "harmless", old.name, f"{what}, which takes all that was taken")


def _kind_of(entry: Input) -> str:
    detail = f" of {expected_kind(entry)}s" if has_int_levels(entry) and entry.kind == "category" else ""
    article = "an" if entry.kind[0] in "aeiou" else "a"
    return f"{article} {entry.kind}{detail}"


def _range(old: Input, new: Input, signature: Signature) -> Iterator[SignatureChange]:
    if new.minimum is None or new.maximum is None or _bounds(old) == _bounds(new):
        return
    what = f"{old.name!r} was seen {_seen(old)} and is {_seen(new)} now"
    if new.minimum <= _bounds(old)[0] and new.maximum >= _bounds(old)[1]:
        yield SignatureChange("range_widened", "harmless", old.name, what)
    elif signature.out_of_range == "reject":
        sentence = f"{what}; what lies outside is refused (out_of_range)"
        yield SignatureChange("range_narrowed", "breaking", old.name, sentence)
    elif _misses_much(old, new):
        sentence = f"{what}; more than one in twenty of the values seen before lie outside of it"
        yield SignatureChange("range_narrowed", "risky", old.name, sentence)
    else:
        yield SignatureChange("range_narrowed", "harmless", old.name, what)


def _bounds(entry: Input) -> tuple[float, float]:
    low, high = entry.minimum, entry.maximum
    return -math.inf if low is None else low, math.inf if high is None else high


def _seen(entry: Input) -> str:
    items = " items" if entry.kind in LIST_KINDS else ""
    low, high = _bounds(entry)
    return f"from {low:g} to {high:g}{items}"


def _misses_much(old: Input, new: Input) -> bool:
    """Tell whether more than a twentieth of what the old version saw lies on one side of the new range."""
    if not old.quantiles:  # of the 5th, ..., 95th percentile
        return False
    return new.minimum > old.quantiles[0] or new.maximum < old.quantiles[-1]  # type: ignore[operator]


def _levels(old: Input, new: Input, signature: Signature) -> Iterator[SignatureChange]:
    if not old.levels or not new.levels:
        return
    known = set(new.levels)
    gone = [level for level in old.levels if level not in known]
    added = len(known - set(old.levels))
    if gone:
        refused = signature.unseen_category == "reject"
        fate = "refused (category_unknown)" if refused else "taken, though the model knows nothing of them"
        sentence = f"{old.name!r} does not know {_some(gone)} any more; they are {fate}"
        yield SignatureChange("categories_removed", "breaking" if refused else "risky", old.name, sentence)
    if added:
        sentence = f"{old.name!r} knows {added} more {'category' if added == 1 else 'categories'}"
        yield SignatureChange("categories_added", "harmless", old.name, sentence)


def _some(values: Sequence[object]) -> str:
    shown = ", ".join(repr(value) for value in values[:_SHOWN])
    return shown if len(values) <= _SHOWN else f"{shown} and {len(values) - _SHOWN} more"


def _policies(old: Signature, new: Signature) -> Iterator[SignatureChange]:
    concerned = {
        "out_of_range": any(entry.minimum is not None for entry in new.inputs),
        "unseen_category": any(entry.levels for entry in new.inputs),
    }
    for name, is_concerned in concerned.items():
        before, now = getattr(old, name), getattr(new, name)
        if before == now or not is_concerned:
            continue
        what = f"the policy {name} is {now!r} instead of {before!r}"
        if now == "reject":
            sentence = f"{what}; values that were let through are refused"
            yield SignatureChange("policy_tightened", "breaking", name, sentence)
        else:
            yield SignatureChange("policy_loosened", "harmless", name, what)


# -- what comes back -------------------------------------------------------------------------------------


def _outputs(old: Signature, new: Signature) -> Iterator[SignatureChange]:
    now = {output.name: output for output in new.outputs}
    before = {output.name for output in old.outputs}
    for output in old.outputs:
        if output.name not in now:
            sentence = f"the output {output.name!r} is gone; a client that reads it finds nothing"
            yield SignatureChange("output_removed", "breaking", output.name, sentence)
        else:
            yield from _output(output, now[output.name])
    for name in now:
        if name not in before:
            yield SignatureChange("output_added", "harmless", name, f"the output {name!r} is new")
    if len(before) == 1 < len(now):
        sentence = (
            "there is more than one output; "
            "the answers to the keys features and input hold objects instead of values"
        )
        yield SignatureChange("answer_shape", "breaking", "", sentence, "lists")
    yield from _classes(old.classes, new.classes)


def _output(old: Output, new: Output) -> Iterator[SignatureChange]:
    if old.type != new.type:
        narrower = (old.type, new.type) == ("number", "integer")
        sentence = f"the output {old.name!r} is of the type {new.type} instead of {old.type}"
        yield SignatureChange("output_type", "risky" if narrower else "breaking", old.name, sentence)
    elif old.kind != new.kind:
        sentence = f"the output {old.name!r} is a {new.kind} instead of a {old.kind}"
        yield SignatureChange("output_kind", "breaking", old.name, sentence)


def _classes(old: Iterable[object], new: Iterable[object]) -> Iterator[SignatureChange]:
    before, now = _typed(old), _typed(new)
    gone = [label for key, label in before.items() if key not in now]
    added = [label for key, label in now.items() if key not in before]
    if before and not now:
        sentence = "the model gives no probabilities any more; ?include=probabilities adds none"
        yield SignatureChange("probabilities_gone", "breaking", "", sentence)
    elif before and len(gone) == len(before):
        sentence = f"none of the labels is the same: {_some(gone)} became {_some(added)}"
        yield SignatureChange("labels_replaced", "breaking", "", sentence)
    elif before:
        if gone:
            sentence = f"labels that are never answered any more, and have no probability: {_some(gone)}"
            yield SignatureChange("labels_removed", "risky", "", sentence)
        if added:
            sentence = f"labels that an existing client may not know: {_some(added)}"
            yield SignatureChange("labels_added", "risky", "", sentence)


def _typed(labels: Iterable[object]) -> dict[tuple[type, object], object]:
    """Return labels by type and value: 1 and true and "1" are three labels."""
    return {(type(label), label): label for label in labels}
