"""Classes of the user's own convert when they say what they are made of."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

import pytest

from fairway.compilers.compilation import compile_model
from fairway.compilers.report import load_predictor
from fairway.messages import Columns

pytest.importorskip("sklearn")

from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

PLAIN = b"""
import math

import numpy as np


def logged(records, *, field):
    return [{**record, field: math.log1p(record[field])} for record in records]


def joined(records):
    return [" ".join(record["lines"]) for record in records]


def counted(records):
    return [len(record["lines"]) for record in records]


def with_double(answers, *, factor):
    return np.column_stack([answers, [factor * answer for answer in answers]])
"""
RECORDS = [{"origin": origin, "price": price} for price, origin in enumerate(["Kenya", "Peru", "Yemen"] * 8)]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the module of plain functions, as if it lay beside the training script."""
    module = types.ModuleType("plain_steps")
    exec(PLAIN, module.__dict__)  # noqa: S102 - the source above
    for name in ("logged", "joined", "counted", "with_double"):
        getattr(module, name).__module__ = "plain_steps"
    monkeypatch.setitem(sys.modules, "plain_steps", module)
    return module


@pytest.fixture
def model(plain: Any) -> Any:
    """Give a pipeline of two classes of one's own around a known estimator."""

    class Logged(TransformerMixin, BaseEstimator):
        def fit(self, X: Any, y: Any = None) -> Any:  # noqa: ARG002, N803
            return self

        def transform(self, X: Any) -> Any:  # noqa: N803
            return plain.logged(X, field="price")

        def as_steps(self) -> list[Any]:
            return [functools.partial(plain.logged, field="price")]

        def __sklearn_is_fitted__(self) -> bool:
            return True

    class Doubled(RegressorMixin, BaseEstimator):
        def fit(self, X: Any, y: Any) -> Any:  # noqa: N803
            self.inner_ = Ridge().fit(X, y)
            return self

        def predict(self, X: Any) -> Any:  # noqa: N803
            return plain.with_double(self.inner_.predict(X), factor=2.0)

        def as_steps(self) -> list[Any]:
            return [self.inner_, functools.partial(plain.with_double, factor=2.0)]

    pipeline = make_pipeline(Logged(), DictVectorizer(), Doubled())
    return pipeline.fit(RECORDS, [float(len(record["origin"])) for record in RECORDS])


def test_functions_of_a_module_that_travels_are_called(model: Any, subject_of: Any) -> None:
    """The compiled model carries the module's source and gives the original's outputs."""
    subject = subject_of(model, RECORDS, outputs=("length", "twice"), code={"plain_steps.py": PLAIN})
    result = compile_model(subject)
    predictor = load_predictor(result.files.__getitem__, subject.signature, name="numpy")

    assert predictor is not None
    answer = predictor.predict(Columns(("origin", "price"), [["Peru", 3]]), probabilities=False)
    expected = model.predict([{"origin": "Peru", "price": 3}])[0].tolist()
    assert [answer.values["length"][0], answer.values["twice"][0]] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ({}, "the module plain_steps of the function logged does not travel with the model"),
        ({"plain_steps.py": b"import sklearn\n" + PLAIN}, "the module plain_steps imports sklearn"),
    ],
    ids=["not packed", "needs the framework"],
)
def test_a_function_that_a_slim_server_cannot_import_is_not_converted(
    code: dict[str, bytes], reason: str, model: Any, subject_of: Any
) -> None:
    """The reason names the module and what is wrong with it."""
    result = compile_model(subject_of(model, RECORDS, outputs=("length", "twice"), code=code))

    assert result.predictor == "native"
    assert reason in result.reason


LINES = [
    {"lines": lines} for lines in (["two eggs", "and salt"], ["salt"], ["a long line of words", "eggs"]) * 8
]


def pipeline_of_lines(plain: Any, function: str) -> Any:
    """Return a fitted pipeline that begins with a class of one's own, which says that it is *function*."""

    class Joined(TransformerMixin, BaseEstimator):
        def fit(self, X: Any, y: Any = None) -> Any:  # noqa: ARG002, N803
            return self

        def transform(self, X: Any) -> Any:  # noqa: N803
            return plain.joined(X)

        def as_steps(self) -> list[Any]:
            return [getattr(plain, function)]

        def __sklearn_is_fitted__(self) -> bool:
            return True

    return make_pipeline(Joined(), TfidfVectorizer(), Ridge()).fit(LINES, [2.0, 1.0, 6.0] * 8)


def test_a_function_may_make_texts_of_records(plain: Any, subject_of: Any) -> None:
    """A vectoriser reads them as it did in the original."""
    model = pipeline_of_lines(plain, "joined")
    subject = subject_of(model, LINES, code={"plain_steps.py": PLAIN})
    result = compile_model(subject)
    predictor = load_predictor(result.files.__getitem__, subject.signature, name="numpy")

    assert predictor is not None, result.reason
    answer = predictor.predict(Columns(("lines",), [[["eggs", "of two"]]]), probabilities=False)
    assert answer.values["prediction"][0] == pytest.approx(
        model.predict([{"lines": ["eggs", "of two"]}])[0], abs=1e-12
    )


def test_a_function_that_makes_no_texts_is_found_out(plain: Any, subject_of: Any) -> None:
    """Nobody knows what it returns before it runs; then the proof says no, and the original serves."""
    subject = subject_of(pipeline_of_lines(plain, "counted"), LINES, code={"plain_steps.py": PLAIN})

    assert compile_model(subject).predictor == "native"
