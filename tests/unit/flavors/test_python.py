"""Code of the user's own as a model: what it is given, what it may answer, and what is refused, and how."""

from __future__ import annotations

import abc
import functools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairway.bundle.bundle import Bundle, open_bundle
from fairway.bundle.safety import Trust
from fairway.errors import (
    ArtifactImport,
    ArtifactUnsafe,
    ExampleInvalid,
    FairwayError,
    ModelContract,
    UsageError,
)
from fairway.flavors.base import flavor_of
from fairway.flavors.own_code import check_code_allowed, entry_of
from fairway.flavors.python import FLAVOR
from fairway.inference.loaded import LoadedModel, load_model
from fairway.inference.proof import prove
from fairway.lifecycle.own import Own
from fairway.lifecycle.pack import Facts, Wishes, make_bundle
from fairway.messages import Columns

ROWS = [{"city": "Rome", "size": 3.0}, {"city": "Oslo", "size": 1.5}, {"city": "Rome", "size": None}]

FUNCTION = """
def predict(records):
    return [len(record["city"]) + (record["size"] or 0) for record in records]
"""

CLASS = """
import json

import numpy as np


class Model:
    classes = ["small", "large"]

    def load(self, files):
        self.limit = json.loads(files["limits.json"].read_text())["limit"]
        self.weights = np.load(files["weights/w.npy"])

    def predict(self, records):
        return [self.classes[int(share[1] > 0.5)] for share in self.predict_proba(records)]

    def predict_proba(self, records):
        sizes = np.array([record["size"] or 0 for record in records]) * self.weights[0]
        large = 1 / (1 + np.exp(self.limit - sizes))
        return np.column_stack([1 - large, large])
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Give a function that writes a module and returns its path."""

    def write(source: str, name: str = "model.py") -> Path:
        path = tmp_path / name
        path.write_text(source, encoding="utf-8")
        return path

    return write


def pack(model: Any, example: Any = ROWS, *, code: Any = (), files: Any = (), **wishes: Any) -> Bundle:
    """Pack without the proof."""
    own = Own(code=code, files=files)
    return make_bundle(model, name="own", example=example, facts=Facts(), wishes=Wishes(**wishes), own=own)


def ask(loaded: LoadedModel, rows: list[list[Any]], *, probabilities: bool = False) -> Any:
    return loaded.predict(Columns(loaded.signature.names, rows), probabilities=probabilities)


@pytest.fixture
def data(tmp_path: Path) -> list[Path]:
    """Give the data files of the class: one, and a folder with one."""
    (tmp_path / "limits.json").write_text(json.dumps({"limit": 2}))
    (tmp_path / "weights").mkdir()
    np.save(tmp_path / "weights" / "w.npy", np.array([1.0]))
    return [tmp_path / "limits.json", tmp_path / "weights"]


def test_a_function_is_a_model(write: Callable[[str], Path], tmp_path: Path) -> None:
    """It gets records and answers one value for each; its file travels, and nothing is pickled."""
    bundle = pack(f"{write(FUNCTION)}:predict")
    assert bundle.manifest.flavor == "python"
    assert bundle.manifest.model_type == "model.predict"
    assert sorted(bundle.code) == ["model.py"]
    assert bundle.read("model/python.json") == b'{"entry":"model:predict","files":[]}'
    assert bundle.signature.outputs[0].type == "number"
    loaded = load_model(open_bundle(bundle.save(tmp_path / "own.fairway")))
    assert ask(loaded, [["Lima", 2.5], ["Ur", None]]).values == {"prediction": [6.5, 2.0]}
    prove(bundle)


def test_a_class_is_loaded_with_its_data_files(
    write: Callable[[str], Path], data: list[Path], tmp_path: Path
) -> None:
    """`load` is called once with paths by name; `predict_proba` and `classes` give probabilities."""
    bundle = pack(f"{write(CLASS)}:Model", files=data)
    assert sorted(bundle.data) == ["limits.json", "weights/w.npy"]
    assert bundle.signature.classes == ("small", "large")
    assert bundle.golden.probabilities is not None
    loaded = load_model(open_bundle(bundle.save(tmp_path / "own.fairway")))
    answer = ask(loaded, [["Rome", 4.0]], probabilities=True)
    assert answer.values == {"prediction": ["large"]}
    assert answer.probabilities == [[pytest.approx(0.1192, abs=1e-4), pytest.approx(0.8808, abs=1e-4)]]
    assert "numpy" in bundle.environment["packages"]
    prove(bundle)


def test_the_object_itself_may_be_given(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python a function or class is given as it is; the file that it is in travels with it."""
    monkeypatch.syspath_prepend(str(write(FUNCTION, "my_functions.py").parent))
    import my_functions  # type: ignore[import-not-found]

    assert flavor_of(my_functions.predict) is FLAVOR
    bundle = pack(my_functions.predict, code=[my_functions.__file__])
    assert load_model(bundle).bundle.manifest.model_type == "my_functions.predict"
    with pytest.raises(ArtifactImport, match=r"needs the module 'my_functions'.*") as caught:
        prove(pack(my_functions.predict))
    assert "--code my_functions.py" in caught.value.hint


def test_a_class_with_a_metaclass_is_code(write: Callable[[str], Path]) -> None:
    """An abstract base class changes nothing."""
    assert flavor_of(abc.ABCMeta("Some", (), {})) is FLAVOR


@pytest.mark.parametrize(
    ("answer", "outputs"),
    [
        ("[1 for r in records]", {"prediction": [1, 1, 1]}),
        ("np.array([0.5 for r in records])", {"prediction": [0.5, 0.5, 0.5]}),
        ("(r['city'] for r in records)", {"prediction": ["Rome", "Oslo", "Rome"]}),
        (
            "[{'a': 1.5, 'b': r['city'] == 'Rome'} for r in records]",
            {"a": [1.5] * 3, "b": [True, False, True]},
        ),
        ("{'a': np.arange(len(records)), 'b': ['x'] * len(records)}", {"a": [0, 1, 2], "b": ["x"] * 3}),
        ("[None if r['size'] is None else 2 for r in records]", {"prediction": [2, 2, None]}),
        ("[1, 2.5, 3]", {"prediction": [1.0, 2.5, 3.0]}),
    ],
)
def test_answers_come_in_the_usual_forms(
    write: Callable[[str], Path], answer: str, outputs: dict[str, Any]
) -> None:
    """A value or a dict per row, an array, or a dict of columns; NumPy's types become Python's."""
    source = f"import numpy as np\ndef predict(records): return {answer}"
    bundle = pack(f"{write(source)}:predict")
    assert bundle.golden.expected == outputs
    assert [output.name for output in bundle.signature.outputs] == list(outputs)


@pytest.mark.parametrize(
    ("feed", "expression", "expected"),
    [
        ("matrix", "list(given.sum(axis=1))", [3.0, 7.0]),
        ("columns", "[a * b for a, b in zip(given['a'], given['b'])]", [2.0, 12.0]),
        ("frame", "given['a'] - given['b']", [-1.0, -1.0]),
    ],
)
def test_another_form_is_fed_when_it_is_stated(
    write: Callable[[str], Path], feed: str, expression: str, expected: list[float]
) -> None:
    """Columns, a matrix or a frame, for code that thinks in them."""
    rows = [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]
    bundle = pack(f"{write(f'def predict(given): return {expression}')}:predict", rows, feed=feed)
    assert bundle.golden.expected == {"prediction": expected}
    assert ("pandas" in bundle.environment["packages"]) == (feed == "frame")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def predict(records): return 5", "model:predict returned an object of the type int, not a list"),
        ("def predict(records): return 'abc'", "model:predict returned an object of the type str"),
        ("def predict(records): return [1]", "gave 1 values of 'prediction' for 3 rows"),
        ("def predict(records): return [[1]] * 3", "no single kind for: list"),
        ("def predict(records): return [1, 'a', 2]", "no single kind for: int, str"),
        ("def predict(records): return [{'a': 1}, {'b': 1}, {'a': 2}]", "the same outputs for every row"),
        ("def predict(records): return [object()] * 3", "an output is of the type object"),
        ("def predict(r):\n    return r[0]['town']", r"raised KeyError .*: 'town' \(model.py, line 2\)"),
        ("class predict: pass", "model:predict has no predict"),
        ("def other(): pass", "model:predict: there is no function or class 'predict'"),
        ("import not_there_xyz", "needs the module 'not_there_xyz'"),
        ("1 / 0", "model.py raised ZeroDivisionError"),
        ("class predict:\n    def __init__(self, x): pass", "cannot be made ready: predict raised TypeError"),
        (
            "class predict:\n    def load(self, files): files['w.npz']\n    def predict(self, r): return r",
            r"load asks for the file 'w.npz', which does not travel with the model \(none was given\)",
        ),
        (
            "class predict:\n    def predict(self, r): return [1] * len(r)\n    predict_proba = predict",
            "does not say what the probabilities are of",
        ),
    ],
)  # fmt: skip
def test_what_is_no_model_is_refused_with_the_place(
    write: Callable[[str], Path], source: str, message: str
) -> None:
    """While it is packed, in words that name the function, and the line of its file where there is one."""
    with pytest.raises((ExampleInvalid, ArtifactImport), match=message):
        pack(f"{write(source)}:predict")


def nested() -> Any:
    """Return a function that no other process could find."""
    return lambda records: records


class Stateful:
    """A class whose objects hold something."""

    def predict(self, records: Any) -> Any:
        return records


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (nested(), "is a lambda or is defined inside of a function"),
        (Stateful().predict, "is the method of an object, whose state lies in no file"),
        (functools.partial(entry_of), "a partial object cannot be packed as code"),
        (Stateful(), "a Stateful object cannot be packed as code"),
    ],
)
def test_what_has_no_name_is_refused(given: Any, message: str) -> None:
    """Another process could not find it; the words say what to give instead."""
    with pytest.raises(ArtifactImport, match=message) as caught:
        entry_of(given)
    assert caught.value.hint


def test_a_function_of_a_script_is_refused() -> None:
    """It belongs to `__main__`; the words say to move it to a file and to name that."""

    def predict(records: Any) -> Any:
        return records

    predict.__module__, predict.__qualname__ = "__main__", "predict"
    with pytest.raises(
        ArtifactImport, match=r"predict is defined in a script or notebook \(__main__\)"
    ) as caught:
        pack(predict)
    assert "move it to a .py file" in caught.value.hint
    assert "--code model.py" in caught.value.hint


@pytest.mark.parametrize("text", ["news", "news:", ":f", "news:f.g.h", "news/x:f", "a b:f", "news.py:"])
def test_a_text_that_names_nothing_is_a_usage_error(text: str) -> None:
    """Before any module is imported."""
    with pytest.raises(UsageError, match="names no function"):
        entry_of(text)


def test_data_files_need_code_that_reads_them(data: list[Path]) -> None:
    """A trained model would never look at them."""
    from sklearn.linear_model import Ridge

    with pytest.raises(UsageError, match="data files are read by code of your own"):
        pack(Ridge().fit([[0.0], [1.0]], [0, 1]), [[0.0], [1.0]], files=data)


def test_a_missing_data_file_is_said(write: Callable[[str], Path], tmp_path: Path) -> None:
    """With its path, before anything is packed."""
    with pytest.raises(UsageError, match=r"the data file .*gone.npz cannot be read"):
        pack(f"{write(FUNCTION)}:predict", files=[tmp_path / "gone.npz"])


def test_what_travels_is_the_file_not_the_state_of_the_process(write: Callable[[str], Path]) -> None:
    """What a training script sets in a module is not in the file: the push says so, not the first caller."""
    source = "WEIGHT = None\ndef predict(records): return [WEIGHT * r['size'] for r in records]"
    with pytest.raises(ExampleInvalid, match="raised TypeError"):
        pack(f"{write(source)}:predict")


def test_two_versions_of_a_module_serve_side_by_side(write: Callable[[str], Path]) -> None:
    """Each has its own."""
    first = load_model(pack(f"{write('def predict(records): return [1] * len(records)')}:predict"))
    second = load_model(pack(f"{write('def predict(records): return [2] * len(records)')}:predict"))
    row = [["Rome", 1.0]]
    assert (ask(first, row).values, ask(second, row).values) == ({"prediction": [1]}, {"prediction": [2]})


def test_answers_that_break_the_signature_are_no_answers(write: Callable[[str], Path]) -> None:
    """Another type, or another number of rows, than when it was packed: the model's fault, said as such."""
    source = """
def predict(records):
    first = records[0]["city"]
    return {"text": ["x"], "few": [], "two": [{"a": 1, "b": 2}]}.get(first, [1] * len(records))
"""
    loaded = load_model(pack(f"{write(source)}:predict"))
    for city, message in [
        ("text", "gave a value of the type str for 'prediction', whose type is integer"),
        ("few", "gave 0 values"),
        ("two", "gave 2 outputs; the signature has 1"),
    ]:
        with pytest.raises(ModelContract, match=message):
            ask(loaded, [[city, 1.0]])


def test_records_belong_to_the_function(write: Callable[[str], Path]) -> None:
    """It may change them, between predict and predict_proba, too: nobody else sees it."""
    source = """
class Model:
    classes = [0, 1]
    def predict(self, records): return [int(bool(r.pop("city"))) for r in records]
    def predict_proba(self, records): return [[0.0, 1.0] for r in records if r["city"]]
"""
    loaded = load_model(pack(f"{write(source)}:Model"))
    columns = Columns(loaded.signature.names, [["Rome", 1.0]])
    assert loaded.predict(columns, probabilities=True).probabilities == [[0.0, 1.0]]
    assert columns.records() == [{"city": "Rome", "size": 1.0}]


def test_calls_come_from_several_threads_at_once(write: Callable[[str], Path]) -> None:
    """Nothing holds one back until another is done: two calls that wait for each other both return."""
    source = """
import threading
BOTH = threading.Barrier(2, timeout=10)
def predict(records):
    if records[0]["city"] == "wait":
        BOTH.wait()
    return [record["size"] for record in records]
"""
    loaded = load_model(pack(f"{write(source)}:predict"))
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(ask(loaded, [["wait", n]]).values["prediction"]))
        for n in (1.0, 2.0)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(found) == [[1.0], [2.0]]


def test_a_policy_that_runs_no_code_refuses_it() -> None:
    """`safe-only` takes formats that run no code, and this is code."""
    with pytest.raises(ArtifactUnsafe, match="model:predict is code"):
        check_code_allowed("model:predict", Trust(policy="safe-only"))
    check_code_allowed("model:predict", Trust.default())


def test_only_one_output_has_probabilities(write: Callable[[str], Path]) -> None:
    """A table of them would belong to none of several outputs."""
    source = """
class Model:
    classes = [0, 1]
    def predict(self, records): return [{"a": 1, "b": 2}] * len(records)
    def predict_proba(self, records): return [[0.5, 0.5]] * len(records)
"""
    with pytest.raises(FairwayError, match="probabilities, which need a single output; it has 2"):
        pack(f"{write(source)}:Model")
