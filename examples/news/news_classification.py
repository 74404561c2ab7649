"""How an article becomes a vector, and how a class becomes a category: the code that travels with the model.

`train.py` and the server call the very same functions, so that what is served cannot drift away from what was
trained. This file needs NumPy and nothing of fairway; the word vectors come from a data file beside it.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CATEGORIES = {1: "World", 2: "Sports", 3: "Business", 4: "Sci/Tech"}

_SPECIAL = {"won't": "will not", "can't": "can not", "shan't": "shall not", "let's": "let us"}
_ENDINGS = {"n't": " not", "'re": " are", "'ll": " will", "'ve": " have", "'m": " am", "'d": " would"}
_POSSESSIVE = re.compile(r"'s\b")
_TAG = re.compile(r"<[^>]{0,200}>")
# The feeds lost the ampersand of some character references: " #39;s" was "&#39;s", an apostrophe.
_LOST_REFERENCE = re.compile(r"\s?#(\d{2,4});")
_NO_WORD = re.compile(r"[^a-z]+")

STOP_WORDS = frozenset(
    """a about after again all also am an and any are as at be because been before being both but by
    can could did do does doing down during each few for from further had has have having he her
    here hers him his how i if in into is it its just me more most my no nor not now of off on once
    only or other our ours out over own same she should so some such than that the their theirs them
    then there these they this those through to too under until up us very was we were what when
    where which while who whom why will with would you your yours""".split()  # noqa: SIM905 - a list of words reads best as a text
)


def decontract(text: str) -> str:
    """Return a lower-case text with its contractions written out: `won't` is `will not`.

    A possessive `'s` is dropped: it says nothing about the category.
    """
    text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    for short, long in _SPECIAL.items():
        text = text.replace(short, long)
    for ending, word in _ENDINGS.items():
        text = text.replace(ending, word)
    return _POSSESSIVE.sub("", text)


def preprocess_text(text: str) -> list[str]:
    """Return the words of an article that may say something about its category."""
    text = _LOST_REFERENCE.sub(lambda found: chr(int(found[1])), text)
    text = _TAG.sub(" ", html.unescape(text)).replace("\\", " ")
    words = _NO_WORD.sub(" ", decontract(text.lower())).split()
    return [word for word in words if len(word) > 1 and word not in STOP_WORDS]


def featurization(
    words: Sequence[str], *, places: Mapping[str, int], vectors: NDArray[Any], idf: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the average of the words' vectors, weighted by TF-IDF; zeros if no word is known.

    Args:
        words: Words of one article.
        places: Row of `vectors` and `idf` by word.
        vectors: One vector per known word.
        idf: Inverse document frequency per known word.
    """
    counts = Counter(places[word] for word in words if word in places)
    if not counts:
        return np.zeros(vectors.shape[1])
    rows = sorted(counts)  # a sum depends on its order: the same words in another order give the same bits
    weights = np.array([counts[row] for row in rows]) * idf[rows]
    average: NDArray[np.float64] = (weights[:, None] * vectors[rows]).sum(axis=0) / weights.sum()
    return average


class News:
    """The preprocessing with the word vectors that it needs.

    fairway makes one without arguments and calls `load` with the files that were packed (`--file`).
    """

    def load(self, files: Mapping[str, Path]) -> None:
        """Read the word vectors."""
        with np.load(files["vectors.npz"], allow_pickle=False) as kept:
            self.use(kept["words"].tolist(), kept["vectors"], kept["idf"])

    def use(self, words: Sequence[str], vectors: NDArray[Any], idf: NDArray[Any]) -> None:
        """Use these words with their vectors and inverse document frequencies."""
        self.places = {word: row for row, word in enumerate(words)}
        self.vectors = vectors.astype(np.float64)
        self.idf = idf

    def vectorise(self, record: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the vector of one article, `{"text": "..."}`."""
        words = preprocess_text(record["text"])
        return featurization(words, places=self.places, vectors=self.vectors, idf=self.idf)


def category(label: int) -> dict[str, str]:
    """Return the category that a class stands for."""
    return {"category": CATEGORIES[label]}
