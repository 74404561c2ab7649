"""What every flavor promises, over real models: what is served answers as the model does on the same rows."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.special
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from fairway.bundle.bundle import Bundle
from fairway.flavors.base import find_flavors
from fairway.inference.proof import prove
from fairway.testing import check_flavor

from . import booster_cases, onnx_cases, python_cases  # noqa: F401 - they register their models
from .flavor_cases import CASES, Case, case_of

ROWS = 60
RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(ROWS, 4))
Y = X @ np.array([1.0, -2.0, 0.5, 0.0]) + RANDOM.normal(scale=0.1, size=ROWS)
LABELS = (Y > 0).astype(int) + (Y > 1.5)
WORDS = np.array(["cheap pills now", "meeting at noon", "win money fast", "lunch with team", "süße Grüße 😀"])
TEXTS = [f"{WORDS[i % 5]} {WORDS[(i * 3) % 5]} {i}" for i in range(ROWS)]


def frame(**columns: Any) -> pd.DataFrame:
    """Return a frame of numbers, categories and dates with missing values, and what else is asked for."""
    city = pd.Series(["Rome", "Oslo", None, "Lima"] * (ROWS // 4))
    found = {
        "size": np.where(np.arange(ROWS) % 7 == 0, np.nan, X[:, 0]),
        "rooms": np.arange(ROWS) % 5,
        "city": city,
        "new": np.arange(ROWS) % 2 == 0,
    }
    return pd.DataFrame(found | columns)


def preprocessing() -> ColumnTransformer:
    """Return the usual preprocessing of such a frame."""
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["size", "rooms"]),
            (
                "city",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="none"),
                    OneHotEncoder(handle_unknown="ignore"),
                ),
                ["city"],
            ),
        ],
        remainder="passthrough",
    )


sklearn_case = case_of("sklearn")


def simple(name: str, model: Any, x: Any = X, y: Any = LABELS) -> None:
    """Add a case that is fitted on an array and packed with the same array."""
    CASES["sklearn"][name] = lambda: Case(model.fit(x, y), x)


CASES["sklearn"] = {}
simple("logistic_regression", LogisticRegression())
simple("string_labels", LogisticRegression(), y=np.array(["no", "yes", "per haps"])[LABELS])
simple("boolean_labels", RandomForestClassifier(10, random_state=0), y=LABELS > 0)
simple("float_labels", DecisionTreeClassifier(), y=LABELS.astype(float))
simple("sgd_without_probabilities", SGDClassifier(random_state=0))
simple("linear_svc", LinearSVC())
simple("svc", SVC())
simple("calibrated_svc", CalibratedClassifierCV(SVC(), cv=3, ensemble=False))
simple("k_neighbors", KNeighborsClassifier())
simple("k_neighbors_regressor", KNeighborsRegressor(weights="distance"), y=Y)
simple("gaussian_naive_bayes", GaussianNB())
simple("bernoulli_naive_bayes_on_booleans", BernoulliNB(), x=X > 0)
simple("categorical_naive_bayes_on_integers", CategoricalNB(min_categories=6), x=(X > 0).astype(int) + 1)
simple(
    "perceptron",
    make_pipeline(StandardScaler(), MLPClassifier((8,), tol=1, n_iter_no_change=1, random_state=0)),
)
simple(
    "perceptron_regressor",
    MLPRegressor(hidden_layer_sizes=(8,), tol=9, n_iter_no_change=1, random_state=0),
    y=Y,
)
simple("gradient_boosting", GradientBoostingClassifier(n_estimators=5))
simple("hist_gradient_boosting", HistGradientBoostingClassifier(max_iter=5), x=np.where(X > 1.5, np.nan, X))
simple("dummy", DummyClassifier(strategy="prior"))
simple("voting", VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())], voting="soft"))
simple("linear_regression", LinearRegression(), y=Y)
simple("elastic_net", make_pipeline(PolynomialFeatures(2), ElasticNet()), y=Y)
simple("support_vector_regressor", SVR(), y=Y)
simple("extra_trees", ExtraTreesRegressor(10, random_state=0), y=Y)
simple("gaussian_process", GaussianProcessRegressor(random_state=0, alpha=0.1), y=Y)
simple("stacking", StackingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=2))], cv=3), y=Y)
simple("log_target", TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), y=np.abs(Y))
simple("two_outputs", MultiOutputRegressor(Ridge()), y=np.c_[Y, -Y])
simple("two_outputs_of_a_forest", RandomForestRegressor(10, random_state=0), y=np.c_[Y, 2 * Y])
simple("two_label_outputs", MultiOutputClassifier(GaussianNB()), y=np.c_[LABELS, LABELS > 0])
simple("column_of_answers", LinearRegression(), y=Y.reshape(-1, 1))
simple("kmeans", KMeans(3, n_init=1, random_state=0), y=None)
simple("mini_batch_kmeans", MiniBatchKMeans(3, n_init=1, random_state=0), y=None)
simple("mixture", GaussianMixture(2, random_state=0), y=None)
simple("isolation_forest", IsolationForest(n_estimators=10, random_state=0), y=None)
simple("one_class_svm", OneClassSVM(), y=None)
simple("float32_tree", DecisionTreeRegressor(), x=X.astype(np.float32), y=Y)
simple("float32_neighbors", KNeighborsRegressor(), x=X.astype(np.float32), y=Y.astype(np.float32))
simple("integer_matrix", RandomForestClassifier(10, random_state=0), x=(X * 10).astype(np.int64))
simple("lists", LogisticRegression(), x=X.tolist())
simple("one_column", LinearRegression(), x=X[:, :1], y=Y)
simple("bins", make_pipeline(KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), Ridge()), y=Y)


@sklearn_case
def grid_search() -> Case:
    search = GridSearchCV(Ridge(), {"alpha": np.logspace(-2, 2, 5)}, cv=3).fit(X, Y)
    return Case(search, X)


@sklearn_case
def grid_search_over_a_pipeline_on_a_frame() -> Case:
    table = frame()
    pipeline = make_pipeline(preprocessing(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": np.array([0.1, 1.0])}, cv=3)
    return Case(search.fit(table, LABELS > 0), table)


@sklearn_case
def column_transformer_with_missing_values() -> Case:
    table = frame()
    return Case(make_pipeline(preprocessing(), Ridge()).fit(table, Y), table)


@sklearn_case
def frame_of_numbers() -> Case:
    table = pd.DataFrame(X, columns=["a", "b/c", 'd"e', "größe"])
    return Case(RandomForestRegressor(10, random_state=0).fit(table, Y), table)


@sklearn_case
def frame_of_float32() -> Case:
    table = pd.DataFrame(X.astype(np.float32), columns=list("abcd"))
    return Case(KNeighborsRegressor().fit(table, Y), table)


@sklearn_case
def columns_in_another_order() -> Case:
    table = pd.DataFrame(X, columns=list("abcd"))
    model = Ridge().fit(table, Y)
    return Case(model, table[["d", "b", "a", "c"]], answers=model.predict(table))


@sklearn_case
def more_columns_than_the_model_takes() -> Case:
    table = frame()
    model = make_pipeline(preprocessing(), Ridge()).fit(table, Y)
    more = table.assign(id=range(ROWS), note="x", rating=Y)
    return Case(model, more, answers=model.predict(table), target="rating")


@sklearn_case
def records_with_more_keys_than_the_model_takes() -> Case:
    table = pd.DataFrame(X, columns=list("abcd"))
    model = Ridge().fit(table, Y)
    return Case(model, table.assign(id=1).to_dict("records"), answers=model.predict(table))


@sklearn_case
def matrix_for_a_model_with_names() -> Case:
    table = pd.DataFrame(X, columns=list("abcd"))
    model = Ridge().fit(table, Y)
    return Case(model, X, answers=model.predict(table))


@sklearn_case
def integer_column_names() -> Case:
    table = pd.DataFrame(X)
    return Case(Ridge().fit(table, Y), table)


@sklearn_case
def categorical_columns() -> Case:
    table = frame()
    table["city"] = table["city"].astype(pd.CategoricalDtype(["Lima", "Oslo", "Paris", "Rome"]))
    model = HistGradientBoostingRegressor(max_iter=5, categorical_features="from_dtype").fit(table, Y)
    return Case(model, table)


@sklearn_case
def categorical_columns_of_numbers() -> Case:
    table = frame(grade=pd.Categorical(np.arange(ROWS) % 3), step=pd.Categorical(np.arange(ROWS) % 3 / 2))
    table = table.drop(columns="city")
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype").fit(table, LABELS)
    return Case(model, table)


@sklearn_case
def nullable_columns() -> Case:
    table = frame(
        rooms=pd.array([None, 1, 2, 3] * (ROWS // 4), dtype="Int64"),
        new=pd.array([True, False, None, True] * (ROWS // 4), dtype="boolean"),
    ).drop(columns="city")
    model = make_pipeline(SimpleImputer(), Ridge()).fit(table, Y)
    return Case(model, table)


@sklearn_case
def booleans_with_missing_values_as_objects() -> Case:
    table = pd.DataFrame({"new": [True, False, np.nan, True] * (ROWS // 4), "size": X[:, 0]})
    encode = ColumnTransformer([("new", OneHotEncoder(), ["new"])], remainder="passthrough")
    return Case(make_pipeline(encode, Ridge()).fit(table, Y), table)


@sklearn_case
def dates() -> Case:
    table = frame(sold=pd.date_range("2026-01-01", periods=ROWS, freq="17h"))
    dates = make_column_selector(dtype_include="datetime")
    as_numbers = FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": "int64"})
    numbers = ColumnTransformer([("sold", as_numbers, dates)])
    return Case(make_pipeline(numbers, StandardScaler(), Ridge()).fit(table, Y), table)


@sklearn_case
def dates_in_a_time_zone() -> Case:
    table = frame(sold=pd.date_range("2026-03-28", periods=ROWS, freq="h", tz="Europe/Berlin"))
    numbers = ColumnTransformer(
        [("sold", FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": "int64"}), ["sold"])]
    )
    return Case(make_pipeline(numbers, StandardScaler(), Ridge()).fit(table, Y), table)


@sklearn_case
def object_matrix() -> Case:
    table = frame().drop(columns="size").astype({"city": object})
    table.loc[table["city"].isna(), "city"] = "none"
    matrix = table.to_numpy()
    return Case(make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(matrix, Y), matrix)


@sklearn_case
def object_matrix_with_missing_values() -> Case:
    matrix = frame().astype({"city": object}).to_numpy()
    steps = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"), Ridge()
    )
    return Case(steps.fit(matrix, Y), matrix)


@sklearn_case
def object_matrix_with_none() -> Case:
    matrix = np.array(
        [["Rome", "x"], ["Oslo", None], ["Lima", "y"], ["Rome", None]] * (ROWS // 4), dtype=object
    )
    return Case(make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(matrix, Y), matrix)


@sklearn_case
def matrix_of_texts() -> Case:
    matrix = np.array([["Rome", "x"], ["Oslo", "y"], ["Lima", "z"]] * (ROWS // 3))
    return Case(make_pipeline(OrdinalEncoder(), DecisionTreeClassifier()).fit(matrix, LABELS), matrix)


@sklearn_case
def dict_records() -> Case:
    rows = [
        {"city": "Rome", "size": 1.5},
        {"city": "Oslo", "size": 2},
        {"size": 3.25},
        {"city": "Lima"},
    ]
    rows = rows * (ROWS // 4)
    return Case(make_pipeline(DictVectorizer(), Ridge()).fit(rows, Y), rows)


@sklearn_case
def dict_records_hashed() -> Case:
    rows = [{"city": "Rome", "size": 1.5}, {"city": "Oslo", "size": 2}, {"city": "Lima", "size": 0}] * (
        ROWS // 3
    )
    return Case(make_pipeline(FeatureHasher(16), SGDClassifier(random_state=0)).fit(rows, LABELS), rows)


@sklearn_case
def dict_records_with_numpy_values() -> Case:
    rows = [dict(zip("abcd", row, strict=True)) for row in X]
    return Case(make_pipeline(DictVectorizer(), Ridge()).fit(rows, Y), rows)


@sklearn_case
def texts() -> Case:
    return Case(make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(TEXTS, LABELS > 0), TEXTS)


@sklearn_case
def texts_of_an_array() -> Case:
    array = np.array(TEXTS)
    return Case(
        make_pipeline(HashingVectorizer(n_features=64), LogisticRegression()).fit(array, LABELS > 0), array
    )


@sklearn_case
def texts_of_a_series() -> Case:
    series = pd.Series(TEXTS, name="body")
    return Case(make_pipeline(TfidfVectorizer(), LinearSVC()).fit(series, LABELS), series)


@sklearn_case
def text_column_of_a_frame() -> Case:
    table = pd.DataFrame({"body": TEXTS, "size": X[:, 0]})
    columns = ColumnTransformer([("body", TfidfVectorizer(), "body")], remainder="passthrough")
    return Case(make_pipeline(columns, LogisticRegression()).fit(table, LABELS), table)


@sklearn_case
def text_column_alone() -> Case:
    table = pd.DataFrame({"body": TEXTS})
    columns = ColumnTransformer([("body", TfidfVectorizer(), "body")])
    return Case(make_pipeline(columns, LogisticRegression()).fit(table, LABELS), table)


@sklearn_case
def answers_that_are_no_number() -> Case:
    model = TransformedTargetRegressor(
        Ridge(), func=scipy.special.expit, inverse_func=scipy.special.logit, check_inverse=False
    )
    return Case(model.fit(X, 9 * Y), X)


# Frameworks that have an environment of their own, and their suite in tests/frameworks.
ELSEWHERE = {"keras", "mlflow", "torch"}

ALL = [(flavor, name) for flavor, cases in CASES.items() for name in cases]


@functools.cache
def checked_bundle(flavor: str, name: str) -> Bundle:
    """Return the bundle of a case, all of whose promises were checked in this process."""
    case = CASES[flavor][name]()
    return check_flavor(
        find_flavors()[flavor],
        case.model,
        case.example,
        answers=case.answers,
        probabilities=case.probabilities,
        target=case.target,
        code=case.code,
        in_new_process=False,
    )


def test_every_flavor_has_its_cases() -> None:
    """Whoever adds a flavor adds models to this suite."""
    assert set(find_flavors()) - ELSEWHERE == set(CASES)


@pytest.mark.parametrize(("flavor", "name"), ALL)
def test_a_packed_model_answers_as_the_original(flavor: str, name: str) -> None:
    """Rows sent as JSON get the answers that the original gives on the data that it was fitted on."""
    checked_bundle(flavor, name)


@pytest.mark.parametrize("flavor", CASES)
def test_packed_models_answer_the_same_in_a_new_process(flavor: str) -> None:
    """Every bundle loads in a fresh process and passes its golden examples there."""
    prove(*(checked_bundle(flavor, name) for name in CASES[flavor]))


def test_own_modules_travel_with_the_model(tmp_path: Path) -> None:
    """A model whose class is in a file of yours is packed with it and answers in a process without it."""
    source = tmp_path / "features_of_this_test.py"
    source.write_text(
        "from sklearn.linear_model import Ridge\n\n\nclass Doubled(Ridge):\n"
        "    def predict(self, X):\n        return 2 * super().predict(X)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        module = importlib.import_module("features_of_this_test")
    model = module.Doubled().fit(X, Y)
    try:
        check_flavor(find_flavors()["sklearn"], model, X, code=[source])
    finally:
        del sys.modules["features_of_this_test"]


def test_a_flavor_that_answers_otherwise_is_found_out() -> None:
    """The suite itself can fail: a model that is not the one whose answers are expected."""
    flavor = find_flavors()["sklearn"]
    with pytest.raises(AssertionError, match="prediction: row 0 should be"):
        check_flavor(flavor, LinearRegression().fit(X, Y), X, answers=Y + 1, in_new_process=False)
