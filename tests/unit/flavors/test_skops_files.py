"""skops files: what they construct is known before it is constructed, and refused by name."""

from __future__ import annotations

import argparse
import io
import zipfile
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.errors import ArchiveLimit, ArtifactCorrupt, ArtifactUnsafe
from fairway.flavors.opening import open_files
from fairway.flavors.skops_files import SKOPS, is_skops

X = np.random.default_rng(0).normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)


def opened(data: bytes, trust: Trust | None = None) -> Any:
    """Open a file as `pack` does; return flavor, model and what is kept."""
    return open_files({"model": data}, "model", CodeSpace({}, label="m"), trust=trust or Trust.default())


@pytest.mark.parametrize(
    "model",
    [RandomForestClassifier(3), HistGradientBoostingClassifier(max_iter=2), LogisticRegression()],
    ids=lambda model: type(model).__name__,
)
def test_fitted_models_pass_without_being_named(model: Any) -> None:
    """Whatever their type needs that skops does not vouch for is on the reviewed list."""
    data = skops.io.dumps(model.fit(X, Y))
    flavor, loaded, kept = opened(data)
    assert flavor.name == "sklearn"
    assert kept == {SKOPS: data}
    assert loaded.predict(X).tolist() == model.predict(X).tolist()


def test_what_is_not_known_is_named_and_can_be_trusted() -> None:
    """Nothing of the file is constructed before."""
    model = LogisticRegression().fit(X, Y)
    model.note = argparse.Namespace(a=1)
    data = skops.io.dumps(model)
    with pytest.raises(
        ArtifactUnsafe, match=r"needs argparse\.Namespace, which is not on the list"
    ) as caught:
        opened(data)
    assert caught.value.hint.endswith("--trust argparse.Namespace")
    assert opened(data, Trust.naming(["argparse.Namespace"]))[0].name == "sklearn"
    with pytest.raises(ArtifactUnsafe):
        opened(data, Trust.naming(["textwrap.TextWrapper"]))


def test_what_can_reach_anything_cannot_be_trusted() -> None:
    """Not even by name."""
    data = skops.io.dumps(make_pipeline(FunctionTransformer(np.fromfile), LogisticRegression()))
    for trust in (Trust.default(), Trust("trusted", frozenset({"numpy.fromfile"}))):
        with pytest.raises(ArtifactUnsafe, match=r"numpy\.fromfile"):
            opened(data, trust)


def test_a_damaged_file_is_refused_and_never_opened_otherwise() -> None:
    """Cut off it is no archive any more; with a broken schema it is no model."""
    data = skops.io.dumps(LogisticRegression().fit(X, Y))
    with pytest.raises(ArtifactCorrupt, match="cannot be read"):
        opened(data[: len(data) // 2])
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            target.writestr(name, b"{}" if name == "schema.json" else source.read(name))
    with pytest.raises(ArtifactCorrupt, match="the skops file cannot be read"):
        opened(changed.getvalue())


def test_an_archive_that_unpacks_beyond_the_limits_is_refused() -> None:
    """By what it says of itself, before it is unpacked."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", "{}")
        archive.writestr("zeros.npy", bytes(8 * 2**20))
    with pytest.raises(ArchiveLimit, match="unpacks to"):
        opened(bomb.getvalue())


def test_other_archives_are_not_taken_for_skops() -> None:
    """An archive of a network has no schema in it."""
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("data.pkl", b"")
    assert not is_skops(other.getvalue())
    assert not is_skops(b"PK\x03\x04")
    assert not is_skops(b"")
