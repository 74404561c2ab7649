"""The proof lets nothing wrong pass: every fault that conversions are known for is built in and found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fairway.compilers.compilation import Subject
from fairway.compilers.numpy import read_program
from fairway.compilers.parity import TOLERANCES, Proof, ask_original, prove_equal, unstable_rows
from fairway.compilers.program import Program, ProgramPredictor, replace_parts
from fairway.compilers.rows import proof_rows
from fairway.compilers.steps.analyzers import Analyzer
from fairway.compilers.steps.base import Model, Part
from fairway.compilers.steps.forests import Shares
from fairway.compilers.steps.inputs import Numbers
from fairway.compilers.steps.trees import Trees
from fairway.flavors.base import Predictor
from fairway.messages import Columns, Outputs

pytest.importorskip("sklearn")

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def proof_of(subject: Subject, change: Callable[[Part], Part], *, only: str = "") -> Proof:
    """Prove a program in which every part went through *change*, on all groups of rows or on one."""
    program, precision = read_program(subject.model, subject.signature, subject.options, {})
    changed = Program(replace_parts(program.model, change), program.labels)
    predictor = ProgramPredictor(changed, subject.signature)
    rows = proof_rows(subject.signature, program, subject.golden_rows)
    chosen = [(name, group) for name, group in rows if only in {"", name}]
    groups = ask_original(subject.native, subject.signature.names, chosen)
    return prove_equal(predictor, subject.signature.names, groups, tolerance=TOLERANCES[precision])


def unchanged(part: Part) -> Part:
    """Change nothing."""
    return part


@pytest.fixture(scope="module")
def cancer() -> tuple[Any, Any]:
    """Give 30 numbers per row and two classes."""
    data = load_breast_cancer(as_frame=True)
    return data.data, data.target


@pytest.fixture
def forest(cancer: tuple[Any, Any], subject_of: Any) -> Subject:
    """Give a forest of an even number of trees: votes can tie."""
    return subject_of(RandomForestClassifier(50, random_state=0).fit(*cancer), cancer[0])


def test_a_right_conversion_is_proven(forest: Subject) -> None:
    """Without a fault the proof says equal, bit for bit, and knows how many rows it tried."""
    proof = proof_of(forest, unchanged)

    assert (proof.verdict, proof.worst) == ("equal", 0.0)
    assert proof.rows["thresholds"] > 1000
    assert proof.rows["ties"] > 0


def test_a_forest_that_adds_up_in_float32_is_caught_at_vote_ties(forest: Subject) -> None:
    """Shares of a fiftieth, summed in float32, tip exact ties over."""

    def in_single_precision(part: Part) -> Part:
        if isinstance(part, Trees):
            return dataclasses.replace(part, values=part.values / 50, single=True)  # noqa: PD011 - no frame
        return dataclasses.replace(part, count=1) if isinstance(part, Shares) else part

    proof = proof_of(forest, in_single_precision)

    assert proof.verdict == "different"


def test_vote_ties_are_among_the_rows(forest: Subject) -> None:
    """The rows hold exact ties, where the label hangs on the very last bit."""
    program, _ = read_program(forest.model, forest.signature, forest.options, {})
    rows = dict(proof_rows(forest.signature, program, forest.golden_rows))["ties"]

    chances = forest.native.predict(Columns(forest.signature.names, rows), probabilities=True).probabilities

    assert chances is not None
    assert sum(first == second for first, second in chances) >= 3


def test_labels_that_differ_at_ties_only_are_caught(forest: Subject) -> None:
    """Numbers within the tolerance do not excuse another label."""

    class LastWins(Shares):
        def answers(self, raw: Any) -> Any:
            return raw.shape[1] - 1 - raw[:, ::-1].argmax(axis=1)

    def tie_to_the_last(part: Part) -> Part:
        return LastWins(part.trees, part.count) if isinstance(part, Shares) else part

    proof = proof_of(forest, tie_to_the_last, only="ties")

    assert "a label differs" in proof.fault


def test_rows_that_are_not_rounded_to_float32_are_caught_at_thresholds(forest: Subject) -> None:
    """Trees compare float32 numbers: a value between a threshold and its float32 neighbour tells."""

    def raw_values(part: Part) -> Part:
        return dataclasses.replace(part, rounded=False) if isinstance(part, Trees) else part

    proof = proof_of(forest, raw_values, only="thresholds")

    assert "'thresholds'" in proof.fault
    assert proof.worst_row is not None
    assert proof.worst_row["group"] == "thresholds"


def test_a_threshold_that_excludes_its_own_value_is_caught(cancer: tuple[Any, Any], subject_of: Any) -> None:
    """`<` for `<=` differs at the threshold alone."""
    model = HistGradientBoostingClassifier(max_iter=10).fit(*cancer)

    def below(part: Part) -> Part:
        if not isinstance(part, Trees):
            return part
        return dataclasses.replace(part, threshold=np.nextafter(part.threshold, -np.inf))

    proof = proof_of(subject_of(model, cancer[0]), below, only="thresholds")

    assert "'thresholds'" in proof.fault


def test_thresholds_are_found_through_preprocessing(cancer: tuple[Any, Any], subject_of: Any) -> None:
    """Behind a scaler, too, the rows just below and above a question of the trees are among those tried."""
    steps = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=10))
    subject = subject_of(steps.fit(*cancer), cancer[0])

    def below(part: Part) -> Part:
        if not isinstance(part, Trees):
            return part
        return dataclasses.replace(part, threshold=np.nextafter(part.threshold, -np.inf))

    assert proof_of(subject, unchanged).verdict == "equal"
    assert "'thresholds'" in proof_of(subject, below, only="thresholds").fault


@pytest.mark.parametrize("start", [1.6e9, 40_000_000.0], ids=["seconds since 1970", "ids"])
def test_large_numbers_in_float32_are_caught(start: float, subject_of: Any) -> None:
    """float32 knows seconds since 1970 to 128 seconds, and ids from 16 million on to 2."""
    rng = np.random.default_rng(0)
    rows = start + rng.integers(0, 5000, size=(400, 2)).astype(float)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(
        rows, rows.sum(axis=1) > 2 * start + 5000
    )
    subject = subject_of(model, rows)

    def in_single_precision(part: Part) -> Part:
        return dataclasses.replace(part, single=[0, 1]) if isinstance(part, Numbers) else part

    assert proof_of(subject, unchanged).verdict == "equal"
    assert "a number differs" in proof_of(subject, in_single_precision).fault


@pytest.mark.parametrize("start", [1.6e9, 40_000_000.0], ids=["seconds since 1970", "ids"])
def test_boosted_trees_in_float32_are_caught(start: float, subject_of: Any) -> None:
    """Thresholds between neighbouring ids fall together in float32, and so do the ids."""
    rows = start + np.random.default_rng(0).integers(0, 100, size=(600, 2)).astype(float)
    model = HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=2)
    subject = subject_of(model.fit(rows, rows[:, 0] % 2 == 0), rows)

    def in_single_precision(part: Part) -> Part:
        if not isinstance(part, Trees):
            return part
        narrow = part.threshold.astype(np.float32).astype(np.float64)
        return dataclasses.replace(part, threshold=narrow, rounded=True)

    assert proof_of(subject, unchanged).verdict == "equal"
    assert "differs" in proof_of(subject, in_single_precision).fault


@pytest.mark.parametrize(
    "change",
    [{"lowercase": False}, {"accents": "unicode"}, {"pattern": r"(?a)\b\w\w+\b"}, {"stop_words": ["the"]}],
    ids=["case", "accents", "ASCII words", "stop words"],
)
def test_texts_that_are_read_otherwise_are_caught(change: dict[str, Any], subject_of: Any) -> None:
    """Case, accents, letters beyond ASCII and left-out words each show in some text that is tried."""
    texts = [
        "The crème was good",
        "the cafe was BAD",
        "an ﬁancée and the straße",
        "good café",
        "bad İstanbul",
    ] * 4
    labels = ["good" if "good" in text.lower() else "bad" for text in texts]
    subject = subject_of(make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, labels), texts)

    def read_otherwise(part: Part) -> Part:
        return dataclasses.replace(part, **change) if isinstance(part, Analyzer) else part

    assert proof_of(subject, unchanged).verdict == "equal"
    assert proof_of(subject, read_otherwise).verdict == "different"


def test_a_compiled_model_must_refuse_what_the_original_refuses(subject_of: Any) -> None:
    """An unknown category that stops the original may not be answered."""
    import pandas as pd

    from fairway.compilers.steps.encoding import OneHot

    frame = pd.DataFrame({"colour": ["red", "green", "blue", "red"] * 5})
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(frame, [0, 1, 1, 0] * 5)
    subject = subject_of(model, frame)

    def lenient(part: Part) -> Part:
        return dataclasses.replace(part, unknown=[-1]) if isinstance(part, OneHot) else part

    right, wrong = proof_of(subject, unchanged), proof_of(subject, lenient)

    assert right.verdict == "equal"
    assert right.refused > 0
    assert "the original refuses a row" in wrong.fault


class _ByNeighbours:
    """A predictor whose answer depends on the other rows of the call."""

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:  # noqa: ARG002
        return Outputs({"y": [float(row[0]) + 1e-12 * len(columns) for row in columns.rows]})


class _Steady:
    """A predictor that looks at one row at a time."""

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:  # noqa: ARG002
        return Outputs({"y": [float(row[0]) for row in columns.rows]})


@pytest.mark.parametrize(("predictor", "stable"), [(_ByNeighbours(), False), (_Steady(), True)])
def test_an_answer_that_depends_on_the_rows_beside_it_is_caught(predictor: Predictor, stable: bool) -> None:
    """The last bit counts: the same row alone, in a batch and in another order gives the same number."""
    fault = unstable_rows(predictor, ["x"], [[0.1], [0.2], [0.3]])

    assert stable == (not fault)


def test_parts_can_be_replaced_for_these_tests(forest: Subject) -> None:
    """Replacing nothing leaves a program that answers the same."""
    program, _ = read_program(forest.model, forest.signature, forest.options, {})

    copied = replace_parts(program.model, unchanged)

    assert isinstance(copied, Model)
    assert copied is not program.model
