"""The first load in a restricted process: what a file may not do, and that the parent lives on."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from fairway.bundle.safety import Trust
from fairway.bundle.safety.sandbox import Limits, Restricted
from fairway.errors import (
    ArtifactCorrupt,
    ArtifactLimit,
    ArtifactUnsafe,
    FairwayError,
    SourceNotAllowed,
    UnknownFlavor,
)
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.lifecycle.probe import probe

pytest.importorskip("sklearn")

# A model whose class does something while it is unpickled; its code travels with it, so the list lets it be.
OWN = """
import os, sys
from sklearn.base import BaseEstimator

class Model(BaseEstimator):
    def __setstate__(self, state):
        {action}

    def predict(self, X):
        return [0.0] * len(X)
"""
PICKLE = b"\x80\x04cown_model\nModel\n)\x81}(X\x01\x00\x00\x00aK\x01ub."
LIMITS = Limits(seconds=60.0)


def probed(action: str, limits: Limits = LIMITS) -> dict[str, str]:
    sources = {"own_model.py": OWN.format(action=action).encode()}
    return probe({"m.pkl": PICKLE}, "m.pkl", sources=sources, trust=Trust.default(), limits=limits)


def test_a_good_file_is_described() -> None:
    """By flavor and class; the description is text."""
    found = probed("pass")

    assert (found["flavor"], found["type"]) == ("sklearn", "Model")


@pytest.mark.parametrize(
    ("action", "error"),
    [
        ("os.kill(os.getpid(), 11)", ArtifactCorrupt),
        ("os._exit(3)", ArtifactCorrupt),
        ("bytearray(64 * 2**30)", ArtifactLimit),
        ("os.system('true')", ArtifactUnsafe),
        ("os.fork()", ArtifactUnsafe),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", ArtifactUnsafe),
        ("raise ValueError('no')", ArtifactCorrupt),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="limits and signals as Linux has them")
def test_what_goes_wrong_there_is_a_refused_file(action: str, error: type[FairwayError]) -> None:
    """A crash, too much memory, another process, a connection: all of them end as an error of ours."""
    with pytest.raises(error):
        probed(action)


def test_what_never_ends_is_ended() -> None:
    """The time on the clock counts."""
    with pytest.raises(ArtifactLimit, match="too long"):
        probed("import time; time.sleep(600)", Limits(seconds=5.0))


def test_no_secret_of_this_process_is_seen_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only variables on a short list are handed on; HOME is an empty folder."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
    monkeypatch.setenv("FAIRWAY_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    secrets = "{'AWS_SECRET_ACCESS_KEY', 'FAIRWAY_HOME'}"

    assert probed(f"assert not {secrets} & set(os.environ)")["type"] == "Model"
    assert probed(f"assert os.environ['HOME'] != {str(tmp_path)!r}")["type"] == "Model"


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_there_is_no_way_out_to_a_network() -> None:
    """Where the system allows it: only a loopback that is down."""
    ended = Restricted("tests_of_nothing", b"").wait()

    assert ended.status not in {0, None}
    assert "tests_of_nothing" in ended.last_words
    assert probed("assert [n for _, n in __import__('socket').if_nameindex()] == ['lo']")["type"] == "Model"


@pytest.mark.parametrize(
    "address", ["https://example.org/m.joblib", "file:///etc/passwd", "s3://bucket/m.pkl"]
)
def test_an_address_is_no_model(address: str) -> None:
    """Nothing is fetched for anybody."""
    with pytest.raises(SourceNotAllowed, match="is an address"):
        make_bundle(address, name="m", example=[{"a": 1.0}], code=(), facts=Facts(), wishes=Wishes())


def test_what_is_no_model_is_said_by_the_process_itself(tmp_path: Path) -> None:
    """Its errors come over with code and words."""
    path = tmp_path / "dict.pkl"
    path.write_bytes(pickle.dumps({"no": "model"}))
    with pytest.raises(UnknownFlavor, match="no flavor matches"):
        make_bundle(path, name="m", example=[{"a": 1.0}], code=(), facts=Facts(), wishes=Wishes())
