"""The analysers of texts are those of scikit-learn, on any Unicode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.utils import murmurhash3_32

from fairway.compilers.steps.base import Source
from fairway.compilers.steps.text import murmur3, read_analyzer, read_hashing_vectorizer

SETTINGS: list[dict[str, Any]] = [
    {},
    {"lowercase": False, "ngram_range": (2, 3)},
    {"strip_accents": "unicode", "ngram_range": (1, 2), "stop_words": "english"},
    {"strip_accents": "ascii", "token_pattern": r"\b[a-z]+\b"},
    {"token_pattern": r"(?u)#(\w+)"},
    {"analyzer": "char", "ngram_range": (1, 3)},
    {"analyzer": "char", "ngram_range": (3, 3), "strip_accents": "unicode"},
    {"analyzer": "char_wb", "ngram_range": (2, 5)},
    {"analyzer": "char_wb", "ngram_range": (1, 1), "lowercase": False},
]
WORDS = st.sampled_from(
    ["the", "Café", "cafe\u0301", "straße", "ﬁn", "İI", "x", "don't", "日本", "a_b", "\u00a0", "#tag"]
)
TEXTS = st.one_of(
    st.text(max_size=60), st.lists(WORDS, max_size=12).map(" ".join), st.text("ab \t\n", max_size=30)
)


@pytest.mark.parametrize("options", SETTINGS, ids=str)
@given(text=TEXTS)
@settings(max_examples=150, deadline=None)
def test_terms_are_those_of_scikit_learn(options: dict[str, Any], text: str) -> None:
    """Every setting splits every text into the same terms, repeats included."""
    vectorizer = CountVectorizer(**options)

    assert sorted(read_analyzer(vectorizer)(text)) == sorted(vectorizer.build_analyzer()(text))


@given(data=st.binary(max_size=64))
@settings(max_examples=300, deadline=None)
def test_the_hash_is_murmur3(data: bytes) -> None:
    """The hash of any bytes is that of scikit-learn's C code."""
    assert murmur3(data) == murmurhash3_32(data, seed=0)


@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
@settings(max_examples=80, deadline=None)
def test_hashed_features_are_those_of_scikit_learn(texts: list[str]) -> None:
    """Few columns, so that terms collide: signs add up alike."""
    vectorizer = HashingVectorizer(n_features=16)
    step, _ = read_hashing_vectorizer(vectorizer, Source("texts", 1))

    np.testing.assert_allclose(step(texts).dense(), vectorizer.transform(texts).toarray(), rtol=0, atol=1e-15)
