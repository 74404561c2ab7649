"""What a run leaves on disk until it is done: `OUTPUT.partial/`, from which the same command goes on.

    state.json       what the run belongs to: input, model, options; its id
    journal.ndjson   one line per chunk that is done
    0000012.77.rows  a chunk's rows, for as long as a worker has not scored them
    0000012.part     that chunk's part of the output; .errors its part of the error file
    output, errors   put together from the parts, renamed to their places at the very end

A part is renamed into place before its line is written, and the line holds its checksum: what a loss of power
took of a part is seen, and the part done again. To sync each would let the workers wait for the disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import zlib
from pathlib import Path
from typing import IO, Any

import msgspec

from fairway.batch.scoring import Scored
from fairway.errors import OutputExists, RunDiffers
from fairway.messages import new_id

FORMAT = 1
_SAMPLE_BYTES = 65_536
_WORDS = {"input": "the input", "model": "the model", "options": "the options", "format": "fairway"}


class Done(msgspec.Struct, frozen=True):
    """A chunk that is done.

    Attributes:
        chunk: Its number.
        rows: How many rows it has.
        failed: How many of them have no prediction.
        flagged: How many have a value that a policy let through.
        checksum: CRC-32 of its part of the output, then of the error file.
    """

    chunk: int
    rows: int
    failed: int
    flagged: int
    checksum: int


@dataclasses.dataclass(frozen=True)
class Places:
    """Where a run writes.

    Attributes:
        output: The output.
        errors: The error file.
        folder: What the run keeps until it is done.
    """

    output: Path
    errors: Path
    folder: Path

    @classmethod
    def of(cls, output: Path) -> Places:
        """Return the places that belong to an output."""
        return cls(
            output,
            output.with_name(f"{output.name}.errors.ndjson"),
            output.with_name(f"{output.name}.partial"),
        )


def input_identity(path: Path) -> dict[str, Any]:
    """Return what tells a file from one that was changed: size, time, and a hash of both its ends."""
    found = path.stat()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE_BYTES))
        file.seek(max(0, found.st_size - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    return {
        "path": str(path.resolve()),
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "ends": digest.hexdigest(),
    }


class RunState:
    """A run on disk.

    Args:
        places: Where it writes.
        identity: What it belongs to: `input`, `model` and `options`, each as plain data.
        restart: Whether to forget an earlier run.

    Attributes:
        run: Its id (UUIDv7), the same however often it is interrupted.
        done: The chunks that are done, by number.

    Raises:
        RunDiffers: There is a run of another input, model or options, or one that works right now.
    """

    def __init__(self, places: Places, identity: dict[str, Any], *, restart: bool = False) -> None:
        self.places = places
        self.identity = {"format": FORMAT, **identity}
        self.done: dict[int, Done] = {}
        self._folder = places.folder
        self._folder.mkdir(exist_ok=True)
        self._lock = _lock(self._folder)
        try:
            if restart:
                self._empty()
            self.run = self._resume() or self._begin()
        except BaseException:
            self.close_lock()
            raise
        self._journal: IO[bytes] = (self._folder / "journal.ndjson").open("ab")

    def _empty(self) -> None:
        for path in self._folder.iterdir():
            if path.name != "lock":
                path.unlink()

    def _resume(self) -> str:
        """Read what an earlier run left; return its id, or the empty string where there is none."""
        try:
            state = msgspec.json.decode((self._folder / "state.json").read_bytes())
        except (OSError, msgspec.DecodeError):
            return ""
        for key, value in self.identity.items():
            if state.get(key) != value:
                was = _difference(state.get(key), value)
                raise RunDiffers(f"{self._folder} holds a run that was interrupted, and {_WORDS[key]} {was}")
        self._read_journal()
        run: str = state["run"]
        return run

    def _read_journal(self) -> None:
        path = self._folder / "journal.ndjson"
        lines = path.read_bytes().splitlines() if path.exists() else []
        for line in lines:
            with contextlib.suppress(msgspec.DecodeError):  # the last line, cut off by what killed the run
                entry = msgspec.json.decode(line, type=Done)
                if self._checksum(entry.chunk) == entry.checksum:
                    self.done[entry.chunk] = entry
        _write(path, b"".join(msgspec.json.encode(entry) + b"\n" for entry in self.done.values()))

    def _begin(self) -> str:
        self._empty()
        run = new_id()
        _write(self._folder / "state.json", msgspec.json.encode({**self.identity, "run": run}))
        return run

    def part(self, chunk: int) -> Path:
        """Return the path of a chunk's part of the output."""
        return self._folder / f"{chunk:07d}.part"

    def errors(self, chunk: int) -> Path:
        """Return the path of a chunk's part of the error file."""
        return self._folder / f"{chunk:07d}.errors"

    def handed(self, chunk: int) -> Path:
        """Return the path of a chunk's rows on their way to a worker of this process, and no other's."""
        return self._folder / f"{chunk:07d}.{os.getpid()}.rows"

    def write(self, chunk: int, scored: Scored) -> Done:
        """Write a chunk's parts. Called in the workers."""
        _write(self.errors(chunk), scored.errors, sync=False)
        _write(self.part(chunk), scored.part, sync=False)
        checksum = zlib.crc32(scored.errors, zlib.crc32(scored.part))
        return Done(chunk, -1, scored.failed, scored.flagged, checksum)

    def _checksum(self, chunk: int) -> int | None:
        try:
            return zlib.crc32(self.errors(chunk).read_bytes(), zlib.crc32(self.part(chunk).read_bytes()))
        except OSError:
            return None

    def record(self, entry: Done) -> None:
        """Note that a chunk is done."""
        self._journal.write(msgspec.json.encode(entry) + b"\n")
        self._journal.flush()
        self.done[entry.chunk] = entry

    def path(self, name: str) -> Path:
        """Return the path of a file beside the parts."""
        return self._folder / name

    def finish(self, summary: bytes) -> None:
        """Put the output in its place; done again, it goes on where it was interrupted."""
        if summary:
            _write(self.path("finished.json"), summary)
        self._move("errors", self.places.errors)
        self._move("output", self.places.output)
        _sync_folder(self.places.output.parent)
        self.discard()

    def finished(self) -> bytes:
        """Return the summary of a run that had only to be put in its place; empty for any other."""
        path = self.path("finished.json")
        return path.read_bytes() if path.exists() else b""

    def _move(self, name: str, target: Path) -> None:
        if self.path(name).exists():
            self.path(name).replace(target)

    def discard(self) -> None:
        """Remove everything but the output."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Let go of the files; another process may go on."""
        self._journal.close()
        self.close_lock()

    def close_lock(self) -> None:
        """Let go of the lock: a worker must not hold it when the process that started it is gone."""
        if self._lock is not None:
            self._lock.close()


def check_free(places: Places, *, overwrite: bool) -> None:
    """Refuse to overwrite what is there.

    Raises:
        OutputExists: Output or error file exist.
    """
    for path in (places.output, places.errors):
        if path.exists() and not overwrite:
            raise OutputExists(path)


def _lock(folder: Path) -> IO[bytes] | None:
    """Lock a folder for this process; where the system has no such locks there is none."""
    try:
        import fcntl
    except ImportError:
        return None
    file = (folder / "lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise RunDiffers(
            f"another process works on {folder} right now", hint="wait until it is done"
        ) from None
    return file


def _difference(before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        key = next((key for key in now if before.get(key) != now[key]), "")
        if key in {"mtime_ns", "ends", "size"}:
            return f"was changed since ({key} was {before.get(key)}, is {now.get(key)})"
        return f"had {key} {before.get(key)!r}, now {now.get(key)!r}"
    return f"was {before!r}, is now {now!r}"


def _write(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a file aside, sync it, rename it into place."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    aside.replace(path)


def _sync_folder(folder: Path) -> None:
    if os.name != "nt":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
