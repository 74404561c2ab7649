"""Models on real data whose conversion is proven: for the contract suite and the table in the docs.

Each case names the compilers whose result must be proven equal; none means that the original serves.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import (
    calibration,
    compose,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    isotonic,
    kernel_ridge,
    linear_model,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_linnerud,
    load_wine,
)

NUMPY = ("numpy",)
BOTH = ("numpy", "onnx")
NATIVE: tuple[str, ...] = ()
_TEXTS, _ROWS = 1200, 2500


@dataclasses.dataclass(frozen=True)
class Case:
    """One model to convert.

    Attributes:
        name: What the table calls it.
        model: Gives the unfitted model.
        data: Name of the data set in `DATA`.
        compilers: Compilers that must be proven equal.
    """

    name: str
    model: Callable[[], Any]
    data: str
    compilers: tuple[str, ...] = NUMPY


def _bundled(load: Callable[..., Any]) -> Callable[[Path], tuple[Any, Any]]:
    def read(folder: Path) -> tuple[Any, Any]:  # noqa: ARG001 - the form of all readers
        data = load(as_frame=True)
        named = getattr(data, "target_names", None)
        if named is not None and load in {load_iris, load_breast_cancer, load_wine}:
            return data.data, np.asarray(named)[data.target]
        return data.data, data.target

    return read


def _news(folder: Path) -> tuple[Any, Any]:
    frame = pd.read_csv(
        folder / "news" / "ag_news_test.csv.gz", header=None, names=["class", "title", "text"]
    )
    return frame["text"].tolist()[:_TEXTS], frame["class"].to_numpy()[:_TEXTS]


def _two_topics(folder: Path) -> tuple[Any, Any]:
    texts, classes = _news(folder)
    return texts, classes > 2


def _churn(folder: Path) -> tuple[Any, Any]:
    frame = pd.read_csv(folder / "telco_churn" / "Telco-Customer-Churn.csv.gz").head(_ROWS)
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
    return frame.drop(columns=["customerID", "Churn"]), frame["Churn"]


def _churn_categories(folder: Path) -> tuple[Any, Any]:
    frame, target = _churn(folder)
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.assign(**{name: frame[name].astype("category") for name in texts}), target


def _housing(folder: Path) -> tuple[Any, Any]:
    frame = pd.read_csv(folder / "california_housing" / "housing.csv.gz").sample(_ROWS, random_state=1)
    return frame.drop(columns="median_house_value"), frame["median_house_value"]


def _bikes(folder: Path) -> tuple[Any, Any]:
    frame = pd.read_csv(folder / "bike_sharing" / "hour.csv.gz").iloc[::7]
    seconds = pd.to_datetime(frame["dteday"]).astype("int64") // 10**9
    inputs = frame[["season", "hr", "weekday", "workingday", "temp", "hum", "windspeed"]]
    return inputs.assign(second=seconds.astype(float) + 3600.0 * frame["hr"]), frame["cnt"]


def _coffee(folder: Path) -> tuple[Any, Any]:
    frame = pd.read_csv(folder / "coffee" / "simplified_coffee.csv").fillna({"roast": "Medium"})
    names = {"loc_country": "country", "origin": "origin", "roaster": "roaster", "roast": "roast"}
    records = [
        {new: str(row[old]) for old, new in names.items()}
        | {
            "price": float(row["100g_USD"]),
            "notes": [w for w in ("fruity", "nutty") if w in row["review"].lower()],
        }
        for row in frame.to_dict("records")
    ]
    return records, frame["rating"].to_numpy(float)


def _recipes(folder: Path) -> tuple[Any, Any]:
    frame = pd.read_csv(folder / "recipes" / "recipes_2k.csv.gz").head(_TEXTS)
    texts = [" ".join(json.loads(cell)) for cell in frame["ingredients"]]
    return pd.DataFrame({"title": frame["title"], "ingredients": texts}), frame["difficulty"]


DATA: dict[str, Callable[[Path], tuple[Any, Any]]] = {
    "iris": _bundled(load_iris),
    "cancer": _bundled(load_breast_cancer),
    "wine": _bundled(load_wine),
    "digits": _bundled(load_digits),
    "diabetes": _bundled(load_diabetes),
    "linnerud": _bundled(load_linnerud),
    "news": _news,
    "two topics": _two_topics,
    "churn": _churn,
    "churn (categories)": _churn_categories,
    "housing": _housing,
    "bikes": _bikes,
    "coffee": _coffee,
    "recipes": _recipes,
}
SHIPPED = frozenset({"iris", "cancer", "wine", "digits", "diabetes", "linnerud"})
"""Data sets that come with scikit-learn; the others are read from a folder."""


@functools.cache
def read_data(name: str, folder: Path) -> tuple[Any, Any]:
    """Return inputs and target of a data set."""
    return DATA[name](folder)


def _chain(*steps: Any) -> Callable[[], Any]:
    return lambda: pipeline.make_pipeline(*steps)


def _scaled(model: Any) -> Callable[[], Any]:
    return _chain(preprocessing.StandardScaler(), model)


_LOGISTIC = linear_model.LogisticRegression(max_iter=2000)
_RIDGE = linear_model.Ridge()


def _linear() -> Iterator[Case]:
    yield Case("StandardScaler + LogisticRegression", _scaled(_LOGISTIC), "iris")
    yield Case("LogisticRegression, two classes", _scaled(_LOGISTIC), "cancer")
    yield Case(
        "LogisticRegression, liblinear",
        _scaled(linear_model.LogisticRegression(solver="liblinear")),
        "cancer",
    )
    yield Case("LinearSVC", _scaled(svm.LinearSVC()), "wine")
    yield Case(
        "SGDClassifier, log loss",
        _scaled(linear_model.SGDClassifier(loss="log_loss", random_state=0)),
        "wine",
    )
    yield Case(
        "SGDClassifier, modified Huber",
        _scaled(linear_model.SGDClassifier(loss="modified_huber", random_state=0)),
        "wine",
    )
    yield Case("RidgeClassifier", _scaled(linear_model.RidgeClassifier()), "cancer")
    yield Case("Perceptron", _scaled(linear_model.Perceptron()), "wine")
    yield Case("LinearDiscriminantAnalysis", discriminant_analysis.LinearDiscriminantAnalysis, "wine")
    yield Case(
        "QuadraticDiscriminantAnalysis",
        discriminant_analysis.QuadraticDiscriminantAnalysis,
        "wine",
    )
    regressors = (
        linear_model.LinearRegression(),
        linear_model.Ridge(),
        linear_model.RidgeCV(),
        linear_model.Lasso(),
        linear_model.ElasticNet(),
        linear_model.BayesianRidge(),
        linear_model.HuberRegressor(max_iter=1000),
        linear_model.QuantileRegressor(),
        linear_model.PoissonRegressor(max_iter=1000),
        linear_model.TweedieRegressor(power=1.5, max_iter=1000),
        linear_model.SGDRegressor(random_state=0),
        linear_model.RANSACRegressor(random_state=0),
        svm.LinearSVR(max_iter=20_000),
        cross_decomposition.PLSRegression(),
    )
    for model in regressors:
        yield Case(type(model).__name__, _scaled(model), "diabetes")
    yield Case("LinearRegression, three outputs", linear_model.LinearRegression, "linnerud")
    yield Case("Ridge on seconds since 1970", _scaled(_RIDGE), "bikes")


def _bayes_and_near() -> Iterator[Case]:
    yield Case("GaussianNB", naive_bayes.GaussianNB, "wine")
    yield Case("MultinomialNB", naive_bayes.MultinomialNB, "digits")
    yield Case("ComplementNB", naive_bayes.ComplementNB, "digits")
    yield Case("BernoulliNB", lambda: naive_bayes.BernoulliNB(binarize=7.0), "digits")
    bins = preprocessing.KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf")
    yield Case(
        "KBinsDiscretizer + CategoricalNB", _chain(bins, naive_bayes.CategoricalNB(min_categories=5)), "wine"
    )
    yield Case("KNeighborsClassifier", _scaled(neighbors.KNeighborsClassifier()), "wine")
    yield Case(
        "KNeighborsClassifier, by distance, p=1",
        _scaled(neighbors.KNeighborsClassifier(weights="distance", p=1)),
        "wine",
    )
    yield Case(
        "KNeighborsRegressor, by distance",
        _scaled(neighbors.KNeighborsRegressor(weights="distance")),
        "diabetes",
    )
    yield Case(
        "KNeighborsRegressor, shared coordinates",
        _scaled(neighbors.KNeighborsRegressor(weights="distance")),
        "housing numbers",
    )
    yield Case("NearestCentroid", _scaled(neighbors.NearestCentroid()), "wine")
    yield Case("SVC, RBF", _scaled(svm.SVC()), "wine")
    yield Case("SVC, polynomial, ties broken", _scaled(svm.SVC(kernel="poly", break_ties=True)), "wine")
    yield Case("NuSVC", _scaled(svm.NuSVC()), "cancer")
    yield Case("SVR", _scaled(svm.SVR()), "diabetes")
    yield Case("KernelRidge", _scaled(kernel_ridge.KernelRidge(kernel="rbf")), "diabetes")
    network = neural_network.MLPClassifier((30, 10), max_iter=80, random_state=0)
    yield Case("MLPClassifier", _scaled(network), "wine")
    yield Case(
        "MLPRegressor",
        _scaled(neural_network.MLPRegressor(hidden_layer_sizes=(20,), max_iter=80, random_state=0)),
        "diabetes",
    )


def _trees() -> Iterator[Case]:
    few = {"n_estimators": 30, "random_state": 0}
    yield Case("DecisionTreeClassifier", lambda: tree.DecisionTreeClassifier(random_state=0), "wine", BOTH)
    yield Case("RandomForestClassifier", lambda: ensemble.RandomForestClassifier(**few), "cancer", BOTH)
    yield Case(
        "RandomForestClassifier, mixed leaves",
        lambda: ensemble.RandomForestClassifier(min_samples_leaf=3, **few),
        "wine",
        BOTH,
    )
    yield Case(
        "RandomForestClassifier, 10 classes", lambda: ensemble.RandomForestClassifier(**few), "digits", BOTH
    )
    yield Case("ExtraTreesClassifier", lambda: ensemble.ExtraTreesClassifier(**few), "wine", BOTH)
    yield Case("RandomForestRegressor", lambda: ensemble.RandomForestRegressor(**few), "diabetes", BOTH)
    yield Case(
        "RandomForestRegressor, three outputs",
        lambda: ensemble.RandomForestRegressor(**few),
        "linnerud",
        BOTH,
    )
    yield Case(
        "RandomForestRegressor on seconds since 1970",
        lambda: ensemble.RandomForestRegressor(**few),
        "bikes",
        BOTH,
    )
    yield Case("GradientBoostingClassifier", lambda: ensemble.GradientBoostingClassifier(**few), "wine", BOTH)
    yield Case(
        "GradientBoostingRegressor", lambda: ensemble.GradientBoostingRegressor(**few), "diabetes", BOTH
    )
    yield Case(
        "HistGradientBoostingClassifier",
        lambda: ensemble.HistGradientBoostingClassifier(max_iter=20),
        "digits",
        BOTH,
    )
    yield Case(
        "HistGradientBoostingRegressor",
        lambda: ensemble.HistGradientBoostingRegressor(max_iter=50),
        "diabetes",
        BOTH,
    )
    yield Case(
        "HistGradientBoostingRegressor on seconds since 1970",
        lambda: ensemble.HistGradientBoostingRegressor(max_iter=50),
        "bikes",
        BOTH,
    )
    yield Case(
        "HistGradientBoostingClassifier, categories",
        lambda: ensemble.HistGradientBoostingClassifier(max_iter=15),
        "churn (categories)",
        BOTH,
    )
    yield Case("AdaBoostClassifier", lambda: ensemble.AdaBoostClassifier(**few), "wine", BOTH)
    yield Case("AdaBoostRegressor", lambda: ensemble.AdaBoostRegressor(**few), "diabetes", BOTH)
    yield Case(
        "PCA + RandomForestClassifier",
        _chain(decomposition.PCA(5), ensemble.RandomForestClassifier(**few)),
        "wine",
        BOTH,
    )
    yield from _boosters()


def _boosters() -> Iterator[Case]:
    try:
        import lightgbm
        import xgboost
    except ImportError:
        return
    yield Case("LGBMClassifier", lambda: lightgbm.LGBMClassifier(n_estimators=20, verbose=-1), "wine", BOTH)
    yield Case("LGBMRegressor", lambda: lightgbm.LGBMRegressor(n_estimators=20, verbose=-1), "diabetes", BOTH)
    yield Case("XGBRegressor", lambda: xgboost.XGBRegressor(n_estimators=20), "diabetes", BOTH)
    yield Case("XGBClassifier", lambda: xgboost.XGBClassifier(n_estimators=20), "digits", BOTH)


def _committees() -> Iterator[Case]:
    forest = ensemble.RandomForestClassifier(20, random_state=0)
    some = [("bayes", naive_bayes.GaussianNB()), ("forest", forest), ("linear", _scaled(_LOGISTIC)())]
    yield Case("VotingClassifier, soft", lambda: ensemble.VotingClassifier(some, voting="soft"), "wine", BOTH)
    yield Case("VotingClassifier, hard", lambda: ensemble.VotingClassifier(some), "wine", BOTH)
    yield Case(
        "StackingClassifier",
        lambda: ensemble.StackingClassifier(some, final_estimator=_LOGISTIC),
        "cancer",
        BOTH,
    )
    yield Case(
        "StackingRegressor, passed through",
        lambda: ensemble.StackingRegressor(
            [("ridge", _RIDGE), ("tree", tree.DecisionTreeRegressor(max_depth=5))], passthrough=True
        ),
        "diabetes",
        BOTH,
    )
    yield Case("BaggingClassifier", lambda: ensemble.BaggingClassifier(random_state=0), "wine", BOTH)
    yield Case(
        "CalibratedClassifierCV, sigmoid",
        _scaled(calibration.CalibratedClassifierCV(svm.LinearSVC())),
        "wine",
    )
    yield Case(
        "CalibratedClassifierCV, isotonic",
        _scaled(calibration.CalibratedClassifierCV(_LOGISTIC, method="isotonic")),
        "wine",
    )
    yield Case("OneVsRestClassifier", _scaled(multiclass.OneVsRestClassifier(_LOGISTIC)), "wine")
    yield Case("OneVsOneClassifier", _scaled(multiclass.OneVsOneClassifier(svm.LinearSVC())), "wine")
    yield Case(
        "GridSearchCV",
        lambda: model_selection.GridSearchCV(_scaled(_RIDGE)(), {"ridge__alpha": [1, 9]}),
        "diabetes",
    )
    yield Case(
        "TunedThresholdClassifierCV",
        _scaled(model_selection.TunedThresholdClassifierCV(_LOGISTIC)),
        "numbered cancer",
    )
    yield Case(
        "TransformedTargetRegressor",
        lambda: compose.TransformedTargetRegressor(_RIDGE, func=np.log1p, inverse_func=np.expm1),
        "diabetes",
    )
    yield Case("MultiOutputRegressor", lambda: multioutput.MultiOutputRegressor(_RIDGE), "linnerud")
    yield Case("DummyClassifier", dummy.DummyClassifier, "wine")
    yield Case("DummyRegressor", dummy.DummyRegressor, "diabetes")


def _preparation() -> Iterator[Case]:
    steps = {
        "MinMaxScaler": preprocessing.MinMaxScaler(clip=True),
        "MaxAbsScaler": preprocessing.MaxAbsScaler(),
        "RobustScaler": preprocessing.RobustScaler(),
        "Normalizer": preprocessing.Normalizer(),
        "PowerTransformer": preprocessing.PowerTransformer(),
        "QuantileTransformer, uniform": preprocessing.QuantileTransformer(n_quantiles=60),
        "QuantileTransformer, normal": preprocessing.QuantileTransformer(
            n_quantiles=60, output_distribution="normal"
        ),
        "PolynomialFeatures": pipeline.make_pipeline(
            preprocessing.StandardScaler(), preprocessing.PolynomialFeatures(3)
        ),
        "KBinsDiscretizer": preprocessing.KBinsDiscretizer(
            encode="onehot-dense", quantile_method="averaged_inverted_cdf"
        ),
        "PCA, whitened": decomposition.PCA(3, whiten=True),
        "SelectKBest": feature_selection.SelectKBest(k=5),
        "VarianceThreshold": feature_selection.VarianceThreshold(0.1),
        "FunctionTransformer(log1p)": preprocessing.FunctionTransformer(np.log1p),
        "FeatureUnion": pipeline.make_union(decomposition.PCA(2), preprocessing.MinMaxScaler()),
    }
    for name, step in steps.items():
        yield Case(
            f"{name} + LogisticRegression", _chain(step, preprocessing.StandardScaler(), _LOGISTIC), "wine"
        )
    yield Case("IsotonicRegression", lambda: isotonic.IsotonicRegression(out_of_bounds="clip"), "one number")


def _frames() -> Iterator[Case]:
    numbers = compose.make_column_selector(dtype_include=np.number)
    others = compose.make_column_selector(dtype_exclude=np.number)

    def prepared(encoder: Any, *, indicator: bool = False) -> Any:
        fill = impute.SimpleImputer(strategy="median", add_indicator=indicator)
        return compose.make_column_transformer(
            (pipeline.make_pipeline(fill, preprocessing.StandardScaler()), numbers),
            (pipeline.make_pipeline(impute.SimpleImputer(strategy="most_frequent"), encoder), others),
        )

    plain = preprocessing.OneHotEncoder(handle_unknown="ignore")
    grouped = preprocessing.OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=300, drop="if_binary"
    )
    ordinal = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    forest = ensemble.RandomForestClassifier(20, min_samples_leaf=2, random_state=0)
    boosted = ensemble.HistGradientBoostingRegressor(max_iter=30)
    yield Case(
        "ColumnTransformer + LogisticRegression", _chain(prepared(plain, indicator=True), _LOGISTIC), "churn"
    )
    with_groups = _chain(prepared(grouped), _LOGISTIC)
    yield Case("OneHotEncoder, infrequent, drop + LogisticRegression", with_groups, "churn")
    yield Case("OrdinalEncoder + RandomForestClassifier", _chain(prepared(ordinal), forest), "churn", BOTH)
    yield Case(
        "ColumnTransformer + HistGradientBoostingRegressor", _chain(prepared(plain), boosted), "housing", BOTH
    )
    yield Case("ColumnTransformer + Ridge", _chain(prepared(plain, indicator=True), _RIDGE), "housing")
    yield Case("DictVectorizer + Ridge", _chain(feature_extraction.DictVectorizer(), _RIDGE), "coffee")


def _texts() -> Iterator[Case]:
    text = feature_extraction.text
    both = compose.make_column_transformer(
        (text.TfidfVectorizer(), "title"), (text.CountVectorizer(min_df=3), "ingredients")
    )
    yield Case("TfidfVectorizer + LinearSVC", _chain(text.TfidfVectorizer(), svm.LinearSVC()), "news")
    bigrams = text.TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode", stop_words="english", min_df=2
    )
    yield Case("TfidfVectorizer, bigrams + LogisticRegression", _chain(bigrams, _LOGISTIC), "news")
    chars = text.TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=4000)
    yield Case("TfidfVectorizer, char_wb + LinearSVC", _chain(chars, svm.LinearSVC()), "two topics")
    yield Case(
        "CountVectorizer, char + LogisticRegression",
        _chain(text.CountVectorizer(analyzer="char", strip_accents="ascii", ngram_range=(1, 2)), _LOGISTIC),
        "two topics",
    )
    yield Case(
        "CountVectorizer + MultinomialNB", _chain(text.CountVectorizer(), naive_bayes.MultinomialNB()), "news"
    )
    hashed = text.HashingVectorizer(n_features=2**12)
    yield Case(
        "HashingVectorizer + SGDClassifier",
        _chain(hashed, linear_model.SGDClassifier(random_state=0)),
        "news",
    )
    yield Case(
        "TfidfVectorizer + TruncatedSVD + LogisticRegression",
        _chain(text.TfidfVectorizer(min_df=3), decomposition.TruncatedSVD(20, random_state=0), _LOGISTIC),
        "news",
    )
    yield Case(
        "CountVectorizer + RandomForestClassifier",
        _chain(text.CountVectorizer(max_features=300), ensemble.RandomForestClassifier(20, random_state=0)),
        "news",
        BOTH,
    )
    yield Case("two text columns + LogisticRegression", _chain(both, _LOGISTIC), "recipes")


def _kept() -> Iterator[Case]:
    yield Case("GaussianProcessRegressor", gaussian_process.GaussianProcessRegressor, "diabetes", NATIVE)
    yield Case("KNNImputer + Ridge", _chain(impute.KNNImputer(), _RIDGE), "diabetes", NATIVE)
    yield Case(
        "FunctionTransformer of one's own + Ridge",
        _chain(preprocessing.FunctionTransformer(np.clip, kw_args={"a_min": 0, "a_max": 1}), _RIDGE),
        "diabetes",
        NATIVE,
    )
    yield Case("KNeighborsClassifier, equal distances", neighbors.KNeighborsClassifier, "iris", NATIVE)


def _derived(name: str, of: str, change: Callable[[Any, Any], tuple[Any, Any]]) -> None:
    DATA[name] = lambda folder: change(*read_data(of, folder))


_derived("housing numbers", "housing", lambda x, y: (x.select_dtypes("number").dropna(axis=1), y))
_derived("numbered cancer", "cancer", lambda x, y: (x, (y == "malignant").astype(int)))
_derived("one number", "diabetes", lambda x, y: (x[["bmi"]], y))
SHIPPED = SHIPPED | {"numbered cancer", "one number"}

CASES: tuple[Case, ...] = (
    *_linear(),
    *_bayes_and_near(),
    *_trees(),
    *_committees(),
    *_preparation(),
    *_frames(),
    *_texts(),
    *_kept(),
)
