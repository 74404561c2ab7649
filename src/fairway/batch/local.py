"""Score a file on this machine: plan, score on all cores, put together, survive what interrupts it."""

from __future__ import annotations

import dataclasses
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import msgspec

from fairway.batch.arrow import leave_pandas_out
from fairway.batch.base import Chunk, Format, Reading, Table, Writer
from fairway.batch.crew import Crew
from fairway.batch.formats import format_of_input, format_of_output
from fairway.batch.scoring import Scorer, output_fields
from fairway.batch.state import Done, Places, RunState, check_free, input_identity
from fairway.errors import BatchError, RowRefused, StorageFull, TableInvalid, UsageError
from fairway.inference.loaded import LoadedModel

INCLUDES = frozenset({"probabilities"})


@dataclasses.dataclass(frozen=True)
class ScoreOptions:
    """How a file is scored.

    Attributes:
        format: Format of the output; None goes by its name.
        include: What to add: `probabilities`.
        keep: Columns of the input to copy; None copies all.
        strict: Whether the first row at fault ends the run.
        overwrite: Whether an output that is there may be replaced.
        restart: Whether to forget what an interrupted run left.
        workers: Processes; None takes one per core.
        max_text_chars: Longest text in one value.
        max_depth: Deepest nesting of a JSON value.
    """

    format: str | None = None
    include: frozenset[str] = frozenset()
    keep: tuple[str, ...] | None = ()
    strict: bool = False
    overwrite: bool = False
    restart: bool = False
    workers: int | None = None
    max_text_chars: int = 1_000_000
    max_depth: int = 32


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        rows: Rows that are done, those of an interrupted run among them.
        new_rows: Rows that were scored since this process began.
        share: How much of the input is done, from 0 to 1.
        errors: Rows without a prediction.
        seconds: Since this process began to score.
    """

    rows: int
    new_rows: int
    share: float
    errors: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class ScoreSummary:
    """What a run did.

    Attributes:
        run: Its id: the prediction id of row n is `<run>.<n>`.
        model: Reference of the model that answered.
        rows: Rows of the input, each of which has one in the output.
        errors: Rows without a prediction; the error file says why.
        flagged: Rows with a value that a policy let through.
        resumed_rows: Rows that an interrupted run had done before.
        seconds: How long this process scored.
        rows_per_s: Rows that it scored in a second.
        output: The output.
        errors_file: The error file; None without errors.
    """

    run: str
    model: str
    rows: int
    errors: int
    flagged: int
    resumed_rows: int
    seconds: float
    rows_per_s: float
    output: str
    errors_file: str | None


def score_file(
    model: LoadedModel,
    source: Path,
    output: Path,
    options: ScoreOptions,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> ScoreSummary:
    """Predict every row of a file.

    Args:
        model: The model, loaded and proven. No thread may use it meanwhile.
        source: The input.
        output: Where the predictions go, once all are there.
        options: How.
        on_progress: Told after every chunk how far the run is.

    Raises:
        BatchError: The input cannot be read or does not fit, the output exists, a row is at fault (`strict`).
    """
    format_out = _checked(model, source, output, options)
    reading = Reading(model.signature, options.keep, options.max_text_chars, options.max_depth)
    table = format_of_input(source).open(source, reading)
    probabilities = "probabilities" in options.include
    writer = format_out.writer(output_fields(model.signature, table.kept, probabilities=probabilities))
    state = _open_state(model, source, output, options, format_out)
    try:
        if summary := state.finished():  # killed while the output was put in its place
            state.finish(b"")
            return msgspec.json.decode(summary, type=ScoreSummary)
        scorer = Scorer(
            model,
            table,
            writer,
            run=state.run,
            probabilities=probabilities,
            max_text_chars=options.max_text_chars,
        )
        return _Run(state, scorer, options, on_progress).execute(source)
    except OSError as cause:
        if cause.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(
                f"there is no space left for {output}",
                hint="free some space, then run the same command again",
            ) from cause
        raise
    finally:
        state.close()


def _checked(model: LoadedModel, source: Path, output: Path, options: ScoreOptions) -> Format:
    """Refuse what cannot work before anything is begun; return the output's format."""
    if unknown := sorted(options.include - INCLUDES):
        raise UsageError(
            f"include does not know {unknown[0]!r}", hint=f"known: {', '.join(sorted(INCLUDES))}"
        )
    if "probabilities" in options.include and not model.classes:
        raise UsageError(
            f"{model.reference} gives no probabilities", hint="leave out --include probabilities"
        )
    if options.workers is not None and options.workers < 1:
        raise UsageError("at least one worker is needed", hint="--workers 2")
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent}", hint=f"mkdir -p {output.parent}")
    if output.exists() and source.exists() and output.samefile(source):
        raise UsageError("the output would replace the input", hint="choose another name for the output")
    if output.is_dir():
        raise UsageError(f"{output} is a folder", hint="name a file")
    return format_of_output(output, options.format)


def _open_state(
    model: LoadedModel, source: Path, output: Path, options: ScoreOptions, format_out: Format
) -> RunState:
    places = Places.of(output)
    if not (places.folder / "finished.json").exists():
        check_free(places, overwrite=options.overwrite)
    identity = {
        "input": input_identity(source),
        "model": {
            "reference": model.reference,
            "digest": model.digest,
            "predictor": model.predictor_name,
        },
        "options": {
            "format": format_out.name,
            "include": sorted(options.include),
            "keep": None if options.keep is None else list(options.keep),
        },
    }
    return RunState(places, identity, restart=options.restart)


class _Task(NamedTuple):
    """A chunk, and the file in which its rows lie, if it was handed over."""

    chunk: Chunk
    handed: Path | None


class _Run:
    """One execution of a run, from the first chunk that is not done."""

    def __init__(
        self,
        state: RunState,
        scorer: Scorer,
        options: ScoreOptions,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._state = state
        self._scorer = scorer
        self._options = options
        self._on_progress = on_progress
        self._started = time.perf_counter()
        self._resumed = sum(entry.rows for entry in state.done.values())
        self._rows = self._resumed
        self._errors = sum(entry.failed for entry in state.done.values())
        self._shares: dict[int, float] = {}
        self._share = 0.0

    def execute(self, source: Path) -> ScoreSummary:
        before = source.stat()
        workers = self._options.workers or _cores()
        with (
            Crew(self._score, workers, prepare=self._prepare) as crew,
            _Output(self._state, self._scorer.writer, strict=self._options.strict) as output,
        ):
            tasks = self._planned(self._scorer.table, shared=workers > 1 and hasattr(os, "fork"))
            for entry in crew.results(tasks):
                self._state.record(entry)
                self._tell(entry)
                output.extend()
            output.extend()
        after = source.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise TableInvalid(
                f"{source.name} was changed while it was read", hint="run again with --restart"
            )
        return self._finish()

    def _prepare(self) -> None:
        """Make a worker ready: the lock stays with the process that started it."""
        self._state.close_lock()
        leave_pandas_out()

    def _score(self, task: _Task) -> Done:
        """Score a chunk and keep the result; runs in the workers."""
        chunk, handed = task
        entry = self._state.write(chunk.number, self._scorer.score(chunk, handed))
        if handed is not None:
            handed.unlink()
        return msgspec.structs.replace(entry, rows=chunk.rows)

    def _planned(self, table: Table, *, shared: bool) -> Iterator[_Task]:
        """Yield what is to be done; what is decoded once for all workers is decoded when one is free."""
        for chunk in table.chunks():
            if chunk.number not in self._state.done:
                self._shares[chunk.number] = chunk.share
                path = self._state.handed(chunk.number)
                yield _Task(chunk, path if shared and table.hand_over(chunk, path) else None)

    def _tell(self, entry: Done) -> None:
        self._rows += entry.rows
        self._errors += entry.failed
        self._share = max(self._share, self._shares.pop(entry.chunk))
        seconds = time.perf_counter() - self._started
        new_rows = self._rows - self._resumed
        self._on_progress(Progress(self._rows, new_rows, self._share, self._errors, seconds))

    def _finish(self) -> ScoreSummary:
        state, seconds = self._state, time.perf_counter() - self._started
        summary = ScoreSummary(
            run=state.run,
            model=self._scorer.model.reference,
            rows=self._rows,
            errors=self._errors,
            flagged=sum(entry.flagged for entry in state.done.values()),
            resumed_rows=self._resumed,
            seconds=round(seconds, 3),
            rows_per_s=round((self._rows - self._resumed) / seconds, 1),
            output=str(state.places.output),
            errors_file=str(state.places.errors) if self._errors else None,
        )
        if not self._errors and self._options.overwrite:
            state.places.errors.unlink(missing_ok=True)  # it would speak of another output
        state.finish(msgspec.json.encode(summary))
        return summary


class _Output:
    """The output while it grows, part by part in the order of the input."""

    def __init__(self, state: RunState, writer: Writer, *, strict: bool) -> None:
        self._state = state
        self._strict = strict
        self._writer = writer
        self._next = 0

    def __enter__(self) -> Self:
        self._file: BinaryIO = self._state.path("output").open("wb")
        self._errors: BinaryIO = self._state.path("errors").open("wb")
        self._assembly = self._writer.assemble(self._file)
        return self

    def extend(self) -> None:
        """Add every part that is next.

        Raises:
            RowRefused: It holds a row at fault, and none may be.
        """
        while (entry := self._state.done.get(self._next)) is not None:
            if entry.failed:
                errors = self._state.errors(entry.chunk).read_bytes()
                if self._strict:
                    self._state.discard()
                    raise _refused(errors)
                self._errors.write(errors)
            self._assembly.add(self._state.part(entry.chunk))
            self._next += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            if self._next != len(self._state.done):
                raise BatchError("parts of the run are absent", hint="run again with --restart")
            self._assembly.close()
        for file in (self._file, self._errors):
            if kind is None:
                file.flush()
                os.fsync(file.fileno())
            file.close()
        if kind is None and not self._state.path("errors").stat().st_size:
            self._state.path("errors").unlink()


def _refused(errors: bytes) -> RowRefused:
    first: dict[str, Any] = msgspec.json.decode(errors.partition(b"\n")[0])
    return RowRefused(first)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
