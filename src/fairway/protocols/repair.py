"""Show a caller the request that would have worked: their own values, with what is wrong put right."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fairway.bundle.validation import Validator
from fairway.errors import SignatureMismatch

HINT = "the example shows a corrected row; values that did not fit were replaced by typical ones"
_MAX_NAMES = 100
_MAX_NAME_CHARS = 256
_MAX_ITEMS = 100
_TEXT_LISTS = frozenset({"text_list", "category_list"})


def corrected_body(
    validator: Validator,
    rows: Sequence[Any],
    error: SignatureMismatch,
    *,
    key: str,
    pointer: Callable[[int], str],
) -> Any:
    """Return a body with the first faulty row corrected, in the form that the caller used.

    Values that fit are kept, misspelt names are put right, everything else comes from the typical row; no
    value of another row is shown.
    """
    place = error.faults[0].pointer
    number = next((n for n in range(len(rows)) if _is_within(place, pointer(n))), 0)
    row = corrected_row(validator, rows[number])
    is_single = pointer(0) in {"", f"/{key}"}
    if not key:
        return row if is_single else [row]
    return {key: row if is_single else [row]}


def _is_within(place: str, row_pointer: str) -> bool:
    return place == row_pointer or place.startswith(f"{row_pointer}/")


def corrected_row(validator: Validator, raw: Any) -> Any:
    """Return a row that is accepted, with as much of *raw* as fits."""
    typical = validator.signature.typical_row()
    if isinstance(raw, Mapping):
        return _repaired(validator, typical | _with_right_names(raw, typical))
    if not isinstance(raw, list | tuple):
        return typical
    if len(raw) == len(typical) and not validator.is_bare_list(raw):
        return list(_repaired(validator, dict(zip(typical, raw, strict=True))).values())
    return list(typical.values())


def _repaired(validator: Validator, record: dict[str, Any]) -> dict[str, Any]:
    """Put right what the validator refuses, or replace it by typical values."""
    typical = validator.signature.typical_row()
    kinds = {entry.name: entry.kind for entry in validator.signature.inputs}
    # Policies are looked at when every value is of the right kind: that is a second round of faults.
    for rounds_left in (2, 1, 0):
        try:
            validator.check([record], pointer=lambda _: "")
        except SignatureMismatch as error:
            if len(error.faults) < error.total:
                return typical
            refused = {
                fault.pointer.split("/")[1].replace("~1", "/").replace("~0", "~") for fault in error.faults
            }
            texts = {name: _texts_of(record[name]) for name in refused if kinds[name] in _TEXT_LISTS}
            better = (
                typical if rounds_left == 0 else typical | {n: found for n, found in texts.items() if found}
            )
            record = {name: better[name] if name in refused else value for name, value in record.items()}
        else:
            break
    return record


def _texts_of(value: Any) -> list[str]:
    """Return the list of texts that was meant: a text's lines, or what is a text in a list."""
    items = value.splitlines() if isinstance(value, str) else value
    if not isinstance(items, list) or len(items) > _MAX_ITEMS:
        return []
    return [item for item in items if isinstance(item, str) and item.strip()]


def _with_right_names(raw: Mapping[str, Any], typical: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in raw.items() if name in typical}
    missing = [name for name in typical if name not in raw]
    for name in list(raw)[:_MAX_NAMES]:
        close = difflib.get_close_matches(name[:_MAX_NAME_CHARS], missing, n=1) if name not in typical else []
        if close:
            found[close[0]] = raw[name]
    return found
