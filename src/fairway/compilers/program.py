"""A compiled model on disk: a tree of parts in JSON, their arrays in one `.npz`, and bound to a signature.

Nothing is unpickled: a part is named in `steps.base.PARTS` and made from plain values.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np

from fairway.bundle.signature import Signature
from fairway.compilers.base import Read
from fairway.compilers.steps.base import Chain, Model, Part, Prepared, part_named
from fairway.compilers.steps.inputs import take_all
from fairway.errors import ArtifactCorrupt
from fairway.messages import Columns, Outputs

FORMAT = 1
PROGRAM = "program.json"
ARRAYS = "arrays.npz"


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled model.

    Attributes:
        model: Its parts, from the columns of a call to the model's end.
        labels: Class labels by number; empty for a regressor.
    """

    model: Model
    labels: list[Any]

    def dump(self) -> dict[str, bytes]:
        """Return the program as files."""
        writer = _Writer()
        document = {"format": FORMAT, "labels": self.labels, "model": writer.write(self.model)}
        files = {PROGRAM: msgspec.json.encode(document, order="sorted"), **writer.files}
        if writer.arrays:
            buffer = io.BytesIO()
            np.savez(buffer, allow_pickle=False, **writer.arrays)
            files[ARRAYS] = buffer.getvalue()
        return files


def load_program(read: Read) -> Program:
    """Return the program that `dump` wrote.

    Raises:
        ArtifactCorrupt: The files hold no program, or one of a newer format.
    """
    try:
        document = msgspec.json.decode(read(PROGRAM))
        if document["format"] != FORMAT:
            raise ArtifactCorrupt(
                f"the compiled model has the format {document['format']}, this fairway reads {FORMAT}",
                hint="compile the version again",
            )
        model = _Reader(read).read(document["model"])
        return Program(model, document["labels"])
    except (KeyError, TypeError, ValueError, msgspec.DecodeError) as cause:
        raise ArtifactCorrupt(f"the compiled model cannot be read: {cause}") from cause


class _Writer:
    """Writes parts as plain data; arrays and files are kept aside."""

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}

    def write(self, value: Any) -> Any:
        if isinstance(value, Part):
            fields = {f.name: self.write(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
            name = f"{type(value).__module__.rpartition('.')[2]}.{type(value).__name__}"
            return {"part": name, **fields}
        if isinstance(value, np.ndarray):
            key = f"a{len(self.arrays)}"
            self.arrays[key] = value
            return {"array": key}
        if isinstance(value, bytes):
            name = f"part_{len(self.files)}.bin"
            self.files[name] = value
            return {"file": name}
        if isinstance(value, list | tuple):
            return [self.write(entry) for entry in value]
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": repr(value)}
        return value.item() if isinstance(value, np.generic) else value


class _Reader:
    """Makes parts from plain data."""

    def __init__(self, read: Read) -> None:
        self._read_file = read
        self._arrays: Any = None

    def read(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.read(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        if "array" in value:
            return self._array(value["array"])
        if "file" in value:
            return self._read_file(value["file"])
        if "float" in value:
            return float(value["float"])
        fields = {name: self.read(entry) for name, entry in value.items() if name != "part"}
        return part_named(value["part"])(**fields)

    def _array(self, key: str) -> Any:
        if self._arrays is None:
            self._arrays = np.load(io.BytesIO(self._read_file(ARRAYS)), allow_pickle=False)
        return self._arrays[key]


def parts_of(value: Any) -> Iterator[Part]:
    """Yield every part below (and including) a part, outer first."""
    if isinstance(value, Part):
        yield value
        for field in dataclasses.fields(value):
            yield from parts_of(getattr(value, field.name))
    elif isinstance(value, list):
        for entry in value:
            yield from parts_of(entry)


def replace_parts(value: Any, replace: Callable[[Part], Part]) -> Any:
    """Return a copy of a part in which every part below it went through *replace*, inner ones first."""
    if isinstance(value, list):
        return [replace_parts(entry, replace) for entry in value]
    if not isinstance(value, Part):
        return value
    fields = {
        f.name: replace_parts(getattr(value, f.name), replace) for f in dataclasses.fields(value) if f.init
    }
    return replace(type(value)(**fields))


class ProgramPredictor:
    """A program bound to its signature; implements `fairway.flavors.base.Predictor`.

    Attributes:
        program: The program.
    """

    def __init__(self, program: Program, signature: Signature) -> None:
        self.program = program
        model = replace_parts(program.model, _flattened)
        steps = model.steps if isinstance(model, Prepared) else []
        self._model: Model = model.model if isinstance(model, Prepared) else model
        self._steps = [take_all(step, len(signature.inputs)) for step in steps]
        self._labels = program.labels
        self._names = [output.name for output in signature.outputs]
        self._name = self._names[0]
        self._has_probabilities = bool(signature.classes)

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        """Predict every row."""
        value: Any = columns
        for step in self._steps:
            value = step(value)
        model = self._model
        raw = model.raw(value)
        answers = model.answers(raw)
        if self._labels:
            labels = self._labels
            values: dict[str, list[Any]] = {self._name: [labels[number] for number in answers.tolist()]}
        elif answers.ndim == 1:
            values = {self._name: answers.tolist()}
        else:
            values = dict(zip(self._names, answers.T.tolist(), strict=True))
        if probabilities and self._has_probabilities:
            return Outputs(values, model.chances(raw).tolist())
        return Outputs(values)


def _flattened(part: Part) -> Part:
    """Return a prepared model whose chains are spread out: each call less is time less."""
    if not isinstance(part, Prepared):
        return part
    steps = []
    for step in part.steps:
        steps.extend(step.steps if isinstance(step, Chain) else [step])
    return Prepared(steps, part.model)
