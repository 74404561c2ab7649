"""How a recipe becomes the text that TF-IDF counts the words of.

This file travels inside the bundle (`fairway push --code recipes_features.py`), because the trained pipeline
is made of its class. It knows scikit-learn and nothing of fairway. How a text is cleaned stands in
`recipes_plain.py`, so that it can serve without scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import recipes_plain
from sklearn.base import BaseEstimator, TransformerMixin


class RecipeTexts(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """Turn recipes (`ingredients` and `steps`, two lists of texts) into one clean text each."""

    def fit(self, X: object, y: object = None) -> Self:  # noqa: ARG002, N803
        """Learn nothing; the text follows from the recipe alone."""
        return self

    def transform(self, X: Iterable[Mapping[str, Any]]) -> list[str]:  # noqa: N803
        """Return one text per recipe."""
        return recipes_plain.texts(X)

    def as_steps(self) -> list[Any]:
        """Return what this class is made of, for the compiler."""
        return [recipes_plain.texts]

    def __sklearn_is_fitted__(self) -> bool:
        """Say yes: there is nothing to fit."""
        return True
