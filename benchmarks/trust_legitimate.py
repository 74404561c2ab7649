"""Model files as people make them: every one of them should pass the gate without being asked about.

Estimators are fitted on small real data and saved in the ways that are used; what the frameworks save in
their own formats stands beside them. A case whose library is not installed is left out and counted.
"""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Legitimate:
    """One model as somebody would bring it.

    Attributes:
        name: What it is.
        make: Returns the files by relative path.
    """

    name: str
    make: Callable[[], Mapping[str, bytes]]


class LeftOut(Exception):
    """The library that makes this file is not installed."""


def cases() -> list[Legitimate]:
    """Return every case; making the files is left to the caller."""
    found = [
        Legitimate(f"{type(model).__name__}, {way}", _saved(model, way))
        for model, way in _paired(estimators(), _WAYS)
    ]
    found += [Legitimate(f"{name}, joblib", _saved_piped(name)) for name in pipelines()]
    found += [Legitimate(f"random forest, {way}", _saved(_forest(), way)) for way in _WAYS]
    found += [Legitimate(name, make) for name, make in _FORMATS.items()]
    return found


def _paired(models: list[Any], ways: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """Give every model two ways of being saved, in turn, so that each way meets many models."""
    names = list(ways)
    for n, model in enumerate(models):
        yield model, "joblib"
        yield model, names[n % len(names)]


def _joblib(model: Any, **options: Any) -> bytes:
    import joblib

    buffer = io.BytesIO()
    joblib.dump(model, buffer, **options)
    return buffer.getvalue()


def _cloudpickle(model: Any) -> bytes:
    try:
        import cloudpickle
    except ImportError as cause:
        raise LeftOut("cloudpickle") from cause
    saved: bytes = cloudpickle.dumps(model)
    return saved


def _lz4(model: Any) -> bytes:
    try:
        import lz4.frame  # noqa: F401 - asked whether it is there
    except ImportError as cause:
        raise LeftOut("lz4") from cause
    return _joblib(model, compress=("lz4", 3))


_WAYS: dict[str, Callable[[Any], bytes]] = {
    "joblib": _joblib,
    "joblib compress=3": lambda model: _joblib(model, compress=3),
    "joblib gzip": lambda model: _joblib(model, compress=("gzip", 3)),
    "joblib bz2": lambda model: _joblib(model, compress=("bz2", 3)),
    "joblib lzma": lambda model: _joblib(model, compress=("lzma", 3)),
    "joblib xz": lambda model: _joblib(model, compress=("xz", 3)),
    "joblib lz4": _lz4,
    "joblib protocol 2": lambda model: _joblib(model, protocol=2),
    "cloudpickle": _cloudpickle,
    **{f"pickle {n}": (lambda model, n=n: pickle.dumps(model, protocol=n)) for n in range(6)},
}


def _saved(model: Any, way: str) -> Callable[[], Mapping[str, bytes]]:
    def make() -> Mapping[str, bytes]:
        return {"model.joblib" if way.startswith("joblib") else "model.pkl": _WAYS[way](_fitted(model))}

    return make


def _fitted(model: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(*_data_for(model))


def _iris() -> tuple[Any, Any]:
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True)


def _data_for(model: Any) -> tuple[Any, ...]:
    """Return what a model is fitted on: positive numbers and three classes suit nearly all."""
    features, labels = _iris()
    kind = type(model).__name__
    if kind == "IsotonicRegression":
        return features[:, 0], features[:, 1]
    if kind in {
        "PLSRegression",
        "PLSCanonical",
        "CCA",
        "MultiOutputRegressor",
        "RegressorChain",
    } or kind.startswith("MultiTask"):
        return features, features[:, :2] * 2.0
    if kind in {"ClassifierChain", "MultiOutputClassifier"}:
        return features, np.column_stack([labels > 0, labels > 1]).astype(int)
    if kind in {"LocalOutlierFactor", "OneClassSVM", "IsolationForest", "EllipticEnvelope", "SGDOneClassSVM"}:
        return (features,)
    if kind == "GammaRegressor":
        return features, labels + 1.0
    if kind in {"TunedThresholdClassifierCV", "FixedThresholdClassifier"}:
        return features, (labels > 0).astype(int)
    return features, labels


def estimators() -> list[Any]:
    """Return unfitted estimators of every family that predicts, with parameters that hold objects."""
    from sklearn import (
        calibration,
        cluster,
        cross_decomposition,
        discriminant_analysis,
        dummy,
        ensemble,
        gaussian_process,
        isotonic,
        kernel_ridge,
        linear_model,
        mixture,
        model_selection,
        multiclass,
        multioutput,
        naive_bayes,
        neighbors,
        neural_network,
        semi_supervised,
        svm,
        tree,
    )
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    small = {"n_estimators": 5, "random_state": 0}
    models = [
        calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=3),
        calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=3, method="isotonic"),
        cluster.AffinityPropagation(), cluster.BisectingKMeans(3), cluster.Birch(threshold=0.3), cluster.KMeans(3, n_init=1),
        cluster.MeanShift(), cluster.MiniBatchKMeans(3, n_init=1),
        cross_decomposition.CCA(), cross_decomposition.PLSCanonical(), cross_decomposition.PLSRegression(),
        discriminant_analysis.LinearDiscriminantAnalysis(), discriminant_analysis.QuadraticDiscriminantAnalysis(),
        dummy.DummyClassifier(), dummy.DummyRegressor(),
        ensemble.AdaBoostClassifier(**small), ensemble.AdaBoostRegressor(**small),
        ensemble.BaggingClassifier(**small), ensemble.BaggingRegressor(**small),
        ensemble.ExtraTreesClassifier(**small), ensemble.ExtraTreesRegressor(**small),
        ensemble.GradientBoostingClassifier(**small), ensemble.GradientBoostingRegressor(**small),
        ensemble.HistGradientBoostingClassifier(max_iter=5), ensemble.HistGradientBoostingRegressor(max_iter=5),
        ensemble.HistGradientBoostingRegressor(max_iter=5, loss="poisson"),
        ensemble.IsolationForest(**small), ensemble.RandomForestClassifier(**small),
        ensemble.RandomForestRegressor(**small, max_samples=0.5, bootstrap=True),
        ensemble.RandomForestRegressor(n_estimators=5, random_state=np.random.RandomState(3)),
        ensemble.StackingClassifier([("a", naive_bayes.GaussianNB()), ("b", tree.DecisionTreeClassifier())], cv=3),
        ensemble.VotingClassifier([("a", naive_bayes.GaussianNB()), ("b", tree.DecisionTreeClassifier())]),
        gaussian_process.GaussianProcessClassifier(RBF()),
        gaussian_process.GaussianProcessRegressor(ConstantKernel() * RBF() + WhiteKernel()),
        isotonic.IsotonicRegression(), kernel_ridge.KernelRidge(kernel="rbf"),
        linear_model.ARDRegression(), linear_model.BayesianRidge(), linear_model.ElasticNet(), linear_model.ElasticNetCV(),
        linear_model.GammaRegressor(), linear_model.HuberRegressor(max_iter=500), linear_model.Lars(), linear_model.Lasso(),
        linear_model.LassoLars(), linear_model.LinearRegression(), linear_model.LogisticRegression(max_iter=50),
        linear_model.LogisticRegressionCV(cv=3, Cs=3, max_iter=50), linear_model.MultiTaskLasso(),
        linear_model.OrthogonalMatchingPursuit(), linear_model.Perceptron(), linear_model.PoissonRegressor(),
        linear_model.QuantileRegressor(), linear_model.RANSACRegressor(random_state=0), linear_model.Ridge(),
        linear_model.RidgeCV(), linear_model.RidgeClassifier(), linear_model.SGDClassifier(), linear_model.SGDRegressor(),
        linear_model.SGDClassifier(loss="modified_huber", early_stopping=True), linear_model.TheilSenRegressor(),
        linear_model.TweedieRegressor(power=1.5), mixture.BayesianGaussianMixture(n_components=2), mixture.GaussianMixture(2),
        model_selection.GridSearchCV(svm.SVC(), {"C": [1, 10]}, cv=3),
        model_selection.GridSearchCV(tree.DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=3, scoring="f1_macro"),
        model_selection.RandomizedSearchCV(tree.DecisionTreeClassifier(), {"max_depth": [1, 2, 3]}, n_iter=2, cv=3),
        model_selection.FixedThresholdClassifier(linear_model.LogisticRegression()),
        model_selection.TunedThresholdClassifierCV(linear_model.LogisticRegression(max_iter=300), cv=3),
        multiclass.OneVsOneClassifier(svm.LinearSVC()), multiclass.OneVsRestClassifier(naive_bayes.GaussianNB()),
        multiclass.OutputCodeClassifier(naive_bayes.GaussianNB()),
        multioutput.ClassifierChain(naive_bayes.GaussianNB()), multioutput.MultiOutputClassifier(naive_bayes.GaussianNB()),
        multioutput.MultiOutputRegressor(linear_model.Ridge()), multioutput.RegressorChain(linear_model.Ridge()),
        naive_bayes.BernoulliNB(), naive_bayes.CategoricalNB(), naive_bayes.ComplementNB(), naive_bayes.GaussianNB(),
        naive_bayes.MultinomialNB(),
        neighbors.KNeighborsClassifier(algorithm="kd_tree"), neighbors.KNeighborsRegressor(algorithm="ball_tree"),
        neighbors.KNeighborsClassifier(metric="minkowski", p=3), neighbors.LocalOutlierFactor(novelty=True),
        neighbors.NearestCentroid(), neighbors.RadiusNeighborsClassifier(5.0), neighbors.RadiusNeighborsRegressor(5.0),
        neural_network.MLPClassifier((5,), max_iter=20), neural_network.MLPRegressor(hidden_layer_sizes=(5,), max_iter=20, solver="sgd"),
        semi_supervised.LabelPropagation(), semi_supervised.LabelSpreading(),
        semi_supervised.SelfTrainingClassifier(naive_bayes.GaussianNB()),
        svm.LinearSVC(), svm.LinearSVR(), svm.NuSVC(nu=0.2), svm.NuSVR(), svm.OneClassSVM(), svm.SVC(probability=False), svm.SVR(),
        tree.DecisionTreeClassifier(), tree.DecisionTreeRegressor(), tree.ExtraTreeClassifier(), tree.ExtraTreeRegressor(),
    ]  # fmt: skip
    return [*models, *_boosters()]


def _boosters() -> list[Any]:
    found: list[Any] = []
    try:
        import xgboost

        found += [
            xgboost.XGBClassifier(n_estimators=3),
            xgboost.XGBRegressor(n_estimators=3, early_stopping_rounds=None),
        ]
    except ImportError:
        pass
    try:
        import lightgbm

        found += [
            lightgbm.LGBMClassifier(n_estimators=3, verbose=-1),
            lightgbm.LGBMRegressor(n_estimators=3, verbose=-1),
        ]
    except ImportError:
        pass
    return found


def pipelines() -> dict[str, Callable[[], Any]]:
    """Return fitted pipelines by what is special about them."""
    return {
        "frame with categories": _frame_pipeline,
        "texts": _text_pipeline,
        "records": _record_pipeline,
        "selection and components": _component_pipeline,
        "functions of NumPy": _function_pipeline,
        "functions of pandas, SciPy and scikit-learn": _library_function_pipeline,
        "boosting of categories": _category_boosting,
        "imputers and bins": _imputed_pipeline,
        "target transformed": _target_pipeline,
    }


def _saved_piped(name: str) -> Callable[[], Mapping[str, bytes]]:
    return lambda: {"model.joblib": _joblib(pipelines()[name]())}


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(5, random_state=0)


def _frame_pipeline() -> Any:
    import pandas as pd
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

    features, labels = _iris()
    frame = pd.DataFrame(features, columns=list("abcd")).assign(
        colour=pd.Categorical(np.where(labels == 1, "red", "blue")),
        town=[f"t{n % 7}" for n in range(len(labels))],
    )
    columns = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), ["colour"]),
        (OrdinalEncoder(), ["town"]),
        (TargetEncoder(cv=3), ["town"]),
        remainder="drop",
    ).set_output(transform="pandas")
    columns.set_params(onehotencoder__sparse_output=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_pipeline(columns, LogisticRegression(max_iter=50)).fit(frame, labels)


def _text_pipeline() -> Any:
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    texts = [f"word{n % 5} other{n % 3} 'quoted' thing {n}" for n in range(60)]
    union = make_union(
        TfidfVectorizer(ngram_range=(1, 2)), CountVectorizer(stop_words="english"), HashingVectorizer()
    )
    return make_pipeline(union, LinearSVC()).fit(texts, [n % 3 for n in range(60)])


def _record_pipeline() -> Any:
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline

    records = [{"town": f"t{n % 4}", "size": float(n)} for n in range(40)]
    return make_pipeline(DictVectorizer(sparse=False), SGDClassifier()).fit(
        records, [n % 2 for n in range(40)]
    )


def _component_pipeline() -> Any:
    from sklearn.decomposition import NMF, PCA, FastICA, KernelPCA, TruncatedSVD
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, VarianceThreshold
    from sklearn.kernel_approximation import Nystroem, RBFSampler
    from sklearn.pipeline import FeatureUnion, make_pipeline

    parts = FeatureUnion(
        [
            ("pca", PCA(2)), ("nmf", NMF(2, max_iter=500)), ("svd", TruncatedSVD(2)), ("ica", FastICA(2, max_iter=500)),
            ("kernel", KernelPCA(2)), ("nystroem", Nystroem(n_components=5)), ("rbf", RBFSampler(n_components=5)),
            ("best", SelectKBest(k=2)), ("rfe", RFE(ExtraTreesClassifier(5), n_features_to_select=2)),
            ("model", SelectFromModel(RandomForestClassifier(5))),
        ]
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_pipeline(VarianceThreshold(), parts, RandomForestClassifier(5)).fit(*_iris())


def _function_pipeline() -> Any:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, SplineTransformer

    steps = [
        FunctionTransformer(np.log1p, np.expm1),
        FunctionTransformer(),
        PolynomialFeatures(2),
        SplineTransformer(),
    ]
    return make_pipeline(*steps, Ridge()).fit(*_iris())


def _library_function_pipeline() -> Any:
    import pandas as pd
    from scipy.special import expit
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from sklearn.utils.validation import check_array

    features, labels = _iris()
    frame = pd.DataFrame(features, columns=list("abcd"))
    first = FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": "float32"})
    return make_pipeline(first, FunctionTransformer(check_array), FunctionTransformer(expit), Ridge()).fit(
        frame, labels
    )


def _category_boosting() -> Any:
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier

    features, labels = _iris()
    frame = pd.DataFrame(features, columns=list("abcd"))
    frame["town"] = pd.Categorical([f"t{n % 7}" for n in range(len(labels))])
    return HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype").fit(frame, labels)


def _imputed_pipeline() -> Any:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes the next import possible
    from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import KBinsDiscretizer, PowerTransformer, QuantileTransformer, RobustScaler

    features, labels = _iris()
    features = features.copy()
    features[::9, 1] = np.nan
    union = make_union(SimpleImputer(add_indicator=True), KNNImputer(), IterativeImputer(max_iter=2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_pipeline(
            make_union(union, MissingIndicator(features="all")), RobustScaler(), PowerTransformer(),
            QuantileTransformer(n_quantiles=20), KBinsDiscretizer(3, encode="onehot"), RandomForestRegressor(5),
        ).fit(features, labels)  # fmt: skip


def _target_pipeline() -> Any:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.linear_model import Ridge

    features, labels = _iris()
    return TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(
        features, labels + 1.0
    )


def _xgboost(ending: str) -> Callable[[], Mapping[str, bytes]]:
    def make() -> Mapping[str, bytes]:
        try:
            import xgboost
        except ImportError as cause:
            raise LeftOut("xgboost") from cause
        model = xgboost.XGBClassifier(n_estimators=3).fit(*_iris())
        return {f"model.{ending}": bytes(model.get_booster().save_raw(ending))}

    return make


def _lightgbm() -> Mapping[str, bytes]:
    try:
        import lightgbm
    except ImportError as cause:
        raise LeftOut("lightgbm") from cause
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(*_iris())
    return {"model.bst": model.booster_.model_to_string().encode()}


def _onnx() -> Mapping[str, bytes]:
    try:
        import onnx
    except ImportError as cause:
        raise LeftOut("onnx") from cause
    return {"model.onnx": onnx_model(onnx).SerializeToString()}


def onnx_model(onnx: Any) -> Any:
    """Return a small model of a product with a matrix."""
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    weights = onnx.numpy_helper.from_array(np.ones((4, 3), dtype=np.float32), name="w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", number, ["n", 4])],
        [helper.make_tensor_value_info("y", number, ["n", 3])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def _onnx_beside() -> Mapping[str, bytes]:
    try:
        import onnx
    except ImportError as cause:
        raise LeftOut("onnx") from cause
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(
            onnx_model(onnx), path, save_as_external_data=True, location="weights.bin", size_threshold=0
        )
        return {entry.name: entry.read_bytes() for entry in Path(folder).iterdir()}


def _skops(make_model: Callable[[], Any]) -> Callable[[], Mapping[str, bytes]]:
    def make() -> Mapping[str, bytes]:
        try:
            import skops.io
        except ImportError as cause:
            raise LeftOut("skops") from cause
        return {"model.skops": skops.io.dumps(make_model())}

    return make


def _npz() -> Mapping[str, bytes]:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, vectors=np.eye(4), words=np.array(["a", "b"]))
    return {"vectors.npz": buffer.getvalue()}


def _safetensors() -> Mapping[str, bytes]:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return {"model.safetensors": len(header).to_bytes(8, "little") + header + bytes(8)}


_FORMATS: dict[str, Callable[[], Mapping[str, bytes]]] = {
    "xgboost, UBJSON": _xgboost("ubj"),
    "xgboost, JSON": _xgboost("json"),
    "lightgbm, text under .bst": _lightgbm,
    "onnx": _onnx,
    "onnx with a file of weights": _onnx_beside,
    "skops, forest": _skops(lambda: _fitted(_forest())),
    "skops, texts": _skops(_text_pipeline),
    "skops, functions": _skops(_function_pipeline),
    "arrays": _npz,
    "safetensors": _safetensors,
}
