"""A check from the table to the kept report: what is measured, judged, refused and recorded."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairway.bundle.attachment import build_attachment
from fairway.errors import AliasNotFound, TableInvalid, UsageError
from fairway.gates import GateRules, Limit, Tolerance, read_gates
from fairway.lifecycle.check import check_version, latest_check
from fairway.lifecycle.own_metrics import load_functions
from fairway.lifecycle.reporting.document import ATTACHMENT, DOCUMENT, PAGE, CheckReport


def check(pushed: Any, reference: str, rows: Any = None, **options: Any) -> CheckReport:
    data = rows if rows is not None else getattr(pushed, reference.partition(":")[0])
    version = pushed.registry.resolve(reference)
    return check_version(pushed.registry, version, data, actor="anna", **options)


def rules(**given: Any) -> GateRules:
    return read_gates({"x": given})["x"]


def rule(report: CheckReport, name: str) -> tuple[str, str]:
    found = next(one for one in report.rules if one.name.startswith(name))
    return found.verdict, found.reason


def metric(report: CheckReport, name: str) -> Any:
    return next(one for one in report.metrics if one.name == name)


def part(table: dict[str, list[Any]], rows: int) -> dict[str, list[Any]]:
    return {name: values[:rows] for name, values in table.items()}


def test_a_good_version_passes_without_rules_and_its_report_is_kept(pushed: Any) -> None:
    """The report is attached as data and as a page; an event names it and what came of it."""
    report = check(pushed, "churn:2", name="march", reason="before it goes live")
    assert report.passed
    assert [one.name for one in report.rules] == ["golden", "schema"]
    assert report.data.rows == 500
    assert report.data.name == "march"
    assert report.labels[0].classes.keys() == {"yes", "no"}
    assert latest_check(pushed.registry, pushed.registry.resolve("churn:2")) == report
    event = [event for event in pushed.registry.audit(model="churn") if event.kind == "check"][-1]
    attached = pushed.registry.attachment(report.subject.digest, ATTACHMENT)
    assert event.details["report"] == attached.digest
    assert event.details["verdict"] == "passed"
    assert event.details["data"] == report.data.sha256
    assert (event.version, event.actor, event.reason) == (2, "anna", "before it goes live")
    assert CheckReport.from_bytes(attached.read(DOCUMENT)) == report
    assert attached.read(PAGE).startswith(b"<!doctype html>")


def test_the_same_check_gives_the_same_figures(pushed: Any) -> None:
    """Only when it was made and how long things took may differ."""
    first, again = (check(pushed, "churn:2", against="churn:1", by=["plan"]) for _ in range(2))
    times = {"at": "", "seconds": 0.0, "latency": None}
    assert dataclasses.replace(first, **times) == dataclasses.replace(again, **times)


def test_metrics_are_those_of_the_answers_that_serve(pushed: Any) -> None:
    """Accuracy and log loss as scikit-learn has them, from the loaded model's own predictions."""
    from sklearn.metrics import log_loss

    from fairway.bundle.validation import Validator
    from fairway.inference.loaded import load_model

    report = check(pushed, "churn:2")
    model = load_model(pushed.registry.open(pushed.registry.resolve("churn:2")))
    names = model.signature.names
    records = [dict(zip(names, row, strict=True)) for row in zip(*map(pushed.churn.get, names), strict=True)]
    outputs = model.predict(Validator(model.signature).check(records, pointer=str), probabilities=True)
    truth = pushed.churn["leaves"]
    assert metric(report, "accuracy").value == np.mean(np.array(outputs.values["leaves"]) == np.array(truth))
    assert metric(report, "log_loss").value == pytest.approx(log_loss(truth, outputs.probabilities))
    assert metric(report, "accuracy").method == "wilson"
    assert metric(report, "auc").method == "delong"


def test_the_worse_version_is_called_worse_and_refused(pushed: Any) -> None:
    """Paired on the same rows; the reason stands first, in a sentence."""
    report = check(pushed, "churn:1", against="churn:2", rules=rules(not_worse_than="2"))
    assert not report.passed
    assert report.rules[0].name == "not_worse_than (log_loss)"
    assert report.rules[0].verdict == "failed"
    assert "of churn:2, difference +" in report.refusals[0]
    assert {one.name: one.verdict for one in report.comparisons}["auc"] == "worse"
    event = [event for event in pushed.registry.audit(model="churn") if event.kind == "check"][-1]
    assert event.details["verdict"] == "refused"
    assert event.details["refused_by"] == ["not_worse_than (log_loss)"]
    back = check(pushed, "churn:2", against="churn:1", rules=rules(not_worse_than="1"))
    assert back.passed
    assert rule(back, "not_worse_than")[1].endswith(": better")


def test_a_version_is_not_worse_than_itself(pushed: Any) -> None:
    report = check(pushed, "price:1", against="price:1", rules=rules(not_worse_than="1", confident=True))
    assert report.passed
    assert [one.difference for one in report.comparisons] == [0.0] * len(report.comparisons)
    assert {one.verdict for one in report.comparisons} == {"not_worse"}


def test_limits_are_judged_by_the_estimate_or_by_the_interval(pushed: Any) -> None:
    """A bound inside the interval passes by the estimate, and is inconclusive by the interval."""
    found = metric(check(pushed, "price:1"), "rmse")
    between = f"<= {(found.value + found.high) / 2}"
    beyond = f"<= {found.high + 1}"
    short = f"<= {found.low - 1}"
    inside = f"<= {(found.value + found.low) / 2}"
    assert rule(check(pushed, "price:1", rules=rules(rmse=between)), "rmse")[0] == "passed"
    assert rule(check(pushed, "price:1", rules=rules(rmse=inside)), "rmse")[0] == "failed"
    sure = check(pushed, "price:1", rules=rules(rmse=between, confident=True))
    assert rule(sure, "rmse")[0] == "inconclusive"
    assert not sure.passed
    assert rule(check(pushed, "price:1", rules=rules(rmse=beyond, confident=True)), "rmse")[0] == "passed"
    assert rule(check(pushed, "price:1", rules=rules(rmse=short, confident=True)), "rmse")[0] == "failed"


def test_every_other_rule_is_judged(pushed: Any) -> None:
    report = check(
        pushed,
        "price:1",
        rules=rules(min_rows=401, max_latency_ms=1e-6, not_worse_than="production", compatible=True),
    )
    assert rule(report, "min_rows") == ("failed", "400 rows have a truth and an answer")
    assert rule(report, "max_latency_ms")[0] == "failed"
    assert rule(report, "not_worse_than") == (
        "passed",
        "there is no production yet that it could be worse than",
    )
    assert rule(report, "compatible")[0] == "passed"
    assert report.latency is not None
    assert 0 < report.latency.p50_ms <= report.latency.p99_ms


def test_memory_is_measured_in_a_process_of_its_own_where_a_rule_asks(pushed: Any) -> None:
    report = check(pushed, "price:1", rules=rules(max_memory_mb=20))
    verdict, reason = rule(report, "max_memory_mb")
    assert verdict == "failed"
    assert reason.endswith("MB were measured")
    assert report.memory_mb is not None
    assert 20 < report.memory_mb < 2000


def test_a_missing_input_refuses_and_says_which(pushed: Any) -> None:
    """Nothing can be answered, so nothing is measured; the report says so and is kept all the same."""
    table = {name: values for name, values in pushed.price.items() if name != "size"}
    report = check(pushed, "price:1", table, rules=rules(rmse="<= 1"))
    assert not report.passed
    assert report.schema.missing == ["size"]
    assert rule(report, "schema") == ("failed", "the data lacks 1 input of the model: size")
    assert rule(report, "rmse")[0] == "inconclusive"
    assert report.metrics == []


def test_rows_that_a_server_would_refuse_count_and_are_named(pushed: Any) -> None:
    """One per cent may be refused; the rest is measured."""
    table = {name: list(values) for name, values in pushed.price.items()}
    table["size"][3] = None
    table["floor"][7] = "third"
    few = check(pushed, "price:1", table)
    assert few.passed
    assert few.schema.refused == 2
    assert any("row 3: size" in fault for fault in few.schema.faults)
    assert few.labels[0].rows == 398
    columns = {column.name: column for column in few.schema.columns}
    assert columns["size"].missing == columns["size"].refused == 1 / 400
    many = check(pushed, "price:1", table, rules=rules(max_refused=0.004))
    assert rule(many, "schema") == ("failed", "the model refuses 2 rows of 400")


def test_unseen_categories_and_numbers_out_of_range_are_counted(pushed: Any) -> None:
    table = {name: list(values) for name, values in pushed.churn.items()}
    table["plan"][:50] = ["z"] * 50
    table["age"][:25] = [500.0] * 25
    columns = {column.name: column for column in check(pushed, "churn:2", table).schema.columns}
    assert columns["plan"].unseen == 0.1
    assert columns["age"].out_of_range >= 0.05
    assert columns["plan"].has_shifted
    assert not columns["visits"].has_shifted


def test_columns_that_are_no_inputs_are_named(pushed: Any) -> None:
    table = pushed.churn | {"note": ["x"] * 500}
    assert check(pushed, "churn:2", table).schema.extra == ["note"]


def test_rows_without_truth_are_left_out(pushed: Any) -> None:
    table = {name: list(values) for name, values in pushed.price.items()}
    table["price"][:10] = [None, math.nan, math.inf, "", "n/a", *[None] * 5]
    report = check(pushed, "price:1", table)
    assert (report.labels[0].rows, report.labels[0].missing) == (390, 10)


def test_labels_that_the_model_does_not_know_count_as_wrong(pushed: Any) -> None:
    """They have no probability to be judged by, so log loss rests on the others, and the report tells."""
    table = {name: list(values) for name, values in pushed.churn.items()}
    table["leaves"][:100] = ["maybe"] * 100
    report = check(pushed, "churn:2", table, against="churn:1")
    known = check(pushed, "churn:2", {name: values[100:] for name, values in pushed.churn.items()})
    assert report.labels[0].unknown == {"maybe": 100}
    assert metric(report, "accuracy").value == pytest.approx(metric(known, "accuracy").value * 0.8)
    assert metric(report, "log_loss").value == pytest.approx(metric(known, "log_loss").value)
    assert metric(report, "recall:maybe").value == 0.0


def test_one_class_only_is_measured_as_far_as_it_goes(pushed: Any) -> None:
    chosen = [n for n, label in enumerate(pushed.churn["leaves"]) if label == "no"]
    table = {name: [values[n] for n in chosen] for name, values in pushed.churn.items()}
    report = check(pushed, "churn:2", table, rules=rules(auc=">= 0.5"))
    assert any("one label 'no'" in note for note in report.notes)
    assert rule(report, "auc") == (
        "inconclusive",
        "auc could not be computed: this data and model do not have it",
    )
    assert metric(report, "accuracy").value is not None


@pytest.mark.parametrize("reference", ["price:1", "churn:2"])
def test_one_row_is_inconclusive(reference: str, pushed: Any) -> None:
    """An estimate of one row may look perfect; it passes no bound and wins no comparison."""
    table = part(getattr(pushed, reference.partition(":")[0]), 1)
    name, bound = ("rmse", "<= 1000") if reference == "price:1" else ("accuracy", ">= 0.5")
    report = check(
        pushed, reference, table, against=reference, rules=rules(**{name: bound, "not_worse_than": "1"})
    )
    assert rule(report, name)[0] == "inconclusive"
    assert {one.verdict for one in report.comparisons} == {"inconclusive"}
    assert not report.passed


def test_few_rows_pass_only_by_their_interval(pushed: Any) -> None:
    report = check(pushed, "price:1", part(pushed.price, 20), rules=rules(rmse="<= 1000", mae="<= 19"))
    assert rule(report, "rmse")[0] == "passed"
    assert rule(report, "mae")[0] == "inconclusive"


def test_segments_are_compared_with_the_other_version_or_with_the_rest(pushed: Any) -> None:
    versus = check(pushed, "churn:1", against="churn:2", by=["plan"], rules=rules(segments=["age"]))
    columns = [one.column for one in versus.segments]
    assert columns == ["age"] * 4 + ["plan"] * 3
    assert {one.beside for one in versus.segments} == {"against"}
    assert rule(versus, "segments")[0] == "failed"
    alone = check(pushed, "churn:2", by=["plan"])
    assert {one.beside for one in alone.segments} == {"rest"}
    assert sum(one.rows for one in alone.segments) == 500
    assert {one.verdict for one in alone.segments} == {"inconclusive"}


def test_a_small_segment_is_inconclusive(pushed: Any) -> None:
    table = pushed.churn | {"region": ["south"] * 30 + ["north"] * 470}
    report = check(pushed, "churn:1", table, against="churn:2", by=["region"])
    verdicts = {one.value: (one.verdict, one.p is None) for one in report.segments}
    assert verdicts == {"south": ("inconclusive", True), "north": ("worse", False)}


def test_functions_of_the_users_own_are_measured_compared_and_judged(pushed: Any, tmp_path: Path) -> None:
    """They lie beside the file of the rules; the way of the bound says which way is better."""
    (tmp_path / "costs.py").write_text(
        "def lost(truth, predicted, probabilities):\n"
        "    assert probabilities.shape == (len(truth), 2)\n"
        "    return ((truth == 'yes') & (predicted == 'no')).mean() * 100\n"
    )
    asked = read_gates(
        {"churn": {"metric": {"lost": "costs:lost"}, "lost": "<= 90", "not_worse_than": "1"}}, folder=tmp_path
    )["churn"]
    report = check(pushed, "churn:2", rules=asked, functions=load_functions(asked))
    assert rule(report, "lost")[0] == "passed"
    assert metric(report, "lost").higher_is_better is False
    assert next(one for one in report.comparisons if one.name == "lost").verdict == "better"
    elsewhere = check(pushed, "churn:2", rules=asked)
    assert rule(elsewhere, "lost")[0] == "inconclusive"
    assert "computed where it is" in rule(elsewhere, "lost")[1]


def test_a_function_that_is_not_there_or_fails_is_told(pushed: Any, tmp_path: Path) -> None:
    (tmp_path / "costs.py").write_text("def bad(truth, predicted):\n    return 1 / 0\n")
    missing = read_gates({"churn": {"metric": {"x": "costs:none"}}}, folder=tmp_path)["churn"]
    with pytest.raises(UsageError, match="cannot be loaded: AttributeError"):
        load_functions(missing)
    failing = read_gates({"churn": {"metric": {"x": "costs:bad"}}}, folder=tmp_path)["churn"]
    with pytest.raises(UsageError, match="'x' failed: ZeroDivisionError"):
        check(pushed, "churn:2", rules=failing, functions=load_functions(failing))


def test_a_version_that_fails_its_golden_examples_is_refused(pushed: Any) -> None:
    """The report says what differs; nothing is measured of a model that is not the one that was packed."""
    registry = pushed.registry
    bundle = registry.open(registry.resolve("price:1"), attachments=False)
    golden = bundle.golden.to_dict()
    golden["expected"] = {"price": [0.0] * len(golden["inputs"])}
    import msgspec

    from fairway.bundle.bundle import build_bundle

    contents = {path: bundle.read(path) for path in bundle.manifest.files}
    contents["golden.json"] = msgspec.json.encode(golden)
    facts = {
        name: getattr(bundle.manifest, name)
        for name in bundle.manifest.__struct_fields__
        if name not in {"files", "name"}
    }
    broken = registry.register(build_bundle(contents, name="broken", **facts), actor="anna")
    report = check_version(registry, broken, pushed.price, target="price", actor="anna")
    assert not report.passed
    assert rule(report, "golden")[0] == "failed"
    assert any("golden example 0" in line for line in report.golden)
    assert report.metrics == []


def test_only_a_report_of_this_registry_counts(pushed: Any) -> None:
    """A bundle may bring a report that says it passed; the record does not know it."""
    registry = pushed.registry
    version = registry.resolve("churn:1")
    report = check(pushed, "churn:1")
    forged = dataclasses.replace(report, passed=True, actor="mallory")
    registry.attach(build_attachment(version.digest, ATTACHMENT, {DOCUMENT: forged.to_bytes()}), actor="m")
    assert latest_check(registry, version) is None


def test_a_report_does_not_undo_a_seal(pushed: Any) -> None:
    """What decides what is answered is unchanged, so a version that must be signed still is."""
    from fairway.bundle.signing import parts_of

    registry = pushed.registry
    version = registry.resolve("churn:2")
    before = parts_of(registry.open(version))
    check(pushed, "churn:2")
    assert parts_of(registry.open(version)) == before


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({}, {"target": "prise"}, "no column 'prise' to take the truth from"),
        ({"price": None}, {}, "no column of the data holds the truth: none is called 'price'"),
        ({"price": ["cheap"] * 400}, {}, "'price' is a number, but the column 'price' holds none: 'cheap'"),
        ({"price": [None] * 400}, {}, "holds no truth: every value is missing"),
    ],
)
def test_a_table_without_usable_truth_is_an_error(
    change: dict[str, Any], options: dict[str, Any], said: str, pushed: Any
) -> None:
    table = {name: values for name, values in (pushed.price | change).items() if values is not None}
    with pytest.raises(TableInvalid) as raised:
        check(pushed, "price:1", table, **options)
    assert said in raised.value.detail
    assert raised.value.hint


def test_an_empty_table_is_an_error(pushed: Any) -> None:
    with pytest.raises(TableInvalid, match="the data has no rows"):
        check(pushed, "price:1", {"size": [], "floor": [], "price": []})


def test_a_table_beyond_all_measure_is_refused_before_it_is_read(pushed: Any, tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    with pytest.raises(TableInvalid, match=r"the data has 3\.2 GB") as raised:
        check(pushed, "price:1", path)
    assert "random sample" in raised.value.hint


def test_what_is_not_there_is_named(pushed: Any) -> None:
    with pytest.raises(UsageError, match="no column 'floors' to split by") as raised:
        check(pushed, "price:1", by=["floors"])
    assert raised.value.hint == "did you mean 'floor'?"
    with pytest.raises(AliasNotFound):
        check(pushed, "price:1", against="price@production")


def test_a_csv_file_is_read_as_the_signature_has_it(pushed: Any, tmp_path: Path) -> None:
    """A cell that is no number spoils its row, not its column; categories stay texts."""
    path = tmp_path / "unseen.csv"
    lines = ["size,floor,price", "50,2,160", "oops,1,200", "80.5,,250", *["60,3,190"] * 197]
    path.write_text("\n".join(lines) + "\n")
    report = check(pushed, "price:1", path)
    assert (report.data.name, report.data.rows) == ("unseen.csv", 200)
    assert report.schema.refused == 2
    assert any("row 1: size" in fault for fault in report.schema.faults)
    assert report.labels[0].rows == 198


def test_hostile_names_travel_through_the_whole_report(pushed: Any) -> None:
    """Names of columns, labels and segments are data: in the page they are text, on the disk UTF-8."""
    hostile = "<script>alert(1)</script>\x1b[2J\u202e"
    table = {name: list(values) for name, values in pushed.churn.items()}
    table["leaves"][:60] = [hostile] * 60
    table[hostile] = ([hostile] * 100 + ["'\"><img src=x onerror=alert(1)>"] * 100) * 2 + ["b"] * 100
    report = check(pushed, "churn:2", table, by=[hostile], name=hostile, reason="test")
    page = pushed.registry.attachment(report.subject.digest, ATTACHMENT).read(PAGE).decode()
    assert "<script" not in page
    assert "<img" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page
    assert CheckReport.from_bytes(report.to_bytes()) == report


def test_the_tolerance_widens_what_is_not_worse(pushed: Any) -> None:
    """Twice the log loss is within a tolerance of 200 %."""
    asked = GateRules(
        not_worse_than="2", tolerance=Tolerance(2.0, is_share=True), limits={"log_loss": Limit("<=", 9)}
    )
    report = check(pushed, "churn:1", rules=asked)
    assert rule(report, "not_worse_than")[0] == "passed"
    assert rule(report, "not_worse_than")[1].endswith("not worse")
