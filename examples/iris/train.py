"""Train a classifier on the iris flowers, the way every quickstart does.

Writes the fitted pipeline and its training table to `build/`. Nothing here knows fairway.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def main() -> None:
    """Train, report, and write `iris.joblib` and `iris_train.csv`."""
    parser = argparse.ArgumentParser(description="Train a classifier on the iris flowers.")
    parser.add_argument("--output", type=Path, default=Path("build"), help="folder to write to")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)

    x, y = load_iris(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=1, stratify=y)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x_train, y_train)
    print(f"accuracy on {len(y_test)} held-out flowers: {model.score(x_test, y_test):.3f}")

    joblib.dump(model, output / "iris.joblib")
    with (output / "iris_train.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*COLUMNS, "species"])
        table.writerows([*row, label] for row, label in zip(x_train, y_train, strict=True))
    print(f"wrote {output / 'iris.joblib'} and {output / 'iris_train.csv'}")


if __name__ == "__main__":
    main()
