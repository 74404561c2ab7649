"""What every artifact store promises; add a store to `STORES` and all of this runs on it."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairway.errors import ArtifactDigest
from fairway.registry.artifacts.base import Artifacts
from fairway.registry.artifacts.local import LocalArtifacts
from fairway.registry.artifacts.object_store import ObjectArtifacts

Open = Callable[[], Artifacts]


def _open_local(request: pytest.FixtureRequest, folder: Path) -> Open:
    return lambda: LocalArtifacts(folder / "artifacts")


def _open_s3(request: pytest.FixtureRequest, folder: Path) -> Open:
    url = request.getfixturevalue("s3_url")
    caches = (folder / f"cache-{number}" for number in itertools.count())
    return lambda: ObjectArtifacts(url, next(caches))


STORES: dict[str, Callable[[pytest.FixtureRequest, Path], Open]] = {
    "local": _open_local,
    "s3": _open_s3,
}


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.service("moto") if name == "s3" else ()) for name in STORES]
)
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Give the function that opens one and the same store again, on another machine as it were."""
    return STORES[request.param](request, tmp_path)


@pytest.fixture
def store(reopen: Open) -> Artifacts:
    """Give an empty store."""
    return reopen()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=300))
def test_bytes_come_back_under_their_hash(store: Artifacts, data: bytes) -> None:
    """The key is the SHA-256 of the content, for any content, the empty one included."""
    digest = store.put(data)

    assert digest == hashlib.sha256(data).hexdigest()
    assert store.read(digest) == data


def test_many_megabytes_come_back(store: Artifacts) -> None:
    """Size does not matter."""
    data = bytes(range(256)) * 4096 * 8

    assert store.read(store.put(data)) == data


def test_the_same_bytes_are_one_blob(store: Artifacts, reopen: Open) -> None:
    """Putting them again, here or through another store object, gives the same key."""
    assert store.put(b"coffee") == store.put(b"coffee") == reopen().put(b"coffee")


def test_what_was_put_is_there_after_reopening(store: Artifacts, reopen: Open) -> None:
    """Blobs live in the storage, not in the process."""
    digest = store.put(b"coffee")

    assert reopen().read(digest) == b"coffee"


def test_a_missing_blob_is_named(store: Artifacts) -> None:
    """The error holds the digest, in an empty store and in one with other blobs."""
    digest = hashlib.sha256(b"nothing").hexdigest()
    for _ in range(2):
        with pytest.raises(ArtifactDigest, match=digest):
            store.read(digest)
        store.put(b"something")


def test_threads_may_put_the_same_bytes_at_once(store: Artifacts) -> None:
    """All succeed, with one key."""
    data = b"x" * 100_000
    start = threading.Barrier(8)
    digests: list[str] = []

    def put() -> None:
        start.wait(10)
        digests.append(store.put(data))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [hashlib.sha256(data).hexdigest()] * 8 == digests


def test_a_sweep_takes_no_blob(store: Artifacts) -> None:
    """Only what writers left behind is removed, in an empty store nothing."""
    assert store.sweep(older_than_s=0) == 0
    digest = store.put(b"coffee")

    assert store.sweep(older_than_s=0) == 0
    assert store.read(digest) == b"coffee"


def test_a_file_is_stored_as_its_bytes_are(store: Artifacts, reopen: Open, tmp_path: Path) -> None:
    """Also one of many megabytes, which a store may take in parts; the empty file is a blob, too."""
    for data in (b"", b"coffee", bytes(range(256)) * 4096 * 17):
        path = tmp_path / "upload"
        path.write_bytes(data)

        digest = store.put_file(path)

        assert digest == hashlib.sha256(data).hexdigest() == reopen().put(data)
        assert reopen().read(digest) == data


def test_every_blob_is_listed_with_its_size_and_its_age(store: Artifacts) -> None:
    """An empty store lists nothing; what was put a moment ago is young."""
    assert list(store.list()) == []
    contents = [b"", b"coffee", b"tea" * 1000]

    digests = [store.put(data) for data in contents]

    found = {blob.digest: blob for blob in store.list()}
    assert {digest: len(data) for digest, data in zip(digests, contents, strict=True)} == {
        digest: blob.size for digest, blob in found.items()
    }
    assert all(-5 < blob.age_s < 300 for blob in found.values())


def test_what_is_missing_is_told_from_what_is_there(store: Artifacts, reopen: Open) -> None:
    """However many are asked for at once, also none."""
    there = {store.put(bytes([number])) for number in range(12)}
    gone = {hashlib.sha256(b"gone %d" % number).hexdigest() for number in range(3)}

    assert reopen().missing(there | gone) == gone
    assert reopen().missing(there) == set()
    assert reopen().missing(()) == set()


def test_a_removed_blob_is_gone_and_the_others_are_not(store: Artifacts, reopen: Open) -> None:
    """What is not there counts as removed, and what was removed can be put again."""
    kept, removed = store.put(b"coffee"), store.put(b"tea")
    assert store.read(removed) == b"tea"  # a copy that is at hand must not survive, either

    for _ in range(2):
        store.remove([removed])

    for opened in (store, reopen()):
        assert opened.missing([kept, removed]) == {removed}
        with pytest.raises(ArtifactDigest, match=removed):
            opened.read(removed)
    store.remove([])
    assert [blob.digest for blob in store.list()] == [kept]
    assert store.put(b"tea") == removed
    assert reopen().read(removed) == b"tea"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "/x"])
def test_only_a_digest_becomes_part_of_a_path(store: Artifacts, name: str) -> None:
    """Whatever a manifest may name, no other file is read, looked for or removed."""
    for act in (store.read, lambda name: store.missing([name]), lambda name: store.remove([name])):
        with pytest.raises(ArtifactDigest, match="is not the SHA-256"):
            act(name)
