"""Loading a pickle: what the list allows is what joblib would have made; everything else stays out."""

from __future__ import annotations

import collections
import contextlib
import io
import pickle
import struct
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pytest

from fairway.bundle.code import CodeSpace
from fairway.bundle.safety import Trust, check_files, load_pickle
from fairway.bundle.safety.allowed import allowed_names
from fairway.bundle.safety.formats import format_of
from fairway.bundle.safety.opcodes import trace_pickles
from fairway.bundle.safety.pickles import _ArrayUnpickler, _Names
from fairway.errors import (
    ArchiveLimit,
    ArtifactCorrupt,
    ArtifactEmpty,
    ArtifactImport,
    ArtifactLimit,
    ArtifactUnsafe,
    ArtifactUntrustedType,
    UsageError,
)


@contextlib.contextmanager
def no_modules() -> Iterator[set[str]]:
    """Stand for a model without code of its own."""
    yield set()


def load(data: bytes, trust: Trust | None = None) -> Any:
    return load_pickle(data, trust or Trust.default(), modules=no_modules)


def saved(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(value, buffer, **options)
    return buffer.getvalue()


ARRAYS = {
    "numbers": np.arange(12.0).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "texts": np.array(["a", "bcd"]),
    "bytes": np.array([b"x", b"yz"]),
    "booleans": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "scalar": np.array(7.5),
    "dates": np.array(["2020-01-01"], dtype="M8[D]"),
    "records": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "nested": np.array([((1, 2), 3.0)], dtype=[("a", [("x", "i2"), ("y", "i2")]), ("b", "f4", (1,))]),
    "big end": np.arange(3, dtype=">i4"),
    "objects": np.array(["a", None, 3], dtype=object),
    "objects in records": np.array([(1, "x")], dtype=[("a", "i4"), ("b", "O")]),
}


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)], ids=str)
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_read_as_joblib_reads_it(name: str, compress: Any) -> None:
    """Values, shape, type and layout; between other arrays, so that every place is right."""
    data = saved([ARRAYS[name], "between", ARRAYS[name], np.arange(3)], compress=compress)

    expected, got = joblib.load(io.BytesIO(data)), load(data)

    for want, have in zip((expected[0], expected[2], expected[3]), (got[0], got[2], got[3]), strict=True):
        assert want.dtype == have.dtype
        assert want.shape == have.shape
        assert want.flags.c_contiguous == have.flags.c_contiguous
        assert want.tolist() == have.tolist()
        assert have.flags.writeable


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_comes_back_by_every_protocol(protocol: int) -> None:
    """Bytes of the low protocols need an encoder, sets and tuples their classes."""
    value = {
        "b": b"\x00\xff",
        "s": {1, 2},
        "t": (1, (2.5, None)),
        "o": collections.OrderedDict(a=1),
        "x": [True],
    }

    assert load(pickle.dumps(value, protocol=protocol)) == value


def test_the_list_is_held_by_the_unpickler_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the look before had seen nothing, `find_class` refuses."""
    names = _Names(Trust.default(), frozenset())
    for module, name in (("os", "system"), ("sklearn.svm._classes", "SVC.fit"), ("email.message", "Message")):
        with pytest.raises(ArtifactUnsafe):
            names.find(module, name)
    assert names.find("numpy.core.multiarray", "scalar") is np._core.multiarray.scalar


def test_a_name_on_the_list_must_be_what_the_list_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that turns out to be a function is refused: libraries change."""
    import sklearn.svm._classes

    monkeypatch.setattr(sklearn.svm._classes, "SVC", print)
    with pytest.raises(ArtifactUnsafe, match="no class or function of a model"):
        _Names(Trust.default(), frozenset()).find("sklearn.svm._classes", "SVC")


def test_an_array_read_from_another_place_than_was_seen_is_refused() -> None:
    """The loader works the place out anew, and believes only what both say."""
    data = saved(np.arange(4.0))
    trace = trace_pickles(data)
    (start, place), *_ = trace.arrays.items()
    for wrong in (place._replace(end=place.end - 8), place._replace(nested=True)):
        names = _Names(Trust.default(), frozenset())
        with pytest.raises(ArtifactCorrupt, match="two ways"):
            _ArrayUnpickler(data, trace._replace(arrays={start: wrong}), names).load()


OWN = b"import os\nfrom os import system\nclass Clean:\n    word = 'x'\ndef short(x):\n    return x[:2]\n"


@pytest.mark.parametrize("name", ["Clean", "short"])
def test_what_travels_with_the_model_may_be_used(name: str) -> None:
    """Its author packs it: the code is as trusted as the person who gives it."""
    space = CodeSpace({"own_code.py": OWN}, label="test")
    data = b"cown_code\n" + name.encode() + b"\n."

    found = load_pickle(data, Trust.default(), modules=space.active)

    assert found.__name__ == name


@pytest.mark.parametrize("name", ["system", "os"])
def test_what_own_code_only_imports_is_not_its_own(name: str) -> None:
    """A module of the user's is no door to what it imports."""
    space = CodeSpace({"own_code.py": OWN}, label="test")

    with pytest.raises(ArtifactUnsafe):
        load_pickle(b"cown_code\n" + name.encode() + b"\n.", Trust.default(), modules=space.active)


def test_a_type_is_trusted_by_its_name_and_no_other() -> None:
    """The refusal says the words to type."""
    data = b"cemail.message\nMessage\n)\x81."
    with pytest.raises(ArtifactUntrustedType) as caught:
        load(data)
    assert "--trust email.message.Message" in caught.value.hint

    assert type(load(data, Trust.naming(["email.message.Message"]))).__name__ == "Message"
    with pytest.raises(ArtifactUntrustedType):
        load(data, Trust.naming(["email.message.EmailMessage"]))


@pytest.mark.parametrize(
    "name", ["os.system", "builtins.eval", "subprocess.Popen", "nonsense", "a.b c", "pickle.loads"]
)
def test_some_names_nobody_may_trust(name: str) -> None:
    """They are no types of a model."""
    with pytest.raises(ArtifactUnsafe, match="cannot be trusted"):
        Trust.naming([name])


def test_policies_are_told_apart() -> None:
    """Naming a type is the policy `trusted`; `safe-only` lets nobody name one, and loads no pickle."""
    assert Trust.naming([]).policy == "allowlist"
    assert Trust.naming(["email.message.Message"]).policy == "trusted"
    with pytest.raises(UsageError, match="safe-only"):
        Trust.naming(["email.message.Message"], policy="safe-only")
    with pytest.raises(UsageError, match="no policy"):
        Trust.naming([], policy="everything")
    safe = Trust.naming([], policy="safe-only")
    for refused in (
        lambda: load(pickle.dumps(1), safe),
        lambda: check_files({"m.pkl": pickle.dumps(1)}, safe),
    ):
        with pytest.raises(ArtifactUnsafe, match="safe-only"):
            refused()
    check_files({"m.json": b'{"learner": {}}'}, safe)


def test_a_class_of_a_package_that_is_not_here_is_a_matter_of_installing() -> None:
    """Trusting it would not help."""
    with pytest.raises(ArtifactImport, match="no_such_package"):
        load(b"cno_such_package.models\nModel\n)\x81.")
    with pytest.raises(ArtifactImport, match="script or notebook"):
        load(b"c__main__\nModel\n)\x81.")


@pytest.mark.parametrize("cut", [1, 5, 40, -1, -30])
def test_a_cut_file_is_corrupt(cut: int) -> None:
    """Wherever it was cut, with and without compression."""
    for data in (saved({"a": np.arange(50.0)}), saved({"a": np.arange(50.0)}, compress=3)):
        with pytest.raises(ArtifactCorrupt):
            load(data[:cut])


def test_an_empty_file_is_said_to_be_empty() -> None:
    """It has a code of its own."""
    with pytest.raises(ArtifactEmpty):
        check_files({"m.joblib": b""}, Trust.default())


def test_a_file_that_unpacks_to_a_little_may_have_any_ratio() -> None:
    """Zeros compress well; only large amounts are a bomb."""
    assert load(saved(bytes(200_000), compress=9)) == bytes(200_000)
    with pytest.raises(ArchiveLimit):
        load(saved(bytes(200_000_000), compress=9))


@pytest.mark.parametrize("code", sorted(set(range(256)) - {46}))
def test_any_single_instruction_is_handled(code: int) -> None:
    """Whatever stands first, the answer is an error of ours or a value, never another exception."""
    for rest in (b".", b"\x00" * 8 + b".", b"K\x01K\x02" + bytes([code]) + b"a\nb\n."):
        with contextlib.suppress(ArtifactCorrupt, ArtifactUnsafe, ArtifactLimit):
            trace_pickles(bytes([code]) + rest)


@pytest.mark.filterwarnings("ignore")
def test_every_name_on_the_list_is_what_it_says_where_it_is_installed() -> None:
    """Classes are classes, and most names of the installed scikit-learn exist."""
    import importlib

    names = _Names(Trust.default(), frozenset())
    found = 0
    for module, name in allowed_names():
        root = module.split(".", maxsplit=1)[0]
        if root == "torch" or importlib.util.find_spec(root) is None:
            continue
        try:
            names.find(module, name)
        except (ImportError, AttributeError):
            continue  # of an older or newer release
        found += 1
    assert found > 450


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\x82\x01", "EXT1"),
        (b"\x97", "NEXT_BUFFER"),
        (b"K\x012", "DUP"),
        (b"K\x01K\x02\x93", "cannot be told"),
        (b"csklearn.svm._classes\nSVC\n)R", "gives it arguments"),
        (b"cnumpy\nmemmap\n)R", "not called"),
    ],
)
def test_a_refusal_says_what_it_saw(body: bytes, says: str) -> None:
    """Also for instructions that only an attacker writes."""
    with pytest.raises(ArtifactUnsafe, match=says):
        load(b"\x80\x04" + body + b".")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"N.B. this is a text", "text"),
        (b"N.\n", "pickle"),
        (b"(lp0\n.", "pickle"),
        (b"(lp0\n.\x80\x04N.", "pickle"),
        (b"N.(lp0\n.", "pickle"),
        (b"country,town\nx,y\n", "text"),
        (b'{"a": 1}', "json"),
        (b"{L\x00\x00", "xgboost"),
        (b"tree\nversion=v4", "lightgbm"),
        (b"\x00\x01\x02\xff", "unknown"),
    ],
)
def test_the_format_is_told_by_content(data: bytes, expected: str) -> None:
    """A pickle of the oldest protocols has no magic, and texts are no pickles."""
    assert format_of(data) == expected


def test_a_long_number_of_a_memo_costs_nothing() -> None:
    """The trace refuses it before any table is made."""
    with pytest.raises(ArtifactLimit):
        trace_pickles(b"K\x01r" + struct.pack("<I", 2**31 - 1) + b".")
