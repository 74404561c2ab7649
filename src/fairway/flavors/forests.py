"""scikit-learn's forests without the thread pool that they start for every call.

A forest hands each tree to joblib and checks its input once more for each, which takes far longer than the
trees. Called one after the other in their order, the trees give the same sum to the last bit; that is proven
for every forest when it is bound, on rows at its own thresholds. A forest for which it does not hold is left
alone.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

_ROWS = 64
_PROOF_SEED = 0


def with_direct_trees(model: Any) -> Any:
    """Return a forest, or a pipeline that ends in one, whose trees are called directly if that is exact.

    Any other model is returned as it is. *model* itself does not change.
    """
    steps = getattr(model, "steps", None)
    if steps:
        last = with_direct_trees(steps[-1][1])
        if last is steps[-1][1]:
            return model
        pipeline = copy.copy(model)
        pipeline.steps = [*steps[:-1], (steps[-1][0], last)]
        return pipeline
    if not _is_plain_forest(model):
        return model
    direct = _direct(model)
    return direct if _is_exact(direct, model) else model


def _is_plain_forest(model: Any) -> bool:
    """Tell whether a model is a forest with one output that answers with scikit-learn's own methods."""
    kind = type(model)
    if not any(c.__module__ == "sklearn.ensemble._forest" for c in kind.__mro__):
        return False  # without importing scikit-learn for a model that is none of its forests
    from sklearn.ensemble._forest import ForestClassifier, ForestRegressor

    own = (ForestClassifier.predict_proba, ForestRegressor.predict)
    method = getattr(kind, "predict_proba", None) or getattr(kind, "predict", None)
    return (
        method in own and getattr(model, "n_outputs_", 0) == 1 and bool(getattr(model, "estimators_", None))
    )


def _direct(forest: Any) -> Any:
    """Return a shallow copy of a forest that adds up its trees by itself.

    Only the sum over the trees is replaced: input checks before it, and the choice of the label after it,
    remain the forest's.
    """
    import numpy as np

    trees = [tree.tree_ for tree in forest.estimators_]
    direct = copy.copy(forest)
    is_classifier = hasattr(forest, "classes_")

    def add_up(rows: Any) -> Any:
        checked = forest._validate_X_predict(rows)  # noqa: SLF001 - the same checks in the same words
        total = np.zeros((checked.shape[0], forest.n_classes_) if is_classifier else checked.shape[0])
        for tree in trees:
            answers = tree.predict(checked)
            total += answers if is_classifier else answers[:, 0]
        total /= len(trees)
        return total

    # What an instance holds comes before what its class defines; `predict` of a classifier calls the other.
    setattr(direct, "predict_proba" if is_classifier else "predict", add_up)
    return direct


def _is_exact(direct: Any, forest: Any) -> bool:
    """Tell whether both give the same bits for rows at the thresholds, together and alone."""
    import numpy as np

    alone = copy.copy(forest)
    alone.n_jobs = 1  # several threads add up in the order in which they happen to finish
    methods = ["predict", *(["predict_proba"] if hasattr(forest, "classes_") else [])]
    try:
        rows = _rows_at_thresholds(forest)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return all(
                np.array_equal(getattr(direct, method)(some), getattr(alone, method)(some))
                for method in methods
                for some in (rows, rows[:1])
            )
    except Exception:  # noqa: BLE001 - a forest of another version, or a damaged one: it speaks for itself
        return False


def _rows_at_thresholds(forest: Any) -> Any:
    """Return rows whose values lie below, at and above thresholds of the forest, drawn at random."""
    import numpy as np

    chance = np.random.default_rng(_PROOF_SEED)
    trees = [tree.tree_ for tree in forest.estimators_]
    features = np.concatenate([tree.feature for tree in trees])
    thresholds = np.concatenate([tree.threshold for tree in trees])
    rows = np.zeros((_ROWS, forest.n_features_in_), np.float32)
    for feature in np.unique(features[features >= 0]):
        drawn = chance.choice(thresholds[features == feature], _ROWS).astype(np.float32)
        aside = chance.choice([-np.inf, np.inf], _ROWS).astype(np.float32)
        rows[:, feature] = np.where(chance.random(_ROWS) < 0.5, drawn, np.nextafter(drawn, aside))
    rows[np.isinf(rows)] = np.nan  # such a threshold parts the missing values from the others
    return rows
