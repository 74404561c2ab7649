"""ONNX files, run by ONNX Runtime: tensors of any number and type in, outputs by name.

What a file does not say is found out by trying, once, when it is packed: which columns make up which input,
and whether two outputs are a class and its probabilities.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust
from fairway.bundle.signature import Signature
from fairway.bundle.tables import Table
from fairway.bundle.validation import Validator
from fairway.errors import ArtifactCorrupt, ExampleInvalid, FairwayError, ModelContract, UsageError
from fairway.flavors.base import Description, ModelFiles, Predictor, import_framework
from fairway.flavors.boosters import first_line, only_file
from fairway.flavors.sklearn import DEFAULT_OUTPUT, describe_output
from fairway.flavors.tensors import DTYPES, Slot, feed_tensors, plan_slots
from fairway.messages import Columns, Outputs

ONNX = "model/model.onnx"

_PROBE_ROWS = 1000
_SUM_TOLERANCE = 1e-3

# Fields of a ModelProto (onnx.proto), and those without which there is no model: the graph and its operators.
_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
_NEEDED_FIELDS = frozenset({7, 8})


@dataclasses.dataclass(frozen=True)
class OnnxModel:
    """An ONNX file and its session.

    Attributes:
        data: The file.
        session: ONNX Runtime's session, with one thread.
    """

    data: bytes = dataclasses.field(repr=False)
    session: Any = dataclasses.field(repr=False)


class OnnxFlavor:
    """Implement `fairway.flavors.base.Flavor` for ONNX."""

    name = "onnx"
    module = "onnxruntime"
    package = "onnxruntime"
    formats: Sequence[str] = ("ONNX models",)
    tolerance = 1e-5  # kernels in single precision differ with the processor

    def matches(self, type_name: str) -> bool:
        """Match the `ModelProto` of the package onnx, and what `load` returns."""
        return type_name.startswith("onnx.") or type_name == f"{__name__}.OnnxModel"

    def reads(self, files: Mapping[str, bytes]) -> bool:
        """Match a protocol buffer with the fields of a model, from its first byte to its last."""
        fields = set(_top_fields(only_file(files)))
        return fields <= _FIELDS and fields >= _NEEDED_FIELDS

    def keep(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Keep the file."""
        return {ONNX: only_file(files)}

    def describe(self, model: Any) -> Description:
        """Read who wrote the file and what it takes."""
        opened = _opened(model)
        meta = opened.session.get_modelmeta()
        inputs = opened.session.get_inputs()
        facts = {
            "producer": meta.producer_name,
            "inputs": ", ".join(f"{entry.name}: {entry.type}" for entry in inputs),
            "outputs": ", ".join(f"{entry.name}: {entry.type}" for entry in opened.session.get_outputs()),
        }
        # A single input is fed with all columns, whatever they are called.
        names = tuple(entry.name for entry in inputs) if len(inputs) > 1 else ()
        return Description(f"ONNX ({meta.graph_name})", facts, {"onnxruntime", "numpy"}, names)

    def dump(self, model: Any) -> dict[str, bytes]:
        """Save the file as it was, or the `ModelProto` as a file."""
        return {ONNX: model.data if isinstance(model, OnnxModel) else model.SerializeToString()}

    def load(self, read: ModelFiles, code: CodeSpace, *, trust: Trust) -> Any:  # noqa: ARG002
        """Open a session with one thread."""
        return _open(read(ONNX))

    def learn(
        self, model: Any, table: Table, signature: Signature, *, output_names: Sequence[str], feed: str | None
    ) -> tuple[Signature, dict[str, Any]]:
        """Find the columns for every input, run the examples, and tell classes from other outputs."""
        if feed is not None:
            raise UsageError("an ONNX model is fed with its tensors", hint="leave --feed out")
        opened = _opened(model)
        slots = plan_slots(opened.session.get_inputs(), signature)
        columns = Columns(signature.names, [list(row) for row in table.rows()][:_PROBE_ROWS])
        columns = Validator(signature).check(columns.rows, pointer=str)
        try:
            answers = _run(opened.session, feed_tensors(slots, columns), len(columns))
        except FairwayError:
            raise
        except Exception as cause:  # whatever ONNX Runtime or numpy say of these values
            raise ExampleInvalid(
                f"the model does not take the example rows: {first_line(cause)}",
                hint=f"it takes {', '.join(slot.summary for slot in slots)}",
            ) from cause
        options: dict[str, Any] = {"feed": "tensors", "slots": [dataclasses.asdict(slot) for slot in slots]}
        classes = _classes(opened.data, list(answers.values()))
        if classes:
            options["classes"] = classes
        values = _by_output(answers, options)
        if output_names and len(output_names) != len(values):
            raise UsageError(
                f"{len(output_names)} output names were given; the model has {len(values)} outputs",
                hint="--output takes one name per output, separated by commas",
            )
        if len(set(output_names)) != len(output_names):
            raise UsageError("two outputs have the same name")
        outputs = tuple(
            describe_output(name, found, is_label=bool(classes))
            for name, found in zip(output_names or values, values.values(), strict=True)
        )
        return dataclasses.replace(signature, outputs=outputs, classes=tuple(classes)), options

    def predictor(self, model: Any, signature: Signature, options: dict[str, Any]) -> Predictor:
        """Bind the session to its slots."""
        return _OnnxPredictor(_opened(model).session, signature, options)


FLAVOR = OnnxFlavor()


class _OnnxPredictor:
    """An ONNX session bound to its signature."""

    def __init__(self, session: Any, signature: Signature, options: dict[str, Any]) -> None:
        self._session = session
        self._options = options
        self._slots = [Slot.from_dict(slot) for slot in options["slots"]]
        self._names = [output.name for output in signature.outputs]

    def predict(self, columns: Columns, *, probabilities: bool) -> Outputs:
        answers = _run(self._session, feed_tensors(self._slots, columns), len(columns))
        values = _by_output(answers, self._options)
        if len(values) != len(self._names):
            raise ModelContract(f"the model gave {len(values)} outputs; its signature has {len(self._names)}")
        named = dict(zip(self._names, values.values(), strict=True))
        classes = self._options.get("classes")
        if not (probabilities and classes):
            return Outputs(named)
        return Outputs(named, _shares(list(answers.values())[1], classes))


def _top_fields(data: bytes) -> Iterator[int]:
    """Yield the field numbers of a protocol buffer's outermost message; 0 where it is none."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 2:
            length, place = _varint(data, place)
            place += length
        elif kind == 0:
            _, place = _varint(data, place)
        if kind not in {0, 2} or place > len(data):
            yield 0
            return
        yield key >> 3


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a number in base 128 and the place behind it; a place beyond the end if it is cut off."""
    value = shift = 0
    for index in range(place, min(place + 10, len(data))):
        value |= (data[index] & 0x7F) << shift
        shift += 7
        if data[index] < 0x80:
            return value, index + 1
    return 0, len(data) + 1


def _open(data: bytes) -> OnnxModel:
    onnxruntime = import_framework(FLAVOR)
    options = onnxruntime.SessionOptions()
    # Threads of several workers would stand in each other's way; made so, a session also survives a fork.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as cause:  # its exceptions have no common class
        raise ArtifactCorrupt(
            f"ONNX Runtime cannot load the model: {first_line(cause)}",
            hint="check the file: python -c \"import onnx; onnx.checker.check_model('model.onnx')\"",
        ) from cause
    for entry in session.get_inputs():
        if entry.type not in DTYPES:
            raise ArtifactCorrupt(f"the input {entry.name!r} of the ONNX model is no tensor: {entry.type}")
    return OnnxModel(data, session)


def _opened(model: Any) -> OnnxModel:
    return model if isinstance(model, OnnxModel) else _open(model.SerializeToString())


def _run(session: Any, batches: Sequence[Mapping[str, Any]], rows: int) -> dict[str, Any]:
    """Return what the session answers for all rows, by the names of its outputs."""
    import numpy as np

    answers = [session.run(None, dict(batch)) for batch in batches]
    found: dict[str, Any] = {}
    for index, entry in enumerate(session.get_outputs()):
        parts = [answer[index] for answer in answers]
        if isinstance(parts[0], list):
            whole: Any = [item for part in parts for item in part][:rows]
        else:
            whole = np.concatenate(parts) if len(parts) > 1 else np.asarray(parts[0])
            whole = whole[:rows] if whole.ndim else whole
        if not isinstance(whole, list) and (whole.ndim == 0 or len(whole) != rows):
            raise ModelContract(f"the output {entry.name!r} has the shape {whole.shape} for {rows} rows")
        if len(whole) != rows:
            raise ModelContract(f"the model gave {len(whole)} values of {entry.name!r} for {rows} rows")
        found[entry.name] = whole
    return found


def _by_output(answers: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return one list of values per output of the signature."""
    if options.get("classes"):
        return {DEFAULT_OUTPUT: next(iter(answers.values())).reshape(-1).tolist()}
    found: dict[str, list[Any]] = {}
    for name, answer in answers.items():
        found |= dict(_spread(name, answer))
    return found if len(found) > 1 else dict(zip([DEFAULT_OUTPUT], found.values(), strict=True))


def _spread(name: str, answer: Any) -> Iterator[tuple[str, list[Any]]]:
    """Yield an output that has several values per row as one output per value."""
    if isinstance(answer, list):
        if not isinstance(answer[0], dict):
            raise ExampleInvalid(f"the output {name!r} of the ONNX model is a list of tensors")
        for key in answer[0]:
            yield f"{name}_{key}", [row[key] for row in answer]
        return
    matrix = answer.reshape(len(answer), -1)
    if matrix.shape[1] == 1:
        yield name, matrix[:, 0].tolist()
        return
    for index, column in enumerate(matrix.T):
        yield f"{name}_{index}", column.tolist()


def _classes(data: bytes, answers: Sequence[Any]) -> list[Any]:
    """Return the classes if the two outputs are a label and the probability of every class, else nothing."""
    import numpy as np

    if len(answers) != 2 or isinstance(answers[0], list):
        return []
    labels, shares = answers
    if labels.size != len(labels) or labels.dtype.kind not in "iuOU":
        return []
    if isinstance(shares, list):
        classes = list(shares[0]) if isinstance(shares[0], dict) else []
    elif shares.ndim == 2 and shares.shape[1] > 1 and shares.dtype.kind == "f":
        classes = _class_labels(data) or list(range(shares.shape[1]))
    else:
        return []
    if len(classes) < 2 or not set(labels.reshape(-1).tolist()) <= set(classes):
        return []
    matrix = np.array(_shares(shares, classes))
    if matrix.shape[1] != len(classes) or matrix.min() < 0 or matrix.max() > 1 + _SUM_TOLERANCE:
        return []
    return classes if np.allclose(matrix.sum(axis=1), 1, atol=_SUM_TOLERANCE) else []


def _shares(shares: Any, classes: Sequence[Any]) -> list[list[float]]:
    if isinstance(shares, list):
        return [[row[label] for label in classes] for row in shares]
    rows: list[list[float]] = shares.tolist()
    return rows


def _class_labels(data: bytes) -> list[Any]:
    """Return the labels that the operator of a classifier names; needs the package onnx, if there is one."""
    try:
        import onnx
    except ImportError:
        return []
    for node in onnx.load_from_string(data).graph.node:
        for attribute in node.attribute:
            if attribute.name.startswith("classlabels_") and (attribute.strings or attribute.ints):
                return [text.decode() for text in attribute.strings] or list(attribute.ints)
    return []
