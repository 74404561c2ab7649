"""Microseconds per call of native and compiled predictors, for the four models of the serving benchmarks.

Run: `python benchmarks/bench_predictors.py`. Nothing but the predictor is measured: no HTTP, no JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from parity_table import subject_of
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from fairway.compilers.base import NotConvertible, find_compilers, load_compiled
from fairway.compilers.parity import seconds_per_call
from fairway.messages import Columns

WORDS = 80
SIZES = (1, 100, 10_000)


def models() -> Iterator[tuple[str, Any, Any]]:
    """Yield name, fitted model and example rows."""
    iris, cancer = load_iris(as_frame=True), load_breast_cancer(as_frame=True)
    diabetes = load_diabetes(as_frame=True)
    steps = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    yield "A iris, scaler + logistic regression", steps.fit(iris.data, iris.target), iris.data
    forest = RandomForestClassifier(100, random_state=0)
    yield "B breast cancer, forest of 100", forest.fit(cancer.data, cancer.target), cancer.data
    texts, labels = _texts()
    yield (
        "C texts of 80 words, TF-IDF + LinearSVC",
        make_pipeline(TfidfVectorizer(), LinearSVC()).fit(texts, labels),
        texts,
    )
    boosted = HistGradientBoostingRegressor(random_state=0)
    yield "D diabetes, histogram boosting", boosted.fit(diabetes.data, diabetes.target), diabetes.data


def _texts() -> tuple[list[str], list[int]]:
    rng = np.random.default_rng(0)
    words = np.array([f"word{n}" for n in range(5000)])
    shares = 1.0 / np.arange(1, 5001)
    texts = [" ".join(rng.choice(words, WORDS, p=shares / shares.sum())) for _ in range(500)]
    return texts, [int("word3 " in text) + 2 * int("word7 " in text) for text in texts]


def main() -> None:
    """Print a table."""
    print("| model | predictor | 1 row | 100 rows | 10,000 rows |")
    print("|---|---|---|---|---|")
    for name, model, example in models():
        subject, rows = subject_of(model, example)
        predictors = {"native": subject.native}
        for compiler in find_compilers().values():
            try:
                compiled = compiler.compile(model, subject.signature, subject.options, code={})
            except NotConvertible:
                continue
            predictors[compiler.name] = load_compiled(
                compiler.name, compiled.files.__getitem__, subject.signature
            )
        for label, predictor in predictors.items():
            cells = [f"{seconds_per_call(predictor, _repeated(rows, size)) * 1e6:,.1f}" for size in SIZES]
            print(f"| {name} | {label} | {' | '.join(cells)} |", flush=True)


def _repeated(rows: Columns, size: int) -> Columns:
    return Columns(rows.names, [rows.rows[n % len(rows)] for n in range(size)])


if __name__ == "__main__":
    main()
