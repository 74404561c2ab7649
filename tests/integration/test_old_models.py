"""Models of older releases of scikit-learn: the difference is told, the golden examples decide.

The files are of `tests/fixtures/old-scikit-learn`, where each release has a folder.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import fairway as fw
from fairway.bundle.bundle import Bundle, open_bundle
from fairway.bundle.known import remember
from fairway.bundle.manifest import FileEntry
from fairway.cli.main import main
from fairway.errors import ArtifactOutdated, PackedModelDiffers
from fairway.testing import running_server

from .conftest import wait_until

pytest.importorskip("sklearn")

FIXTURES = Path(__file__).parents[1] / "fixtures" / "old-scikit-learn"
PRESENT = importlib.metadata.version("scikit-learn")


def answers(release: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FIXTURES / release / "answers.json").read_text(encoding="utf-8"))
    return found


def packed_there(name: str, home: Path, folder: Path, *, release: str = "1.3.2") -> Path:
    """Return a bundle as `fairway pack` writes it under an older release: with the answers of that one."""
    there = answers(release)
    path = folder / "packed-here"
    file = FIXTURES / release / f"{name}.joblib"
    fw.pack(file, path, name=name, example=there[name]["rows"], compile="off", home=home)
    bundle = open_bundle(path)
    golden = json.loads(bundle.read("golden.json"))
    rows = there[name]["rows"]
    inputs = [list(row.values()) for row in golden["inputs"]]
    places = [rows.index(row if name != "text" else row[0]) for row in inputs]
    golden["expected"] = {"prediction": [there[name]["prediction"][n] for n in places]}
    golden["probabilities"] = [there[name]["probabilities"][n] for n in places]
    lock = {key: there[key] for key in ("python", "platform", "packages")} | {"framework": "scikit-learn"}
    return save_changed(bundle, home, folder / name, {"golden.json": golden, "environment.json": lock})


def save_changed(bundle: Bundle, home: Path, path: Path, documents: dict[str, Any]) -> Path:
    changed = {name: msgspec.json.encode(document) for name, document in documents.items()}
    contents = {name: bundle.read(name) for name in bundle.manifest.files} | changed
    entries = {name: FileEntry.of(data) for name, data in contents.items()}
    manifest = msgspec.structs.replace(bundle.manifest, files=entries)
    made = dataclasses.replace(bundle, manifest=manifest, files=contents.__getitem__)
    remember(home, made)
    return made.save(path)


def test_a_model_of_an_older_release_is_served_and_the_difference_told(home: Path, tmp_path: Path) -> None:
    """It answers its golden examples, which were made under 1.3.2; the log has a line per difference."""
    path = packed_there("linear", home, tmp_path)
    fw.push(path, compile="off", home=home)
    assert f"scikit-learn 1.3.2 was recorded, {PRESENT} is installed (minor, which matters)" in map(
        str, fw.show("linear", home=home).differences
    )
    there = answers("1.3.2")["linear"]
    with running_server("linear", home=home) as server:
        reply = server.ask("/predict?include=probabilities", {"features": there["rows"]}).json()
        wait_until(lambda: {"numpy", "scikit-learn"} <= differences_in(server.log).keys())
        told = differences_in(server.log)
    assert reply["prediction"] == there["prediction"]
    assert told["scikit-learn"]["level"] == "warning"
    assert told["scikit-learn"]["grade"] == "minor"


def differences_in(log: Path) -> dict[str, dict[str, Any]]:
    """Return what a server's log tells of its environment so far, by package; a thread writes it."""
    whole = log.read_bytes().rpartition(b"\n")[0].splitlines()
    lines = [json.loads(line) for line in whole if line[:1] == b"{"]
    return {line["package"]: line for line in lines if line["event"] == "environment.differs"}


@pytest.mark.parametrize("name", ["forest", "text"])
def test_a_model_that_answers_otherwise_is_not_served_and_says_what_to_install(
    home: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It loads without an error and is wrong: what it holds means something else since."""
    if name == "forest":
        with pytest.raises(ArtifactOutdated, match="probabilities outside of 0 to 1") as refused:
            packed_there(name, home, tmp_path)
        assert "pip install 'scikit-learn==1.3.2'" in refused.value.hint
        return
    path = packed_there(name, home, tmp_path)
    with pytest.raises(PackedModelDiffers) as caught:
        fw.load(path, home=home)
    assert "scikit-learn 1.3.2 was recorded" in caught.value.hint
    assert "scikit-learn==1.3.2" in caught.value.hint
    capsys.readouterr()
    written = tmp_path / "needs.txt"
    assert main(["doctor", str(path), "--requirements", str(written), "--home", str(home)]) == 1
    told = capsys.readouterr().out
    assert f"FAIL  environment: scikit-learn 1.3.2 was recorded, {PRESENT} is installed" in told
    assert "Try: python3.11 -m venv .venv-text && .venv-text/bin/python -m pip install fairway==" in told
    assert "scikit-learn==1.3.2\n" in written.read_text(encoding="utf-8")
    assert main(["doctor", str(path), "--requirements", str(written), "--home", str(home)]) == 2


def test_a_bare_pickle_tells_its_release_at_push(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There are no answers of then to compare with, which is said, too."""
    file = FIXTURES / "1.3.2" / "linear.joblib"
    table = tmp_path / "rows.json"
    records = [dict(zip("abc", row, strict=True)) for row in answers("1.3.2")["linear"]["rows"]]
    table.write_text(json.dumps(records), encoding="utf-8")
    assert main(["push", str(file), "--example", str(table), "--home", str(home)]) == 0
    told = capsys.readouterr().out
    assert f"scikit-learn 1.3.2 saved the model file, {PRESENT} is installed (minor, which matters)" in told
    assert "pack the model under scikit-learn 1.3.2 to have that proven" in told
    assert main(["show", "linear", "--home", str(home)]) == 0
    assert "scikit-learn 1.3.2 saved the model file" in capsys.readouterr().out
    assert main(["doctor", "linear", "--home", str(home)]) == 0
    assert "ok    environment: scikit-learn 1.3.2 saved the model file" in capsys.readouterr().out


def test_a_pickle_that_cannot_be_loaded_names_the_release_that_could(home: Path) -> None:
    """Nothing is registered."""
    rows = answers("1.1.3")["forest"]["rows"]
    with pytest.raises(ArtifactOutdated, match=r"scikit-learn 1\.1\.3 saved it") as caught:
        fw.push(FIXTURES / "1.1.3" / "forest.joblib", example=rows, home=home)
    assert "pip install 'scikit-learn==1.1.3'" in caught.value.hint
    assert fw.list_models(home=home) == []
