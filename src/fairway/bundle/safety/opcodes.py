"""What a pickle would do, found out without doing it: a small interpreter of its opcodes.

The instructions are read with `pickletools` and run on a stack of stand-ins: texts and numbers are
themselves, everything that would be imported is a `Global`, everything else is unknown. So a name that is put
together on the stack or fetched from the memo is seen as the unpickler will see it, and a name that cannot be
told is a reason to refuse. Which names may be used is for `judge.py` to say.
"""

from __future__ import annotations

import contextlib
import gc
import io
import pickletools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fairway.bundle.safety.arrays import ArrayPlace, place_of_array
from fairway.bundle.safety.names import modern_name
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
_MARK = _Stand("mark")
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


def trace_pickles(data: bytes) -> Trace:
    """Follow every pickle of *data*, one after the other up to its last byte.

    Raises:
        ArtifactCorrupt: The bytes are not (only) pickles.
        ArtifactLimit: Loading them would take more time or memory than any model.
        ArtifactUnsafe: What they do cannot be told.
    """
    machine = _Machine(data)
    streams = 0
    with _without_garbage_collection():
        while streams == 0 or machine.file.tell() < len(data):
            machine.run()
            streams += 1
    return Trace(machine.uses, machine.arrays, machine.persistent, streams)


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Spare the collector a million small stand-ins, none of which is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Machine:
    """The state of the interpreter: a file with a position, what was seen; a stack and a memo per stream."""

    def __init__(self, data: bytes) -> None:
        self.data = data
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
        data, file, steps = self.data, self.file, _BY_CODE
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
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        items.reverse()
        return items

    def pop(self) -> Any:
        """Return the uppermost value; a mark is none."""
        item = self.stack.pop()
        if item is _MARK:
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
                f"the pickle calls what it made itself, at byte {self.position}, which no model needs"
            )
        self.uses.append(Use(what, how, args, self.position))


_Step = Callable[[_Machine, Any], None]
_STEPS: dict[str, _Step] = {}


def _step(*names: str) -> Callable[[_Step], _Step]:
    def note(function: _Step) -> _Step:
        _STEPS.update(dict.fromkeys(names, function))
        return function

    return note


@_step(
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
)
def _constant(machine: _Machine, argument: Any) -> None:
    machine.stack.append(argument)


@_step("BYTEARRAY8")
def _unknown(machine: _Machine, _: Any) -> None:
    machine.stack.append(UNKNOWN)


@_step("NONE")
def _none(machine: _Machine, _: Any) -> None:
    machine.stack.append(None)


@_step("NEWTRUE")
def _true(machine: _Machine, _: Any) -> None:
    machine.stack.append(True)


@_step("NEWFALSE")
def _false(machine: _Machine, _: Any) -> None:
    machine.stack.append(False)


@_step("PROTO", "FRAME")
def _nothing(machine: _Machine, _: Any) -> None:
    pass


@_step("STOP")
def _stop(machine: _Machine, _: Any) -> None:
    machine.pop()


@_step("MARK")
def _mark(machine: _Machine, _: Any) -> None:
    machine.stack.append(_MARK)


@_step("POP")
def _pop(machine: _Machine, _: Any) -> None:
    machine.stack.pop()


@_step("POP_MARK")
def _pop_mark(machine: _Machine, _: Any) -> None:
    machine.pop_to_mark()


@_step("EMPTY_TUPLE")
def _empty_tuple(machine: _Machine, _: Any) -> None:
    machine.push_tuple([])


@_step("TUPLE")
def _tuple(machine: _Machine, _: Any) -> None:
    machine.push_tuple(machine.pop_to_mark())


def _short_tuple(length: int) -> _Step:
    def step(machine: _Machine, _: Any) -> None:
        items = [machine.pop() for _ in range(length)]
        machine.push_tuple(items[::-1])

    return step


_STEPS |= {f"TUPLE{length}": _short_tuple(length) for length in (1, 2, 3)}


@_step("EMPTY_LIST", "EMPTY_SET")
def _empty(machine: _Machine, _: Any) -> None:
    machine.stack.append(UNKNOWN)


@_step("LIST", "FROZENSET")
def _collection(machine: _Machine, _: Any) -> None:
    machine.pop_to_mark()
    machine.stack.append(UNKNOWN)


@_step("EMPTY_DICT")
def _empty_dict(machine: _Machine, _: Any) -> None:
    machine.stack.append(Dictionary())


@_step("DICT")
def _dict(machine: _Machine, _: Any) -> None:
    machine.stack.append(_with_items(machine, Dictionary(), machine.pop_to_mark()))


@_step("APPEND")
def _append(machine: _Machine, _: Any) -> None:
    machine.pop()
    _check_target(machine)


@_step("APPENDS", "ADDITEMS")
def _appends(machine: _Machine, _: Any) -> None:
    machine.pop_to_mark()
    _check_target(machine)


@_step("SETITEM")
def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _with_items(machine, machine.stack[-1], [key, value])


@_step("SETITEMS")
def _set_items(machine: _Machine, _: Any) -> None:
    items = machine.pop_to_mark()
    _with_items(machine, machine.stack[-1], items)


def _with_items(machine: _Machine, target: Any, items: list[Any]) -> Any:
    if isinstance(target, Global):
        _check_target(machine)
    if isinstance(target, Dictionary):
        pairs = zip(items[::2], items[1::2], strict=True)
        target.update((key, value) for key, value in pairs if isinstance(key, str))
    return target


def _check_target(machine: _Machine) -> None:
    """Refuse to change a class or function itself: only what the pickle made may be filled."""
    target = machine.stack[-1]
    if isinstance(target, Global):
        raise ArtifactUnsafe(f"the pickle changes {target} itself, at byte {machine.position}")


@_step("GET", "BINGET", "LONG_BINGET")
def _get(machine: _Machine, index: Any) -> None:
    if index not in machine.memo:
        raise ValueError("a memo that was never put")
    machine.stack.append(machine.memo[index])


@_step("PUT", "BINPUT", "LONG_BINPUT")
def _put(machine: _Machine, index: Any) -> None:
    # The unpickler makes room for every index up to this one.
    if not 0 <= index <= len(machine.data):
        raise ArtifactLimit(f"the pickle numbers a value {index:,} in a file of {len(machine.data):,} bytes")
    machine.memo[index] = machine.stack[-1]


@_step("MEMOIZE")
def _memoize(machine: _Machine, _: Any) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


@_step("GLOBAL")
def _global(machine: _Machine, argument: Any) -> None:
    module, _, name = argument.partition(" ")
    _push_global(machine, module, name)


@_step("STACK_GLOBAL")
def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise ArtifactUnsafe(
            f"the pickle imports something at byte {machine.position} whose name cannot be told"
        )
    _push_global(machine, module, name)


def _push_global(machine: _Machine, module: str, name: str) -> None:
    found = Global(*modern_name(module, name))
    machine.use(found, "value")
    machine.stack.append(found)


@_step("REDUCE")
def _reduce(machine: _Machine, _: Any) -> None:
    arguments, function = machine.pop(), machine.pop()
    _call(machine, function, "call", _items(arguments))


@_step("NEWOBJ")
def _new(machine: _Machine, _: Any) -> None:
    arguments, kind = machine.pop(), machine.pop()
    _call(machine, kind, "new", _items(arguments))


@_step("NEWOBJ_EX")
def _new_with_names(machine: _Machine, _: Any) -> None:
    named, arguments, kind = machine.pop(), machine.pop(), machine.pop()
    is_plain = isinstance(named, Dictionary) and not named
    _call(machine, kind, "new", _items(arguments) if is_plain else None)


@_step("INST")
def _inst(machine: _Machine, argument: Any) -> None:
    items = machine.pop_to_mark()
    module, _, name = argument.partition(" ")
    _push_global(machine, module, name)
    _call(machine, machine.pop(), "call", tuple(items))


@_step("OBJ")
def _obj(machine: _Machine, _: Any) -> None:
    kind, *items = machine.pop_to_mark()
    _call(machine, kind, "call", tuple(items))


def _items(arguments: Any) -> tuple[Any, ...] | None:
    return arguments.items if type(arguments) is Tuple else None


def _call(machine: _Machine, what: Any, how: str, args: tuple[Any, ...] | None) -> None:
    machine.use(what, how, args)
    machine.stack.append(Made(what, args, {}))


@_step("BUILD")
def _build(machine: _Machine, _: Any) -> None:
    state = machine.pop()
    _check_target(machine)
    target = machine.stack[-1]
    if not isinstance(target, Made):
        return
    if isinstance(state, Dictionary):
        target.state.update(state)
    elif type(state) is Tuple and state.items:
        target.state["state"] = state.items
    start = machine.file.tell()
    place = place_of_array(target, machine.data, start)
    if place is None:
        return
    if place.nested:
        machine.run()
        machine.arrays[start] = place
    else:
        machine.file.seek(place.end)
        machine.arrays[start] = place
    machine.stack[-1] = UNKNOWN


@_step("PERSID")
def _persistent(machine: _Machine, _: Any) -> None:
    machine.persistent = True
    machine.stack.append(PERSISTENT)


@_step("BINPERSID")
def _binary_persistent(machine: _Machine, _: Any) -> None:
    machine.pop()
    machine.persistent = True
    machine.stack.append(PERSISTENT)


def globals_of(trace: Trace) -> Iterator[Global]:
    """Yield every name once, in the order of the file."""
    yield from dict.fromkeys(use.what for use in trace.uses)


def _table() -> dict[int, tuple[_Step, str, Any]]:
    """Return step, name and reader of the argument by opcode; 1 stands for one byte, None for no argument."""
    found: dict[int, tuple[_Step, str, Any]] = {}
    for opcode in pickletools.opcodes:
        read: Any = opcode.arg and (1 if opcode.arg is pickletools.uint1 else opcode.arg.reader)
        step = _STEPS.get(opcode.name, _refusal(opcode.name))
        found[ord(opcode.code)] = (step, opcode.name, read)
    return found


def _refusal(name: str) -> _Step:
    def step(machine: _Machine, _: Any) -> None:
        raise ArtifactUnsafe(f"the pickle uses {name} at byte {machine.position}, which no model needs")

    return step


_BY_CODE = _table()
