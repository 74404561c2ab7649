"""How a recipe becomes one clean text, as plain functions: nothing but the standard library.

This file travels inside the bundle like `recipes_features.py`, whose class calls it. It is all that a
compiled model takes along of it, so a server needs no scikit-learn to clean a text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

_DULL = """
    a about above after again all also an and any are as at be been before being below both but by can
    could did do does down during each for from further had has have here how if in into is it its just
    more most must no nor not now of off on once only or other our out over own per same should so some
    such than that the their them then there these they this those through to too under until up very was
    we were what when where which while who will with without would you your
"""
STOP_WORDS = frozenset(_DULL.split())
"""Words that say nothing about a recipe."""

_WORD = re.compile(r"[^\W\d_]+")  # letters of any script; digits, fractions and punctuation separate words
_VOWELS = frozenset("aeiouy")
_SHORTEST_STEM = 3


def texts(recipes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return one clean text per recipe: its ingredients, then its steps."""
    return [" ".join(words([*recipe["ingredients"], *recipe["steps"]])) for recipe in recipes]


def words(lines: Iterable[str]) -> list[str]:
    """Return the stems of the words of *lines*, in order, without stop words and single letters."""
    found = _WORD.findall("\n".join(lines).lower())
    return [stem(word) for word in found if len(word) > 1 and word not in STOP_WORDS]


@functools.lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Return a word without its English ending, so that `chop`, `chops`, `chopped` and `chopping` are one.

    A few rules in the manner of Porter's first step; a word of another language mostly stays as it is.
    """
    if word.endswith("ies") and len(word) > 2 + _SHORTEST_STEM:
        word = f"{word[:-3]}y"
    elif word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        bare = word[: -len(ending)]
        if word.endswith(ending) and len(bare) >= _SHORTEST_STEM and not _VOWELS.isdisjoint(bare):
            word = _undoubled(bare)
            break
    return word[:-1] if word.endswith("e") and len(word) > _SHORTEST_STEM else word


def _undoubled(word: str) -> str:
    """Return `chop` for `chopp`: an ending doubles the consonant before it."""
    is_double = word[-1] == word[-2] and word[-1] not in "lsz" and word[-1] not in _VOWELS
    return word[:-1] if is_double and len(word) > _SHORTEST_STEM else word
