"""Small fitted models as they would be packed, for the tests of compilers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fairway.bundle.golden import GoldenExamples, choose_rows
from fairway.bundle.kinds import infer_inputs
from fairway.bundle.signature import Signature
from fairway.bundle.tables import read_table
from fairway.bundle.validation import Validator
from fairway.compilers.compilation import Subject
from fairway.messages import Columns

MakeSubject = Callable[..., Subject]


@pytest.fixture
def subject_of() -> MakeSubject:
    """Give the function that turns a fitted model and its example into what is compiled."""
    from fairway.flavors.sklearn import FLAVOR

    def make(model: Any, example: Any, **options: Any) -> Subject:
        rows = read_table(example)
        learnt = Signature(inputs=infer_inputs(rows), outputs=())
        signature, feed = FLAVOR.learn(
            model, rows, learnt, output_names=options.pop("outputs", ()), feed=None
        )
        native = FLAVOR.predictor(model, signature, feed)
        records = [dict(zip(signature.names, row, strict=True)) for row in rows.rows()]
        columns = Validator(signature).check(records, pointer=str)
        chosen = Columns(columns.names, [columns.rows[n] for n in choose_rows(columns.rows)])
        outputs = native.predict(chosen, probabilities=True)
        golden = GoldenExamples(
            tuple(chosen.records()), outputs.values, outputs.probabilities, tolerance=FLAVOR.tolerance
        )
        return Subject(model, native, signature, feed, golden, **options)

    return make


@pytest.fixture
def columns_of() -> Callable[[Subject, Any], Columns]:
    """Give the function that reads rows as a call with them would."""

    def read(subject: Subject, example: Any) -> Columns:
        records = [dict(zip(subject.signature.names, row, strict=True)) for row in read_table(example).rows()]
        return Validator(subject.signature).check(records, pointer=str)

    return read
