"""`fairway check` on real data, through the command line: telco churn, and bike sharing in two periods."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import fairway as fw
from fairway.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.service("data")]

NUMBERS = ["tenure", "MonthlyCharges", "TotalCharges"]


class Said(NamedTuple):
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Give a function that runs `fairway check` on the home beside the working directory."""

    def call(*arguments: str) -> Said:
        code = main(["--home", "home", "check", *arguments])
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def churn(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with `unseen.csv` and a home with two versions: 1 knows next to nothing, 2 is good."""
    folder = tmp_path_factory.mktemp("telco")
    table = pd.read_csv(shared_data / "telco_churn" / "Telco-Customer-Churn.csv.gz").drop(
        columns="customerID"
    )
    table["TotalCharges"] = pd.to_numeric(table["TotalCharges"], errors="coerce").fillna(0.0)
    table = table.sample(frac=1, random_state=0)
    train = table[:5000]
    inputs = train.drop(columns="Churn")
    for known in (["gender", "Partner"], list(inputs)):
        numbers = [name for name in NUMBERS if name in known]
        others = [name for name in known if name not in NUMBERS]
        features = make_column_transformer(
            (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), others)
        )
        model = make_pipeline(features, LogisticRegression(max_iter=2000)).fit(inputs, train["Churn"])
        fw.push(model, name="churn", example=inputs, outputs=["Churn"], home=folder / "home", compile="off")
    table[5000:].to_csv(folder / "unseen.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def bike(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with an early and a late period, and a home: 1 learnt the early year, 2 most of both."""
    folder = tmp_path_factory.mktemp("bike")
    table = pd.read_csv(shared_data / "bike_sharing" / "hour.csv.gz")
    table = table.drop(columns=["instant", "dteday", "casual", "registered"])
    early = table[:8000].sample(frac=1, random_state=0)
    for train in (early[:6000], pd.concat([early[:6000], table[8000:14000]])):
        inputs = train.drop(columns="cnt")
        model = HistGradientBoostingRegressor(max_iter=25, random_state=0).fit(inputs, train["cnt"])
        fw.push(model, name="bike", example=inputs, outputs=["cnt"], home=folder / "home", compile="off")
    early[6000:7000].to_csv(folder / "early.csv", index=False)
    table[14000:15200].to_csv(folder / "late.csv", index=False)
    return folder


def test_on_telco_churn_the_poor_version_is_refused_and_the_good_one_passes(
    churn: Path, run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules are those of the file; the failed ones stand first, and the exit code is 3."""
    monkeypatch.chdir(churn)
    Path("fairway.toml").write_text(
        '[gate.churn]\naccuracy = ">= 78 %"\nnot_worse_than = "2"\ncompare = ["log_loss", "auc"]\n'
    )
    poor = run("churn:1", "--data", "unseen.csv", "--by", "Contract", "--html", "report.html")
    lines = poor.out.splitlines()
    assert poor.code == 3, poor.err
    assert lines[0].startswith("accuracy failed: accuracy is 0.7")
    assert lines[1].startswith("not_worse_than (log_loss) failed: ")
    assert lines[2].startswith("not_worse_than (auc) failed: ")
    assert lines[3] == "churn:1 is refused by its gate: 2,043 rows of unseen.csv"
    assert "Contract = Month-to-month: " in poor.out
    assert Path("report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    good = run("churn:2", "--data", "unseen.csv", "--json")
    assert good.code == 0, good.err
    report = json.loads(good.out)
    metrics = {one["name"]: one for one in report["metrics"]}
    assert metrics["accuracy"]["low"] < 0.805 < metrics["accuracy"]["high"]
    assert metrics["auc"]["low"] < 0.845 < metrics["auc"]["high"]
    assert not [column["name"] for column in report["schema"]["columns"] if column["has_shifted"]]
    assert report["calibration"][0]["ece"] < 0.05


def test_on_bike_sharing_the_late_period_is_worse_and_drifted(bike: Path) -> None:
    """Late rows lie far away, and on them the version that has learnt later is the better one."""
    early = fw.check("bike:1", bike / "early.csv", home=bike / "home")
    late = fw.check("bike:1", bike / "late.csv", against="bike:2", home=bike / "home")
    before, after = (one.metrics[0] for one in (early, late))
    assert before.name == after.name == "rmse"
    assert before.high < after.low
    verdicts = {one.name: one.verdict for one in late.comparisons}
    assert {verdicts[name] for name in ("rmse", "mae", "r2")} == {"worse"}
    shifted = {one.name for one in early.schema.columns if one.has_shifted}
    assert shifted == set()
    shifted = {one.name for one in late.schema.columns if one.has_shifted}
    assert {"mnth", "temp"} <= shifted


def test_data_without_the_truth_is_an_error_and_no_refusal(
    bike: Path, run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 and a hint: nothing was checked."""
    monkeypatch.chdir(bike)
    wrong = run("bike:2", "--data", "late.csv", "--target", "count")
    assert wrong.code == 1
    assert "no column 'count' to take the truth from" in wrong.err
    assert "Try: did you mean" in wrong.err
