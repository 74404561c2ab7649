"""What travels between the layers: a call, what it targets, its rows as columns, a prediction, a reply.

These types know no socket, no framework and no model. They are plain slotted classes because one of each is
made for every call.
"""

from __future__ import annotations

import dataclasses
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Row = Sequence[Any]
"""Values of one row in signature order; a missing value is None."""


FREED_AT_ONCE = 1024


class LongList(list[Any]):
    """A list whose values are let go bit by bit in a thread of its own.

    To free millions of values takes a good part of a second in which no other thread runs. This happens
    wherever the last reference goes, which may be the event loop: so the values go elsewhere first.
    """

    __slots__ = ()

    def __del__(self) -> None:
        if len(self) > FREED_AT_ONCE:
            _attic.put(self[:])


class _Attic:
    """Where long lists end."""

    def __init__(self) -> None:
        self._lists: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def put(self, values: list[Any]) -> None:
        """Take a list; called by destructors, where only `SimpleQueue.put` is safe to wait in."""
        self._lists.put(values)
        if self._thread is None or not self._thread.is_alive():  # a fork leaves threads behind in the parent
            self._thread = threading.Thread(target=self._clear, name="fairway-attic", daemon=True)
            self._thread.start()

    def _clear(self) -> None:
        while True:
            values = self._lists.get()
            while values:
                del values[-FREED_AT_ONCE:]
                time.sleep(0)  # lets the others run


_attic = _Attic()


class Call:
    """One request as it arrived: method, path, query, headers and the whole body.

    Attributes:
        method: Upper case HTTP method.
        path: Decoded path.
        query: Raw query string without the question mark.
        header: Function that returns a header by its lower-case name, or the empty string.
        body: The bytes of the body.
        id: Request id (UUIDv7), in every reply and log line of the call.
        started: `time.perf_counter()` when the request was complete.
        model: Reference of the version that was chosen; empty until then.
        prediction: The answer, for the access log; None when there is none.
        turn: Where calls of other connections may be joined; None for a call that goes alone.
        may_list: Whether the caller may be told which models there are.
    """

    # Nothing here refers back to the call: a body goes when its answer is sent, not with a later collection.
    __slots__ = (
        "body",
        "header",
        "id",
        "may_list",
        "method",
        "model",
        "path",
        "prediction",
        "query",
        "started",
        "turn",
    )

    def __init__(self, method: str, path: str, query: str, header: Callable[[str], str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.header = header
        self.body = body
        self.id = new_id()
        self.started = time.perf_counter()
        self.model = ""
        self.prediction: Prediction | None = None
        self.turn: Any = None
        self.may_list = True


@dataclasses.dataclass(frozen=True, slots=True)
class ExplainWish:
    """What a caller wants to be explained of a prediction.

    Attributes:
        of: Name of a class or an output, `each`, or the empty string for what was predicted.
        method: `auto`, `shapley` for contributions of whole inputs, `words` for weights of words.
        seed: Which samples are drawn.
        is_required: Whether the explanation is what the call is for; else an error takes its place.
    """

    of: str = ""
    method: str = "auto"
    seed: int = 0
    is_required: bool = False


class Target:
    """What a call asks for, read from its route and headers; the body is untouched.

    Attributes:
        id: Prediction id: the id of the call. Row n of the call is `<id>.<n>`.
        reference: Model reference as written in the path, or the empty string for the default model.
        include: What the caller wants beside the outputs: any of `probabilities`, `flags`, `explanation`.
        call: The call itself.
        explain: What is to be explained; None for most calls.
        form: How the body was written (set by the protocol when it reads the body, used when it encodes).
    """

    __slots__ = ("call", "explain", "form", "id", "include", "reference")

    def __init__(self, call: Call, reference: str, include: frozenset[str] = frozenset()) -> None:
        self.id = call.id
        self.call = call
        self.reference = reference
        self.include = include
        self.explain: ExplainWish | None = None
        self.form: Any = None


class Columns:
    """Rows that passed the signature, readable as rows, columns, a matrix or records.

    The values are exactly those that the caller sent after value-preserving coercion: float, int, bool, str,
    `datetime`, list, or None where missing.

    Args:
        names: Input names in signature order.
        rows: One sequence of values per row, in the order of *names*.
        flags: Per row, the faults that were let through by policy (`category_unknown`, `out_of_range`) as
            `{input name: fault code}`; None when no row has any.
    """

    __slots__ = ("flags", "names", "rows")

    def __init__(
        self, names: Sequence[str], rows: Sequence[Row], flags: Sequence[Mapping[str, str]] | None = None
    ) -> None:
        self.names = names
        self.rows = rows
        self.flags = flags

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, index: int) -> list[Any]:
        """Return the values of one input, by its place in the signature."""
        return [row[index] for row in self.rows]

    def columns(self) -> dict[str, list[Any]]:
        """Return the values of every input by name, in signature order."""
        if not self.rows:
            return {name: [] for name in self.names}
        return dict(zip(self.names, map(list, zip(*self.rows, strict=True)), strict=True))

    def matrix(self) -> NDArray[np.float64]:
        """Return the rows as a float64 matrix (rows x inputs); a missing value is NaN."""
        import numpy as np

        return np.array(self.rows, dtype=np.float64).reshape(len(self.rows), len(self.names))

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as one dict per row."""
        names = self.names
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def part(self, start: int, stop: int) -> Columns:
        """Return some of the rows, from *start* up to but without *stop*."""
        return Columns(self.names, self.rows[start:stop], self.flags and self.flags[start:stop])


class ArrayColumns(Columns):
    """Rows that were read as a table: one array per input, no Python object per value.

    `rows` and `flags` are made when somebody asks for them; a predictor that is fed a matrix never does.

    Args:
        names: Input names in signature order.
        arrays: One per input: float64 (NaN where missing), int64 or bool (nothing missing), else a list with
            None where missing.
        unseen: What policies let through: input name, fault code, and for each row whether it is concerned.
    """

    __slots__ = ("arrays", "unseen")

    def __init__(
        self,
        names: Sequence[str],
        arrays: Sequence[NDArray[Any] | list[Any]],
        unseen: Sequence[tuple[str, str, NDArray[np.bool_]]] = (),
    ) -> None:
        self.names = names
        self.arrays = arrays
        self.unseen = unseen

    def __getattr__(self, name: str) -> Any:
        # Asked only while the slot is empty: what is made here is kept in it.
        if name == "rows":
            self.rows = list(zip(*map(self.column, range(len(self.names))), strict=True))
            return self.rows
        if name == "flags":
            self.flags = self._flags()
            return self.flags
        raise AttributeError(name)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def _flags(self) -> Sequence[Mapping[str, str]] | None:
        if not self.unseen:
            return None
        flags: list[dict[str, str]] = [{} for _ in range(len(self))]
        for name, code, concerned in self.unseen:
            for n in concerned.nonzero()[0].tolist():
                flags[n][name] = code
        return flags

    def column(self, index: int) -> list[Any]:
        """Return the values of one input, by its place in the signature."""
        array = self.arrays[index]
        if isinstance(array, list):
            return array
        values: list[Any] = array.tolist()
        if array.dtype.kind != "f":
            return values
        return [None if value != value else value for value in values]  # noqa: PLR0124 - NaN

    def columns(self) -> dict[str, list[Any]]:
        """Return the values of every input by name, in signature order."""
        return {name: self.column(index) for index, name in enumerate(self.names)}

    def matrix(self, indexes: Sequence[int] | None = None) -> NDArray[np.float64]:
        """Return the inputs (or some of them) as a float64 matrix; a missing value is NaN."""
        import numpy as np

        chosen = range(len(self.names)) if indexes is None else indexes
        matrix = np.empty((len(self), len(chosen)), np.float64)
        for place, index in enumerate(chosen):
            matrix[:, place] = self.arrays[index]
        return matrix

    def part(self, start: int, stop: int) -> ArrayColumns:
        """Return some of the rows, from *start* up to but without *stop*."""
        unseen = [(name, code, concerned[start:stop]) for name, code, concerned in self.unseen]
        kept = [entry for entry in unseen if entry[2].any()]
        return ArrayColumns(self.names, [array[start:stop] for array in self.arrays], kept)


class Outputs:
    """What a model answered, as plain Python values.

    Attributes:
        values: One list per named output, each with one value per row.
        probabilities: Per row, one float per class in the order of the signature's classes; None when the
            model has none or they were not asked for.
    """

    __slots__ = ("probabilities", "values")

    def __init__(self, values: dict[str, list[Any]], probabilities: list[list[float]] | None = None) -> None:
        self.values = values
        self.probabilities = probabilities

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def part(self, start: int, stop: int) -> Outputs:
        """Return what was answered to some of the rows, from *start* up to but without *stop*."""
        values = {name: answers[start:stop] for name, answers in self.values.items()}
        return Outputs(values, self.probabilities and self.probabilities[start:stop])


class Timing:
    """Seconds that a call spent in each stage; together they are all of its time in the engine.

    Attributes:
        started: `time.perf_counter()` when the request was complete.
        read: Until the rows were read: route and headers, the choice of the version, the body.
        queue: Waiting to be predicted.
        predict: In the model.
        encode: From the outputs to the reply, with the recorder in between.
        texts: Read, queue, predict and encode in milliseconds, as `header` has written them.
    """

    __slots__ = ("encode", "predict", "queue", "read", "started", "texts")

    def __init__(self, started: float) -> None:
        self.started = started
        self.read = self.queue = self.predict = self.encode = 0.0
        self.texts: tuple[str, str, str, str] = ("", "", "", "")

    def header(self) -> bytes:
        """Return the stages as a `Server-Timing` header, in milliseconds (W3C Server Timing)."""
        self.texts = read, queue, predict, encode = (
            milliseconds(self.read),
            milliseconds(self.queue),
            milliseconds(self.predict),
            milliseconds(self.encode),
        )
        total = milliseconds(self.read + self.queue + self.predict + self.encode)
        return (
            f"read;dur={read}, queue;dur={queue}, predict;dur={predict}, "
            f"encode;dur={encode}, total;dur={total}"
        ).encode()


_MILLISECONDS = [f"{n / 1000:.3f}" for n in range(2000)]
"""Most stages take less: to look a text up costs a third of what it costs to write a float."""


def milliseconds(seconds: float) -> str:
    """Return seconds as milliseconds with three decimals."""
    microseconds = int(seconds * 1e6 + 0.5)
    return _MILLISECONDS[microseconds] if 0 <= microseconds < 2000 else f"{seconds * 1e3:.3f}"


class Prediction:
    """The answer to one call, before a protocol writes it down.

    Attributes:
        id: Prediction id of the call.
        model: Name of the model that answered.
        version: Its version number; 0 for a bundle file that no registry has numbered.
        outputs: The model's outputs.
        classes: Class labels as texts, in the order of the probabilities.
        columns: The rows that were read.
        timing: Where the time went.
        explanations: One document per row; None when none was asked for.
    """

    __slots__ = ("classes", "columns", "explanations", "id", "model", "outputs", "timing", "version")

    def __init__(
        self,
        prediction_id: str,
        model: str,
        version: int,
        *,
        classes: Sequence[str],
        columns: Columns,
        outputs: Outputs,
        timing: Timing,
    ) -> None:
        self.id = prediction_id
        self.model = model
        self.version = version
        self.classes = classes
        self.outputs = outputs
        self.columns = columns
        self.timing = timing
        self.explanations: list[dict[str, Any]] | None = None


class Reply:
    """One response: status, headers (lower-case names) and the whole body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""The first hex digit of an id's second half, with the variant of RFC 9562 in its two upper bits."""


class _Ids:
    """The state behind `new_id`: the last stamp given, and random digits drawn ahead of need."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last = 0
        self.random = ""
        self.used = 0
        self.millisecond = -1
        self.head = ""

    def draw(self) -> str:
        """Return 16 random hex digits; one call of the system serves many ids."""
        if self.used >= len(self.random):
            self.random, self.used = os.urandom(4096).hex(), 0
        self.used += 16
        return self.random[self.used - 16 : self.used]

    def head_of(self, millisecond: int) -> str:
        """Return the id up to its version; it is the same for all ids of a millisecond."""
        if millisecond != self.millisecond:
            text = f"{millisecond:012x}"
            self.millisecond, self.head = millisecond, f"{text[:8]}-{text[8:]}-7"
        return self.head


_ids = _Ids()
if hasattr(os, "register_at_fork"):  # two workers must not hand out the same digits
    os.register_at_fork(after_in_child=_ids.__init__)  # type: ignore[misc]  # as if newly made


def new_id() -> str:
    """Return a new UUIDv7 (RFC 9562 section 5.7) that sorts after every earlier one of this process.

    The 12 bits after the millisecond count up within it, so that ids made in one millisecond, or after the
    clock was set back, still sort in the order in which they were made.
    """
    now = time.time_ns() // 1_000_000 << 12
    with _ids.lock:
        _ids.last = stamp = now if now > _ids.last else _ids.last + 1
        head, digits = _ids.head_of(stamp >> 12), _ids.draw()
    return f"{head}{stamp & 0xFFF:03x}-{_VARIANTS[digits[0]]}{digits[1:4]}-{digits[4:]}"
