"""What is particular to scikit-learn: how models are told, described, fed and refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import zlib
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from fairway.bundle.code import CodeSpace
from fairway.bundle.kinds import infer_inputs
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import read_table
from fairway.errors import (
    ArtifactCorrupt,
    ArtifactImport,
    ArtifactUntrustedType,
    ExampleInvalid,
    FairwayError,
    ModelContract,
    UnknownFlavor,
    UsageError,
)
from fairway.flavors.base import ModelFiles, find_flavors, flavor_named, flavor_of
from fairway.flavors.opening import open_files
from fairway.flavors.pickles import PICKLE
from fairway.flavors.sklearn import FLAVOR
from fairway.messages import Columns

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 2.0]])
Y = np.array([0.0, 1.0, 2.0, 3.0])
NOTHING = CodeSpace({}, label="m")


class Answers(LinearRegression):
    """An estimator that answers what it was given."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer

    def fit(self, *_: Any) -> Answers:
        return self

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        return self.answer(X)


def learn(model: Any, example: Any, *, names: tuple[str, ...] = (), feed: str | None = None) -> Any:
    """Return signature and options as they are learnt."""
    table = read_table(example)
    signature = Signature(infer_inputs(table), ())
    return FLAVOR.learn(model, table, signature, output_names=names, feed=feed)


def load(data: bytes) -> Any:
    """Load a model file."""
    return FLAVOR.load(ModelFiles.of({PICKLE: data}), NOTHING, trust=Trust.default())


def open_file(data: bytes, name: str) -> Any:
    """Open a file as `pack` does; return flavor, model and what is kept."""
    return open_files({name: data}, name, NOTHING, trust=Trust.default())


# -- which flavor --


def test_a_model_is_told_by_its_classes() -> None:
    """By name, so that no framework is imported to find out."""
    assert flavor_of(Ridge()) is FLAVOR
    assert flavor_of(make_pipeline(Ridge())) is FLAVOR
    assert flavor_named("sklearn") is FLAVOR
    assert find_flavors()["sklearn"] is FLAVOR
    with pytest.raises(UnknownFlavor, match=r"no flavor matches a model of the type builtins\.dict"):
        flavor_of({})
    with pytest.raises(UnknownFlavor, match="there is no flavor 'xyz'"):
        flavor_named("xyz")


@pytest.mark.parametrize("pack", [bytes, zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_a_file_is_told_by_its_content(pack: Any) -> None:
    """Pickles and joblib files, under every compression that joblib reads."""
    data = pack(pickle.dumps(LinearRegression().fit(X, Y)))
    flavor, model, kept = open_file(data, "model.bin")
    assert flavor is FLAVOR
    assert model.coef_.tolist() == pytest.approx([1, 0])
    assert kept == {PICKLE: data}
    with pytest.raises(UnknownFlavor, match=r"notes\.txt is no model file of a known format"):
        open_file(b"some text", "notes.txt")


# -- description --


def test_the_description_names_the_last_step_and_what_was_set() -> None:
    """Everything of the last step, of the others what is not the default; arrays and objects are left out."""
    pipeline = make_pipeline(StandardScaler(with_mean=False), Ridge(alpha=np.float64(2.0)))
    found = FLAVOR.describe(pipeline.fit(pd.DataFrame(X, columns=["a", "b"]), Y))
    assert found.model_type == "Pipeline (Ridge)"
    assert found.hyperparameters["standardscaler.with_mean"] is False
    assert found.hyperparameters["ridge.alpha"] == 2.0
    assert type(found.hyperparameters["ridge.alpha"]) is float
    assert "standardscaler.with_std" not in found.hyperparameters
    assert found.input_names == ("a", "b")
    assert {"sklearn", "joblib", "numpy", "scipy"} <= found.modules
    search = GridSearchCV(Ridge(), {"alpha": np.array([1.0])}, cv=2).fit(X, Y)
    assert FLAVOR.describe(search).model_type == "GridSearchCV (Ridge)"
    assert FLAVOR.describe(Ridge()).model_type == "Ridge"


# -- saving and loading --


def test_what_cannot_be_saved_says_why() -> None:
    """Usually a lambda."""
    with pytest.raises(ArtifactCorrupt, match="the model cannot be saved") as caught:
        FLAVOR.dump(make_pipeline(FunctionTransformer(lambda x: x), Ridge()))
    assert "no lambda" in caught.value.hint


def saved(model: Any) -> bytes:
    """Return the bytes of a joblib file."""
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (saved(Ridge())[:-20], ArtifactCorrupt, "the model file cannot be read as a pickle: it breaks off"),
        (b"\x80\x04.", ArtifactCorrupt, "cannot be read as a pickle"),
        (b"x\x9cnonsense", ArtifactCorrupt, "looks like zlib and cannot be unpacked"),
        (b"cno_such_package.deep\nThing\n.", ArtifactImport, "needs the module 'no_such_package'"),
        (b"csklearn.linear_model\nNoSuchThing\n.", ArtifactUntrustedType, "not on the list of known types"),
        (b"c__main__\nThing\n.", ArtifactImport, "was defined in a script or notebook"),
    ],
)
def test_what_cannot_be_loaded_says_why(data: bytes, error: type[FairwayError], message: str) -> None:
    """Whatever the bytes happen to mean to a pickle reader."""
    with pytest.raises(error, match=message):
        load(data)


def test_a_pickle_of_something_else_is_no_model() -> None:
    """Its type is named."""
    with pytest.raises(UnknownFlavor, match=r"no flavor matches a model of the type builtins\.dict"):
        open_file(saved({"not": "a model"}), "model.joblib")


@pytest.mark.parametrize("model", [DBSCAN(), StandardScaler()])
def test_what_has_no_predict_is_no_model(model: Any) -> None:
    """Said before anything is tried."""
    with pytest.raises(ArtifactCorrupt, match="which has no predict method"):
        learn(model.fit(X), X)


# -- learning --


def test_a_model_that_takes_no_form_of_the_example_says_what_it_said() -> None:
    """Of every way that was tried; the usual cause is a column too many."""
    with pytest.raises(
        ExampleInvalid, match=r"as matrix: ValueError: X has 3 features, but Ridge is expecting 2"
    ):
        learn(Ridge().fit(X, Y), np.c_[X, Y])
    with pytest.raises(ExampleInvalid, match="NotFittedError"):
        learn(Ridge(), X)


def test_the_way_to_feed_can_be_stated() -> None:
    """Of the four."""
    frame = pd.DataFrame(X, columns=["a", "b"])
    assert learn(Ridge().fit(frame, Y), frame, feed="frame")[1]["feed"] == "frame"
    assert learn(Ridge().fit(frame, Y), frame)[1]["feed"] == "matrix"
    with pytest.raises(UsageError, match="'table' is no way to feed a model"):
        learn(Ridge().fit(X, Y), X, feed="table")


def test_outputs_have_the_names_that_were_given() -> None:
    """As many as there are, and no two alike."""
    model = LinearRegression().fit(X, np.c_[Y, Y])
    assert [o.name for o in learn(model, X)[0].outputs] == ["prediction_0", "prediction_1"]
    assert [o.name for o in learn(model, X, names=("rating", "percentile"))[0].outputs] == [
        "rating",
        "percentile",
    ]
    with pytest.raises(UsageError, match="1 output names were given; the model has 2 outputs"):
        learn(model, X, names=("rating",))
    with pytest.raises(UsageError, match="two outputs have the same name"):
        learn(model, X, names=("a", "a"))


@pytest.mark.parametrize(
    ("answer", "names", "kind", "type_"),
    [
        (lambda x: np.zeros(len(x)), ["prediction"], "score", "number"),
        (lambda x: np.zeros(len(x), dtype=int), ["prediction"], "label", "integer"),
        (lambda x: ["a"] * len(x), ["prediction"], "label", "text"),
        (lambda x: np.zeros((len(x), 1), dtype=bool), ["prediction"], "label", "boolean"),
        (lambda x: pd.DataFrame({"rating": [1.5] * len(x)}), ["rating"], "score", "number"),
        (lambda x: {"rating": np.ones(len(x)), "top": [1.0] * len(x)}, ["rating", "top"], "score", "number"),
        (lambda x: [{"rating": 1.5, "top": 2.5}] * len(x), ["rating", "top"], "score", "number"),
    ],
)
def test_answers_of_every_form_have_names_and_types(
    answer: Any, names: list[str], kind: str, type_: str
) -> None:
    """Arrays, lists, frames, dicts of columns, lists of dicts."""
    signature, options = learn(Answers(answer), X)
    assert [o.name for o in signature.outputs] == names
    assert {(o.kind, o.type) for o in signature.outputs} == {(kind, type_)}
    outputs = FLAVOR.predictor(Answers(answer), signature, options).predict(
        Columns(signature.names, X.tolist()), probabilities=False
    )
    assert list(outputs.values) == names
    assert len(outputs) == len(X)


def test_an_answer_that_json_has_no_kind_for_is_refused() -> None:
    """Mixed, or nothing that can be written."""
    for answer in (lambda x: [1, "a"] * (len(x) // 2), lambda x: [b"x"] * len(x)):
        with pytest.raises(ExampleInvalid, match="holds values that JSON has no single kind for"):
            learn(Answers(answer), X)


def test_a_model_that_answers_for_other_rows_breaks_its_contract() -> None:
    """When it is packed, and when it serves."""
    with pytest.raises(ModelContract, match="the model gave 1 values of 'prediction' for 4 rows"):
        learn(Answers(lambda _: [1.0]), X)
    signature, options = learn(LogisticRegression().fit(X, Y > 1), X)
    columns = Columns(signature.names, X.tolist())
    two = FLAVOR.predictor(Answers(lambda x: np.zeros((len(x), 2))), signature, options)
    with pytest.raises(ModelContract, match="the model gave 2 outputs; its signature has 1"):
        two.predict(columns, probabilities=False)
    short = LogisticRegression().fit(X, Y > 1)
    short.predict_proba = lambda _: np.ones((1, 2))  # type: ignore[method-assign]
    with pytest.raises(ModelContract, match="the model gave probabilities for 1 rows of 4"):
        FLAVOR.predictor(short, signature, options).predict(columns, probabilities=True)


# -- feeding --


def test_a_category_that_was_not_declared_is_a_missing_one() -> None:
    """As it would be in a frame with the declared categories; nobody is warned of anything."""
    frame = pd.DataFrame({"city": pd.Categorical(["Rome", "Oslo", "Rome", None]), "size": X[:, 1]})
    model = HistGradientBoostingRegressor(max_iter=2, categorical_features="from_dtype", min_samples_leaf=1)
    signature, options = learn(model.fit(frame, Y), frame)
    predictor = FLAVOR.predictor(model, signature, options)
    values = predictor.predict(  # noqa: PD011 - no frame
        Columns(signature.names, [["Lima", 2.0], [None, 2.0]]), probabilities=False
    ).values
    assert values["prediction"][0] == values["prediction"][1]


def test_a_frame_has_the_types_of_the_one_that_was_given() -> None:
    """Whatever the request held: integers, moments in a zone, missing texts, nullable numbers."""
    frame = pd.DataFrame(
        {
            "i": [1, 2],
            "f": np.array([1, 2], dtype=np.float32),
            "t": ["x", None],
            "z": pd.to_datetime(["2026-07-01T12:00", None]).tz_localize("Europe/Berlin"),
            "n": pd.array([1, None], dtype="Int64"),
            "b": [True, False],
        }
    )
    seen: list[pd.DataFrame] = []
    model = Answers(lambda x: (seen.append(x), np.zeros(len(x)))[1])
    _, options = learn(model, frame, feed="frame")
    assert options["feed"] == "frame"
    pd.testing.assert_frame_equal(seen[-1], frame)


def test_a_model_that_selects_by_name_is_fed_a_frame() -> None:
    """Also when all of it is numbers."""
    frame = pd.DataFrame({"a": [1, 2, 1, 2], "b": X[:, 0]})
    model = make_pipeline(ColumnTransformer([("a", OneHotEncoder(), ["a"])]), Ridge()).fit(frame, Y)
    signature, options = learn(model, frame)
    assert options["feed"] == "frame"
    assert signature.names == ("a", "b")
