"""The rules of a gate: what the file may say, and what is refused with a hint."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairway.errors import SettingsError
from fairway.gates import NO_RULES, GateRules, Limit, Tolerance, read_gates, rules_of, split_metric
from fairway.settings import load_settings

FULL = """
[gate.default]
require_check = true
min_rows = 200

[gate.coffee]
rmse = "<= 0.9"
"percentile.mae" = "< 5"
not_worse_than = "production"
tolerance = "2 %"
max_latency_ms = 5
max_memory_mb = 400.5
compatible = true
segments = ["roast", "roaster_country"]
requires_approval = true
metric = { cost = "costs:total" }
cost = "<= 12.5"
min_rows = 50

[gate.churn]
accuracy = ">= 80 %"
"f1:Yes" = "> .6"
confident = true
confidence = 0.9
max_refused = "0.5 %"
compare = ["log_loss", "f1:Yes"]
"""


def test_the_file_gives_the_rules_by_model_and_the_default_beneath_them(own_folder: Path) -> None:
    (own_folder / "fairway.toml").write_text(FULL)
    settings, origins = load_settings(environ={}, cwd=own_folder)
    coffee = settings.gates["coffee"]
    assert coffee == GateRules(
        limits={"rmse": Limit("<=", 0.9), "percentile.mae": Limit("<", 5.0), "cost": Limit("<=", 12.5)},
        metric={"cost": "costs:total"},
        not_worse_than="production",
        tolerance=Tolerance(0.02, is_share=True),
        max_latency_ms=5.0,
        max_memory_mb=400.5,
        compatible=True,
        segments=("roast", "roaster_country"),
        requires_approval=True,
        require_check=True,
        min_rows=50,
        folder=own_folder,
    )
    churn = settings.gates["churn"]
    assert churn.limits == {"accuracy": Limit(">=", 0.8), "f1:Yes": Limit(">", 0.6)}
    assert (churn.confident, churn.confidence, churn.max_refused, churn.min_rows) == (True, 0.9, 0.005, 200)
    assert churn.compare == ("log_loss", "f1:Yes")
    assert "gates" not in origins


def test_a_model_without_a_table_gets_the_default_and_without_that_none() -> None:
    gates = read_gates({"default": {"require_check": True}, "coffee": {}})
    assert rules_of(gates, "tea").require_check
    assert rules_of(gates, "coffee").require_check
    assert rules_of({}, "tea") is NO_RULES


@pytest.mark.parametrize(
    ("rules", "said", "hint"),
    [
        ('acuracy = ">= 0.8"', "there is no gate rule 'acuracy'", "did you mean accuracy?"),
        ("requires_aproval = true", "there is no gate rule", "did you mean requires_approval?"),
        ('accuracy = "0.8"', "must be a bound such as \">= 0.80\", not '0.8'", "gate-rules.md"),
        ("accuracy = 0.8", "must be a bound", "gate-rules.md"),
        ('accuracy = ">= nan"', "must be a bound", "gate-rules.md"),
        ('confident = "yes"', "must be true or false", "gate-rules.md"),
        ("confidence = 1", "must be a number between 0 and 1", "gate-rules.md"),
        ("tolerance = -1", "must be a number that is not negative", "gate-rules.md"),
        ('tolerance = "2"', "must be a number that is not negative", "gate-rules.md"),
        ("min_rows = -3", "must be a whole number", "gate-rules.md"),
        ("min_rows = true", "must be a whole number", "gate-rules.md"),
        ('segments = "roast"', "must be a list of texts", "gate-rules.md"),
        ("segments = [1]", "must be a list of texts", "gate-rules.md"),
        ("max_latency_ms = 0", "must be a number above 0", "gate-rules.md"),
        ("max_refused = 2", "must be a share between 0 and 1", "gate-rules.md"),
        ('not_worse_than = ""', "must be a text", "gate-rules.md"),
        ('metric = { cost = "costs.py" }', "must be a table such as", "gate-rules.md"),
        ('metric = { accuracy = "a:b" }', "must be a table of names of your own", "gate-rules.md"),
        ('metric = "a:b"', "must be a table such as", "gate-rules.md"),
        ('compare = ["rsme"]', "there is no gate rule 'rsme'", "did you mean rmse?"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_a_hint(
    rules: str, said: str, hint: str, own_folder: Path
) -> None:
    (own_folder / "fairway.toml").write_text(f"[gate.coffee]\n{rules}\n")
    with pytest.raises(SettingsError) as raised:
        load_settings(environ={}, cwd=own_folder)
    assert said in raised.value.detail
    assert "fairway.toml line 2" in raised.value.detail
    assert hint in raised.value.hint


@pytest.mark.parametrize("text", ["gate = 3", "[gate]\ncoffee = 3"])
def test_gates_are_tables(text: str, own_folder: Path) -> None:
    (own_folder / "fairway.toml").write_text(text)
    with pytest.raises(SettingsError, match="one table per model"):
        load_settings(environ={}, cwd=own_folder)


def test_a_key_names_output_metric_and_class() -> None:
    assert split_metric("rmse") == ("", "rmse", "")
    assert split_metric("rating.rmse") == ("rating", "rmse", "")
    assert split_metric("label.f1:1.5") == ("label", "f1", "1.5")
    assert split_metric("f1:a:b") == ("", "f1", "a:b")


def test_limits_and_tolerances_mean_what_they_say() -> None:
    assert Limit(">=", 0.8).holds(0.8)
    assert not Limit(">", 0.8).holds(0.8)
    assert Limit("<", 2).holds(1.9)
    assert not Limit("<=", 2).holds(2.1)
    assert (str(Limit("<=", 0.9)), Limit(">", 0).wants_more, Limit("<", 0).wants_more) == (
        "<= 0.9",
        True,
        False,
    )
    assert Tolerance(0.02, is_share=True).of(-50.0) == 1.0
    assert Tolerance(0.02).of(-50.0) == 0.02
    assert (str(Tolerance(0.02, is_share=True)), str(Tolerance(0.5))) == ("2 %", "0.5")


def test_a_rule_that_needs_data_asks_for_a_check() -> None:
    """A bound that nobody has to meet is none; whoever wants that says so."""
    assert not GateRules().asks_for_check
    assert not GateRules(requires_approval=True, compatible=True).asks_for_check
    assert GateRules(limits={"rmse": Limit("<=", 1.0)}).asks_for_check
    assert GateRules(not_worse_than="production").asks_for_check
    assert GateRules(max_latency_ms=5.0).asks_for_check
    assert GateRules(require_check=True).asks_for_check
    assert not GateRules(require_check=False, not_worse_than="production").asks_for_check
