"""How a coffee record becomes features, and how a rating becomes a percentile.

This file travels inside the bundle (`fairway push --code coffee_features.py`), because the trained pipeline
is made of its classes. It knows scikit-learn and nothing of fairway. What the classes compute stands in
`coffee_plain.py`, so that it can serve without them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import coffee_plain
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.metrics import r2_score

USED_FLAVOURS = ("fruity", "resinous", "spicy", "nutty")
"""The flavours that say something about the rating; a record may name others, which are left out."""


class CoffeeFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn publishes no types
    """Turn coffee records into the dicts that `DictVectorizer` takes.

    The price goes through `log1p`, because a dollar more matters for a cheap coffee and not for a dear one.
    A price below zero counts as zero: the logarithm has no answer for it.
    All else stays as it is: a text becomes a 0/1 feature per value, a list one per element.

    Args:
        flavours: Flavours to keep.
    """

    def __init__(self, flavours: Sequence[str] = USED_FLAVOURS) -> None:
        self.flavours = flavours

    def fit(self, X: object, y: object = None) -> Self:  # noqa: ARG002, N803
        """Learn nothing; the features follow from the record alone."""
        return self

    def transform(self, X: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:  # noqa: N803
        """Return one dict of features per record."""
        return coffee_plain.features(X, flavours=self.flavours)

    def as_steps(self) -> list[Any]:
        """Return what this class is made of, for the compiler."""
        return [functools.partial(coffee_plain.features, flavours=self.flavours)]

    def __sklearn_is_fitted__(self) -> bool:
        """Say yes: there is nothing to fit."""
        return True


class RatingWithPercentile(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predict a rating and the share of all coffees that are rated lower.

    The percentile is the normal distribution's, with the mean and standard deviation of all ratings.

    Args:
        regressor: Regressor of the rating. It is cloned before it is fitted.
        mean: Mean of all ratings.
        std: Standard deviation of all ratings.
    """

    def __init__(self, regressor: BaseEstimator, *, mean: float, std: float) -> None:
        self.regressor = regressor
        self.mean = mean
        self.std = std

    def fit(self, X: NDArray[np.float64], y: ArrayLike) -> Self:  # noqa: N803
        """Fit the regressor of the rating."""
        self.regressor_ = clone(self.regressor).fit(X, y)
        return self

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: N803
        """Return two columns, rating and percentile, with one row per row of *X*."""
        return coffee_plain.with_percentile(self.regressor_.predict(X), mean=self.mean, std=self.std)

    def as_steps(self) -> list[Any]:
        """Return what this class is made of, for the compiler."""
        return [
            self.regressor_,
            functools.partial(coffee_plain.with_percentile, mean=self.mean, std=self.std),
        ]

    def score(self, X: NDArray[np.float64], y: ArrayLike) -> float:  # noqa: N803
        """Return the coefficient of determination of the rating."""
        return float(r2_score(y, self.predict(X)[:, 0]))
