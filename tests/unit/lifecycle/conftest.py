"""Registries with small models, made once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from fairway.lifecycle.pack import Facts, Wishes, pack_model
from fairway.registry.registry import Registry, open_registry


class Checked(NamedTuple):
    """A registry with a classifier (1 is poor, 2 is good) and a regression, and rows they have not seen."""

    registry: Registry
    churn: dict[str, list[Any]]
    price: dict[str, list[Any]]


def churn_rows(rows: int, seed: int) -> dict[str, list[Any]]:
    """Return rows of people who stay or leave: two numbers that tell, a category that does not."""
    random = np.random.default_rng(seed)
    age, visits = random.normal(40, 10, rows), random.normal(5, 2, rows)
    leaves = random.random(rows) < 1 / (1 + np.exp((age - 35) / 5 + (visits - 5)))
    return {
        "age": age.round(2).tolist(),
        "visits": visits.round(2).tolist(),
        "plan": random.choice(["a", "b", "c"], rows).tolist(),
        "leaves": np.where(leaves, "yes", "no").tolist(),
    }


def price_rows(rows: int, seed: int) -> dict[str, list[Any]]:
    """Return rows of a linear world with noise."""
    random = np.random.default_rng(seed)
    size, floor = random.uniform(20, 120, rows), random.integers(0, 9, rows)
    price = 3 * size + 5 * floor + random.normal(0, 20, rows)
    return {"size": size.round(2).tolist(), "floor": floor.tolist(), "price": price.round(2).tolist()}


def _push(registry: Registry, model: Any, example: Any, name: str, outputs: tuple[str, ...]) -> None:
    wishes = Wishes(outputs=outputs)
    bundle = pack_model(
        model, name=name, example=example, code=(), facts=Facts(), wishes=wishes, compile="off"
    )
    registry.register(bundle, actor="anna")


@pytest.fixture(scope="session")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    """Give a registry that several tests read and add checks to, each for versions of its own."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    with open_registry(tmp_path_factory.mktemp("checked")) as registry:
        churn = pd.DataFrame(churn_rows(400, 1))
        inputs = churn.drop(columns="leaves")
        for columns in (["visits"], ["age", "visits"]):
            kept = make_column_transformer(
                ("passthrough", columns), (OneHotEncoder(handle_unknown="ignore"), ["plan"])
            )
            model = make_pipeline(kept, LogisticRegression()).fit(inputs, churn["leaves"])
            _push(registry, model, inputs, "churn", ("leaves",))
        price = pd.DataFrame(price_rows(300, 1))
        inputs = price.drop(columns="price")
        _push(registry, LinearRegression().fit(inputs, price["price"]), inputs, "price", ("price",))
        yield Checked(registry, churn_rows(500, 2), price_rows(400, 2))
