"""`fairway inspect`: everything is told, nothing is loaded."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import fairway as fw
from fairway.cli.main import main

joblib = pytest.importorskip("joblib")


class Marks:
    """Leaves a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def test_a_good_file_is_described(tmp_path: Path) -> None:
    """Format and compression by content, size, hash, and every name as allowed."""
    joblib.dump({"a": np.arange(3)}, tmp_path / "whatever.dat", compress=3)

    found = fw.inspect(tmp_path / "whatever.dat")
    (report,) = found.files

    assert found.loads
    assert (report.format, report.compression) == ("joblib", "zlib")
    assert len(report.sha256) == 64
    assert {name.verdict for name in report.names} == {"allowed"}
    assert "numpy.dtype" in {name.name for name in report.names}


def test_a_hostile_file_is_described_and_not_loaded(tmp_path: Path) -> None:
    """The name, the reason and the place; no payload runs."""
    (tmp_path / "bad.pkl").write_bytes(b"\x80\x04cos\nsystem\n(X\x04\x00\x00\x00truetR.")

    found = fw.inspect(tmp_path / "bad.pkl")

    assert not found.loads
    assert found.files[0].refusal is not None
    assert found.files[0].refusal.code == "artifact_unsafe"
    assert [(name.name, name.verdict) for name in found.files[0].names] == [("os.system", "unsafe")]


def test_what_is_needed_is_listed_and_enough(tmp_path: Path) -> None:
    """Naming it makes the verdict a yes."""
    (tmp_path / "m.pkl").write_bytes(b"\x80\x04cemail.message\nMessage\n)\x81.")

    assert fw.inspect(tmp_path / "m.pkl").needed == ("email.message.Message",)
    assert fw.inspect(tmp_path / "m.pkl", trust=["email.message.Message"]).loads


def test_a_bundle_is_looked_into_with_its_own_code(tmp_path: Path) -> None:
    """Folders too; what lies below code/ may be used by the model."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "own.py").write_text("class Model: pass", encoding="utf-8")
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04cown\nModel\n)\x81.")

    found = fw.inspect(tmp_path)

    assert found.loads
    assert {name.verdict for report in found.files for name in report.names} == {"own code"}


def test_the_command_says_it_in_words_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 for what would be refused."""
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(Marks(tmp_path / "marker")))

    assert main(["inspect", str(tmp_path / "m.pkl")]) == 3
    out = capsys.readouterr().out
    assert "would be refused" in out
    assert "unsafe" in out
    assert main(["inspect", str(tmp_path / "m.pkl"), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["loads"] is False
    assert document["files"][0]["names"][0]["verdict"] == "unsafe"
    assert not (tmp_path / "marker").exists()
