"""Real small parts: bundles of a tiny estimator, and a predictor that does as a test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from fairway.bundle.bundle import Bundle
from fairway.bundle.signature import Input, Output, Signature
from fairway.inference.loaded import LoadedModel
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.messages import Columns, Outputs

X = np.array([[n, n * n % 7] for n in range(6)], dtype=float)


def make(slope: float = 1.0, *, name: str = "coffee") -> Bundle:
    """Return the bundle of a model that answers slope times the first column."""
    model = LinearRegression().fit(X, slope * X[:, 0])
    return make_bundle(model, name=name, example=X, code=(), facts=Facts(), wishes=Wishes())


@pytest.fixture(scope="session")
def bundles() -> Callable[..., Bundle]:
    """Give a function that returns the bundle of a slope (and a name), made once."""
    made: dict[tuple[float, str], Bundle] = {}

    def bundle(slope: float = 1.0, name: str = "coffee") -> Bundle:
        if (slope, name) not in made:
            made[slope, name] = make(slope, name=name)
        return made[slope, name]

    return bundle


class Scripted:
    """A predictor that calls a function of the test, and remembers in which threads."""

    def __init__(self, act: Callable[[Columns], Any]) -> None:
        self.act = act
        self.threads: list[str] = []

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        self.threads.append(threading.current_thread().name)
        return Outputs({"y": self.act(columns)}, [[1.0]] * len(columns) if probabilities else None)


@pytest.fixture
def scripted() -> Callable[..., LoadedModel]:
    """Give a function that returns a model whose answers a function of the test makes."""

    def model(
        act: Callable[[Columns], Any], *, slow: bool = False, timeout_s: float = 60.0, ours: bool = True
    ) -> LoadedModel:
        bundle = Bundle(None, lambda _: b"")  # type: ignore[arg-type]  # never opened
        signature = Signature(
            (Input("a", "number", typical=1.0),), (Output("y", "score", "number"),), ("only",)
        )
        bundle.__dict__["signature"] = signature
        loaded = LoadedModel(
            bundle,
            name="coffee",
            version=3,
            predictor=Scripted(act),
            timeout_s=timeout_s,
            predictor_name="numpy" if ours else "native",
        )
        if slow:
            loaded.scheduler.cost.learn(1, 1.0)
            loaded.scheduler._place()
        return loaded

    return model


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Give a function that waits for a condition, with a deadline."""

    def wait(condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
        end = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.005)

    return wait
