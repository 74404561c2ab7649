"""Whatever byte of a stored bundle is changed, nothing is loaded: from a folder, a file, a registry."""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fairway as fw
from fairway.errors import FairwayError

from .conftest import iris_model, iris_table

pytest.importorskip("sklearn")

REFUSALS = {"artifact_digest", "artifact_corrupt", "artifact_path", "bundle_untrusted", "bundle_too_new"}
_unpickled: list[str] = []
_is_listening = False


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _is_listening and event == "pickle.find_class":
        _unpickled.append(".".join(map(str, arguments)))


sys.addaudithook(_listen)  # the interpreter itself tells of every class that a pickle asks for


@pytest.fixture
def unpickled() -> Iterator[list[str]]:
    """Give the list of what pickles ask for while the test runs."""
    global _is_listening  # noqa: PLW0603 - a hook stays for the life of the process
    _unpickled.clear()
    _is_listening = True
    yield _unpickled
    _is_listening = False


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a home with iris:1, compiled and signed, and the same as a folder and as a file."""
    folder = tmp_path_factory.mktemp("shelf")
    home = folder / "home"
    fw.push(iris_model(), name="iris", example=iris_table(), home=home)
    fw.create_signing_key(folder / "release.key")
    fw.trust_key(folder / "release.key.pub", home=home)
    fw.sign("iris:1", key=folder / "release.key", home=home)
    for name in ("iris", "iris.fairway"):
        fw.pull("iris:1", folder / name, home=home)
    return folder


def places(size: int, seed: str, *, more: int = 4) -> list[int]:
    """Return the first, the middle and the last position of a file, and some that chance chooses."""
    rng = random.Random(seed)  # noqa: S311 - chance, not a secret
    return sorted({0, size // 2, size - 1, *(rng.randrange(size) for _ in range(more))})


def flips(path: Path, *, more: int = 4) -> Iterator[tuple[int, int]]:
    """Change one byte of a file after the other, in two ways each, and put it back."""
    whole = path.read_bytes()
    try:
        for place in places(len(whole), path.name, more=more):
            for mask in (0xFF, 1 << place % 8):
                changed = bytearray(whole)
                changed[place] ^= mask
                path.write_bytes(changed)
                yield place, mask
    finally:
        path.write_bytes(whole)


def assert_refused(reference: str | Path, home: Path, unpickled: list[str], *facts: object) -> None:
    """A load ends in a refusal, and no pickle was begun."""
    with pytest.raises(FairwayError) as caught:
        fw.load(reference, predictor="native", home=home)
    assert caught.value.code in REFUSALS, facts
    assert unpickled == [], facts


def test_a_whole_one_is_loaded_and_the_hook_hears_it(shelf: Path, unpickled: list[str]) -> None:
    """Otherwise the other tests would prove nothing."""
    for reference in ("iris:1", shelf / "iris", shelf / "iris.fairway"):
        unpickled.clear()
        fw.load(reference, predictor="native", home=shelf / "home")
        assert any("LogisticRegression" in name for name in unpickled)


def test_every_file_of_a_folder_is_guarded(shelf: Path, unpickled: list[str]) -> None:
    """Manifest, model, signature, golden examples, attachments with their manifests, and the seal."""
    files = sorted(path for path in (shelf / "iris").rglob("*") if path.is_file())
    names = {path.relative_to(shelf / "iris").parts[0] for path in files}
    assert {"manifest.json", "model", "attachments", "golden.json", "environment.json"} <= names
    assert any(path.name == "seal.json" for path in files)
    for path in files:
        for facts in flips(path):
            assert_refused(shelf / "iris", shelf / "home", unpickled, path, *facts)
    fw.load(shelf / "iris", home=shelf / "home")


def test_every_stored_file_of_a_registry_is_guarded(shelf: Path, unpickled: list[str]) -> None:
    """The artifacts under their hashes, whatever they hold."""
    files = sorted(path for path in (shelf / "home" / "artifacts").rglob("*") if path.is_file())
    assert len(files) > 10
    for path in files:
        for facts in flips(path):
            assert_refused("iris:1", shelf / "home", unpickled, path, *facts)
    fw.load("iris:1", home=shelf / "home")


def test_every_byte_of_a_bundle_file_is_guarded(shelf: Path, unpickled: list[str]) -> None:
    """Also those that hold no content: headers, times, the directory and the checksum at the end."""
    path = shelf / "iris.fairway"
    for facts in flips(path, more=400):
        assert_refused(path, shelf / "home", unpickled, *facts)
    whole = path.read_bytes()
    for place in (*range(60), *range(len(whole) - 200, len(whole))):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        assert_refused(path, shelf / "home", unpickled, place)
    for changed in (whole[:-1], whole + b"\0", whole[1:], b"\0" + whole, whole[:-71] + b"\0" * 71):
        path.write_bytes(changed)
        assert_refused(path, shelf / "home", unpickled, len(changed))
    path.write_bytes(whole)
    fw.load(path, home=shelf / "home")


def test_a_file_that_is_gone_is_a_refusal_too(shelf: Path, tmp_path: Path, unpickled: list[str]) -> None:
    """Of the bundle or of an attachment."""
    files = [path for path in (shelf / "iris").rglob("*") if path.is_file()]
    for n, path in enumerate(files):
        copy = shutil.copytree(shelf / "iris", tmp_path / str(n))
        (copy / path.relative_to(shelf / "iris")).unlink()
        assert_refused(copy, shelf / "home", unpickled, path)


def test_a_link_in_place_of_a_file_is_not_followed(shelf: Path, tmp_path: Path, unpickled: list[str]) -> None:
    """Its target could be another one at the second look."""
    copy = shutil.copytree(shelf / "iris", tmp_path / "iris")
    model = next(path for path in (copy / "model").iterdir())
    model.rename(tmp_path / "elsewhere")
    model.symlink_to(tmp_path / "elsewhere")
    assert_refused(copy, shelf / "home", unpickled)


def test_what_is_exchanged_between_check_and_load_is_not_loaded(
    shelf: Path, tmp_path: Path, unpickled: list[str]
) -> None:
    """The bytes that are loaded are those that were compared: a bundle is opened, then the file changes."""
    from fairway.bundle.bundle import open_bundle
    from fairway.inference.loaded import load_model

    copy = shutil.copytree(shelf / "iris", tmp_path / "iris")
    bundle = open_bundle(copy)
    model = next(path for path in (copy / "model").iterdir())
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    with pytest.raises(FairwayError) as caught:
        load_model(bundle, predictor="native")
    assert caught.value.code == "artifact_digest"
    assert unpickled == []
