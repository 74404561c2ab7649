"""From columns to the tensors that a model takes: which columns, which type, which shape."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairway.bundle.signature import Signature
from fairway.errors import ExampleInvalid, Fault, SignatureMismatch
from fairway.messages import Columns

DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
    "tensor(string)": "str",
}
"""NumPy's name for each type of tensor that can be fed."""


@dataclasses.dataclass(frozen=True)
class Slot:
    """One input of a model, and the columns that fill it.

    Attributes:
        name: Name of the input.
        dtype: NumPy's name of its type, or `str`.
        columns: Places of its columns in the signature.
        shape: Sizes of one row; None where any will do.
        batch: Rows that a call must have, if their number is fixed, else 0.
    """

    name: str
    dtype: str
    columns: tuple[int, ...]
    shape: tuple[int | None, ...]
    batch: int = 0

    @classmethod
    def from_dict(cls, slot: Mapping[str, Any]) -> Slot:
        """Return the slot that `dataclasses.asdict` has turned into a dict."""
        return cls(**{**slot, "columns": tuple(slot["columns"]), "shape": tuple(slot["shape"])})

    @property
    def summary(self) -> str:
        """Name, type and shape in a few words."""
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name!r} ({self.dtype}, a row of [{sizes}])"

    @property
    def width(self) -> int | None:
        """Values of one row, if their number is fixed."""
        return None if None in self.shape else math.prod(size or 1 for size in self.shape)


def plan_slots(entries: Sequence[Any], signature: Signature) -> list[Slot]:
    """Return a slot per input of a session: by the names of columns if they fit, else in their order.

    Args:
        entries: Inputs with `name`, `type` and `shape`, as ONNX Runtime has them.
        signature: Inputs as they were learnt from the example.

    Raises:
        ExampleInvalid: The columns do not fit the inputs.
    """
    bare = [_slot(entry, ()) for entry in entries]
    names = list(signature.names)
    if len(bare) > 1 and {slot.name for slot in bare} == set(names):
        return [dataclasses.replace(slot, columns=(names.index(slot.name),)) for slot in bare]
    if len(bare) == 1:
        return [dataclasses.replace(bare[0], columns=tuple(range(len(names))))]
    widths = [slot.width for slot in bare]
    if len(names) == len(bare):
        widths = [1] * len(bare)
    if None not in widths and sum(width or 0 for width in widths) == len(names):
        ends = [sum(width or 0 for width in widths[: n + 1]) for n in range(len(bare))]
        return [
            dataclasses.replace(slot, columns=tuple(range(end - (width or 0), end)))
            for slot, width, end in zip(bare, widths, ends, strict=True)
        ]
    raise ExampleInvalid(
        f"the model has {len(bare)} inputs, and the example's {len(names)} columns do not fit them",
        hint=f"name the columns as the model does: {', '.join(slot.summary for slot in bare)}",
    )


def _slot(entry: Any, columns: tuple[int, ...]) -> Slot:
    sizes = tuple(size if isinstance(size, int) and size > 0 else None for size in entry.shape)
    return Slot(entry.name, DTYPES[entry.type], columns, sizes[1:], (sizes[0] if sizes else None) or 0)


def feed_tensors(slots: Sequence[Slot], columns: Columns) -> list[dict[str, Any]]:
    """Return the tensors of a call, or of several where the model takes a fixed number of rows.

    Raises:
        SignatureMismatch: A value is none of the tensor's type, or a list has the wrong length.
    """
    whole = {slot.name: _tensor(slot, columns) for slot in slots}
    size = max(slot.batch for slot in slots)
    if not size or size == len(columns):
        return [whole]
    return list(_batches(whole, size, len(columns)))


def _batches(whole: Mapping[str, Any], size: int, rows: int) -> Iterator[dict[str, Any]]:
    """Yield the rows in calls of one size; the last repeats its last row as often as it takes."""
    import numpy as np

    for start in range(0, rows, size):
        chosen = np.minimum(np.arange(start, start + size), rows - 1)
        yield {name: tensor[chosen] for name, tensor in whole.items()}


def _tensor(slot: Slot, columns: Columns) -> Any:
    """Return the values of a slot's columns as one tensor."""
    import numpy as np

    parts = [columns.column(index) for index in slot.columns]
    values = parts[0] if len(parts) == 1 else [list(row) for row in zip(*parts, strict=True)]
    name = columns.names[slot.columns[0]] if len(parts) == 1 else slot.name
    if len({len(value) for value in values if isinstance(value, list)}) > 1:
        raise _refused(name, "row_length", "lists of one length, because they make up a tensor")
    tensor = np.array(values, dtype=object if slot.dtype == "str" else None)
    if slot.dtype == "str":
        if not all(isinstance(value, str) for value in tensor.flat):
            raise _refused(name, "value_type", "text")
    else:
        tensor = _as_numbers(tensor, slot.dtype, name)
    width = tensor.size // len(tensor)
    if slot.width is not None and width != slot.width:
        raise _refused(name, "row_length", f"{slot.width} values per row, not {width}")
    if slot.width is None:
        # The sizes that are not fixed: a single one takes what is left.
        fixed = math.prod(size for size in slot.shape if size is not None)
        free = [width // fixed if size is None else size for size in slot.shape]
        return tensor.reshape(len(tensor), *free)
    return tensor.reshape(len(tensor), *(size or 1 for size in slot.shape))


def _as_numbers(tensor: Any, dtype: str, name: str) -> Any:
    """Return numbers in another type, if it holds every one of them."""
    import numpy as np

    target = np.dtype(dtype)
    if target.kind == "f":
        with np.errstate(over="ignore"):  # what is too large becomes infinite, as in any float32 input
            return tensor.astype(target)
    if tensor.dtype == object:  # there is a None among them
        raise _refused(name, "value_missing", "a value, because the tensor has no place for a missing one")
    if target.kind == "b":
        return tensor.astype(target)
    limits = np.iinfo(target)
    if not bool(((tensor >= limits.min) & (tensor <= limits.max) & (np.floor(tensor) == tensor)).all()):
        raise _refused(name, "value_type", f"whole numbers from {limits.min} to {limits.max}")
    return tensor.astype(target)


def _refused(name: str, code: str, expected: str) -> SignatureMismatch:
    return SignatureMismatch([Fault("", code, f"{name!r} takes {expected}")])
