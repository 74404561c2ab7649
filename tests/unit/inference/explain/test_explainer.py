"""Explanations of real models through their own predict: what is explained, added up, and refused."""

from __future__ import annotations

import asyncio
import datetime
import gc
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from fairway.bundle.safety import Trust
from fairway.bundle.validation import Validator
from fairway.errors import (
    ExplanationFailed,
    ExplanationTimeout,
    FairwayError,
    MalformedRequest,
    Overloaded,
    TooManyToExplain,
)
from fairway.inference.explain.desk import ExplainLimits, ExplanationDesk
from fairway.inference.explain.explainer import Explainer
from fairway.inference.explain.knowledge import Knowledge
from fairway.inference.loaded import LoadedModel, load_model
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.messages import Columns, ExplainWish, Outputs, Prediction, Timing

RANDOM = np.random.default_rng(0)
X = pd.DataFrame(RANDOM.normal(size=(200, 4)), columns=["a", "b", "c", "d"])
NUMBERS = 3 * X["a"] - 2 * X["b"] + X["a"] * X["c"]
LABELS = np.where(NUMBERS > 1, "high", np.where(NUMBERS < -1, "low", "middle"))
TEXTS = [
    f"{mood} {place} number {n}"
    for n, (mood, place) in enumerate(
        itertools.islice(
            itertools.cycle(
                itertools.product(["lovely quiet", "noisy dark"], ["flat by the park", "house in a street"])
            ),
            60,
        )
    )
]
TONES = ["good" if "lovely" in text else "bad" for text in TEXTS]


def measure_records(records: list[dict[str, Any]]) -> Any:
    """Return numbers for records; everything must be of the kind that the signature says."""
    return np.array(
        [
            [r["when"].month, len(r["tags"]), r["yes"] is True, r["many"] or 0, r["count"], r["zone"] == "x"]
            if isinstance(r["when"], datetime.datetime)
            else [
                int(r["when"][5:7]),
                len(r["tags"]),
                r["yes"] is True,
                r["many"] or 0,
                r["count"],
                r["zone"] == "x",
            ]
            for r in records
        ],
        dtype=float,
    )


def load(model: Any, example: Any, **wishes: Any) -> LoadedModel:
    return load_model(
        make_bundle(
            model,
            name="m",
            example=example,
            code=(),
            facts=Facts(),
            wishes=Wishes(**wishes),
            trust=Trust.naming([f"{measure_records.__module__}.measure_records"]),
        )
    )


def explain(model: LoadedModel, *rows: Any, budget_s: float = 20.0, **wish: Any) -> list[dict[str, Any]]:
    columns = Validator(model.signature).check(rows, pointer=str)
    explainer = Explainer(model, Knowledge(model.bundle, model.predictor))
    return explainer.explain(columns, ExplainWish(**wish), budget_s=budget_s)


def sum_of(target: dict[str, Any]) -> float:
    return float(target["base"] + sum(entry["contribution"] for entry in target["features"]))


@pytest.fixture(scope="module")
def forest() -> LoadedModel:
    return load(RandomForestClassifier(20, max_depth=4, random_state=0).fit(X.to_numpy(), LABELS), X)


@pytest.fixture(scope="module")
def tone() -> LoadedModel:
    return load(make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, TONES), TEXTS)


def test_a_regressor_is_explained_in_its_own_unit() -> None:
    """For a linear model a contribution is slope times distance from the mean of the background."""
    model = load(LinearRegression().fit(X, 3 * X["a"] - 2 * X["b"] + 5), X, outputs=("price",))
    (found,) = explain(model, {"a": 1.0, "b": 2.0, "c": 0.0, "d": 0.0})
    (target,) = found["targets"]
    assert (target["output"], target["class"], target["scale"]) == ("price", None, "output")
    assert target["value"] == pytest.approx(4.0)
    assert {e["input"]: round(e["contribution"], 1) for e in target["features"]} == pytest.approx(
        {"a": 3.0, "b": -4.0, "c": 0.0, "d": 0.0}, abs=0.5
    )
    assert sum_of(target) == pytest.approx(4.0, abs=1e-9)
    assert found["features"]["method"] == "shapley_exact"


def test_the_predicted_class_is_explained(forest: LoadedModel) -> None:
    """Without a wish it is the probability of what was predicted."""
    (found,) = explain(forest, [2.0, -2.0, 0.0, 0.0])
    (target,) = found["targets"]
    assert (target["class"], target["scale"]) == ("high", "probability")
    assert sum_of(target) == pytest.approx(target["value"], abs=1e-9)
    assert target["additivity"]["holds"]
    assert {target["features"][0]["input"], target["features"][1]["input"]} == {"a", "b"}


def test_each_class_can_be_explained(forest: LoadedModel) -> None:
    """The contributions of an input to all classes cancel, as probabilities add up to one."""
    (found,) = explain(forest, [2.0, -2.0, 0.0, 0.0], of="each")
    assert [target["class"] for target in found["targets"]] == ["high", "low", "middle"]
    for name in X.columns:
        shares = [e["contribution"] for t in found["targets"] for e in t["features"] if e["input"] == name]
        assert sum(shares) == pytest.approx(0.0, abs=1e-9)


def test_a_class_can_be_named(forest: LoadedModel) -> None:
    """`of` names a class as a reply names it; another name is refused with those that there are."""
    (found,) = explain(forest, [2.0, -2.0, 0.0, 0.0], of="low")
    assert [target["class"] for target in found["targets"]] == ["low"]
    with pytest.raises(MalformedRequest, match="no class and no output") as caught:
        explain(forest, [2.0, -2.0, 0.0, 0.0], of="lowest")
    assert caught.value.hint == "known: high, low, middle, each"


def test_a_model_without_probabilities_is_explained_by_agreement() -> None:
    """What can be counted of a label is how often it stays."""
    model = load(LinearSVC().fit(X, LABELS), X)
    (found,) = explain(model, [2.0, -2.0, 0.0, 0.0])
    (target,) = found["targets"]
    assert (target["scale"], target["value"], target["class"]) == ("agreement", 1.0, "high")
    assert sum_of(target) == pytest.approx(1.0, abs=1e-9)


def test_every_output_is_explained() -> None:
    """A model of several outputs says which is which, and `of` picks one."""
    model = load(LinearRegression().fit(X, np.column_stack([X["a"], -X["b"]])), X, outputs=("left", "right"))
    (found,) = explain(model, [1.0, 1.0, 0.0, 0.0])
    assert [target["output"] for target in found["targets"]] == ["left", "right"]
    assert [target["features"][0]["input"] for target in found["targets"]] == ["a", "b"]
    (found,) = explain(model, [1.0, 1.0, 0.0, 0.0], of="right")
    assert [target["output"] for target in found["targets"]] == ["right"]


def test_a_compiled_predictor_is_asked_like_any() -> None:
    """What serves is what is explained, and it needs nothing of the framework."""
    from fairway.lifecycle.compiling import prove_and_compile

    bundle = make_bundle(
        LogisticRegression().fit(X, LABELS), name="m", example=X, code=(), facts=Facts(), wishes=Wishes()
    )
    compiled = load_model(prove_and_compile(bundle))
    assert compiled.predictor_name == "numpy"
    ours, native = (
        explain(model, [2.0, -2.0, 0.0, 0.0])[0]["targets"][0] for model in (compiled, load_model(bundle))
    )
    assert [e["input"] for e in ours["features"]] == [e["input"] for e in native["features"]]
    assert [e["contribution"] for e in ours["features"]] == pytest.approx(
        [e["contribution"] for e in native["features"]], abs=1e-9
    )


def test_many_inputs_are_sampled_with_standard_errors() -> None:
    """Beyond ten inputs permutations are drawn; the sum is exact, the parts know their errors."""
    wide = pd.DataFrame(RANDOM.normal(size=(150, 14)), columns=[f"x{n}" for n in range(14)])
    model = load(
        RandomForestRegressor(10, max_depth=4, random_state=0).fit(
            wide, wide["x0"] * wide["x1"] + wide["x2"]
        ),
        wide,
    )
    (found,) = explain(model, [1.0] * 14, budget_s=3.0)
    (target,) = found["targets"]
    assert found["features"]["method"] == "shapley"
    assert found["features"]["permutations"] >= 4
    assert all(entry["standard_error"] is not None for entry in target["features"])
    assert sum_of(target) == pytest.approx(target["value"], abs=1e-9)
    (again,) = explain(model, [1.0] * 14, budget_s=3.0, seed=1)
    pairs = zip(
        sorted(target["features"], key=lambda e: e["input"]),
        sorted(again["targets"][0]["features"], key=lambda e: e["input"]),
        strict=True,
    )
    for one, other in pairs:
        error = np.hypot(one["standard_error"], other["standard_error"])
        # A busy machine has time for few permutations, whose spread says little of inputs that hardly matter.
        assert abs(one["contribution"] - other["contribution"]) <= 5 * error + 0.01


def test_words_of_a_text_are_weighed(tone: LoadedModel) -> None:
    """The words that the model goes by are on top, with their places in the text."""
    text = "A lovely quiet house, lovely!"
    (found,) = explain(tone, text)
    (target,) = found["targets"]
    assert target["class"] == "good"
    assert {target["words"][0]["word"], target["words"][1]["word"]} == {"lovely", "quiet"}
    lovely = next(entry for entry in target["words"] if entry["word"] == "lovely")
    assert [text[start:stop] for start, stop in lovely["places"]] == ["lovely", "lovely"]
    assert lovely["weight"] > 0
    assert target["fit"]["r2"] > 0.7
    assert "features" not in target


def test_text_explanations_are_deterministic_for_a_seed(tone: LoadedModel) -> None:
    """The same text and seed give the same bits; another seed other samples."""
    first, same, other = (explain(tone, TEXTS[0], seed=seed)[0]["targets"] for seed in (3, 3, 4))
    assert first == same
    assert first != other


@pytest.mark.parametrize("text", ["", "   ", "?!", "\n\t"])
def test_a_text_without_words_has_no_weights(tone: LoadedModel, text: str) -> None:
    """There is nothing to leave out, and that is no error."""
    (found,) = explain(tone, text)
    assert found["targets"][0]["words"] == []
    assert found["targets"][0]["fit"] is None
    assert found["complete"]


def test_a_text_of_one_word_is_weighed_against_none(tone: LoadedModel) -> None:
    """Its weight is what the answer loses without it."""
    (found,) = explain(tone, "lovely")
    (entry,) = found["targets"][0]["words"]
    without = explain(tone, "", of="good")[0]["targets"][0]["value"]
    assert entry["weight"] == pytest.approx(found["targets"][0]["value"] - without)


def test_a_text_of_the_greatest_length_is_explained_in_time(tone: LoadedModel) -> None:
    """A million characters are taken by phrases, and the time is kept to."""
    text = " ".join(f"lovely{n % 5000} street" for n in range(60_000))[:1_000_000]
    started = time.perf_counter()
    (found,) = explain(tone, text, budget_s=2.0)
    assert time.perf_counter() - started < 20
    assert found["words"]["unit"] == "phrase"
    assert len(found["targets"][0]["words"]) <= 250


def test_a_mixed_table_is_explained_both_ways() -> None:
    """Inputs by contributions, a text among them as a whole, and its words by weights."""
    from sklearn.compose import make_column_transformer

    table = pd.DataFrame({"size": RANDOM.uniform(20, 90, 60), "story": TEXTS})
    goal = table["size"] * 10 + np.where(np.array(TONES) == "good", 100, -100)
    steps = make_column_transformer(("passthrough", ["size"]), (TfidfVectorizer(), "story"))
    model = load(make_pipeline(steps, Ridge(alpha=0.1)).fit(table, goal), table, kinds={"story": "text"})
    (found,) = explain(model, {"size": 80.0, "story": "lovely quiet flat"})
    (target,) = found["targets"]
    assert {entry["input"] for entry in target["features"]} == {"size", "story"}
    assert target["words"][0]["word"] in {"lovely", "quiet"}
    (found,) = explain(model, {"size": 80.0, "story": "lovely quiet flat"}, method="shapley")
    assert "words" not in found["targets"][0]
    (found,) = explain(model, {"size": 80.0, "story": "lovely quiet flat"}, method="words")
    assert "features" not in found["targets"][0]


def test_words_are_asked_for_where_there_is_no_text(forest: LoadedModel) -> None:
    """The caller is told, and it is the caller's fault."""
    with pytest.raises(MalformedRequest, match="explains texts"):
        explain(forest, [0.0] * 4, method="words")


# -- models that make it hard ------------------------------------------------------------------------------


class Acting:
    """A predictor that a test tells what to do."""

    def __init__(self, act: Callable[[Columns], Any]) -> None:
        self.act = act

    def predict(self, columns: Columns, **_: bool) -> Outputs:
        return Outputs({"prediction": self.act(columns)})


def acting(act: Callable[[Columns], Any], example: Any = X) -> LoadedModel:
    bundle = make_bundle(
        LinearRegression().fit(X, NUMBERS)
        if example is X
        else make_pipeline(TfidfVectorizer(), LinearRegression()).fit(example, range(len(example))),
        name="m",
        example=example,
        code=(),
        facts=Facts(),
        wishes=Wishes(),
    )
    return LoadedModel(bundle, name="m", version=1, predictor=Acting(act))


def test_a_model_that_raises_on_changed_rows_is_no_server_error_in_disguise() -> None:
    """The error says that it was the explanation that failed, and holds the model's own as its cause."""

    def act(columns: Columns) -> list[float]:
        if len(columns) > 1:
            raise ValueError("never seen together")
        return [1.0]

    with pytest.raises(ExplanationFailed, match="raised an error on a row in which other values stand"):
        explain(acting(act), [0.0] * 4)


def test_texts_that_a_model_refuses_are_left_out() -> None:
    """Words are weighed by the texts that were answered, and the others are counted."""

    def act(columns: Columns) -> list[float]:
        texts = columns.column(0)
        if any("lovely" not in text for text in texts):
            raise ValueError("empty vocabulary")
        return [float(len(text)) for text in texts]

    (found,) = explain(acting(act, TEXTS), "lovely quiet flat")
    assert found["words"]["refused"] > 0
    assert found["targets"][0]["words"][0]["word"] in {"quiet", "flat"}


def test_a_model_that_answers_the_whole_text_only_has_no_weights() -> None:
    """It is told that there are none, not made up."""

    def act(columns: Columns) -> list[float]:
        if any(text != "lovely quiet flat" for text in columns.column(0)):
            raise ValueError("another text")
        return [1.0] * len(columns)

    (found,) = explain(acting(act, TEXTS), "lovely quiet flat")
    assert found["targets"][0]["words"] == []


def test_no_number_is_shared_out_that_is_none() -> None:
    """NaN among the answers to changed rows is said, not averaged."""
    nan = float("nan")
    model = acting(lambda columns: [1.0] if len(columns) == 1 else [nan] * len(columns))
    with pytest.raises(ExplanationFailed, match="no finite number"):
        explain(model, [0.0] * 4)


def test_a_model_of_chance_does_not_add_up_and_that_is_told() -> None:
    """Additivity is checked against the answer, not against itself."""
    random = np.random.default_rng(0)
    model = acting(lambda columns: random.normal(size=len(columns)).tolist())
    (found,) = explain(model, [0.0] * 4)
    assert not found["targets"][0]["additivity"]["holds"]
    assert found["targets"][0]["additivity"]["difference"] > 0.01


def test_a_slow_model_gets_fewer_rows_to_compare_with() -> None:
    """Within the time it says what it can, and how much that was."""

    def act(columns: Columns) -> list[float]:
        time.sleep(len(columns) / 10_000)
        return [float(sum(row)) for row in columns.rows]

    (found,) = explain(acting(act), [1.0] * 4, budget_s=0.2)
    assert found["features"]["background"]["rows"] < 100
    assert found["seconds"] < 5.0
    assert found["targets"][0]["additivity"]["holds"]


def test_a_model_that_is_far_too_slow_is_not_explained() -> None:
    """It ends soon after the time is up, with the setting to raise."""

    def act(columns: Columns) -> list[float]:
        time.sleep(0.02 * len(columns) if len(columns) > 1 else 0)
        return [1.0] * len(columns)

    started = time.perf_counter()
    with pytest.raises(ExplanationTimeout, match="too slow to be explained"):
        explain(acting(act), [1.0] * 4, budget_s=0.1)
    assert time.perf_counter() - started < 15


def test_values_of_every_kind_can_be_mixed() -> None:
    """Dates, lists, truth values, whole numbers and missing ones are swapped as whole values."""
    rows = [
        {
            "when": f"2024-0{1 + n % 9}-01T00:00:00",
            "tags": [["a"], ["b", "c"]][n % 2],
            "yes": None if n % 5 == 0 else n % 3 == 0,
            "many": None if n % 7 == 0 else n,
            "count": n,
            "zone": ["x", "y"][n % 2],
        }
        for n in range(40)
    ]
    kinds = {"when": "datetime", "tags": "category_list", "zone": "category"}
    model = make_pipeline(FunctionTransformer(measure_records), LinearRegression()).fit(rows, range(40))
    loaded = load(model, rows, kinds=kinds, feed="records")
    (found,) = explain(loaded, rows[9])
    (target,) = found["targets"]
    assert {entry["input"] for entry in target["features"]} == set(rows[0])
    assert target["additivity"]["holds"]
    assert sum_of(target) == pytest.approx(target["value"])


# -- the desk ----------------------------------------------------------------------------------------------


def prediction_of(model: LoadedModel, rows: list[Any]) -> Prediction:
    columns = Columns(model.signature.names, rows)
    outputs = model.predict(columns)
    return Prediction("id", "m", 1, classes=(), columns=columns, outputs=outputs, timing=Timing(0.0))


def test_the_desk_refuses_many_rows() -> None:
    """An explanation costs hundreds of rows, so the limit is its own."""
    model = acting(lambda columns: [1.0] * len(columns))
    desk = ExplanationDesk(ExplainLimits(max_rows=2), timeout_s=5)
    with pytest.raises(TooManyToExplain, match="holds 3 rows; at most 2"):
        asyncio.run(desk.explain(model, prediction_of(model, [[0.0] * 4] * 3), ExplainWish()))


def test_no_rows_have_no_explanations() -> None:
    """An empty list is answered with one."""
    model = acting(lambda columns: [1.0] * len(columns))
    desk = ExplanationDesk(ExplainLimits(), timeout_s=5)
    assert asyncio.run(desk.explain(model, prediction_of(model, []), ExplainWish())) == []


def test_a_full_queue_refuses_or_says_so_beside_the_prediction() -> None:
    """Whoever came for the explanation gets 503; whoever came for the prediction keeps that."""
    gate = threading.Event()

    def act(columns: Columns) -> list[float]:
        gate.wait(10)
        return [1.0] * len(columns)

    model = acting(act)
    gate.set()
    prediction = prediction_of(model, [[0.0] * 4])
    gate.clear()
    desk = ExplanationDesk(ExplainLimits(max_queue=1), timeout_s=20)

    async def run() -> tuple[FairwayError, list[dict[str, Any]]]:
        first = asyncio.create_task(desk.explain(model, prediction, ExplainWish()))
        await asyncio.sleep(0)
        try:
            await desk.explain(model, prediction, ExplainWish(is_required=True))
        except Overloaded as error:
            refused = error
        beside = await desk.explain(model, prediction, ExplainWish())
        gate.set()
        await first
        return refused, beside

    refused, beside = asyncio.run(run())
    assert refused.status == 503
    assert beside[0]["error"]["code"] == "overloaded"


def test_what_is_known_of_a_model_goes_with_it() -> None:
    """A version that was replaced is not kept alive by its explanations."""
    model = acting(lambda columns: [1.0] * len(columns))
    desk = ExplanationDesk(ExplainLimits(), timeout_s=5)
    asyncio.run(desk.explain(model, prediction_of(model, [[0.0] * 4]), ExplainWish()))
    assert len(desk._known) == 1
    del model
    deadline = time.monotonic() + 30
    while len(desk._known) and time.monotonic() < deadline:  # the thread may be about to let go of it
        gc.collect()
    assert len(desk._known) == 0
