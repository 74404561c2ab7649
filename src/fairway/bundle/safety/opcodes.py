"""What a pickle would do, found out without doing it: each of its instructions on a machine of stand-ins.

The table of instructions is the one of `pickletools`. Texts and numbers are themselves, everything that would
be imported is a `Global`, everything else is unknown. So a name that is put together on the stack or fetched
from the memo is seen as the unpickler will see it, and a name that cannot be told is a reason to refuse.
Which names may be used is for `judge.py` to say.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

from fairway.bundle.safety.arrays import place_of_array
from fairway.bundle.safety.machine import (
    MARK,
    PERSISTENT,
    UNKNOWN,
    Dictionary,
    Global,
    Instruction,
    Machine,
    Made,
    Step,
    Trace,
    Tuple,
    without_garbage_collection,
)
from fairway.bundle.safety.names import modern_name
from fairway.errors import ArtifactLimit, ArtifactUnsafe

_STEPS: dict[str, Step] = {}


def _step(*names: str) -> Callable[[Step], Step]:
    def note(function: Step) -> Step:
        _STEPS.update(dict.fromkeys(names, function))
        return function

    return note


@_step(
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE"),
    *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
)
def _constant(machine: Machine, argument: Any) -> None:
    machine.stack.append(argument)


@_step("BYTEARRAY8")
def _unknown(machine: Machine, _: Any) -> None:
    machine.stack.append(UNKNOWN)


@_step("NONE")
def _none(machine: Machine, _: Any) -> None:
    machine.stack.append(None)


@_step("NEWTRUE")
def _true(machine: Machine, _: Any) -> None:
    machine.stack.append(True)


@_step("NEWFALSE")
def _false(machine: Machine, _: Any) -> None:
    machine.stack.append(False)


@_step("PROTO", "FRAME")
def _nothing(machine: Machine, _: Any) -> None:
    pass


@_step("STOP")
def _stop(machine: Machine, _: Any) -> None:
    machine.pop()


@_step("MARK")
def _mark(machine: Machine, _: Any) -> None:
    machine.stack.append(MARK)


@_step("POP")
def _pop(machine: Machine, _: Any) -> None:
    machine.stack.pop()


@_step("POPMARK")
def _pop_mark(machine: Machine, _: Any) -> None:
    machine.pop_to_mark()


@_step("EMPTY_TUPLE")
def _empty_tuple(machine: Machine, _: Any) -> None:
    machine.push_tuple([])


@_step("TUPLE")
def _tuple(machine: Machine, _: Any) -> None:
    machine.push_tuple(machine.pop_to_mark())


def _short_tuple(length: int) -> Step:
    def step(machine: Machine, _: Any) -> None:
        items = [machine.pop() for _ in range(length)]
        machine.push_tuple(items[::-1])

    return step


_STEPS |= {f"TUPLE{length}": _short_tuple(length) for length in (1, 2, 3)}


@_step("EMPTY_LIST", "EMPTY_SET")
def _empty(machine: Machine, _: Any) -> None:
    machine.stack.append(UNKNOWN)


@_step("LIST", "FROZENSET")
def _collection(machine: Machine, _: Any) -> None:
    machine.pop_to_mark()
    machine.stack.append(UNKNOWN)


@_step("EMPTY_DICT")
def _empty_dict(machine: Machine, _: Any) -> None:
    machine.stack.append(Dictionary())


@_step("DICT")
def _dict(machine: Machine, _: Any) -> None:
    machine.stack.append(_with_items(machine, Dictionary(), machine.pop_to_mark()))


@_step("APPEND")
def _append(machine: Machine, _: Any) -> None:
    machine.pop()
    _check_target(machine)


@_step("APPENDS", "ADDITEMS")
def _appends(machine: Machine, _: Any) -> None:
    machine.pop_to_mark()
    _check_target(machine)


@_step("SETITEM")
def _set_item(machine: Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    _with_items(machine, machine.stack[-1], [key, value])


@_step("SETITEMS")
def _set_items(machine: Machine, _: Any) -> None:
    items = machine.pop_to_mark()
    _with_items(machine, machine.stack[-1], items)


def _with_items(machine: Machine, target: Any, items: list[Any]) -> Any:
    if isinstance(target, Global):
        _check_target(machine)
    if isinstance(target, Dictionary):
        pairs = zip(items[::2], items[1::2], strict=True)
        target.update((key, value) for key, value in pairs if isinstance(key, str))
    return target


def _check_target(machine: Machine) -> None:
    """Refuse to change a class or function itself: only what the pickle made may be filled."""
    target = machine.stack[-1]
    if isinstance(target, Global):
        raise ArtifactUnsafe(f"the pickle changes {target} itself, at byte {machine.position}")


@_step("GET", "BINGET", "LONG_BINGET")
def _get(machine: Machine, index: Any) -> None:
    if index not in machine.memo:
        raise ValueError("a memo that was never put")
    machine.stack.append(machine.memo[index])


@_step("PUT", "BINPUT", "LONG_BINPUT")
def _put(machine: Machine, index: Any) -> None:
    # The unpickler makes room for every index up to this one.
    if not 0 <= index <= len(machine.data):
        raise ArtifactLimit(f"the pickle numbers a value {index:,} in a file of {len(machine.data):,} bytes")
    machine.memo[index] = machine.stack[-1]


@_step("MEMOIZE")
def _memoize(machine: Machine, _: Any) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


@_step("GLOBAL")
def _global(machine: Machine, argument: Any) -> None:
    module, _, name = argument.partition(" ")
    _push_global(machine, module, name)


@_step("STACK_GLOBAL")
def _stack_global(machine: Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise ArtifactUnsafe(
            f"the pickle imports something at byte {machine.position} whose name cannot be told"
        )
    _push_global(machine, module, name)


def _push_global(machine: Machine, module: str, name: str) -> None:
    found = Global(*modern_name(module, name))
    machine.use(found, "value")
    machine.stack.append(found)


@_step("REDUCE")
def _reduce(machine: Machine, _: Any) -> None:
    arguments, function = machine.pop(), machine.pop()
    _call(machine, function, "call", _items(arguments))


@_step("NEWOBJ")
def _new(machine: Machine, _: Any) -> None:
    arguments, kind = machine.pop(), machine.pop()
    _call(machine, kind, "new", _items(arguments))


@_step("NEWOBJ_EX")
def _new_with_names(machine: Machine, _: Any) -> None:
    named, arguments, kind = machine.pop(), machine.pop(), machine.pop()
    is_plain = isinstance(named, Dictionary) and not named
    _call(machine, kind, "new", _items(arguments) if is_plain else None)


@_step("INST")
def _inst(machine: Machine, argument: Any) -> None:
    items = machine.pop_to_mark()
    module, _, name = argument.partition(" ")
    _push_global(machine, module, name)
    _call(machine, machine.pop(), "call", tuple(items))


@_step("OBJ")
def _obj(machine: Machine, _: Any) -> None:
    kind, *items = machine.pop_to_mark()
    _call(machine, kind, "call", tuple(items))


def _items(arguments: Any) -> tuple[Any, ...] | None:
    return arguments.items if type(arguments) is Tuple else None


def _call(machine: Machine, what: Any, how: str, args: tuple[Any, ...] | None) -> None:
    machine.use(what, how, args)
    machine.stack.append(Made(what, args, {}))


@_step("BUILD")
def _build(machine: Machine, _: Any) -> None:
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
def _persistent(machine: Machine, _: Any) -> None:
    machine.persistent = True
    machine.stack.append(PERSISTENT)


@_step("BINPERSID")
def _binary_persistent(machine: Machine, _: Any) -> None:
    machine.pop()
    machine.persistent = True
    machine.stack.append(PERSISTENT)


def _table() -> dict[int, Instruction]:
    """Return step, name and reader of the argument by opcode; 1 stands for one byte, None for no argument."""
    found: dict[int, Instruction] = {}
    for opcode in pickletools.opcodes:
        read: Any = opcode.arg and (1 if opcode.arg is pickletools.uint1 else opcode.arg.reader)
        step = _STEPS.get(opcode.name, _refusal(opcode.name))
        found[ord(opcode.code)] = (step, opcode.name, read)
    return found


def _refusal(name: str) -> Step:
    def step(machine: Machine, _: Any) -> None:
        raise ArtifactUnsafe(f"the pickle uses {name} at byte {machine.position}, which no model needs")

    return step


_BY_CODE = _table()


def trace_pickles(data: bytes) -> Trace:
    """Follow every pickle of *data*, one after the other up to its last byte.

    Raises:
        ArtifactCorrupt: The bytes are not (only) pickles.
        ArtifactLimit: Loading them would take more time or memory than any model.
        ArtifactUnsafe: What they do cannot be told.
    """
    machine = Machine(data, _BY_CODE)
    streams = 0
    with without_garbage_collection():
        while streams == 0 or machine.file.tell() < len(data):
            machine.run()
            streams += 1
    return Trace(machine.uses, machine.arrays, machine.persistent, streams)
