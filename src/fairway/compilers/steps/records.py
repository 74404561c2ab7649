"""Records to sparse features."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from fairway.compilers.steps.base import Source, Step, reads_transformer
from fairway.compilers.steps.sparse import SparseRows
from fairway.compilers.steps.text import sparse_source, terms_of


@dataclasses.dataclass
class Fields(Step):
    """Records to features: a number under its key, a text as a 1 under key, separator and text."""

    terms: list[str]
    separator: str

    def __post_init__(self) -> None:
        self._vocabulary = {term: place for place, term in enumerate(self.terms)}

    def __call__(self, value: Sequence[Mapping[str, Any]]) -> SparseRows:
        return SparseRows.of(len(self.terms), [self._row(record) for record in value])

    def _row(self, record: Mapping[str, Any]) -> tuple[Collection[int], Collection[float]]:
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
        return found.keys(), found.values()


def _add(found: dict[int, float], place: int | None, value: float) -> None:
    if place is not None:
        found[place] = found.get(place, 0.0) + value


@reads_transformer("DictVectorizer", takes=("records",), missing="kept")
def read_dict_vectorizer(est: Any, source: Source) -> tuple[Step, Source]:
    """Read a DictVectorizer."""
    terms = terms_of(est.vocabulary_)
    result = dataclasses.replace(sparse_source(len(terms), est), nullable=source.nullable)
    return Fields(terms, est.separator), result
