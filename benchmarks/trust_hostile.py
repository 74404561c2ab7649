"""Model files as an attacker makes them: every one has to be refused, and nothing of it may have run.

Each payload would leave a marker file. The files are built by hand where the library that usually writes them
is no part of a test, so that the same bytes come out everywhere.
"""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

UNSAFE, UNTRUSTED, CORRUPT = "artifact_unsafe", "artifact_untrusted_type", "artifact_corrupt"
LIMIT, MISMATCH, PATH = "artifact_limit", "artifact_type_mismatch", "artifact_path"


@dataclasses.dataclass(frozen=True)
class Hostile:
    """One hostile file.

    Attributes:
        name: What it tries.
        code: Code of the error that refuses it.
        make: Returns the files by relative path, given the path of the marker that the payload would leave.
    """

    name: str
    code: str
    make: Callable[[Path], Mapping[str, bytes]]


# ---- pickles by hand ----


def text(value: str) -> bytes:
    """Push a text."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(module: str, attribute: str) -> bytes:
    """Push what a name stands for, by the old opcode."""
    return f"c{module}\n{attribute}\n".encode()


def call(module: str, attribute: str, *arguments: bytes) -> bytes:
    """Push the result of a call."""
    return name(module, attribute) + b"(" + b"".join(arguments) + b"tR"


def whole(body: bytes, protocol: int = 4) -> bytes:
    """Return a pickle of one value."""
    return b"\x80" + bytes([protocol]) + body + b"."


def shell(marker: Path) -> bytes:
    """Push the argument of a shell command that leaves the marker."""
    return text(f"touch '{marker}'")


def source(marker: Path) -> bytes:
    """Push Python source that leaves the marker."""
    return text(f"open({str(marker)!r}, 'w').close()")


class _System:
    """Calls os.system when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        import os

        return os.system, (self.command,)


def payload(marker: Path) -> Any:
    """Return an object whose pickle leaves the marker."""
    return _System(f"touch '{marker}'")


def _pickled(body: Callable[[Path], bytes], file: str = "model.pkl") -> Callable[[Path], Mapping[str, bytes]]:
    return lambda marker: {file: whole(body(marker))}


def _called(
    module: str, attribute: str, argument: Callable[[Path], bytes] = shell
) -> Callable[[Path], Mapping[str, bytes]]:
    return _pickled(lambda marker: call(module, attribute, argument(marker)))


def _joblib(value: Any, **options: Any) -> bytes:
    import joblib

    buffer = io.BytesIO()
    joblib.dump(value, buffer, **options)
    return buffer.getvalue()


def _estimator(marker: Path) -> Any:
    """Return a true model that holds the payload, behind arrays."""
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    model.later_ = [np.arange(20.0), payload(marker)]
    return model


def _protocol(number: int) -> Callable[[Path], Mapping[str, bytes]]:
    return lambda marker: {"model.pkl": pickle.dumps(payload(marker), protocol=number)}


def _compressed(method: str) -> Callable[[Path], Mapping[str, bytes]]:
    return lambda marker: {"model.joblib": _joblib(_estimator(marker), compress=(method, 3))}


# ---- names that hide ----


def _memo_name(marker: Path) -> bytes:
    """Fetch module and name from the memo, put there in another order among harmless texts."""
    return (
        text("system") + b"\x940" + text("sklearn") + b"\x940" + text("os") + b"\x940"
        + b"h\x02h\x00\x93" + b"(" + shell(marker) + b"tR"
    )  # fmt: skip


def _overwritten_memo(marker: Path) -> bytes:
    """Show the scanner a harmless name under a number that is given anew before it is used."""
    return (
        text("collections") + b"q\x050" + text("OrderedDict") + b"q\x060" + text("os") + b"q\x050" + text("system")
        + b"q\x060" + b"h\x05h\x06\x93" + b"(" + shell(marker) + b"tR"
    )  # fmt: skip


def _computed_name(marker: Path) -> bytes:
    """Build the name by a call, so that it stands nowhere in the file."""
    made = call("builtins", "str", text("system"))
    return text("os") + made + b"\x93(" + shell(marker) + b"tR"


def _popped(marker: Path) -> bytes:
    """Let go of the result, and hand over a harmless value."""
    return call("os", "system", shell(marker)) + b"0" + b"]"


def _inst(marker: Path) -> bytes:
    return b"(" + shell(marker) + b"ios\nsystem\n"


def _obj(marker: Path) -> bytes:
    return b"(" + name("os", "system") + shell(marker) + b"o"


def _getattr_chain(marker: Path) -> bytes:
    inner = call("builtins", "getattr", name("builtins", "dict"), text("get"))
    return inner + b"(" + shell(marker) + b"tR"


def _getattr_import(marker: Path) -> bytes:
    module = call("builtins", "__import__", text("os"))
    return name("builtins", "getattr") + b"(" + module + text("system") + b"tR(" + shell(marker) + b"tR"


def _attrgetter(marker: Path) -> bytes:
    getter = call("operator", "attrgetter", text("system"))
    return getter + b"(" + name("os", "path") + b"tR"


def _called_partial(marker: Path) -> bytes:
    partial = call("functools", "partial", name("collections", "OrderedDict"))
    return partial + b")R"


def _changed_class(marker: Path) -> bytes:
    return (
        name("sklearn.linear_model._base", "LinearRegression")
        + b"N}"
        + text("predict")
        + name("collections", "OrderedDict")
        + b"s\x86b"
    )


def _persistent(marker: Path) -> bytes:
    return text("storage") + b"Q"


def _distribution(marker: Path) -> bytes:
    """Give a distribution of scipy.stats a state whose text it runs."""
    state = text("_parse_arg_template") + source(marker)
    return name("scipy.stats._continuous_distns", "norm_gen") + b")\x81}(" + state + b"ub"


def _booster_with_path(marker: Path) -> bytes:
    """Call a class of the list with arguments that a model never has."""
    return name("lightgbm.basic", "Booster") + b"(N" + text("/etc/passwd") + b"tR"


def _estimator_called(marker: Path) -> bytes:
    return name("xgboost.core", "Booster") + b"(NN" + text("/etc/passwd") + b"t\x81"


def _encoded(marker: Path) -> bytes:
    return call("_codecs", "encode", text("payload"), text("bz2"))


def _second_file(module: str, attribute: str) -> Callable[[Path], Mapping[str, bytes]]:
    def make(marker: Path) -> Mapping[str, bytes]:
        second = marker.with_name("second.pkl")
        second.write_bytes(pickle.dumps(payload(marker)))
        return {"model.pkl": whole(call(module, attribute, text(str(second))))}

    return make


# ---- what follows, what is inside ----


def _trailing(marker: Path) -> Mapping[str, bytes]:
    return {"model.pkl": pickle.dumps({"a": 1}) + pickle.dumps(payload(marker))}


def _trailing_joblib(marker: Path) -> Mapping[str, bytes]:
    return {"model.joblib": _joblib({"a": np.arange(9.0)}) + pickle.dumps(payload(marker))}


def _trailing_bytes(marker: Path) -> Mapping[str, bytes]:
    return {"model.pkl": pickle.dumps({"a": 1}) + b"\x00\x01 nobody knows what this is"}


def _trailing_compressed(marker: Path) -> Mapping[str, bytes]:
    return {"model.joblib": zlib.compress(pickle.dumps(1)) + zlib.compress(pickle.dumps(payload(marker)))}


def _twice_compressed(marker: Path) -> Mapping[str, bytes]:
    return {"model.joblib": gzip.compress(zlib.compress(pickle.dumps(payload(marker))))}


def _object_array(marker: Path) -> Mapping[str, bytes]:
    return {"model.joblib": _joblib({"a": np.array([1, payload(marker)], dtype=object)})}


def _nested_object_array(marker: Path) -> Mapping[str, bytes]:
    inner = np.array([np.array([payload(marker), None], dtype=object), None], dtype=object)
    return {"model.joblib": _joblib([np.arange(5.0), inner], compress=("gzip", 3))}


def _after_object_array(marker: Path) -> Mapping[str, bytes]:
    return {"model.joblib": _joblib([np.array(["x", None], dtype=object), np.arange(3), payload(marker)])}


def _lying_array(marker: Path) -> Mapping[str, bytes]:
    """Hide a call in what a header calls numbers: it says eight bytes each, its type has one."""
    honest = _joblib(np.zeros(256, dtype=np.int8))
    return {"model.joblib": honest.replace(b"i1", b"i8", 1)}


def _old_joblib(marker: Path) -> Mapping[str, bytes]:
    wrapper = (
        name("joblib.numpy_pickle", "NDArrayWrapper") + b")\x81}(" + text("filename") + text("x.npy") + b"ub"
    )
    return {"model.joblib": whole(wrapper)}


# ---- bombs ----


def _tuple_bomb(marker: Path) -> bytes:
    """Nest forty tuples of two equal elements: to hash the outermost takes forever."""
    body = b"}K\x01K\x01\x86\x94"
    for _ in range(40):
        body += b"0h" + b"\x00" + b"h\x00\x86q\x00" if _ else b"q\x00" + b"0h\x00h\x00\x86q\x00"
    return body + b"K\x01s"


def _memo_bomb(marker: Path) -> bytes:
    return b"K\x01r" + struct.pack("<I", 2**31 - 1)


def _dup_bomb(marker: Path) -> bytes:
    return b"K\x01" + b"2\x86" * 60


def _long_bomb(marker: Path) -> bytes:
    return b"\x8e" + struct.pack("<Q", 2**40) + b"x"


def _bomb(pack: Callable[[bytes], bytes]) -> Callable[[Path], Mapping[str, bytes]]:
    return lambda marker: {"model.joblib": pack(bytes(300 * 2**20))}


def _members(count: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for n in range(count):
            archive.writestr(zipfile.ZipInfo(f"{n}"), b"")
    return buffer.getvalue()


# ---- archives ----


def zipped(members: Mapping[str, bytes], *, links: Mapping[str, str] | None = None) -> bytes:
    """Return a zip; *links* are members that are symbolic links."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        for member, target in (links or {}).items():
            info = zipfile.ZipInfo(member)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
    return buffer.getvalue()


def tarred(*members: tuple[str, bytes, str], mode: str = "w") -> bytes:
    """Return a tar of (name, kind, target or content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for member, kind, target in members:
            info = tarfile.TarInfo(member)
            info.type = kind
            content = target.encode() if kind == tarfile.REGTYPE else b""
            info.size = len(content)
            info.linkname = "" if content else target
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _torch(marker: Path) -> Mapping[str, bytes]:
    members = {
        "m/data.pkl": pickle.dumps(payload(marker), protocol=2),
        "m/version": b"3",
        "m/data/0": bytes(16),
    }
    return {"model.pt": zipped(members)}


def _torch_module(marker: Path) -> Mapping[str, bytes]:
    members = {
        "m/data.pkl": whole(name("jinja2.environment", "Environment") + b")\x81", 2),
        "m/version": b"3",
    }
    return {"model.pt": zipped(members)}


def _torchscript(marker: Path) -> Mapping[str, bytes]:
    code = b'def forward(self, x):\n  return torch.from_file("/etc/passwd", None, 9)\n'
    empty = pickle.dumps((), protocol=2)
    members = {"m/data.pkl": empty, "m/constants.pkl": empty, "m/code/__torch__.py": code}
    return {"model.pt": zipped(members)}


def _keras(layer: Mapping[str, Any]) -> Callable[[Path], Mapping[str, bytes]]:
    def make(marker: Path) -> Mapping[str, bytes]:
        config = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}
        return {"model.keras": zipped({"config.json": json.dumps(config).encode(), "metadata.json": b"{}"})}

    return make


_LAMBDA = {
    "module": "keras.layers", "class_name": "Lambda",
    "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
}  # fmt: skip


def _hdf5_lambda(marker: Path) -> Mapping[str, bytes]:
    config = {"class_name": "Sequential", "config": {"layers": [_LAMBDA]}}
    filler = bytes(512)
    content = (
        b"\x89HDF\r\n\x1a\n" + filler + b"model_config\x00" + json.dumps(config).encode() + b"\x00" + filler
    )
    return {"model.h5": content}


def _hdf5(*texts: str) -> Callable[[Path], Mapping[str, bytes]]:
    """Return the maker of a file with a harmless configuration, and what else is given."""
    harmless = json.dumps({"class_name": "Sequential", "config": {"layers": []}})
    parts = ["model_config", harmless, *texts]

    def make(marker: Path) -> Mapping[str, bytes]:
        return {"model.h5": b"\x89HDF\r\n\x1a\n" + b"\x00".join(part.encode() for part in parts) + bytes(64)}

    return make


def _torch_with_keras(marker: Path) -> Mapping[str, bytes]:
    config = {"module": "keras", "class_name": "Sequential", "config": {"layers": [_LAMBDA]}}
    members = {"m/data.pkl": pickle.dumps(()), "config.json": json.dumps(config).encode()}
    return {"model.keras": zipped(members)}


def _saved_model_as_onnx(marker: Path) -> Mapping[str, bytes]:
    plain = _saved_model("WriteFile")(marker)
    return {**plain, "saved_model.pb": plain["saved_model.pb"] + _field(7, _field(2, b"g"))}


def _saved_model(operation: str) -> Callable[[Path], Mapping[str, bytes]]:
    def make(marker: Path) -> Mapping[str, bytes]:
        node = _field(1, b"n") + _field(2, operation.encode())
        graph = _field(1, node)
        return {
            "saved_model.pb": b"\x08\x01" + _field(2, _field(2, graph)),
            "variables/variables.index": b"x",
        }

    return make


def _field(number: int, content: bytes) -> bytes:
    size, length = b"", len(content)
    while length > 0x7F:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + content


def _onnx(location: str) -> Callable[[Path], Mapping[str, bytes]]:
    def make(marker: Path) -> Mapping[str, bytes]:
        entry = _field(1, b"location") + _field(2, location.encode())
        tensor = b"\x08\x04\x10\x01" + _field(8, b"w") + _field(13, entry) + b"\x70\x01"
        return {"model.onnx": b"\x08\x08" + _field(7, _field(2, b"g") + _field(5, tensor))}

    return make


def _onnx_with_more(before: bytes) -> Callable[[Path], Mapping[str, bytes]]:
    """Return the maker of a model with something before it that readers skip."""
    return lambda marker: {"model.onnx": before + _onnx("../../etc/passwd")(marker)["model.onnx"]}


def _onnx_attribute(marker: Path) -> Mapping[str, bytes]:
    """Hide the tensor in the branch of a condition."""
    entry = _field(1, b"location") + _field(2, b"../../etc/passwd")
    tensor = _field(13, entry)
    branch = _field(6, _field(15, _field(1, tensor)))
    node = _field(4, b"If") + _field(5, branch)
    return {"model.onnx": b"\x08\x08" + _field(7, _field(1, node))}


def _object_npy(marker: Path) -> Mapping[str, bytes]:
    buffer = io.BytesIO()
    np.save(buffer, np.array([payload(marker)], dtype=object), allow_pickle=True)
    return {"vectors.npy": buffer.getvalue()}


def _object_npz(marker: Path) -> Mapping[str, bytes]:
    return {"vectors.npz": zipped({"a.npy": _object_npy(marker)["vectors.npy"]})}


def _skops(schema: Mapping[str, Any]) -> Callable[[Path], Mapping[str, bytes]]:
    return lambda marker: {"model.skops": zipped({"schema.json": json.dumps(schema).encode()})}


def _named(file: str) -> Callable[[Path], Mapping[str, bytes]]:
    return lambda marker: {file: pickle.dumps(payload(marker))}


CASES: tuple[Hostile, ...] = (
    *(Hostile(f"os.system, protocol {n}", UNSAFE, _protocol(n)) for n in range(6)),
    Hostile("eval", UNSAFE, _called("builtins", "eval", source)),
    Hostile("exec, as Python 2 called its module", UNSAFE, _called("__builtin__", "exec", source)),
    Hostile("compile", UNSAFE, _called("builtins", "compile", source)),
    Hostile("open", UNSAFE, _called("builtins", "open", lambda marker: text(str(marker)) + text("w"))),
    Hostile("subprocess.Popen", UNSAFE, _called("subprocess", "Popen")),
    Hostile("posix.system", UNSAFE, _called("posix", "system")),
    Hostile("pty.spawn", UNSAFE, _called("pty", "spawn")),
    Hostile("shutil.rmtree", UNSAFE, _called("shutil", "rmtree", lambda m: text(str(m.parent)))),
    Hostile("socket.create_connection", UNSAFE, _called("socket", "create_connection")),
    Hostile("urllib.request.urlopen", UNSAFE, _called("urllib.request", "urlopen", lambda _: text("http://127.0.0.1:9"))),
    Hostile("importlib.import_module", UNSAFE, _called("importlib", "import_module", lambda _: text("antigravity"))),
    Hostile("linecache.getline", UNSAFE, _called("linecache", "getline", lambda _: text("/etc/passwd"))),
    Hostile("runpy.run_path", UNSAFE, _called("runpy", "run_path")),
    Hostile("pydoc.pipepager", UNSAFE, _called("pydoc", "pipepager")),
    Hostile("timeit.timeit", UNSAFE, _called("timeit", "timeit", source)),
    Hostile("getattr of a builtin", UNSAFE, _pickled(_getattr_chain)),
    Hostile("getattr of an imported module", UNSAFE, _pickled(_getattr_import)),
    Hostile("operator.attrgetter", UNSAFE, _pickled(_attrgetter)),
    Hostile("numpy.f2py.crackfortran.param_eval", UNSAFE, _called("numpy.f2py.crackfortran", "param_eval", source)),
    Hostile("numpy.testing runstring", UNSAFE, _called("numpy.testing._private.utils", "runstring", source)),
    Hostile("numpy.load", UNSAFE, _called("numpy", "load", lambda m: text(str(m)))),
    Hostile("numpy.fromfile", UNSAFE, _called("numpy", "fromfile", lambda _: text("/etc/passwd"))),
    Hostile("numpy ufunc by any module and name", UNSAFE,
            _pickled(lambda m: call("numpy.core", "_ufunc_reconstruct", text("os"), text("system")))),
    Hostile("a function of scikit-learn that fetches", UNSAFE, _called("sklearn.datasets._base", "_fetch_remote")),
    Hostile("joblib.load of a second file", UNSAFE, _second_file("joblib", "load")),
    Hostile("joblib.numpy_pickle.load of a second file", UNSAFE, _second_file("joblib.numpy_pickle", "load")),
    Hostile("pandas.read_pickle of a second file", UNSAFE, _second_file("pandas.io.pickle", "read_pickle")),
    Hostile("pickle.load through a name of the list's library", UNSAFE, _second_file("sklearn.externals.joblib", "load")),
    Hostile("joblib.Memory", UNSAFE, _called("joblib.memory", "Memory", lambda m: text(str(m)))),
    Hostile("joblib.Parallel", UNTRUSTED, _called("joblib.parallel", "Parallel", lambda _: text("2"))),
    Hostile("torch.hub.load", UNSAFE, _called("torch.hub", "load", lambda _: text("somebody/somewhere"))),
    Hostile("a state that scipy.stats runs", UNSAFE, _pickled(_distribution)),
    Hostile("a booster that reads a file", UNSAFE, _pickled(_booster_with_path)),
    Hostile("a booster made with arguments", UNSAFE, _pickled(_estimator_called)),
    Hostile("another codec", UNSAFE, _pickled(_encoded)),
    Hostile("a dotted name", UNSAFE, _pickled(lambda m: text("os") + text("path.os.system") + b"\x93(" + shell(m) + b"tR")),
    Hostile("a dotted name in a known class", UNSAFE, _pickled(lambda m: text("sklearn.svm._classes") + text("SVC.fit") + b"\x93")),
    Hostile("a name from the memo", UNSAFE, _pickled(_memo_name)),
    Hostile("a name from a memo written twice", UNSAFE, _pickled(_overwritten_memo)),
    Hostile("a name that a call makes", UNSAFE, _pickled(_computed_name)),
    Hostile("INST", UNSAFE, _pickled(_inst)),
    Hostile("OBJ", UNSAFE, _pickled(_obj)),
    Hostile("a result that is thrown away", UNSAFE, _pickled(_popped)),
    Hostile("a call of what was made", UNSAFE, _pickled(_called_partial)),
    Hostile("a change of a class", UNSAFE, _pickled(_changed_class)),
    Hostile("an extension code", UNSAFE, _pickled(lambda _: b"\x82\x01")),
    Hostile("a persistent id", UNSAFE, _pickled(_persistent)),
    Hostile("an out-of-band buffer", UNSAFE, _pickled(lambda _: b"\x97")),
    Hostile("an unknown class", UNTRUSTED, _pickled(lambda _: name("email.message", "Message") + b")\x81")),
    Hostile("a second pickle", UNSAFE, _trailing),
    Hostile("a second pickle after joblib's", UNSAFE, _trailing_joblib),
    Hostile("unknown bytes at the end", CORRUPT, _trailing_bytes),
    Hostile("a second compressed stream", CORRUPT, _trailing_compressed),
    Hostile("compressed twice", CORRUPT, _twice_compressed),
    *(Hostile(f"joblib by {method}", UNSAFE, _compressed(method)) for method in ("zlib", "gzip", "bz2", "lzma", "xz")),
    Hostile("an array of objects", UNSAFE, _object_array),
    Hostile("arrays of objects in each other", UNSAFE, _nested_object_array),
    Hostile("behind an array of objects", UNSAFE, _after_object_array),
    Hostile("an array with a lying header", CORRUPT, _lying_array),
    Hostile("joblib 0.9", CORRUPT, _old_joblib),
    Hostile("a truncated pickle", CORRUPT, lambda m: {"model.pkl": pickle.dumps(payload(m))[:-3]}),
    Hostile("a pickle named .onnx", MISMATCH, _named("model.onnx")),
    Hostile("a pickle named .json", MISMATCH, _named("model.json")),
    Hostile("a pickle named .txt", MISMATCH, _named("model.txt")),
    Hostile("a pickle without a known ending", UNSAFE, _named("model.bin")),
    Hostile("tuples that are hashed for ever", LIMIT, _pickled(_tuple_bomb)),
    Hostile("a memo of two thousand million places", LIMIT, _pickled(_memo_bomb)),
    Hostile("doubling", UNSAFE, _pickled(_dup_bomb)),
    Hostile("a length of a terabyte", CORRUPT, _pickled(_long_bomb)),
    Hostile("a zlib bomb", "archive_limit", _bomb(lambda data: zlib.compress(data, 9))),
    Hostile("a bzip2 bomb", "archive_limit", _bomb(bz2.compress)),
    Hostile("an xz bomb", "archive_limit", _bomb(lambda data: lzma.compress(data, preset=0))),
    Hostile("a zip bomb", "archive_limit", lambda _: {"model.zip": zipped({"a": bytes(300 * 2**20)})}),
    Hostile("a zip of 10,001 members", "archive_limit", lambda _: {"model.zip": _members(10_001)}),
    Hostile("zip, a member above", "archive_path", lambda _: {"model.zip": zipped({"../../x": b"1"})}),
    Hostile("zip, an absolute member", "archive_path", lambda _: {"model.zip": zipped({"/tmp/x": b"1"})}),  # noqa: S108
    Hostile("zip, a backslash", "archive_path", lambda _: {"model.zip": zipped({"..\\x": b"1"})}),
    Hostile("zip, a name twice", "archive_path", lambda _: {"model.zip": zipped({"a": b"1", "A": b"2"})}),
    Hostile("zip, a link", "archive_link", lambda _: {"model.zip": zipped({}, links={"a": "/etc/passwd"})}),
    Hostile("zip, a pickle inside", UNSAFE, lambda m: {"model.zip": zipped({"a.bin": pickle.dumps(payload(m))})}),
    Hostile("zip in zip in zip", CORRUPT, lambda m: {"m.zip": zipped({"a": zipped({"b": zipped({"c": b"x"})})})}),
    Hostile("tar, a link and a file through it", "archive_link",
            lambda _: {"m.tar": tarred(("a", tarfile.SYMTYPE, "/tmp"), ("a/x", tarfile.REGTYPE, "1"))}),  # noqa: S108
    Hostile("tar, a hard link", "archive_link", lambda _: {"m.tar": tarred(("a", tarfile.LNKTYPE, "/etc/passwd"))}),
    Hostile("tar, a device", "archive_link", lambda _: {"m.tar": tarred(("a", tarfile.CHRTYPE, ""))}),
    Hostile("tar, a member above", "archive_path", lambda _: {"m.tar": tarred(("../x", tarfile.REGTYPE, "1"))}),
    Hostile("tar.gz, an absolute member", "archive_path",
            lambda _: {"m.tgz": tarred(("/x", tarfile.REGTYPE, "1"), mode="w:gz")}),
    Hostile("torch, os.system inside", UNSAFE, _torch),
    Hostile("torch, a module's own class", UNTRUSTED, _torch_module),
    Hostile("TorchScript that reads a file", UNSAFE, _torchscript),
    Hostile("Keras, a Lambda layer", UNSAFE, _keras(_LAMBDA)),
    Hostile("Keras, a function of another module", UNSAFE,
            _keras({"module": "os", "class_name": "function", "config": "system"})),
    Hostile("Keras, get_file as a class", UNSAFE,
            _keras({"module": "keras.utils", "class_name": "function", "config": "get_file"})),
    Hostile("Keras, a module that unpickles", UNSAFE,
            _keras({"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {}})),
    Hostile("Keras, a vocabulary from a file", UNSAFE,
            _keras({"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}})),
    Hostile("HDF5, a Lambda layer", UNSAFE, _hdf5_lambda),
    Hostile("HDF5, a Lambda behind a harmless configuration", UNSAFE,
            _hdf5(json.dumps({"config": {"a": _LAMBDA}, "class_name": "Sequential"}))),
    Hostile("HDF5, a hidden configuration", CORRUPT, _hdf5('{"config": {"class_name": "Lambda", ')),
    Hostile("HDF5, a key in escapes", UNSAFE, _hdf5('{"class\\u005fname": "Lambda"}')),
    Hostile("Keras, taken for torch", UNSAFE, _torch_with_keras),
    Hostile("SavedModel, taken for ONNX", UNSAFE, _saved_model_as_onnx),
    Hostile("SavedModel as text", CORRUPT, lambda _: {"saved_model.pbtxt": b"meta_graphs {}", "x": b"1"}),
    Hostile("skops, a method", UNSAFE,
            _skops({"__class__": "method", "__module__": "builtins", "__loader__": "MethodNode",
                    "content": {"func": "to_pickle", "obj": {"__class__": "DataFrame", "__module__": "pandas"}}})),
    Hostile("SavedModel that reads a file", UNSAFE, _saved_model("ReadFile")),
    Hostile("SavedModel that runs Python", UNSAFE, _saved_model("PyFunc")),
    Hostile("ONNX, a tensor from above", PATH, _onnx("../../etc/passwd")),
    Hostile("ONNX, a tensor from the root", PATH, _onnx("/etc/passwd")),
    Hostile("ONNX, a tensor by a backslash", PATH, _onnx("..\\passwd")),
    Hostile("ONNX, behind an unknown field", PATH, _onnx_with_more(b"\x98\x06\x01")),
    Hostile("ONNX, behind an unknown group", PATH, _onnx_with_more(b"\x9b\x06\x9c\x06")),
    Hostile("ONNX, behind the first bytes of CatBoost", PATH, _onnx_with_more(b"CBM1" + bytes([8] * 76) + b"D")),
    Hostile("HDF5, behind a block of its users", UNSAFE, lambda m: {"m.h5": bytes(512) + _hdf5_lambda(m)["model.h5"]}),
    Hostile("ONNX, a tensor that is not there", PATH, _onnx("weights.bin")),
    Hostile("ONNX, a sparse tensor in a branch", PATH, _onnx_attribute),
    Hostile("NumPy, an array of objects", UNSAFE, _object_npy),
    Hostile("NumPy, an archive with objects", UNSAFE, _object_npz),
    Hostile("skops, an unknown type", UNTRUSTED,
            _skops({"__class__": "Environment", "__module__": "jinja2.environment", "__loader__": "ObjectNode", "content": None})),
    Hostile("skops, os.system", UNSAFE,
            _skops({"__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": None})),
    Hostile("skops, a partial of eval", UNSAFE,
            _skops({"__class__": "partial", "__module__": "functools", "__loader__": "PartialNode",
                    "content": {"func": {"__class__": "eval", "__module__": "builtins", "__loader__": "FunctionNode"}}})),
    Hostile("safetensors, a tensor beyond the end", CORRUPT, lambda _: {
        "m.safetensors": (b"\x3f" + bytes(7)
                          + b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,99999999999]}}'[:63].ljust(63))}),
)  # fmt: skip
"""Every hostile file, with the code that it has to be refused by."""
