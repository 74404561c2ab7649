"""Files of the local artifact store: what is on the disk, and what faults of the disk become."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fairway.errors import FairwayError, StorageFull, StoreUnavailable
from fairway.registry.artifacts.local import LocalArtifacts

DAY_S = 86_400.0
DEAD_PID = 2**22 + 1  # above the highest number that Linux gives by default


@pytest.fixture
def store(tmp_path: Path) -> LocalArtifacts:
    """Give an empty store."""
    return LocalArtifacts(tmp_path / "artifacts")


def files(store: LocalArtifacts) -> list[str]:
    """Return every file of the store, relative to its folder."""
    found = (path for path in store.folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(store.folder)) for path in found)


def leave(store: LocalArtifacts, pid: int, *, age_s: float) -> Path:
    """Leave the temporary file of a process behind."""
    store.folder.mkdir(parents=True, exist_ok=True)
    path = store.folder / f".write-{pid}-{'0' * 16}"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def failing(number: int, *, at: int = 1) -> Callable[..., None]:
    """Return a function that raises an OSError at its n-th call and works before."""
    calls = iter(range(1, 1_000))
    whole = os.fsync

    def fail(descriptor: int) -> None:
        if next(calls) >= at:
            raise OSError(number, os.strerror(number))
        whole(descriptor)

    return fail


def test_a_blob_lies_under_its_hash(store: LocalArtifacts) -> None:
    """Two letters of the hash name the folder; nothing else is left."""
    digest = store.put(b"coffee")

    assert files(store) == [f"sha256/{digest[:2]}/{digest}"]


def test_a_blob_that_is_there_is_not_written_again(store: LocalArtifacts) -> None:
    """The file keeps its inode."""
    path = store.folder / "sha256" / store.put(b"coffee")[:2]
    before = [entry.stat().st_ino for entry in path.iterdir()]

    store.put(b"coffee")

    assert [entry.stat().st_ino for entry in path.iterdir()] == before


@pytest.mark.parametrize("damage", [b"", b"coff", b"COFFEE", b"coffee and more"])
def test_a_damaged_blob_is_replaced(store: LocalArtifacts, damage: bytes) -> None:
    """A torn or flipped file does not pass for the bytes that are put."""
    digest = store.put(b"coffee")
    (store.folder / "sha256" / digest[:2] / digest).write_bytes(damage)

    assert store.put(b"coffee") == digest
    assert store.read(digest) == b"coffee"


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, StoreUnavailable)],
)
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_failed_fsync_ends_the_write(
    store: LocalArtifacts,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[FairwayError],
    at: int,
) -> None:
    """It is never tried again, for no second try proves anything; no temporary file stays."""
    monkeypatch.setattr(os, "fsync", failing(number, at=at))

    with pytest.raises(error):
        store.put(b"coffee")

    assert not [name for name in files(store) if "write-" in name]


def test_a_stopped_write_leaves_nothing(store: LocalArtifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between write and rename removes the temporary file."""

    def stop(descriptor: int) -> None:
        if os.path.isfile(f"/proc/self/fd/{descriptor}"):  # noqa: PTH113 - the folders' come first
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)

    with pytest.raises(KeyboardInterrupt):
        store.put(b"coffee")

    assert files(store) == []


def test_a_file_in_place_of_the_folder_is_an_error_of_ours(store: LocalArtifacts) -> None:
    """No OSError reaches the caller, writing or reading."""
    store.folder.write_text("mine")

    with pytest.raises(StoreUnavailable):
        store.put(b"coffee")
    with pytest.raises(StoreUnavailable):
        store.read("0" * 64)
    assert store.sweep() == 0
    assert store.folder.read_text() == "mine"


@pytest.mark.parametrize(
    ("pid", "age_s", "swept"),
    [
        pytest.param(DEAD_PID, DAY_S + 60, True, id="dead and old"),
        pytest.param(DEAD_PID, DAY_S - 60, False, id="dead but young: it may live in another container"),
        pytest.param(os.getppid(), DAY_S + 60, False, id="old but alive"),
        pytest.param(os.getpid(), DAY_S + 60, True, id="our own number, from an earlier life"),
        pytest.param(10**30, DAY_S + 60, True, id="a number that no process can have"),
    ],
)
def test_a_sweep_removes_what_dead_processes_left_a_day_ago(
    store: LocalArtifacts, pid: int, age_s: float, swept: bool
) -> None:
    """Writers that may still be at work are spared."""
    path = leave(store, pid, age_s=age_s)
    other = store.folder / ".write-notes.txt"
    other.touch()
    os.utime(other, (0, 0))

    assert store.sweep() == int(swept)
    assert path.exists() is not swept
    assert other.exists()
