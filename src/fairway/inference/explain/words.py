"""The words of a row: where they stand, and the row without some of them."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence
from typing import Any

from fairway.bundle.signature import Signature

TEXT_KINDS = frozenset({"text", "text_list"})
MAX_UNITS = 250
"""Most units that are weighed; a text of more different words is weighed by phrases."""

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a word stands.

    Attributes:
        item: Place in the list of texts; None where the input is one text.
        start: First character, counted in code points.
        stop: Behind the last one.
    """

    item: int | None
    start: int
    stop: int


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """What is left out or kept as a whole: every occurrence of a word in an input, or one phrase.

    Attributes:
        entry: Place of the input in the signature.
        name: Its name.
        text: The word as it stands first, or the phrase.
        places: Where it stands.
    """

    entry: int
    name: str
    text: str
    places: tuple[Place, ...]


class Words:
    """The texts of one row, taken apart.

    Attributes:
        units: What can be left out, in the order of the text.
        is_by_phrase: Whether the units are phrases, because there are too many words.
    """

    def __init__(self, signature: Signature, row: Sequence[Any]) -> None:
        self._row = row
        self._texts = [
            (n, entry.name, item, text)
            for n, entry in enumerate(signature.inputs)
            if entry.kind in TEXT_KINDS
            for item, text in _texts_of(row[n])
        ]
        found = [
            (n, name, item, match) for n, name, item, text in self._texts for match in _WORD.finditer(text)
        ]
        grouped: dict[tuple[int, str], list[Any]] = {}
        for n, name, item, match in found:
            grouped.setdefault((n, match[0].casefold()), []).append((name, item, match))
        self.is_by_phrase = len(grouped) > MAX_UNITS
        if self.is_by_phrase:
            self.units = self._phrases(found)
        else:
            self.units = [
                Unit(n, hits[0][0], hits[0][2][0], tuple(Place(item, *m.span()) for _, item, m in hits))
                for (n, _), hits in grouped.items()
            ]
        self._pieces = self._cut()

    def _phrases(self, found: Sequence[Any]) -> list[Unit]:
        """Return runs of words of one input, about as long as each other; a run may span texts of a list."""
        inputs = {n for n, *_ in found}
        length = -(-len(found) // max(1, MAX_UNITS - len(inputs)))
        texts = {(n, item): text for n, _, item, text in self._texts}
        units = []
        for n in sorted(inputs):
            words = [(name, item, match) for m, name, item, match in found if m == n]
            for first in range(0, len(words), length):
                run = words[first : first + length]
                places = tuple(
                    Place(item, hits[0].start(), hits[-1].end())
                    for item, group in itertools.groupby(run, key=lambda word: word[1])
                    if (hits := [match for *_, match in group])
                )
                start = places[0]
                text = texts[n, start.item][start.start : start.stop]
                units.append(Unit(n, run[0][0], text, places))
        return units

    def _cut(self) -> list[list[tuple[int, str]]]:
        """Return each text as pieces with the unit that a piece belongs to, or -1."""
        places: dict[tuple[int, int | None], list[tuple[int, int, int]]] = {}
        for number, unit in enumerate(self.units):
            for place in unit.places:
                places.setdefault((unit.entry, place.item), []).append((place.start, place.stop, number))
        return [_pieces(text, sorted(places.get((n, item), []))) for n, _, item, text in self._texts]

    @property
    def chars(self) -> int:
        """How long the texts are together."""
        return sum(len(text) for *_, text in self._texts)

    def without(self, is_kept: Sequence[bool]) -> list[Any]:
        """Return the row with only the units that are kept; what stands between words stays."""
        row = list(self._row)
        lists: dict[int, list[str]] = {}
        for (n, _, item, _), pieces in zip(self._texts, self._pieces, strict=True):
            text = "".join(piece for number, piece in pieces if number < 0 or is_kept[number])
            if item is None:
                row[n] = text
            else:
                lists.setdefault(n, []).append(text)
        for n, texts in lists.items():
            row[n] = texts
        return row


def _texts_of(value: Any) -> list[tuple[int | None, str]]:
    if value is None:
        return []
    return [(None, value)] if isinstance(value, str) else list(enumerate(value))


def _pieces(text: str, places: Sequence[tuple[int, int, int]]) -> list[tuple[int, str]]:
    pieces, end = [], 0
    for start, stop, number in places:
        pieces += [(-1, text[end:start]), (number, text[start:stop])]
        end = stop
    return [*pieces, (-1, text[end:])]
