"""Train the recipes model: how difficult is this recipe?

Writes the fitted pipeline, its training records and what there is to say about the training to `build/`.
Nothing here knows fairway.
"""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

import joblib
from recipes_data import DataUnavailable, Recipes, generate_sample, read_recipes
from recipes_features import RecipeTexts
from sklearn.base import ClassifierMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 1
TERMS = 2000
VARIANTS: dict[str, ClassifierMixin | Pipeline] = {
    "forest": RandomForestClassifier(n_estimators=100, min_samples_leaf=2, random_state=SEED),
    "boosted": GradientBoostingClassifier(
        n_estimators=150, max_depth=4, max_features=0.1, subsample=0.7, random_state=SEED
    ),
    # 1,500 recipes are too few for a network with a weight per term.
    "mlp": make_pipeline(
        TruncatedSVD(n_components=100, random_state=SEED),
        StandardScaler(),
        MLPClassifier(hidden_layer_sizes=(32,), alpha=10, max_iter=300, tol=1e-3, random_state=SEED),
    ),
}
PUBLISHED = {"forest": 0.636, "mlp": 0.718}
"""Accuracies that others reported for four levels of their own on more recipes."""


def load_recipes(cache: Path, *, sample: bool) -> Recipes:
    """Return the recipes: the real ones if they can be had."""
    if not sample:
        try:
            return read_recipes(cache)
        except DataUnavailable as reason:
            print(f"the real recipes cannot be downloaded ({reason})")
    print("data: a small sample that this script made up; the model knows nothing about real cooking")
    return generate_sample()


def train(rows: list[dict[str, Any]], classifier: ClassifierMixin | Pipeline) -> Pipeline:
    """Return the fitted pipeline."""
    # The texts are clean already. No norm: how much there is to read says something about the difficulty.
    tfidf = TfidfVectorizer(lowercase=False, min_df=2, max_features=TERMS, sublinear_tf=True, norm=None)
    model = Pipeline([("texts", RecipeTexts()), ("tfidf", tfidf), ("classify", classifier)])
    return model.fit(rows, [row["difficulty"] for row in rows])


def figures(model: Pipeline, seen: list[dict[str, Any]], held_out: list[dict[str, Any]]) -> dict[str, float]:
    """Return accuracy and macro F1 on recipes held out, and the accuracy of always guessing one level."""
    truth = [row["difficulty"] for row in held_out]
    predicted = model.predict(held_out)
    guess = DummyClassifier().fit(seen, [row["difficulty"] for row in seen])
    return {
        "accuracy": round(accuracy_score(truth, predicted), 4),
        "macro_f1": round(f1_score(truth, predicted, average="macro"), 4),
        "guess": round(accuracy_score(truth, guess.predict(held_out)), 4),
    }


def facts_of(variant: str, recipes: Recipes, found: dict[str, float]) -> list[str]:
    """Return what there is to record of a training, as options of `fairway push`."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    pairs = [
        ("metric", "accuracy", found["accuracy"]),
        ("metric", "macro_f1", found["macro_f1"]),
        ("tag", "variant", variant),
        ("lineage", "trained", now),
        ("lineage", "data", recipes.name.replace(" ", "-")),
        ("lineage", "data_sha256", recipes.sha256),
        ("lineage", "recipes", len(recipes.rows)),
    ]
    return [f"--{option} {name}={value}" for option, name, value in pairs]


def main() -> None:
    """Train, report, and write `recipes.joblib`, `recipes_train.ndjson` and `facts.txt`."""
    parser = argparse.ArgumentParser(description="Train the recipes model.")
    parser.add_argument("--output", type=Path, default=Path("build"), help="folder to write to")
    parser.add_argument("--sample", action="store_true", help="use the generated sample, not the real data")
    parser.add_argument("--variant", choices=VARIANTS, default="forest", help="classifier (default: forest)")
    options = parser.parse_args()

    recipes = load_recipes(options.output / "data", sample=options.sample)
    levels = [row["difficulty"] for row in recipes.rows]
    seen, held_out = train_test_split(recipes.rows, test_size=0.25, random_state=SEED, stratify=levels)
    model = train(seen, VARIANTS[options.variant])
    found = figures(model, seen, held_out)
    terms = len(model.named_steps["tfidf"].vocabulary_)
    print(f"trained {options.variant} on {len(seen)} recipes, {terms} terms")
    print(
        f"holdout of {len(held_out)}: accuracy {found['accuracy']:.3f}, macro F1 {found['macro_f1']:.3f} "
        f"(always the same level: {found['guess']:.3f})"
    )
    if options.variant in PUBLISHED and recipes.name.endswith(".gz"):
        print(f"published for other labels and more recipes: accuracy {PUBLISHED[options.variant]:.3f}")

    options.output.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, options.output / "recipes.joblib")
    for name, rows in (("train", seen), ("test", held_out)):
        with (options.output / f"recipes_{name}.ndjson").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    facts = facts_of(options.variant, recipes, found)
    (options.output / "facts.txt").write_text("\n".join(facts) + "\n", encoding="utf-8")
    print(
        f"wrote recipes.joblib, recipes_train.ndjson, recipes_test.ndjson and facts.txt to {options.output}"
    )


if __name__ == "__main__":
    main()
