"""The small machine that pickles are followed on: stand-ins for values, a stack, a memo, and what was seen.

What each instruction does to it stands in `opcodes.py`.
"""

from __future__ import annotations

import contextlib
import gc
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from fairway.bundle.safety.arrays import ArrayPlace
from fairway.errors import ArtifactCorrupt, ArtifactLimit, ArtifactUnsafe

_MAX_WEIGHT = 10_000_000  # elements of nested tuples, were none of them shared: hashing them takes so long
_MAX_NESTED = 64  # streams within streams: an object array in an object array ...
_KEPT_ITEMS = 64  # a longer tuple is never the argument of anything that is looked into


class Global(NamedTuple):
    """A name that the pickle imports."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Use(NamedTuple):
    """One use of a name.

    Attributes:
        what: The name.
        how: `value` where it is only fetched, `call` where it is called, `new` where its `__new__` is.
        args: Arguments of the call as stand-ins, or None where they cannot be told.
        position: Byte in the file.
    """

    what: Global
    how: str
    args: tuple[Any, ...] | None
    position: int


class Made(NamedTuple):
    """An object that the pickle makes by calling a name; *state* is a mutable place for one dictionary."""

    what: Global
    args: tuple[Any, ...] | None
    state: dict[str, Any]


class Tuple:
    """A tuple; its weight is the number of its elements if none were shared."""

    __slots__ = ("items", "weight")

    def __init__(self, items: list[Any]) -> None:
        self.weight: int = 1 + sum(item.weight if type(item) is Tuple else 1 for item in items)
        self.items = tuple(items) if len(items) <= _KEPT_ITEMS else None


class Dictionary(dict[str, Any]):
    """A dictionary; only what stands under a text is kept."""


class _Stand:
    """A value that nobody asks about."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


UNKNOWN = _Stand("unknown")
MARK = _Stand("mark")
PERSISTENT = _Stand("persistent")


class Trace(NamedTuple):
    """What the streams of a file do.

    Attributes:
        uses: Every use of a name, in the order of the file.
        arrays: Where joblib put the bytes of its arrays.
        persistent: Whether something is fetched from outside of the stream, as torch's storages are.
        streams: How many pickles lie one after the other.
    """

    uses: list[Use]
    arrays: dict[int, ArrayPlace]
    persistent: bool
    streams: int


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Spare the collector a million small stand-ins, none of which is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


Step = Callable[["Machine", Any], None]
"""What an instruction does, given its argument."""

Instruction = tuple[Step, str, Any]
"""Step, name, and reader of the argument: 1 stands for one byte, None for no argument."""


class Machine:
    """The state of the interpreter: a file with a position, what was seen; a stack and a memo per stream."""

    def __init__(self, data: bytes, steps: Mapping[int, Instruction]) -> None:
        self.data = data
        self._steps = steps
        self.file = io.BytesIO(data)
        self.uses: list[Use] = []
        self.arrays: dict[int, ArrayPlace] = {}
        self.persistent = False
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.position = 0
        self.depth = 0

    def run(self) -> None:
        """Follow one stream from where the file stands to its STOP."""
        outer = self.stack, self.memo
        self.stack, self.memo = [], {}
        self.depth += 1
        if self.depth > _MAX_NESTED:
            raise ArtifactLimit("the pickle holds pickles in pickles, deeper than any model")
        try:
            self._follow()
        except (ArtifactCorrupt, ArtifactLimit, ArtifactUnsafe):
            raise
        except (ValueError, IndexError, KeyError, OverflowError, UnicodeError, RecursionError) as cause:
            raise ArtifactCorrupt(
                f"the model file cannot be read as a pickle: it breaks off at byte {self.position}",
                hint="was it cut off while copying? save the model again",
            ) from cause
        self.depth -= 1
        self.stack, self.memo = outer

    def _follow(self) -> None:
        """Read instructions as `pickletools.genops` does, the most frequent of them without its calls."""
        data, file, steps = self.data, self.file, self._steps
        position = file.tell()
        while True:
            self.position = position
            step, name, read = steps[data[position]]
            position += 1
            if read is None:
                argument = None
            elif read == 1:
                argument = data[position]
                position += 1
            else:
                file.seek(position)
                argument = read(file)
                position = file.tell()
            if name == "BUILD":
                file.seek(position)
                step(self, argument)
                position = file.tell()
                continue
            step(self, argument)
            if name == "STOP":
                file.seek(position)
                return

    def pop_to_mark(self) -> list[Any]:
        """Return what was put on the stack since the last mark, without the mark."""
        items: list[Any] = []
        while (item := self.stack.pop()) is not MARK:
            items.append(item)
        items.reverse()
        return items

    def pop(self) -> Any:
        """Return the uppermost value; a mark is none."""
        item = self.stack.pop()
        if item is MARK:
            raise ValueError("a mark where a value should be")
        return item

    def push_tuple(self, items: list[Any]) -> None:
        """Put a tuple on the stack."""
        made = Tuple(items)
        if made.weight > _MAX_WEIGHT:
            raise ArtifactLimit(
                f"the pickle nests a few tuples into {made.weight:,} elements at byte {self.position}"
            )
        self.stack.append(made)

    def use(self, what: Any, how: str, args: tuple[Any, ...] | None = None) -> None:
        """Note a use of a name."""
        if not isinstance(what, Global):
            raise ArtifactUnsafe(
                f"the pickle calls what it made itself, at byte {self.position}, which no model needs",
                hint="a function that was pickled by value belongs in a module: --code FILE.py",
            )
        self.uses.append(Use(what, how, args, self.position))
