"""What becomes part of a bundle: what the author says, and the rows that the model takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from fairway.bundle.bundle import Bundle
from fairway.errors import (
    ArtifactCorrupt,
    ArtifactEmpty,
    ExampleInvalid,
    FairwayError,
    NameInvalid,
    UsageError,
)
from fairway.lifecycle.pack import Facts, Wishes, make_bundle, pack_model

FRAME = pd.DataFrame({"a": [0.0, 1.0, 2.0, 4.0], "b": [1.0, 0.0, 5.0, 2.0]})
MODEL = Ridge().fit(FRAME, [0, 1, 2, 3])


def make(model: Any = MODEL, example: Any = FRAME, *, name: str = "coffee", **wishes: Any) -> Bundle:
    """Pack without the proof; facts and wishes by name."""
    facts = {key: wishes.pop(key) for key in list(wishes) if key in Facts.__dataclass_fields__}
    return make_bundle(
        model,
        name=name,
        example=example,
        code=wishes.pop("code", ()),
        facts=Facts(**facts),
        wishes=Wishes(**wishes),
    )


def test_what_the_author_says_is_kept() -> None:
    """In the manifest, and in the card for people."""
    bundle = make(
        metrics={"r2": 1}, tags={"team": 3}, author="Ada", description="Rates.", lineage={"commit": "abc"}
    )
    manifest = bundle.manifest
    assert (manifest.metrics, manifest.tags, manifest.lineage) == (
        {"r2": 1.0},
        {"team": "3"},
        {"commit": "abc"},
    )
    assert (manifest.author, manifest.description, manifest.flavor) == ("Ada", "Rates.", "sklearn")
    assert "Rates." in bundle.card
    assert manifest.framework == bundle.environment["packages"]
    assert bundle.profile["rows"] == 4
    assert len(bundle.golden.inputs) == 4


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"metrics": {"auc": float("nan")}}, "the metric 'auc' is 'nan', which is no finite number"),
        ({"metrics": {"auc": "high"}}, "the metric 'auc' is 'high'"),
        ({"metrics": {"auc": None}}, "the metric 'auc' is 'None'"),
        ({"description": "x" * 5000}, "a text of 5000 characters is too long; the limit is 4096"),
        ({"unseen_category": "ignore"}, "'ignore' is not a policy"),
        ({"kinds": {"c": "text"}}, "there is no input 'c' to state a kind for"),
    ],
)
def test_facts_that_cannot_be_kept_are_refused(facts: dict[str, Any], message: str) -> None:
    """Before anything is written."""
    with pytest.raises(UsageError, match=message) as caught:
        make(**facts)
    assert caught.value.exit_code == 2


def test_the_signature_has_the_columns_of_the_model_in_its_order() -> None:
    """Whatever else the table holds, and however it is ordered."""
    more = FRAME[["b", "a"]].assign(id=1, rating=2)
    assert make(example=more, target="rating").signature.names == ("a", "b")
    assert make(example=more.to_dict("records")).signature.names == ("a", "b")
    assert make(example=FRAME.to_numpy()).signature.names == ("a", "b")
    with pytest.raises(
        ExampleInvalid, match="the model was fitted with the column 'b', which the example table"
    ) as c:
        make(example=FRAME[["a"]])
    assert c.value.hint == "the model's columns are: a, b"
    with pytest.raises(ExampleInvalid, match="no column 'ratng'"):
        make(example=more, target="ratng")


def test_the_policies_are_part_of_the_signature() -> None:
    """As they were chosen."""
    signature = make(unseen_category="reject", out_of_range="pass").signature
    assert (signature.unseen_category, signature.out_of_range) == ("reject", "pass")


def test_an_example_that_no_request_could_hold_is_refused() -> None:
    """A number of more than 64 bits, say; the row is named."""
    numbers = [1, 2, 3, 2**70]
    with pytest.raises(ExampleInvalid, match=r"no request could hold a row of the example: .* - at /3/a"):
        make(Ridge().fit(FRAME.to_numpy(), [0, 1, 2, 3]), {"a": numbers, "b": [1, 2, 3, 4]})


def test_a_model_may_be_a_file(tmp_path: Path) -> None:
    """What cannot be read is named."""
    joblib.dump(MODEL, tmp_path / "m.joblib")
    assert make(tmp_path / "m.joblib").read("model/model.joblib") == (tmp_path / "m.joblib").read_bytes()
    (tmp_path / "empty.joblib").touch()
    with pytest.raises(ArtifactEmpty, match=r"empty\.joblib is empty"):
        make(str(tmp_path / "empty.joblib"))
    with pytest.raises(ArtifactCorrupt, match=r"gone\.joblib cannot be read"):
        make(tmp_path / "gone.joblib")


def test_probabilities_are_among_the_golden_answers() -> None:
    """Of a model that has them."""
    golden = make(LogisticRegression().fit(FRAME, ["no", "no", "yes", "yes"])).golden
    assert golden.probabilities is not None
    assert np.sum(golden.probabilities, axis=1).tolist() == pytest.approx([1] * 4)


def test_a_name_outside_the_grammar_is_refused_first() -> None:
    """Before the model is looked at."""
    with pytest.raises(NameInvalid):
        make(object(), name="Coffee!")


def test_what_is_packed_has_proven_itself() -> None:
    """In a fresh process: the whole of what `fairway pack` does."""
    bundle = pack_model(MODEL, name="coffee", example=FRAME, code=(), facts=Facts(), wishes=Wishes())
    assert bundle.manifest.name == "coffee"


def test_errors_are_ours(tmp_path: Path) -> None:
    """Whatever the model is."""
    for model in (object(), 3, {}, tmp_path):
        with pytest.raises(FairwayError):
            make(model)
