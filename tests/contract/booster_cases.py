"""Models of XGBoost, LightGBM and CatBoost: labels, scores, categories, holes, and bare boosters."""

from __future__ import annotations

from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import xgboost

from .flavor_cases import Case, case_of

ROWS = 60
RANDOM = np.random.default_rng(11)
X = RANDOM.normal(size=(ROWS, 3))
HOLES = np.where(RANDOM.random(X.shape) < 0.1, np.nan, X)
Y = X @ np.array([1.0, -2.0, 0.5])
LABELS = (Y > 0).astype(int) + (Y > 1.5)
NAMES = np.array(["no", "perhaps", "yes, of course"])
QUIET: dict[str, Any] = {"n_estimators": 5, "verbose": -1, "min_child_samples": 3}
SMALL: dict[str, Any] = {"iterations": 5, "verbose": 0, "allow_writing_files": False, "random_seed": 1}


def frame() -> pd.DataFrame:
    """Return numbers with holes under names with spaces, and two columns of declared categories."""
    return pd.DataFrame(
        {
            "size of it": HOLES[:, 0],
            "rooms": np.arange(ROWS) % 5,
            "city": pd.Categorical(["Rome", "Oslo", "Lima", "Rome"] * (ROWS // 4)),
            "grade": pd.Categorical(np.arange(ROWS) % 3),
        }
    )


xgboost_case, lightgbm_case, catboost_case = map(case_of, ("xgboost", "lightgbm", "catboost"))


@xgboost_case
def two_classes() -> Case:
    return Case(xgboost.XGBClassifier(n_estimators=5).fit(HOLES, LABELS > 0), HOLES)


@xgboost_case
def three_classes_on_a_frame() -> Case:
    table = pd.DataFrame(X, columns=["size of it", "b", "größe"])
    return Case(xgboost.XGBClassifier(n_estimators=5).fit(table, LABELS), table)


@xgboost_case
def categories_by_declaration() -> Case:
    table = frame()
    return Case(xgboost.XGBClassifier(n_estimators=5, enable_categorical=True).fit(table, LABELS), table)


@xgboost_case
def a_number_for_missing() -> Case:
    marked = np.where(np.isnan(HOLES), -9.0, HOLES)
    return Case(xgboost.XGBRegressor(n_estimators=5, missing=-9.0).fit(marked, Y), marked)


@xgboost_case
def early_stopping() -> Case:
    model = xgboost.XGBRegressor(n_estimators=90, learning_rate=0.9, early_stopping_rounds=2)
    return Case(model.fit(X[:30], Y[:30], eval_set=[(X[30:], Y[30:])], verbose=False), X)


@xgboost_case
def two_targets() -> Case:
    return Case(xgboost.XGBRegressor(n_estimators=5).fit(X, np.c_[Y, -Y]), X)


@xgboost_case
def random_forest() -> Case:
    return Case(xgboost.XGBRFClassifier(n_estimators=9, random_state=1).fit(X, LABELS), X)


@xgboost_case
def ranking() -> Case:
    model = xgboost.XGBRanker(n_estimators=5).fit(X, LABELS, qid=np.arange(ROWS) // 10)
    return Case(model, X)


@xgboost_case
def linear_booster() -> Case:
    return Case(xgboost.XGBRegressor(booster="gblinear", n_estimators=5).fit(X, Y), X)


@xgboost_case
def bare_booster_of_scores() -> Case:
    booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(HOLES, Y), 5)
    return Case(booster, HOLES, answers=booster.predict(xgboost.DMatrix(HOLES)))


@xgboost_case
def bare_booster_with_a_best_iteration_that_it_ignores() -> Case:
    train, rest = xgboost.DMatrix(X[:30], Y[:30]), xgboost.DMatrix(X[30:], Y[30:])
    booster = xgboost.train(
        {"eta": 0.9}, train, 90, evals=[(rest, "rest")], early_stopping_rounds=2, verbose_eval=False
    )
    return Case(booster, X, answers=booster.predict(xgboost.DMatrix(X)))


@xgboost_case
def bare_booster_of_two_classes() -> Case:
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(table, LABELS > 0), 5)
    share = booster.predict(xgboost.DMatrix(table))
    return Case(
        booster, table, answers=(share > 0.5).astype(int), probabilities=np.c_[np.float32(1) - share, share]
    )


@xgboost_case
def bare_booster_of_three_classes() -> Case:
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(X, LABELS), 5)
    shares = booster.predict(xgboost.DMatrix(X))
    return Case(booster, X, answers=shares.argmax(axis=1), probabilities=shares)


@lightgbm_case
def text_labels_on_a_frame() -> Case:
    table = frame()
    return Case(lightgbm.LGBMClassifier(**QUIET).fit(table, NAMES[LABELS]), table)


@lightgbm_case
def boolean_labels() -> Case:
    return Case(lightgbm.LGBMClassifier(**QUIET).fit(HOLES, LABELS > 0), HOLES)


@lightgbm_case
def numbers_as_labels() -> Case:
    return Case(lightgbm.LGBMClassifier(**QUIET).fit(X, LABELS * 10 + 3), X)


@lightgbm_case
def regression_with_early_stopping() -> Case:
    model = lightgbm.LGBMRegressor(**{**QUIET, "n_estimators": 90, "learning_rate": 0.9})
    stop = [lightgbm.early_stopping(2, verbose=False)]
    return Case(model.fit(X[:30], Y[:30], eval_X=(X[30:],), eval_y=(Y[30:],), callbacks=stop), X)


@lightgbm_case
def random_forest_of_lightgbm() -> Case:
    model = lightgbm.LGBMRegressor(**QUIET, boosting_type="rf", subsample=0.6, subsample_freq=1)
    return Case(model.fit(X, Y), X)


@lightgbm_case
def linear_leaves() -> Case:
    return Case(lightgbm.LGBMRegressor(**QUIET, linear_tree=True).fit(HOLES, Y), HOLES)


@lightgbm_case
def ranking_of_lightgbm() -> Case:
    return Case(lightgbm.LGBMRanker(**QUIET).fit(X, LABELS, group=[10] * (ROWS // 10)), X)


@lightgbm_case
def bare_booster_of_shares() -> Case:
    data = lightgbm.Dataset(X, LABELS)
    booster = lightgbm.train({"objective": "multiclass", "num_class": 3, "verbose": -1}, data, 5)
    shares = booster.predict(X)
    return Case(booster, X, answers=shares.argmax(axis=1), probabilities=shares)


@lightgbm_case
def bare_booster_of_poisson_scores() -> Case:
    table = frame()
    data = lightgbm.Dataset(table, np.abs(Y))
    booster = lightgbm.train({"objective": "poisson", "verbose": -1, "min_data_in_leaf": 3}, data, 5)
    return Case(booster, table, answers=booster.predict(table))


@catboost_case
def text_labels_with_categories() -> Case:
    table = frame()
    model = catboost.CatBoostClassifier(**SMALL, cat_features=["city", "grade"])
    return Case(model.fit(table, NAMES[LABELS]), table)


@catboost_case
def categories_as_texts() -> Case:
    table = frame().astype({"city": object, "grade": int})
    return Case(catboost.CatBoostRegressor(**SMALL, cat_features=["city", "grade"]).fit(table, Y), table)


@catboost_case
def truth_values() -> Case:
    model = catboost.CatBoostClassifier(**SMALL).fit(HOLES, LABELS > 0)
    return Case(model, HOLES)


@catboost_case
def scores_on_a_matrix() -> Case:
    return Case(catboost.CatBoostRegressor(**SMALL).fit(HOLES, Y), HOLES)


@catboost_case
def two_targets_at_once() -> Case:
    model = catboost.CatBoostRegressor(**SMALL, loss_function="MultiRMSE")
    return Case(model.fit(X, np.c_[Y, -Y]), X)


@catboost_case
def raw_scores() -> Case:
    model = catboost.CatBoost({**SMALL, "loss_function": "Logloss"})
    return Case(model.fit(X, LABELS > 0), X)
