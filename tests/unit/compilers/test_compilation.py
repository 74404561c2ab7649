"""From a fitted model to files and a report, and back to a predictor without the framework."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairway.compilers.compilation import Subject, compile_model
from fairway.compilers.numpy import COMPILER, read_program
from fairway.compilers.program import PROGRAM, load_program
from fairway.compilers.report import load_predictor, read_report
from fairway.errors import ArtifactCorrupt, PredictorNotProven
from fairway.messages import Columns

pytest.importorskip("sklearn")
pytest.importorskip("onnxruntime")

from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

IRIS = load_iris(as_frame=True)
SLIM = """
import json, sys
for name in ("sklearn", "scipy", "pandas", "joblib", "onnx", "sqlalchemy"):
    sys.modules[name] = None  # any import of it fails
from fairway.bundle.signature import Signature
from fairway.compilers.report import load_predictor
from fairway.messages import Columns
from pathlib import Path
folder = Path(sys.argv[1])
signature = Signature.from_dict(json.loads((folder / "signature.json").read_text()))
predictor = load_predictor(lambda path: (folder / path).read_bytes(), signature, name=sys.argv[2])
rows = json.loads((folder / "rows.json").read_text())
outputs = predictor.predict(Columns(signature.names, rows), probabilities=True)
print(repr((outputs.values, outputs.probabilities)))
"""


class Tweaked(LogisticRegression):
    """A class that somebody derived: it may do anything."""

    def predict(self, X: Any) -> Any:  # noqa: N803
        return super().predict(X)[::-1]


@pytest.fixture
def iris(subject_of: Any) -> Subject:
    """Give a scaled logistic regression."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    return subject_of(model.fit(IRIS.data, IRIS.target_names[IRIS.target]), IRIS.data)


def test_the_report_says_what_serves_and_why(iris: Subject) -> None:
    """Verdict, rows, tolerance, worst difference and times are there for every compiler, as plain data."""
    result = compile_model(iris, compilers=["numpy", "onnx"])
    report = read_report(result.files.__getitem__)

    assert result.report == report
    assert report["compilers"]["numpy"]["verdict"] == "equal"
    assert report["compilers"]["numpy"]["tolerance"] == 1e-9
    assert report["compilers"]["numpy"]["rows_total"] > 500
    assert report["compilers"]["numpy"]["seconds_one_row"] > 0
    assert report["compilers"]["onnx"]["verdict"] == "not convertible"
    assert "no trees" in report["compilers"]["onnx"]["reason"]
    assert result.reason


def test_a_compiled_model_answers_as_the_original(iris: Subject, columns_of: Any) -> None:
    """Labels are those of the original, probabilities within the tolerance."""
    result = compile_model(iris)
    predictor = load_predictor(result.files.__getitem__, iris.signature, name="numpy")
    columns = columns_of(iris, IRIS.data)

    assert predictor is not None
    actual = predictor.predict(columns, probabilities=True)
    expected = iris.native.predict(columns, probabilities=True)

    assert actual.values == expected.values
    np.testing.assert_allclose(actual.probabilities, expected.probabilities, rtol=0, atol=1e-12)


def test_rows_keep_their_bits_alone_in_batches_and_shuffled(iris: Subject, columns_of: Any) -> None:
    """A row's answer has the same bits whatever is beside it."""
    predictor = COMPILER.load(
        COMPILER.compile(iris.model, iris.signature, iris.options, code={}).files.__getitem__, iris.signature
    )
    columns = columns_of(iris, IRIS.data)
    together = predictor.predict(columns, probabilities=True).probabilities
    order = np.random.default_rng(0).permutation(len(columns)).tolist()
    shuffled = predictor.predict(
        Columns(columns.names, [columns.rows[n] for n in order]), probabilities=True
    ).probabilities

    assert together is not None
    assert shuffled is not None
    for place, row in enumerate(columns.rows):
        alone = predictor.predict(Columns(columns.names, [row]), probabilities=True).probabilities
        assert alone == [together[place]] == [shuffled[order.index(place)]]


@pytest.mark.parametrize("compiler", ["numpy", "onnx"])
def test_serving_needs_no_framework(compiler: str, subject_of: Any, columns_of: Any, tmp_path: Path) -> None:
    """A process that cannot import scikit-learn, SciPy, pandas, joblib or onnx gives the same bits."""
    subject = subject_of(RandomForestClassifier(20, random_state=0).fit(IRIS.data, IRIS.target), IRIS.data)
    result = compile_model(subject)
    columns = columns_of(subject, IRIS.data)
    for path, data in result.files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    (tmp_path / "signature.json").write_text(json.dumps(subject.signature.to_dict()))
    (tmp_path / "rows.json").write_text(json.dumps([list(row) for row in columns.rows]))
    here = load_predictor(result.files.__getitem__, subject.signature, name=compiler)

    done = subprocess.run(
        [sys.executable, "-c", SLIM, str(tmp_path), compiler], capture_output=True, text=True, check=False
    )

    assert here is not None
    expected = here.predict(columns, probabilities=True)
    assert done.stderr == ""
    assert done.stdout.strip() == repr((expected.values, expected.probabilities))


def test_a_model_that_stays_as_it_is_says_why(subject_of: Any) -> None:
    """A class derived from a known one is not taken for it: the original serves, with the reason."""
    result = compile_model(subject_of(Tweaked(max_iter=500).fit(IRIS.data, IRIS.target), IRIS.data))

    assert result.predictor == "native"
    assert "Tweaked has no compiled form" in result.reason
    assert result.files.keys() == {"report.json"}
    assert load_predictor(result.files.__getitem__, None) is None  # type: ignore[arg-type]


def test_a_predictor_that_was_not_proven_cannot_be_forced(iris: Subject) -> None:
    """Asking for a compiler by name does not go around the proof."""
    result = compile_model(iris)

    with pytest.raises(PredictorNotProven, match="'onnx' must not serve this model: the model has no trees"):
        load_predictor(result.files.__getitem__, iris.signature, name="onnx")


@pytest.mark.parametrize(
    ("model", "example", "reason"),
    [
        (
            make_pipeline(FunctionTransformer(lambda rows: rows * 2), Ridge()),
            load_diabetes(as_frame=True).data,
            "is not one of NumPy's",
        ),
        (
            make_pipeline(CountVectorizer(tokenizer=str.split, token_pattern=None), MultinomialNB()),
            ["a b", "b c", "c d"] * 3,
            "with a tokenizer of its own",
        ),
    ],
    ids=["function", "tokenizer"],
)
def test_code_of_the_users_own_is_not_converted(
    model: Any, example: Any, reason: str, subject_of: Any
) -> None:
    """What calls a function that may do anything is left alone."""
    target = [0, 1, 1] * 3 if isinstance(example, list) else load_diabetes().target
    result = compile_model(subject_of(model.fit(example, target), example))

    assert reason in result.report["compilers"]["numpy"]["reason"]


@pytest.mark.parametrize(
    "damage",
    [
        b"{",
        b'{"format": 99}',
        b'{"format": 1, "labels": [], "model": {"part": "os.system"}}',
        b'{"format": 1, "labels": [], "model": {"part": "linear.LinearClassifier", "wrong": 1}}',
    ],
    ids=["not JSON", "newer format", "unknown part", "wrong field"],
)
def test_a_damaged_program_is_refused(damage: bytes) -> None:
    """Nothing but known parts with their own fields is ever made from a file."""
    with pytest.raises(ArtifactCorrupt):
        load_program({PROGRAM: damage}.__getitem__)


def test_a_program_survives_being_written_and_read(iris: Subject) -> None:
    """Writing what was read gives the same files."""
    program, _ = read_program(iris.model, iris.signature, iris.options, {})
    files = program.dump()

    assert load_program(files.__getitem__).dump() == files
