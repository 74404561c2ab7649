"""The analysers of texts are those of scikit-learn, on any Unicode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.utils import murmurhash3_32

from fairway.compilers.steps.analyzers import read_analyzer
from fairway.compilers.steps.base import Source
from fairway.compilers.steps.text import (
    murmur3,
    read_count_vectorizer,
    read_hashing_vectorizer,
    read_tfidf_vectorizer,
)

SETTINGS: list[dict[str, Any]] = [
    {},
    {"lowercase": False},
    {"stop_words": ["the", "x", "café", "ab"]},
    {"token_pattern": r"(?u)\b\w+\b", "strip_accents": "unicode"},
    {"token_pattern": r"\w+", "ngram_range": (1, 4)},
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


@pytest.mark.filterwarnings("ignore:Upper case characters", "ignore:The parameter 'token_pattern'")
@pytest.mark.parametrize("options", SETTINGS, ids=str)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5), known=st.lists(TEXTS, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_scikit_learn(
    options: dict[str, Any], texts: list[str], known: list[str]
) -> None:
    """Known and unknown terms, in one text or several, among them terms that no text can hold."""
    terms = {
        term for text in known for term in [*text.split(), *CountVectorizer(**options).build_analyzer()(text)]
    }
    vectorizer = CountVectorizer(**options, vocabulary=sorted(terms | {"a", "the", "THE", "b a"}))
    step, _ = read_count_vectorizer(vectorizer.fit(texts), Source("texts", 1))

    expected = vectorizer.transform(texts).toarray()
    assert np.array_equal(expected, step(texts).dense())
    assert np.array_equal(expected, np.concatenate([step([text]).dense() for text in texts]))


@pytest.mark.parametrize("options", [{}, {"sublinear_tf": True}, {"norm": "l1", "use_idf": False}], ids=str)
@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_weights_are_those_of_scikit_learn(options: dict[str, Any], texts: list[str]) -> None:
    """Texts without a single known term stay zero; a text's bits are the same alone and among others."""
    vectorizer = TfidfVectorizer(**options).fit(["the café of the straße", "x ab a_b", "日本 tag don't ab"])
    step, _ = read_tfidf_vectorizer(vectorizer, Source("texts", 1))

    found = step(texts).dense()
    np.testing.assert_allclose(found, vectorizer.transform(texts).toarray(), rtol=0, atol=1e-15)
    assert found.tobytes() == np.concatenate([step([text]).dense() for text in texts]).tobytes()


def test_words_of_ascii_are_split_as_the_search_does() -> None:
    """Every ASCII character within and beside words: the table that replaces the search knows them all."""
    for lowercase in (True, False):
        vectorizer = CountVectorizer(lowercase=lowercase)
        analyzer, expected = read_analyzer(vectorizer), vectorizer.build_analyzer()
        for char in map(chr, range(128)):
            for text in (f"Ab{char}cD", f"{char}x{char}{char}Y {char}"):
                assert analyzer(text) == expected(text), repr(char)


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
