"""The models of the serving benchmarks: the model file, rows to send, and what has to be answered.

`WORKLOADS` names them. C and F read the folder that `FAIRWAY_DATA` names; without it C takes generated texts
and F is left out.
"""

from __future__ import annotations

import csv
import gzip
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("FAIRWAY_DATA", ROOT.parent / "shared" / "data"))
SINGLES = 100
BATCH = 100
BATCHES = 10
WORDS = 80
_CHURN_NUMBERS = ("SeniorCitizen", "tenure", "MonthlyCharges", "TotalCharges")


@dataclass(frozen=True)
class Workload:
    """One model and what it is asked.

    Attributes:
        letter: Its short name.
        title: Its name in the tables.
        form: How a row is written: `matrix` (a list of numbers), `texts` (a text) or `records` (an object).
        model: The joblib file.
        example: A table (CSV) to learn a signature from.
        rows: Rows as JSON has them.
        expected: What the model itself predicts for them.
    """

    letter: str
    title: str
    form: str
    model: Path
    example: Path
    rows: Sequence[Any]
    expected: Sequence[Any]

    def singles(self) -> list[list[int]]:
        """Return the places of the rows for calls of one row."""
        return [[n] for n in range(min(SINGLES, len(self.rows)))]

    def batches(self) -> list[list[int]]:
        """Return the places of the rows for calls of a hundred rows."""
        draw = random.Random(0)  # noqa: S311 - the same rows in every run, nothing secret
        return [draw.choices(range(len(self.rows)), k=BATCH) for _ in range(BATCHES)]


@dataclass(frozen=True)
class _Fitted:
    """A trained model with rows as Python values, by column name."""

    model: Any
    names: Sequence[str]
    rows: Sequence[Any]
    expected: Any


def build(letter: str, folder: Path) -> Workload:
    """Train a model and write its file and its example table to *folder*."""
    import joblib

    title, form, train = WORKLOADS[letter]
    fitted = train()
    model, example = folder / f"{letter.lower()}.joblib", folder / f"{letter.lower()}.csv"
    joblib.dump(fitted.model, model)
    with example.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(fitted.names)
        writer.writerows(_cells(row) for row in fitted.rows)
    return Workload(letter, title, form, model, example, list(fitted.rows), fitted.expected.tolist())


def _cells(row: Any) -> list[Any]:
    if isinstance(row, dict):
        return list(row.values())
    return row if isinstance(row, list) else [row]


def _iris() -> _Fitted:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return _fit_matrix(make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), load_iris())


def _cancer() -> _Fitted:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    return _fit_matrix(RandomForestClassifier(100, random_state=0), load_breast_cancer())


def _diabetes() -> _Fitted:
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import HistGradientBoostingRegressor

    return _fit_matrix(HistGradientBoostingRegressor(random_state=0), load_diabetes())


def _fit_matrix(model: Any, data: Any) -> _Fitted:
    model.fit(data.data, data.target)
    names = [f"x{n}" for n in range(data.data.shape[1])]
    return _Fitted(model, names, data.data.tolist(), model.predict(data.data))


def _news() -> _Fitted:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    texts, labels = _news_texts() if (DATA / "news").is_dir() else _made_texts()
    model = make_pipeline(TfidfVectorizer(), LinearSVC()).fit(texts, labels)
    rows = texts[:1000]
    return _Fitted(model, ["text"], rows, model.predict(rows))


def _news_texts() -> tuple[list[str], list[int]]:
    """Return articles of one class put one after another until there are 80 words."""
    texts, labels = [], []
    waiting: dict[int, list[str]] = {}
    with gzip.open(DATA / "news" / "ag_news_test.csv.gz", "rt", encoding="utf-8") as file:
        for label, title, description in csv.reader(file):
            words = waiting.setdefault(int(label), [])
            words += f"{title} {description}".split()
            if len(words) >= WORDS:
                texts.append(" ".join(words[:WORDS]))
                labels.append(int(label))
                words.clear()
    return texts, labels


def _made_texts() -> tuple[list[str], list[int]]:
    """Return texts of made-up words whose frequencies fall as those of a language do."""
    draw = random.Random(0)  # noqa: S311 - the same texts in every run, nothing secret
    words = [f"word{n}" for n in range(5000)]
    weights = [1 / n for n in range(1, 5001)]
    texts = [" ".join(draw.choices(words, weights, k=WORDS)) for _ in range(2000)]
    return texts, [1 + ("word3 " in text) + 2 * ("word7 " in text) for text in texts]


def _churn() -> _Fitted:
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    records, target = _churn_records()
    frame = pd.DataFrame(records)
    categories = [name for name in frame if name not in _CHURN_NUMBERS]
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), list(_CHURN_NUMBERS)),
        (OneHotEncoder(handle_unknown="ignore"), categories),
    )
    model = make_pipeline(prepared, LogisticRegression(max_iter=1000)).fit(frame, target)
    # The systems are asked for whole rows: what a missing cell means is not theirs to agree on.
    whole = [record for record in records if record["TotalCharges"] is not None][:1000]
    return _Fitted(model, list(frame), whole, model.predict(pd.DataFrame(whole)))


def _churn_records() -> tuple[list[dict[str, Any]], list[int]]:
    records, target = [], []
    path = DATA / "telco_churn" / "Telco-Customer-Churn.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for record in csv.DictReader(file):
            target.append(int(record.pop("Churn") == "Yes"))
            del record["customerID"]
            numbers = {name: _number(record[name]) for name in _CHURN_NUMBERS}
            records.append({**record, **numbers})
    return records, target


def _number(text: str) -> float | None:
    return float(text) if text.strip() else None


WORKLOADS: dict[str, tuple[str, str, Callable[[], _Fitted]]] = {
    "A": ("iris, scaler and logistic regression", "matrix", _iris),
    "B": ("breast cancer, forest of 100 trees, 30 features", "matrix", _cancer),
    "C": ("texts of 80 words, TF-IDF and linear SVM", "texts", _news),
    "D": ("diabetes, histogram boosting", "matrix", _diabetes),
    "F": ("telco churn, frame with categories, logistic regression", "records", _churn),
}


def available() -> list[str]:
    """Return the letters of the models whose data is there."""
    return [letter for letter in WORKLOADS if letter != "F" or (DATA / "telco_churn").is_dir()]
