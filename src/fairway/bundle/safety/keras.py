"""Keras and TensorFlow models: which classes their configuration names, which operations their graph holds.

A `.keras` file is a zip with a `config.json`; an `.h5` file holds the same text as an attribute. The text is
found in the bytes of the HDF5 file, which never compresses attributes: so no HDF5 library is needed to refuse
a file. Where it says that it has a configuration and none can be found, it is refused, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fairway.bundle.safety.policy import Trust
from fairway.bundle.safety.wire import fields_of
from fairway.errors import ArtifactCorrupt, ArtifactUnsafe

_MODULES = re.compile(
    r"(keras|tf_keras|tensorflow\.keras|tensorflow\.python\.keras)(\.src|\.api|\._tf_keras|\.engine)*"
    r"(\.(models|layers|optimizers|losses|metrics|initializers|regularizers|constraints|activations|dtype_policies)"
    r"(\.[a-z0-9_]+)*|\.backend\.(torch|tensorflow|jax)\.optimizers(\.[a-z0-9_]+)*|\.(functional|sequential|input_layer|legacy))?"
)
# They run code of their configuration, or read a file that it names.
_NEVER = frozenset({
    "Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer", "PythonLayer",
    "function_type", "get_file",
})  # fmt: skip
_PLAIN = frozenset({
    "__tuple__", "__numpy__", "__tensor__", "__keras_tensor__", "__ellipsis__", "__bytes__",
    "__complex__", "__slice__",
})  # fmt: skip
# Text layers read their vocabulary from a file if it is a text instead of a list.
_FILE_OPTIONS = frozenset({"vocabulary", "idf_weights"})
_MAX_DEPTH = 200

# Text in an HDF5 file ends at the first byte that no text has. Keras writes no escape for a plain letter.
_BREAK = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ESCAPED = re.compile(rb"\\u00[2-7][0-9a-fA-F]")
_MAX_TEXT = 64 * 2**20
_MAX_OPENINGS = 64

# Operations of a TensorFlow graph that touch files or run Python.
_NEVER_OPERATIONS = frozenset({
    "ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc", "WholeFileReader",
    "WholeFileReaderV2", "TextLineReader", "TextLineReaderV2", "FixedLengthRecordReader", "TFRecordReader",
    "TextLineDataset", "TFRecordDataset", "FixedLengthRecordDataset", "SaveSlices", "Save", "DebugIdentity",
    "LoadLibrary", "PrintV2", "InitializeTableFromTextFile", "RpcCall", "TryRpc", "GeneratorDataset",
})  # fmt: skip


def check_keras(
    members: Mapping[str, bytes], path: str, trust: Trust, own: Collection[str] = ()
) -> list[str]:
    """Return the classes that a `.keras` file names, as `module.Class`.

    Raises:
        ArtifactCorrupt: Its configuration cannot be read.
        ArtifactUnsafe: It names something that runs code or reads files, or a class that is not Keras'.
    """
    return _check_config(_json(members["config.json"], path), path, trust, own)


def check_hdf5(data: bytes, path: str, trust: Trust) -> list[str]:
    """Return the classes that the configuration in an HDF5 file names; weights alone name none.

    Raises:
        ArtifactCorrupt: It says that it has a configuration, and none can be read.
        ArtifactUnsafe: See `check_keras`.
    """
    if _ESCAPED.search(data):
        raise ArtifactUnsafe(f"{path} spells plain letters as escapes, which hides a configuration")
    names: list[str] = []
    position = 0
    while (found := data.find(b'"class_name"', position)) >= 0:
        config, position = _text_around(data, found, path)
        names += _check_config(config, path, trust)
    if not names and b"model_config" in data:
        raise ArtifactCorrupt(f"{path} has a model configuration that cannot be read")
    return list(dict.fromkeys(names))


def _text_around(data: bytes, place: int, path: str) -> tuple[Any, int]:
    """Return the JSON document that a place of an HDF5 file lies in, and where it ends.

    A key of a configuration that lies in no readable document could be one that is hidden, so it is refused.
    """
    start = max((match.end() for match in _BREAK.finditer(data, max(0, place - _MAX_TEXT), place)), default=0)
    end = match.start() if (match := _BREAK.search(data, place)) else len(data)
    text = data[start:end].decode("utf-8", "replace")
    offset = len(data[start:place].decode("utf-8", "replace"))
    opening = -1
    for _ in range(_MAX_OPENINGS):
        opening = text.find("{", opening + 1, offset)
        if opening < 0:
            break
        try:
            config, stop = json.JSONDecoder().raw_decode(text, opening)
        except (ValueError, RecursionError):
            continue
        if stop > offset:
            return config, start + len(text[:stop].encode("utf-8", "replace"))
    raise ArtifactCorrupt(f"the configuration in {path} cannot be read")


def check_saved_model(data: bytes, path: str) -> list[str]:
    """Return the operations of a SavedModel's graphs.

    Raises:
        ArtifactCorrupt: The graph cannot be read.
        ArtifactUnsafe: An operation reads or writes files, or runs Python.
    """
    try:
        operations = sorted(set(_operations(data)))
    except ValueError as cause:
        raise ArtifactCorrupt(f"{path} is no whole SavedModel: {cause}") from cause
    for operation in operations:
        if operation in _NEVER_OPERATIONS:
            raise ArtifactUnsafe(
                f"{path} holds the operation {operation}, which reaches outside of the model",
                hint="export the model again without reading or writing files in its functions",
            )
    return operations


def _operations(data: bytes) -> Iterator[str]:
    """Yield the operation of every node: in the graphs, and in the functions of their libraries."""
    for graph in _inside(data, 2, 2):
        yield from _node_operations(graph, 1)
        for function in _inside(graph, 2, 1):
            yield from _node_operations(function, 3)


def _node_operations(message: bytes, number: int) -> Iterator[str]:
    for node in _inside(message, number):
        for field in fields_of(node):
            if field.number == 2 and isinstance(field.value, bytes):
                yield field.value.decode("utf-8", "replace")


def _inside(message: bytes, *numbers: int) -> Iterator[bytes]:
    first, *others = numbers
    for field in fields_of(message):
        if field.number == first and isinstance(field.value, bytes):
            if others:
                yield from _inside(field.value, *others)
            else:
                yield field.value


def _json(data: bytes, path: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as cause:
        raise ArtifactCorrupt(f"the configuration in {path} cannot be read") from cause


def _check_config(config: Any, path: str, trust: Trust, own: Collection[str] = ()) -> list[str]:
    names: list[str] = []
    for part in _parts(config, 0, path):
        for option in _FILE_OPTIONS & part.keys():
            if isinstance(part[option], str) and part[option]:
                raise ArtifactUnsafe(f"a layer in {path} reads its {option} from the file {part[option]!a}")
        name = part.get("class_name")
        if name is not None:
            names.append(_check_class(name, part, path, trust, own))
    return names


def _parts(value: Any, depth: int, path: str) -> Iterator[dict[str, Any]]:
    if depth > _MAX_DEPTH:
        raise ArtifactCorrupt(f"the configuration in {path} is nested too deeply")
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _parts(item, depth + 1, path)


def _check_class(name: Any, part: dict[str, Any], path: str, trust: Trust, own: Collection[str]) -> str:
    module, registered = part.get("module"), part.get("registered_name")
    text = f"{module}.{name}" if module else str(name)
    if text in trust.types or str(module).split(".")[0] in own:
        return text
    is_known = isinstance(name, str) and (module is None or bool(_MODULES.fullmatch(str(module))))
    is_plain = name in _PLAIN or (module == "builtins" and name in {"slice", "tuple", "bool", "str"})
    is_own = isinstance(registered, str) and registered not in {name, None} and module is None
    is_function = name == "function" and not (is_known and str(module).endswith("activations"))
    if name in _NEVER or str(part.get("config")) in _NEVER:
        raise ArtifactUnsafe(
            f"{path} holds {text}, which runs code that lies in the file, or reads another one",
            hint="replace it by a layer of Keras, or by a class of yours that travels with --code",
        )
    if (not is_known and not is_plain) or is_own or is_function:
        raise ArtifactUnsafe(
            f"{path} names {text}, which is no class of Keras",
            hint=f"if it is yours: --code FILE.py --trust {text}",
        )
    return text
