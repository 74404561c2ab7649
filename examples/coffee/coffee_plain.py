"""What the coffee model does beside its estimators, as plain functions: NumPy and the standard library only.

This file travels inside the bundle like `coffee_features.py`, whose classes call these functions. They are
all that a compiled model takes along of it, so a server needs no scikit-learn to rate a coffee.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def features(records: Iterable[Mapping[str, Any]], *, flavours: Sequence[str]) -> list[dict[str, Any]]:
    """Return one dict of features per record: the logarithm of the price, and only some of the flavours."""
    return [
        {
            "roaster": record["roaster"],
            "roast": record["roast"],
            "roaster_country": record["roaster_country"],
            "country_of_origin": record["country_of_origin"],
            "price_per_100g": math.log1p(max(record["price_per_100g"], 0)),
            "flavours": [flavour for flavour in record["flavours"] if flavour in flavours],
        }
        for record in records
    ]


def with_percentile(ratings: NDArray[np.float64], *, mean: float, std: float) -> NDArray[np.float64]:
    """Return two columns: the rating, and the share of all coffees that are rated lower."""
    return np.column_stack([ratings, [100 * normal_cdf((rating - mean) / std) for rating in ratings]])


def normal_cdf(z: float) -> float:
    """Return the share of a standard normal distribution that lies below *z*."""
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))
