"""A model between two functions: what they are given, what they may return, and where a failure is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from fairway.bundle.bundle import Bundle, open_bundle
from fairway.errors import ExampleInvalid, ModelContract, ModelFailed, UsageError
from fairway.inference.loaded import LoadedModel, load_model
from fairway.inference.predictors import load_native
from fairway.inference.proof import prove
from fairway.lifecycle.compiling import prove_and_compile, report_of
from fairway.lifecycle.own import Own
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.log import encode_line
from fairway.messages import ArrayColumns, Columns

pd: Any = pytest.importorskip("pandas")

TEXTS = [f"{'good' if n % 2 else 'bad'} day number {n}" for n in range(20)]
EXAMPLE = [{"text": text, "stars": n % 5} for n, text in enumerate(TEXTS)]

OWN = """
import numpy as np

def vector(record):
    words = record["text"].split()
    return np.array([len(words), words.count("good"), record["stars"] or 0], dtype=float)

def as_list(record):
    return [float(value) for value in vector(record)]

def as_row(record):
    return vector(record).reshape(1, -1)

def as_sparse(record):
    import scipy.sparse
    return scipy.sparse.csr_matrix(as_row(record))

def as_dict(record):
    return dict(zip(["words", "good", "stars"], vector(record)))

def as_text(record):
    return record["text"].upper()

def as_set(record):
    return {1, 2}

def unequal(record):
    return list(range(record["stars"] + 1))

def fails(record):
    word = record["text"].split()[3]
    return [float(word), 1.0, 2.0]

def empties(record):
    record["text"] = ""
    record.get("tags", []).clear()
    return [1.0, 2.0, 3.0]

def many(records):
    assert isinstance(records, list)
    return np.array([vector(record) for record in records])

def many_named(answers):
    return [{"mood": name(answer)} for answer in answers]

def too_few(records):
    return [vector(record) for record in records][1:]

def name(answer):
    return ["grim", "sunny"][int(answer)]

def shown(answer):
    return {"mood": name(answer), "sure": True}

def same(answer):
    return "alike"

def no_scalar(answer):
    return [answer]

def rounded(answer):
    return {key: round(value, 1) for key, value in answer.items()}

class Scale:
    def load(self, files):
        self.factor = float(files["factor.txt"].read_text())
        self.loads = getattr(self, "loads", 0) + 1

    def before(self, record):
        return vector(record) * self.factor

    def after(self, answer):
        return answer * self.factor + self.loads
"""


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    """Give the module of the functions."""
    path = tmp_path / "moods.py"
    path.write_text(OWN, encoding="utf-8")
    return path


@pytest.fixture
def pack(own_file: Path) -> Callable[..., Bundle]:
    """Give a function that packs a model with functions of the module, without the proof."""

    def pack(
        model: Any, before: str = "", after: str = "", *, example: Any = EXAMPLE, **options: Any
    ) -> Bundle:
        own = Own(
            code=[own_file],
            preprocess=f"moods:{before}" if before else None,
            postprocess=f"moods:{after}" if after else None,
            files=options.pop("files", ()),
            vectorised=options.pop("vectorised", False),
        )
        return make_bundle(
            model, name="mood", example=example, facts=Facts(), wishes=Wishes(**options), own=own
        )

    return pack


def vectors() -> Any:
    """Return what the module makes of the example, as the training script would."""
    return np.array([[4, text.count("good"), n % 5] for n, text in enumerate(TEXTS)], dtype=float)


def classifier() -> Any:
    """Return a classifier of such vectors."""
    return LogisticRegression().fit(vectors(), np.arange(20) % 2)


def ask(loaded: LoadedModel, *rows: list[Any], probabilities: bool = False) -> Any:
    return loaded.predict(Columns(loaded.signature.names, rows), probabilities=probabilities)


def test_a_record_goes_in_and_a_record_comes_out(pack: Callable[..., Bundle], tmp_path: Path) -> None:
    """The signature is the raw record's and the last function's; the manifest names both functions."""
    bundle = pack(classifier(), "vector", "shown")
    assert [(entry.name, entry.kind) for entry in bundle.signature.inputs] == [
        ("text", "text"),
        ("stars", "integer"),
    ]
    assert [(output.name, output.type) for output in bundle.signature.outputs] == [
        ("mood", "text"),
        ("sure", "boolean"),
    ]
    manifest = bundle.manifest
    assert (manifest.preprocess, manifest.postprocess) == ("moods:vector", "moods:shown")
    assert (manifest.flavor, manifest.model_type) == ("sklearn", "LogisticRegression")
    loaded = load_model(open_bundle(bundle.save(tmp_path / "mood.fairway")))
    assert ask(loaded, ["a good one", 3], ["a bad one", 1]).values == {
        "mood": ["sunny", "grim"],
        "sure": [True, True],
    }
    assert bundle.golden.expected["mood"] == [
        "sunny" if "good" in row["text"] else "grim" for row in bundle.golden.inputs
    ]
    prove(bundle)


@pytest.mark.parametrize("before", ["vector", "as_list", "as_row", "as_sparse"])
def test_vectors_come_in_the_usual_forms(pack: Callable[..., Bundle], before: str) -> None:
    """An array, a list, one row of a matrix, sparse or not: all of them are one vector."""
    model = classifier()
    bundle = pack(model, before)
    rows = [[4, row["text"].count("good"), row["stars"]] for row in bundle.golden.inputs]
    assert bundle.golden.expected == {"prediction": model.predict(rows).tolist()}
    shares = ask(load_model(bundle), ["good", 0], probabilities=True).probabilities
    assert shares == model.predict_proba([[1.0, 1.0, 0.0]]).tolist()


def test_dicts_are_rows_of_the_table_that_the_model_was_fitted_on(pack: Callable[..., Bundle]) -> None:
    """Their columns are put into the model's order."""
    frame = pd.DataFrame(vectors(), columns=["words", "good", "stars"])[["stars", "words", "good"]]
    model = LinearRegression().fit(frame, np.arange(20))
    loaded = load_model(pack(model, "as_dict"))
    expected = model.predict(pd.DataFrame([[2, 3, 1]], columns=["stars", "words", "good"]))
    assert ask(loaded, ["a good one", 2]).values == {"prediction": expected.tolist()}


@pytest.mark.parametrize("before", ["vector", "as_dict"])
def test_any_flavor_may_stand_in_between(pack: Callable[..., Bundle], before: str) -> None:
    """A booster takes what the function made as it takes a table."""
    xgboost = pytest.importorskip("xgboost")
    data, labels = vectors(), np.arange(20) % 2
    if before == "as_dict":
        data = pd.DataFrame(data, columns=["words", "good", "stars"])
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(data, labels)
    bundle = pack(model, before, "name")
    assert bundle.manifest.flavor == "xgboost"
    assert ask(load_model(bundle), ["a good one", 3], ["a bad one", 1]).values == {
        "prediction": ["sunny", "grim"]
    }


def test_texts_go_to_a_model_of_texts(pack: Callable[..., Bundle]) -> None:
    """What cleans a text stands before the pipeline that counts its words."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(CountVectorizer(lowercase=False), LinearSVC()).fit(
        [text.upper() for text in TEXTS], np.arange(20) % 2
    )
    assert ask(load_model(pack(model, "as_text")), ["Good", 1]).values == {"prediction": [1]}


def test_only_what_comes_after(pack: Callable[..., Bundle]) -> None:
    """Without preprocess the model takes the record as it always did."""
    frame = pd.DataFrame(vectors(), columns=["words", "good", "stars"])
    model = LogisticRegression().fit(frame, np.arange(20) % 2)
    loaded = load_model(pack(model, after="name", example=frame, outputs=["mood"]))
    assert loaded.signature.names == ("words", "good", "stars")
    answer = ask(loaded, [4.0, 1.0, 2.0], probabilities=True)
    assert answer.values == {"mood": ["sunny"]}


def test_probabilities_stay_where_every_class_gets_a_name(pack: Callable[..., Bundle]) -> None:
    """What comes after renames the classes, too; a function that does more than that leaves none."""
    renamed = pack(classifier(), "vector", "name")
    assert renamed.signature.classes == ("grim", "sunny")
    assert renamed.golden.probabilities is not None
    assert load_model(renamed).classes == ("grim", "sunny")
    assert pack(classifier(), "vector", "shown").signature.classes == ()
    assert pack(classifier(), "vector", "same").signature.classes == ()


def test_several_outputs_reach_postprocess_as_a_dict(pack: Callable[..., Bundle]) -> None:
    """By the names that the model gives them."""
    model = LinearRegression().fit(vectors(), np.c_[np.arange(20), np.arange(20) / 3])
    bundle = pack(model, "vector", "rounded")
    assert [output.name for output in bundle.signature.outputs] == ["prediction_0", "prediction_1"]
    expected = model.predict(vectors()[:1])[0]
    assert ask(load_model(bundle), ["bad day number 0", 0]).values == {
        "prediction_0": [round(expected[0], 1)],
        "prediction_1": [round(expected[1], 1)],
    }


def test_methods_share_one_object_that_was_loaded_once(pack: Callable[..., Bundle], tmp_path: Path) -> None:
    """What preprocess needs beside the record is read from data files, before the first call."""
    (tmp_path / "factor.txt").write_text("2")
    model = LinearRegression().fit(vectors() * 2, np.arange(20))
    bundle = pack(model, "Scale.before", "Scale.after", files=[tmp_path / "factor.txt"])
    raw = float(model.predict([[6.0, 2.0, 4.0]])[0])
    assert ask(load_model(bundle), ["a good one", 2]).values["prediction"] == [pytest.approx(raw * 2 + 1)]
    prove(bundle)


def test_vectorised_functions_take_the_whole_list(pack: Callable[..., Bundle]) -> None:
    """Said once, when it is packed; kept in the manifest."""
    bundle = pack(classifier(), "many", "many_named", vectorised=True)
    assert bundle.manifest.vectorised
    loaded = load_model(bundle)
    assert ask(loaded, ["good", 1], ["bad", 1]).values == {"mood": ["sunny", "grim"]}
    with pytest.raises(ExampleInvalid, match="preprocess moods:too_few gave 19 values for 20"):
        pack(classifier(), "too_few", vectorised=True)
    with pytest.raises(UsageError, match="neither was given"):
        pack(classifier(), vectorised=True)


def test_rows_of_a_file_are_scored_alike(pack: Callable[..., Bundle]) -> None:
    """Rows that were read as arrays reach the function as the same records."""
    loaded = load_model(pack(classifier(), "vector", "shown"))
    rows = [["good", 1], ["bad", 2]]
    arrays = ArrayColumns(("text", "stars"), [["good", "bad"], np.array([1, 2])])
    assert loaded.predict(arrays).values == ask(loaded, *rows).values


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("as_set", "", "preprocess returned a set, which is nothing that a model takes"),
        ("unequal", "", "preprocess returned vectors of unequal length"),
        ("fails", "", None),
        ("vector", "no_scalar", "no single kind for: list"),
        ("vector", "rounded", r"postprocess moods:rounded raised AttributeError .* .*\(moods.py, line \d+\)"),
        ("gone", "", "moods:gone: there is no function or class 'gone'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_when_it_is_packed(
    pack: Callable[..., Bundle], before: str, after: str, message: str | None
) -> None:
    """With the function, the row of the example and the line of the file."""
    from fairway.errors import BundleError

    example = [*EXAMPLE[:2], {"text": "one two three", "stars": 1}] if before == "fails" else EXAMPLE
    message = (
        message
        or r"preprocess moods:fails raised IndexError on row 2 of the example: .*\(moods.py, line \d+\)"
    )
    with pytest.raises(BundleError, match=message):
        pack(classifier(), before, after, example=example)


def test_what_the_function_raises_is_the_models_failure(pack: Callable[..., Bundle]) -> None:
    """It fails on valid input: the log says which function and which line, the caller learns nothing."""
    loaded = load_model(pack(classifier(), "fails"))
    with pytest.raises(ModelFailed) as caught:
        ask(loaded, ["the secret word of the caller", 1])
    assert "secret" not in caught.value.detail
    assert "fails" not in caught.value.detail
    line = encode_line({"event": "prediction.failed", "cause": caught.value.__cause__}).decode()
    assert "in preprocess moods:fails (moods.py, line 32)" in line
    assert "ValueError" in line


def test_another_form_than_when_it_was_packed_is_a_broken_contract(
    pack: Callable[..., Bundle], own_file: Path
) -> None:
    """A vector of another length on some later row, a text in place of a vector: said without any value."""
    own_file.write_text(
        "def short(record):\n    return {'a': [1.0] * 2, 'c': 'x'}.get(record['text'], [1.0] * 3)\n"
    )
    loaded = load_model(pack(classifier(), "short"))
    for text in "ac":
        with pytest.raises(ModelContract, match="preprocess did not return the vectors that it returned"):
            ask(loaded, [text, 1])


def test_a_record_is_the_functions_to_change(pack: Callable[..., Bundle]) -> None:
    """What it does to it reaches neither the log nor the caller's rows."""
    example = [{**row, "tags": ["a", "b"]} for row in EXAMPLE]
    loaded = load_model(pack(classifier(), "empties", example=example))
    columns = Columns(loaded.signature.names, [["good", 1, ["a"]]])
    loaded.predict(columns)
    assert columns.rows == [["good", 1, ["a"]]]


def test_a_chain_is_not_compiled_and_the_report_says_why(pack: Callable[..., Bundle]) -> None:
    """A compiler sees the estimator and not the functions: what it made would answer something else."""
    compiled = prove_and_compile(pack(classifier(), "vector", "shown"))
    report = report_of(compiled)
    assert report is not None
    assert report["predictor"] == "native"
    assert "code of your own stands around it" in report["reason"]


def test_the_matrix_of_float32_vectors_is_float32(pack: Callable[..., Bundle], own_file: Path) -> None:
    """As the training script had them; a linear model's last bits depend on it."""
    own_file.write_text(
        OWN + "\ndef small(record):\n    return vector(record).astype(np.float32) / np.float32(3)\n"
    )
    data = vectors().astype(np.float32) / np.float32(3)
    model = LinearRegression().fit(data, np.arange(20, dtype=np.float32))
    loaded = load_model(pack(model, "small"))
    answers = ask(loaded, *([text, n % 5] for n, text in enumerate(TEXTS))).values["prediction"]
    assert answers == model.predict(data).tolist()


def test_a_sparse_matrix_is_no_part_of_the_core(pack: Callable[..., Bundle]) -> None:
    """Its rows are made dense by their own method."""
    assert hasattr(scipy.sparse.csr_matrix([[1.0]]), "toarray")
    _, predictor = load_native(pack(classifier(), "as_sparse"))
    assert predictor.predict(Columns(("text", "stars"), [["good", 1]]), probabilities=False).values
