"""Looking into a file without loading it: its format, its members, every name that it would use.

Formats are told by content. What can be taken apart is, two containers deep; what cannot be read is refused,
never passed. Only what no loader runs anything of (texts, tables, the frameworks' own formats) passes unread.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping

from fairway.bundle.safety.containers import decompress, read_archive
from fairway.bundle.safety.formats import ARCHIVES, COMPRESSED, HDF5, format_of
from fairway.bundle.safety.judge import ALLOWED, Verdict, judge
from fairway.bundle.safety.keras import check_hdf5, check_keras, check_saved_model
from fairway.bundle.safety.machine import Trace
from fairway.bundle.safety.numbers import check_npy, check_safetensors
from fairway.bundle.safety.onnx import check_onnx, looks_like_onnx
from fairway.bundle.safety.opcodes import trace_pickles
from fairway.bundle.safety.policy import Trust
from fairway.bundle.safety.skops import judge_skops
from fairway.errors import ArtifactCorrupt, ArtifactLimit, ArtifactTypeMismatch, ArtifactUnsafe

MAX_DEPTH = 2
"""Containers in containers that are looked into."""

SAFE_FORMATS = frozenset(
    {"skops", "onnx", "safetensors", "xgboost", "lightgbm", "catboost", "json", "text", "npy", "npz", "data"}
)
"""What the policy `safe-only` loads."""

# Names that promise a format which runs no code.
_PROMISING = frozenset(
    {"onnx", "safetensors", "ubj", "json", "cbm", "txt", "keras", "h5", "hdf5", "npy", "npz", "skops"}
)
_HDF5_PLACES = tuple(512 * 2**n for n in range(12))  # behind a block that the format leaves to its users
_TORCH_FORBIDDEN = re.compile(rb"torch\.(?:from_file|save|load|ops\.(?!aten|prim|quantized|torchvision))")
_LEGACY_TORCH = bytes.fromhex(
    "6cfc9c46f9206aa85019"
)  # the number that torch wrote first before it wrote zips
_TORCHSCRIPT_ROOT = "__torch__"


@dataclasses.dataclass(frozen=True)
class Seen:
    """What was seen in one file.

    Attributes:
        path: Where it lies.
        format: What it is.
        compression: What it is compressed by, or the empty string.
        members: Names of the files inside.
        names: Verdict on every name that it would use.
    """

    path: str
    format: str
    compression: str = ""
    members: tuple[str, ...] = ()
    names: tuple[Verdict, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Context:
    """What is known while one file is looked into."""

    trust: Trust
    own: frozenset[str]
    beside: Collection[str]
    depth: int = 0

    def deeper(self, beside: Collection[str]) -> _Context:
        return dataclasses.replace(self, depth=self.depth + 1, beside=beside)


def look(
    path: str, data: bytes, *, trust: Trust, own: Collection[str] = (), beside: Collection[str] = ()
) -> Seen:
    """Return what is in a file.

    Args:
        path: Its relative path, for messages, and for what its name promises.
        data: Its bytes.
        trust: What verdicts are made by.
        own: Top-level modules that travel with the model.
        beside: Paths of all files that were brought with it.

    Raises:
        BundleError: It cannot be read, or holds something that is refused whoever trusts it.
    """
    return _look(path, data, _Context(trust, frozenset(own), beside))


def _look(path: str, data: bytes, context: _Context) -> Seen:
    kind = format_of(data)
    if kind in COMPRESSED:
        plain = decompress(data)
        inner = format_of(plain)
        if inner not in {"pickle", "tar"}:
            return _unpacked(path, plain, kind, context)
        seen = _look_pickle(path, plain, context) if inner == "pickle" else _look_archive(path, data, context)
        return dataclasses.replace(seen, compression=kind)
    if kind == "pickle":
        return _look_pickle(path, data, context)
    if kind in ARCHIVES:
        return _look_archive(path, data, context)
    return _look_plain(path, data, kind, context)


def _unpacked(path: str, plain: bytes, kind: str, context: _Context) -> Seen:
    if context.depth >= MAX_DEPTH:
        raise ArtifactCorrupt(f"{path} holds containers in containers, deeper than {MAX_DEPTH}")
    seen = _look(path, plain, context.deeper(context.beside))
    return dataclasses.replace(seen, compression=kind)


def _look_plain(path: str, data: bytes, kind: str, context: _Context) -> Seen:
    names: list[str] = []
    if kind == "onnx" or looks_like_onnx(data):  # whatever the first bytes say: they may be a field
        check_onnx(data, path, context.beside)
    last = path.rpartition("/")[2]
    if last == "saved_model.pb":  # by name, as TensorFlow does: its loader skips fields that it does not know
        check_saved_model(data, path)
        kind = "saved model"
    elif last == "saved_model.pbtxt":
        raise ArtifactCorrupt(f"{path} is a SavedModel as text", hint="export it again as saved_model.pb")
    elif kind == "npy":
        check_npy(data, path)
    elif kind == "safetensors":
        check_safetensors(data, path)
    if kind == "hdf5" or any(data[n : n + len(HDF5)] == HDF5 for n in _HDF5_PLACES):
        names = check_hdf5(data, path, context.trust)
    return Seen(path, "data" if kind in {"unknown", "arrow", "parquet"} else kind, names=_fine(names))


def _fine(names: Collection[str]) -> tuple[Verdict, ...]:
    return tuple(Verdict(name, ALLOWED) for name in dict.fromkeys(names))


def _look_pickle(path: str, data: bytes, context: _Context) -> Seen:
    suffix = path.rpartition(".")[2].lower() if "." in path else ""
    if suffix in _PROMISING and context.depth == 0:
        raise ArtifactTypeMismatch(
            f"{path} is a pickle, though its name promises a format that runs no code",
            hint="if it is meant to be a pickle, name it .joblib or .pkl",
        )
    if data[2:14].find(_LEGACY_TORCH) >= 0:
        raise ArtifactCorrupt(
            f"{path} was written by torch 1.5 or older, in a form whose end cannot be told",
            hint="load it in its old environment and save it again: torch.save(model.state_dict(), path)",
        )
    trace = _trace(data, path)
    if trace.streams > 1:
        _check_streams(trace, context, path)
        raise ArtifactUnsafe(f"{path} holds {trace.streams} pickles one after the other; a model is one")
    if trace.persistent:
        raise ArtifactUnsafe(f"{path} fetches parts of itself from elsewhere, which only torch's archives do")
    names = judge(trace, context.trust, context.own)
    return Seen(path, "joblib" if trace.arrays else "pickle", names=tuple(names))


def _trace(data: bytes, path: str) -> Trace:
    try:
        return trace_pickles(data)
    except (ArtifactCorrupt, ArtifactLimit, ArtifactUnsafe) as error:
        raise type(error)(f"{path}: {error.detail}", hint=error.hint) from error


def _check_streams(trace: Trace, context: _Context, path: str) -> None:
    """Let a hostile name in a later stream be what the refusal tells of."""
    from fairway.bundle.safety.judge import refuse

    refuse(judge(trace, context.trust, context.own), path)


def _look_archive(path: str, data: bytes, context: _Context) -> Seen:
    if context.depth >= MAX_DEPTH:
        raise ArtifactCorrupt(f"{path} holds containers in containers, deeper than {MAX_DEPTH}")
    members = read_archive(data)
    kind = _kind_of_archive(members)
    deeper = context.deeper([f"{path}/{name}" for name in members])
    names: list[Verdict] = []
    # Whatever the archive is taken for: another loader could take it for something else.
    if "schema.json" in members:
        names += judge_skops(members, path, context.trust, context.own)
    if "config.json" in members:
        names += _fine(check_keras(members, path, context.trust, context.own))
    for name, content in members.items():
        if not content:
            continue
        if kind in {"torch", "torchscript"}:
            names += _look_torch(f"{path}/{name}", content, kind, deeper)
        else:
            names += _look(f"{path}/{name}", content, deeper).names
    unique = {verdict.name: verdict for verdict in sorted(names, key=lambda verdict: not verdict.passes)}
    return Seen(path, kind, members=tuple(members), names=tuple(unique.values()))


def _kind_of_archive(members: Mapping[str, bytes]) -> str:
    lasts = {name.partition("/")[2] for name in members} | set(members)
    if "schema.json" in members:
        return "skops"
    if "config.json" in members and "metadata.json" in members:
        return "keras"
    if "data.pkl" in lasts:
        return (
            "torchscript"
            if "constants.pkl" in lasts or any(n.startswith("code/") for n in lasts)
            else "torch"
        )
    if any(name.startswith("archive_format") or "/archive_format" in name for name in members):
        return "torch export"
    if "manifest.json" in members:
        return "bundle"
    if members and all(name.endswith(".npy") for name in members):
        return "npz"
    return "archive"


def _look_torch(path: str, data: bytes, kind: str, context: _Context) -> list[Verdict]:
    """Look into a member of torch's archive: pickles, numbers below `data/`, TorchScript below `code/`."""
    if path.endswith(".pkl"):
        own = context.own | ({_TORCHSCRIPT_ROOT} if kind == "torchscript" else frozenset())
        return judge(_trace(data, path), context.trust, own)
    if "/code/" in path and (found := _TORCH_FORBIDDEN.search(data)):
        raise ArtifactUnsafe(f"{path} calls {found[0].decode()}, which reaches outside of the model")
    return []
