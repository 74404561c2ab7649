"""A text to its terms: the analysers of scikit-learn's vectorisers, in plain Python.

They are written after the documented behaviour of `CountVectorizer` and its relatives and proven equal to it
on any Unicode (`tests/property`): lower case before accents, stop words before n-grams, `findall` for words.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import Step

_WHITE_SPACES = re.compile(r"\s\s+")
_WORDS_FROM = {
    r"(?u)\b\w\w+\b": 2,
    r"\b\w\w+\b": 2,
    r"(?u)\w\w+": 2,
    r"\w\w+": 2,
    r"(?u)\b\w+\b": 1,
    r"\b\w+\b": 1,
    r"(?u)\w+": 1,
    r"\w+": 1,
}
"""Patterns that find each whole run of letters, digits and underscores that is at least this long. A search
from left to right meets a run at its beginning and takes all of it, so the boundaries are always there."""


@dataclasses.dataclass
class Analyzer(Step):
    """A text to its terms.

    Attributes:
        unit: `word`, `char` or `char_wb` (characters within word boundaries).
        lowercase: Whether to lower the case first.
        accents: `unicode` or `ascii` to strip accents, else None.
        pattern: Regular expression of a word.
        stop_words: Words that are left out.
        shortest: Fewest words or characters of a term.
        longest: Most of them.
    """

    unit: str
    lowercase: bool
    accents: str | None
    pattern: str
    stop_words: list[str]
    shortest: int
    longest: int

    def __post_init__(self) -> None:
        self._strip = _ACCENTS[self.accents]
        self._fewest = _WORDS_FROM.get(self.pattern, 0)
        self._words = re.compile(r"\w+" if self._fewest else self.pattern).findall
        self._letters = _LOWER_LETTERS if self.lowercase else _LETTERS
        self._stop_words = frozenset(self.stop_words)
        self._terms = {"word": self._of_words, "char": self._of_chars, "char_wb": self._of_bounded_chars}[
            self.unit
        ]
        self._takes_words = self.unit == "word" and self.longest == 1

    def __call__(self, value: Any) -> list[str]:
        """Return the terms of one text, in order, repeats included."""
        return self._terms(value)

    def candidates(self, value: Any) -> list[str]:
        """Return the terms of one text and, for less time, words that are none: see `is_term`."""
        return self._split(value) if self._takes_words else self._terms(value)

    def is_term(self, candidate: str) -> bool:
        """Tell whether a candidate is a term."""
        if not self._takes_words:
            return True
        return len(candidate) >= self._fewest and candidate not in self._stop_words

    def _clean(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"a text is expected, not {type(value).__name__}")  # noqa: TRY004 - as the original
        if self.lowercase:
            value = value.lower()
        return value if self._strip is None else self._strip(value)

    def _split(self, value: Any) -> list[str]:
        """Return the words, and runs of letters that are too short for one."""
        if self._fewest and isinstance(value, str) and value.isascii():
            # Faster than a search: a table makes blanks of all that is in no word, and lowers the rest.
            return value.encode().translate(self._letters).decode().split()
        return self._words(self._clean(value))

    def _of_words(self, value: Any) -> list[str]:
        words = self._split(value)
        if self._stop_words or self._fewest > 1:
            fewest, stop_words = self._fewest, self._stop_words
            words = [word for word in words if len(word) >= fewest and word not in stop_words]
        if self.longest == 1:
            return words
        terms = list(words) if self.shortest == 1 else []
        for size in range(max(2, self.shortest), min(self.longest, len(words)) + 1):
            terms.extend(map(" ".join, zip(*(words[start:] for start in range(size)), strict=False)))
        return terms

    def _of_chars(self, value: Any) -> list[str]:
        text = _WHITE_SPACES.sub(" ", self._clean(value))
        count = len(text)
        return [
            text[start : start + size]
            for size in range(self.shortest, min(self.longest, count) + 1)
            for start in range(count - size + 1)
        ]

    def _of_bounded_chars(self, value: Any) -> list[str]:
        terms: list[str] = []
        for bare in _WHITE_SPACES.sub(" ", self._clean(value)).split():
            word = f" {bare} "
            for size in range(self.shortest, self.longest + 1):
                last = len(word) - size
                terms.extend([word[start : start + size] for start in range(max(last, 0) + 1)])
                if last <= 0:  # a word shorter than the term counts once
                    break
        return terms


def _letter_table(change: Callable[[str], str]) -> bytes:
    return bytes(ord(change(char) if re.match(r"\w", char) else " ") for char in map(chr, range(128))).ljust(
        256
    )


_LETTERS = _letter_table(str)
_LOWER_LETTERS = _letter_table(str.lower)


def _strip_combining(text: str) -> str:
    if text.isascii():
        return text
    split = unicodedata.normalize("NFKD", text)
    return "".join([char for char in split if not unicodedata.combining(char)])


def _strip_to_ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ASCII", "ignore").decode("ASCII")


_ACCENTS: dict[str | None, Callable[[str], str] | None] = {
    None: None,
    "unicode": _strip_combining,
    "ascii": _strip_to_ascii,
}


def read_analyzer(est: Any) -> Analyzer:
    """Read how a vectoriser splits texts.

    Raises:
        NotConvertible: It calls functions of the user's, or reads files.
    """
    for name in ("preprocessor", "tokenizer"):
        if getattr(est, name) is not None:
            raise NotConvertible(f"{type(est).__name__} with a {name} of its own has no compiled form")
    if callable(est.analyzer) or callable(est.strip_accents):
        raise NotConvertible(f"{type(est).__name__} with an analyzer of its own has no compiled form")
    if est.input != "content":
        raise NotConvertible(f"{type(est).__name__} that reads files has no compiled form")
    stop_words = sorted(est.get_stop_words() or ()) if est.analyzer == "word" else []
    shortest, longest = est.ngram_range
    return Analyzer(
        est.analyzer,
        bool(est.lowercase),
        est.strip_accents,
        est.token_pattern if est.analyzer == "word" else r"\w",
        stop_words,
        int(shortest),
        int(longest),
    )
