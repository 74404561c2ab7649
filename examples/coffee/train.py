"""Train the coffee model: how would a reviewer rate this coffee?

Writes the fitted pipeline and its training records to `build/`. Nothing here knows fairway.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import joblib
from coffee_data import DataUnavailable, generate_sample, read_reviews
from coffee_features import CoffeeFeatures, RatingWithPercentile
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import Ridge
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

GOLDEN_RECORD = {
    "roaster": "Square Mile Coffee Roasters",
    "roast": "Light",
    "roaster_country": "England",
    "country_of_origin": "Colombia",
    "price_per_100g": 6.82,
    "flavours": ["fruity", "caramelly"],
}
GOLDEN_RATING = 93.29749194380494
"""What the model that this example follows answered for the golden record."""


def load_records(cache: Path, *, sample: bool) -> tuple[list[dict[str, Any]], bool]:
    """Return the records and whether they are the real ones."""
    if not sample:
        try:
            return read_reviews(cache), True
        except DataUnavailable as reason:
            print(f"the real reviews cannot be downloaded ({reason})")
    print("data: a small sample that this script made up; the model knows nothing about real coffee")
    return generate_sample(), False


def train(records: list[dict[str, Any]]) -> tuple[Pipeline, list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the fitted pipeline, the records that it was fitted on and those held out."""
    ratings = [float(record["rating"]) for record in records]
    seen, held_out = train_test_split(records, test_size=0.2, random_state=1)
    model = Pipeline(
        [
            ("features", CoffeeFeatures()),
            ("vectorise", DictVectorizer(sparse=False)),
            (
                "rate",
                RatingWithPercentile(
                    Ridge(alpha=10), mean=statistics.fmean(ratings), std=statistics.stdev(ratings)
                ),
            ),
        ]
    )
    model.fit(seen, [record["rating"] for record in seen])
    return model, seen, held_out


def main() -> None:
    """Train, report, and write `coffee.joblib` and `coffee_train.ndjson`."""
    parser = argparse.ArgumentParser(description="Train the coffee model.")
    parser.add_argument("--output", type=Path, default=Path("build"), help="folder to write to")
    parser.add_argument("--sample", action="store_true", help="use the generated sample, not the real data")
    options = parser.parse_args()

    records, real = load_records(options.output / "data", sample=options.sample)
    model, seen, held_out = train(records)
    truth = [record["rating"] for record in held_out]
    predicted = model.predict(held_out)[:, 0]
    n_features = len(model.named_steps["vectorise"].feature_names_)
    print(f"trained on {len(seen)} coffees, {n_features} features")
    print(
        f"holdout of {len(held_out)}: RMSE {root_mean_squared_error(truth, predicted):.3f}, "
        f"R2 {model.score(held_out, truth):.3f}"
    )
    rating, percentile = model.predict([GOLDEN_RECORD])[0]
    expected = f" (the original answered {GOLDEN_RATING})" if real else ""
    print(f"golden record: rating {rating}, percentile {percentile}{expected}")

    options.output.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, options.output / "coffee.joblib")
    with (options.output / "coffee_train.ndjson").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in seen)
    print(f"wrote {options.output / 'coffee.joblib'} and {options.output / 'coffee_train.ndjson'}")


if __name__ == "__main__":
    main()
