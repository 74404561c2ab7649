"""ONNX models: which files their tensors are read from. Nothing else in them reaches outside."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fairway.bundle.safety.wire import fields_of
from fairway.errors import ArtifactCorrupt, ArtifactPath

# Messages inside messages, by the schema of ONNX: field number -> the message that it holds.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_GRAPH = 7
_MAX_DEPTH = 64


def looks_like_onnx(data: bytes) -> bool:
    """Tell whether the bytes are a message with a graph where an ONNX model has it.

    Fields that no model has are no reason to say no: readers skip them.
    """
    try:
        if not any(field.number == _GRAPH and field.kind == 2 for field in fields_of(data)):
            return False
        for _ in _locations(data, "model", 0):
            pass
    except ValueError:
        return False
    return True


def check_onnx(data: bytes, path: str, beside: Collection[str]) -> list[str]:
    """Return the names of the side files that a model reads.

    Args:
        data: The model.
        path: Where it lies among the files.
        beside: All files that were brought.

    Raises:
        ArtifactCorrupt: The model cannot be read.
        ArtifactPath: A tensor is to be read from anywhere but a file right beside the model.
    """
    folder = path.rpartition("/")[0]
    found: list[str] = []
    try:
        for location in _locations(data, "model", 0):
            plain = bool(location) and location.isprintable() and not set(location) & set('/\\:*?"<>|')
            beside_it = f"{folder}/{location}".lstrip("/")
            if not plain or location in {".", ".."}:
                raise ArtifactPath(
                    f"{path} reads a tensor from {location!a}, which is no file beside it",
                    hint="save the model as one file: onnx.save(model, path, save_as_external_data=False)",
                )
            if beside_it not in beside:
                raise ArtifactPath(
                    f"{path} reads a tensor from {location!a}, which was not given",
                    hint="give the folder that holds the model and its side files",
                )
            found.append(beside_it)
    except ValueError as cause:
        raise ArtifactCorrupt(f"{path} is no whole ONNX model: {cause}") from cause
    return list(dict.fromkeys(found))


def _locations(message: bytes, kind: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise ValueError("graphs are nested too deeply")
    inside = _INSIDE.get(kind, {})
    for field in fields_of(message):
        if field.number not in inside or not isinstance(field.value, bytes):
            continue
        part = inside[field.number]
        if part == "entry":
            yield from _location(field.value)
        else:
            yield from _locations(field.value, part, depth + 1)


def _location(entry: bytes) -> Iterator[str]:
    values = {field.number: field.value for field in fields_of(entry)}
    if values.get(1) == b"location":
        value = values.get(2, b"")
        yield value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else ""
