"""Texts to sparse features: what scikit-learn's vectorisers do with the terms of an analyser."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from fairway.compilers.steps.analyzers import Analyzer, read_analyzer
from fairway.compilers.steps.base import Array, Chain, Indexes, Source, Step, reads_transformer
from fairway.compilers.steps.scaling import Normalize, array
from fairway.compilers.steps.sparse import ONE_ROW, SparseRows

_CACHED_TOKENS = 1 << 16


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
        vocabulary = {term: place for place, term in enumerate(self.terms) if self.analyzer.is_term(term)}
        self._place = vocabulary.get
        self._unknown = itertools.repeat(len(self.terms))

    def __call__(self, value: Sequence[Any]) -> SparseRows:
        width = len(self.terms)
        place, unknown = self._place, self._unknown
        found = [
            np.fromiter(map(place, terms, unknown), np.intp, len(terms))
            for terms in map(self.analyzer.candidates, value)
        ]
        rows = _counted_row(found[0], width) if len(found) == 1 else _counted_rows(found, width)
        return rows.with_values(np.ones(len(rows.places))) if self.binary else rows


def _counted_row(keys: Indexes, width: int) -> SparseRows:
    """Return how often each column occurs; what is not known has the number after the last one."""
    places, counts = _counted(keys)
    if len(places) and places[-1] == width:
        places, counts = places[:-1], counts[:-1]
    return SparseRows(width, ONE_ROW, places, counts)


def _counted_rows(found: Sequence[Indexes], width: int) -> SparseRows:
    """Return what `_counted_row` finds in each, by sorting them all at once: row by row, then by column."""
    span, count = width + 1, len(found)
    keys = np.concatenate(found)
    keys += np.repeat(np.arange(count) * span, [len(row) for row in found])
    places, counts = _counted(keys)
    numbers = places // span
    places -= numbers * span
    known = places < width
    if not known.all():
        numbers, places, counts = numbers[known], places[known], counts[known]
    return SparseRows(width, np.searchsorted(numbers, np.arange(count)), places, counts)


def _counted(keys: Indexes) -> tuple[Indexes, Array]:
    """Return the different keys, ascending, and how often each occurs."""
    keys.sort()
    differs = np.ones(len(keys) + 1, np.bool_)
    np.not_equal(keys[1:], keys[:-1], differs[1:-1])
    edges = differs.nonzero()[0]
    begins = edges[:-1]
    return keys[begins], (edges[1:] - begins).astype(np.float64)


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
        return SparseRows.of(self.width, [self._row(text) for text in value])

    def _row(self, text: Any) -> tuple[Collection[int], Collection[float]]:
        counts: dict[int, float] = {}
        for term, times in Counter(self.analyzer(text)).items():
            place, sign = self._place(term)
            counts[place] = counts.get(place, 0.0) + sign * times
        return counts.keys(), [1.0] * len(counts) if self.binary else counts.values()


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
        if self.sublinear:
            value = value.with_values(np.log(value.values) + 1.0)
        if self.idf is not None:
            value = value.with_values(value.values * self.idf[value.places])
        return value if self._normalize is None else self._normalize(value)


def terms_of(vocabulary: Mapping[str, Any]) -> list[str]:
    """Return the terms of a fitted vocabulary by their columns."""
    terms = [""] * len(vocabulary)
    for term, place in vocabulary.items():
        terms[int(place)] = str(term)
    return terms


def sparse_source(width: int, est: Any) -> Source:
    """Return what comes out of a vectoriser."""
    return Source("sparse", width, single=np.dtype(est.dtype) == np.float32)


@reads_transformer("CountVectorizer", takes=("texts",))
def read_count_vectorizer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a CountVectorizer."""
    terms = terms_of(est.vocabulary_)
    return Count(read_analyzer(est), terms, bool(est.binary)), sparse_source(len(terms), est)


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
    return Chain(steps), sparse_source(width, est)
