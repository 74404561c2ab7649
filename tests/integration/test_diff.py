"""`fairway diff` on real versions: what a stranger reads, what a program gets, what a pipeline is told."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairway.cli.main import main

sklearn = pytest.importorskip("sklearn")
joblib = pytest.importorskip("joblib")

Run = Callable[..., str]


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home folder with three versions: the same inputs with another model, and one input more."""
    from sklearn.linear_model import LinearRegression, Ridge

    folder = tmp_path_factory.mktemp("diff")
    rows = [[float(n % 7), float(n % 5), float(n % 3), 2.0 * (n % 7) + n % 5] for n in range(40)]
    for name, model, columns, metric in (
        ("first", Ridge(), ("age", "weight"), "0.9"),
        ("second", LinearRegression(), ("age", "weight"), "0.95"),
        ("third", Ridge(), ("age", "weight", "height"), "0.97"),
    ):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, "price"])
            writer.writerows([*row[: len(columns)], row[3]] for row in rows)
        joblib.dump(
            model.fit([row[: len(columns)] for row in rows], [row[3] for row in rows]),
            folder / f"{name}.joblib",
        )
        pushed = ["push", str(folder / f"{name}.joblib"), "--name", "plum", "--target", "price"]
        pushed += ["--example", str(folder / f"{name}.csv"), "--compile", "off"]
        pushed += ["--metric", f"r2={metric}", "--tag", f"data={name}"]
        assert main([*pushed, "--home", str(folder / "home")]) == 0
    return folder / "home"


@pytest.fixture
def run(stocked: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        ended = main([*arguments, "--home", str(stocked)])
        out, err = capsys.readouterr()
        assert ended == code, err
        return out + err

    return run


def test_a_version_with_another_input_breaks_clients(run: Run) -> None:
    """The verdict comes first, then why, then everything else that differs."""
    lines = run("diff", "plum:2", "plum:3").splitlines()
    assert lines[0] == "Verdict: clients of plum:2 break"
    assert lines[2] == "Breaks existing clients"
    assert lines[3] == (
        "  the input 'height' (number) is new and required; a body without it is refused "
        "(feature_missing, row_length)"
    )
    assert "Golden examples of plum:2 that plum:3 takes: 0 of 9 as objects, 0 of 9 as lists" in lines
    table = [line.split() for line in lines]
    assert ["WHAT", "NAME", "plum:2", "plum:3"] in table
    assert ["metric", "r2", "0.95", "0.97", "(+0.02)"] in table
    assert ["tag", "data", "second", "third"] in table
    assert ["bundle", "model", "type", "LinearRegression", "Ridge"] in table
    assert lines[-1] == "The model cards differ: fairway diff plum:2 plum:3 --card"


def test_a_retrained_model_breaks_nobody(run: Run) -> None:
    """And the exit code can be asked to say so."""
    assert run("diff", "plum:1", "plum:2", "--breaking").startswith("Verdict: no client of plum:1 breaks\n")
    run("diff", "plum:1", "plum:3")
    run("diff", "plum:1", "plum:3", "--breaking", code=3)


def test_a_program_gets_all_of_it(run: Run) -> None:
    """The differences with grade, code and clients."""
    found: Any = json.loads(run("diff", "plum:1", "plum:3", "--json"))
    assert (found["old"], found["new"], found["same"]) == ("plum:1", "plum:3", False)
    assert found["compatibility"]["breaks"] is True
    assert found["compatibility"]["changes"][0]["code"] == "input_added"
    assert {"kind": "tag", "name": "data", "old": "first", "new": "third"} in found["facts"]


def test_cards_are_compared_line_by_line(run: Run) -> None:
    """In the manner of diff."""
    out = run("diff", "plum:1", "plum:3", "--card")
    assert out.startswith("--- plum:1\n+++ plum:3\n")
    assert "+| height | number |" in out


def test_the_same_content_has_no_difference(run: Run) -> None:
    """Also between a version and the bundle file that was pulled from it."""
    assert run("diff", "plum:1", "plum:1") == "plum:1 and plum:1 are the same, byte for byte\n"
    assert run("diff", "plum:1", "plum:1", "--card") == "the cards of plum:1 and plum:1 are the same\n"


def test_a_bundle_file_can_be_compared_before_it_is_pushed(run: Run, tmp_path: Path) -> None:
    """Nothing is loaded for it."""
    run("pull", "plum:3", str(tmp_path / "plum.fairway"))
    out = run("diff", "plum:3", str(tmp_path / "plum.fairway"))
    assert "are the same, byte for byte" in out


def test_what_is_not_there_is_said(run: Run) -> None:
    """With the version that is."""
    assert "the highest version is plum:3" in run("diff", "plum:1", "plum:9", code=1)
