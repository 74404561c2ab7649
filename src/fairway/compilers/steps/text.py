"""Texts and records to sparse features: the analysers of scikit-learn's vectorisers, in plain Python.

They are written after the documented behaviour of `CountVectorizer` and its relatives and proven equal to it
on any Unicode (`tests/property`): lower case before accents, stop words before n-grams, `findall` for words.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fairway.compilers.base import NotConvertible
from fairway.compilers.steps.base import Array, Chain, Source, SparseRows, Step, reads_transformer
from fairway.compilers.steps.scaling import Normalize, array

_WHITE_SPACES = re.compile(r"\s\s+")
_CACHED_TOKENS = 1 << 16


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
        self._words = re.compile(self.pattern).findall
        self._stop_words = frozenset(self.stop_words)
        self._terms = {"word": self._of_words, "char": self._of_chars, "char_wb": self._of_bounded_chars}[
            self.unit
        ]

    def __call__(self, value: Any) -> list[str]:
        """Return the terms of one text, in order, repeats included."""
        if not isinstance(value, str):
            raise ValueError(f"a text is expected, not {type(value).__name__}")  # noqa: TRY004 - as the original
        if self.lowercase:
            value = value.lower()
        return self._terms(value if self._strip is None else self._strip(value))

    def _of_words(self, text: str) -> list[str]:
        words = self._words(text)
        if self._stop_words:
            stop_words = self._stop_words
            words = [word for word in words if word not in stop_words]
        if self.longest == 1:
            return words
        terms = list(words) if self.shortest == 1 else []
        count = len(words)
        for size in range(max(2, self.shortest), min(self.longest, count) + 1):
            terms.extend(" ".join(words[start : start + size]) for start in range(count - size + 1))
        return terms

    def _of_chars(self, text: str) -> list[str]:
        text = _WHITE_SPACES.sub(" ", text)
        count = len(text)
        return [
            text[start : start + size]
            for size in range(self.shortest, min(self.longest, count) + 1)
            for start in range(count - size + 1)
        ]

    def _of_bounded_chars(self, text: str) -> list[str]:
        terms: list[str] = []
        for bare in _WHITE_SPACES.sub(" ", text).split():
            word = f" {bare} "
            for size in range(self.shortest, self.longest + 1):
                last = len(word) - size
                terms.extend(word[start : start + size] for start in range(max(last, 0) + 1))
                if last <= 0:  # a word shorter than the term counts once
                    break
        return terms


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


@dataclasses.dataclass
class Count(Step):
    """Texts to counts of known terms.

    Attributes:
        analyzer: Text to terms.
        terms: Known terms; the number of a term is its column.
        binary: Whether to note presence instead of the count.
    """

    analyzer: Analyzer
    terms: list[str]
    binary: bool

    def __post_init__(self) -> None:
        self._vocabulary = {term: place for place, term in enumerate(self.terms)}

    def __call__(self, value: Sequence[Any]) -> SparseRows:
        return SparseRows(len(self.terms), [self._row(text) for text in value])

    def _row(self, text: Any) -> tuple[Any, Array]:
        counts: dict[int, int] = {}
        get = self._vocabulary.get
        for term in self.analyzer(text):
            place = get(term)
            if place is not None:
                counts[place] = counts.get(place, 0) + 1
        size = len(counts)
        places = np.fromiter(counts, np.intp, size)
        if self.binary:
            return places, np.ones(size)
        return places, np.fromiter(counts.values(), np.float64, size)


@dataclasses.dataclass
class Hash(Step):
    """Texts to counts of the hashes of their terms (MurmurHash3 x86 32 bit, seed 0, as scikit-learn).

    Attributes:
        analyzer: Text to terms.
        width: Number of columns.
        alternate: Whether the sign of the hash is the sign of the count.
        binary: Whether to note presence instead of the count.
    """

    analyzer: Analyzer
    width: int
    alternate: bool
    binary: bool

    def __post_init__(self) -> None:
        place = functools.partial(_hashed_place, width=self.width, alternate=self.alternate)
        self._place = functools.lru_cache(_CACHED_TOKENS)(place)

    def __call__(self, value: Sequence[Any]) -> SparseRows:
        return SparseRows(self.width, [self._row(text) for text in value])

    def _row(self, text: Any) -> tuple[Any, Array]:
        counts: dict[int, float] = {}
        for term in self.analyzer(text):
            place, sign = self._place(term)
            counts[place] = counts.get(place, 0.0) + sign
        size = len(counts)
        places = np.fromiter(counts, np.intp, size)
        return places, np.ones(size) if self.binary else np.fromiter(counts.values(), np.float64, size)


def _hashed_place(term: str, *, width: int, alternate: bool) -> tuple[int, float]:
    digest = murmur3(term.encode())
    place = (2**31 - 1 - (width - 1)) % width if digest == -(2**31) else abs(digest) % width
    return place, -1.0 if alternate and digest < 0 else 1.0


def murmur3(data: bytes) -> int:
    """Return MurmurHash3_x86_32 of *data* with the seed 0 as a signed integer.

    Source: Austin Appleby, smhasher, MurmurHash3.cpp (public domain).
    """
    mask, value = 0xFFFFFFFF, 0
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        value ^= _scrambled(int.from_bytes(data[start : start + 4], "little"))
        value = ((value << 13) | (value >> 19)) & mask
        value = (value * 5 + 0xE6546B64) & mask
    if len(data) > whole:
        value ^= _scrambled(int.from_bytes(data[whole:], "little"))
    value ^= len(data)
    value = ((value ^ (value >> 16)) * 0x85EBCA6B) & mask
    value = ((value ^ (value >> 13)) * 0xC2B2AE35) & mask
    value ^= value >> 16
    return value - (1 << 32) if value & 0x80000000 else value


def _scrambled(block: int) -> int:
    block = (block * 0xCC9E2D51) & 0xFFFFFFFF
    block = ((block << 15) | (block >> 17)) & 0xFFFFFFFF
    return (block * 0x1B873593) & 0xFFFFFFFF


@dataclasses.dataclass
class Weigh(Step):
    """Counts to TF-IDF weights.

    Attributes:
        idf: Weight of each column; None weighs all alike.
        sublinear: Whether a count counts as 1 + log(count).
        norm: `l1` or `l2` to divide by the row's norm, else None.
    """

    idf: Array | None
    sublinear: bool
    norm: str | None

    def __post_init__(self) -> None:
        self._normalize = Normalize(self.norm) if self.norm else None

    def __call__(self, value: SparseRows) -> SparseRows:
        rows = value.rows
        if self.sublinear:
            rows = [(i, np.log(v) + 1.0) for i, v in rows]
        if self.idf is not None:
            idf = self.idf
            rows = [(i, v * idf[i]) for i, v in rows]
        if self.norm == "l2":
            return SparseRows(value.width, [(i, v / (math.sqrt(v.dot(v)) or 1.0)) for i, v in rows])
        found = SparseRows(value.width, rows)
        return found if self._normalize is None else self._normalize(found)


@dataclasses.dataclass
class Fields(Step):
    """Records to features: a number under its key, a text as a 1 under key, separator and text."""

    terms: list[str]
    separator: str

    def __post_init__(self) -> None:
        self._vocabulary = {term: place for place, term in enumerate(self.terms)}

    def __call__(self, value: Sequence[Mapping[str, Any]]) -> SparseRows:
        return SparseRows(len(self.terms), [self._row(record) for record in value])

    def _row(self, record: Mapping[str, Any]) -> tuple[Any, Array]:
        get, separator = self._vocabulary.get, self.separator
        found: dict[int, float] = {}
        for key, value in record.items():
            if isinstance(value, str):
                _add(found, get(f"{key}{separator}{value}"), 1.0)
            elif isinstance(value, list | tuple):
                for item in value:
                    if not isinstance(item, str):
                        raise TypeError(f"the list {key!r} holds a {type(item).__name__}, not only texts")
                    _add(found, get(f"{key}{separator}{item}"), 1.0)
            else:
                _add(found, get(key), np.nan if value is None else float(value))
        size = len(found)
        return np.fromiter(found, np.intp, size), np.fromiter(found.values(), np.float64, size)


def _add(found: dict[int, float], place: int | None, value: float) -> None:
    if place is not None:
        found[place] = found.get(place, 0.0) + value


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


def _terms(vocabulary: Mapping[str, Any]) -> list[str]:
    terms = [""] * len(vocabulary)
    for term, place in vocabulary.items():
        terms[int(place)] = str(term)
    return terms


def _sparse(width: int, est: Any) -> Source:
    return Source("sparse", width, single=np.dtype(est.dtype) == np.float32)


@reads_transformer("CountVectorizer", takes=("texts",))
def read_count_vectorizer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a CountVectorizer."""
    terms = _terms(est.vocabulary_)
    return Count(read_analyzer(est), terms, bool(est.binary)), _sparse(len(terms), est)


@reads_transformer("TfidfTransformer", takes=("sparse",))
def read_tfidf(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a TfidfTransformer."""
    idf = array(est.idf_) if est.use_idf else None
    return Weigh(idf, bool(est.sublinear_tf), est.norm), source


@reads_transformer("TfidfVectorizer", takes=("texts",))
def read_tfidf_vectorizer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a TfidfVectorizer."""
    count, result = read_count_vectorizer(est, source)
    weigh, _ = read_tfidf(est._tfidf, result)
    return Chain([count, weigh]), result


@reads_transformer("HashingVectorizer", takes=("texts",))
def read_hashing_vectorizer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a HashingVectorizer."""
    width = int(est.n_features)
    steps: list[Step] = [Hash(read_analyzer(est), width, bool(est.alternate_sign), bool(est.binary))]
    if est.norm:
        steps.append(Normalize(est.norm))
    return Chain(steps), _sparse(width, est)


@reads_transformer("DictVectorizer", takes=("records",), missing="kept")
def read_dict_vectorizer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a DictVectorizer."""
    terms = _terms(est.vocabulary_)
    result = dataclasses.replace(_sparse(len(terms), est), nullable=source.nullable)
    return Fields(terms, est.separator), result
