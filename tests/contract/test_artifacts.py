"""What every artifact store promises; add a store to `STORES` and all of this runs on it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairway.errors import ArtifactDigest
from fairway.registry.artifacts.base import Artifacts
from fairway.registry.artifacts.local import LocalArtifacts

Open = Callable[[], Artifacts]

STORES: dict[str, Callable[[Path], Open]] = {
    "local": lambda folder: lambda: LocalArtifacts(folder / "artifacts"),
}


@pytest.fixture(params=sorted(STORES))
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Give the function that opens one and the same store again."""
    return STORES[request.param](tmp_path)


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
